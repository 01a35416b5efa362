//! Stops feeding a handler that fails for nearly everything: after a bad deploy, or with its database away, it would
//! drain the topic into the dead letters.
//!
//! Counted are first attempts, so that one stubborn record weighs as much as any other, and keys, so that a stubborn key
//! does: while its partition is full of what waits behind it, there are no first attempts but its own. Open, nothing is
//! started; after a wait one attempt is let through, and how that ends decides.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

/// When a handler is taken to be failing as a whole, and no longer fed: when both the share of records that fail at their
/// first attempt, and the share of keys whose last one did, reach `ratio`.
///
/// ```
/// use kafka_core::{Breaker, Handler, Raw};
///
/// // Opens when 9 of 10 of the last 200 records failed.
/// let handler = Handler::new("orders", |_: Raw| async {}).breaker(Breaker { ratio: 0.9, records: 200 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Breaker {
    /// The share of first attempts that fail, above 0 and up to 1. Default 0.8.
    pub ratio: f64,
    /// Over how many records the share is taken, at least. Default 100.
    pub records: u32,
}

impl Breaker {
    /// 8 of 10 of the last 100.
    pub const DEFAULT: Self = Self {
        ratio: 0.8,
        records: 100,
    };
    /// Feeds the handler whatever happens.
    pub const OFF: Self = Self {
        ratio: f64::INFINITY,
        records: u32::MAX,
    };
}

impl Default for Breaker {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The first wait while it is open; doubled each time that the attempt in between fails.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// May an attempt be started?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Yes,
    /// It decides whether the breaker closes.
    Probe,
    /// Ask again then.
    NotBefore(Instant),
}

/// What a breaker did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It opened: so many of so many failed; it lets one attempt through after the wait.
    Opened {
        failed: u32,
        of: u32,
        wait: Duration,
    },
    Closed,
}

/// The breaker of one handler in one group.
#[derive(Debug)]
pub(crate) struct BreakerState {
    settings: Breaker,
    is_open: AtomicBool,
    keys: Keys,
    window: Mutex<Window>,
}

/// What the last first attempt of each group of keys came to.
#[derive(Debug)]
struct Keys {
    outcomes: Box<[AtomicU8]>,
    known: AtomicU32,
    failed: AtomicU32,
}

const UNKNOWN: u8 = 0;
const GOOD: u8 = 1;
const FAILED: u8 = 2;

impl Keys {
    /// Half as many groups as there are records in the window: all of them have been seen when it is full.
    fn new(settings: Breaker) -> Self {
        let groups = (settings.records / 2).clamp(1, 1024).next_power_of_two();
        Self {
            outcomes: (0..groups).map(|_| AtomicU8::new(UNKNOWN)).collect(),
            known: AtomicU32::new(0),
            failed: AtomicU32::new(0),
        }
    }

    #[inline]
    fn note(&self, key_hash: u64, outcome: u8) {
        // Their number is a power of two.
        let group = key_hash & (self.outcomes.len() as u64 - 1);
        let group = &self.outcomes[usize::try_from(group).unwrap_or(0)];
        // Relaxed: these are counts, nothing is read by them. Nearly always nothing changes.
        if group.load(Ordering::Relaxed) == outcome {
            return;
        }
        let before = group.swap(outcome, Ordering::Relaxed);
        if before == UNKNOWN {
            self.known.fetch_add(1, Ordering::Relaxed);
        }
        match (before == FAILED, outcome == FAILED) {
            (false, true) => self.failed.fetch_add(1, Ordering::Relaxed),
            (true, false) => self.failed.fetch_sub(1, Ordering::Relaxed),
            _ => 0,
        };
    }

    fn have_failed(&self, ratio: f64) -> bool {
        let known = self.known.load(Ordering::Relaxed);
        f64::from(self.failed.load(Ordering::Relaxed)) >= ratio * f64::from(known)
    }

    fn forget(&self) {
        for group in &self.outcomes {
            group.store(UNKNOWN, Ordering::Relaxed);
        }
        self.known.store(0, Ordering::Relaxed);
        self.failed.store(0, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct Window {
    failed: u32,
    of: u32,
    wait: Duration,
    /// While open: when the next attempt may be let through.
    next_probe: Option<Instant>,
    /// Lanes to wake when it closes.
    waiting: Vec<Waker>,
}

impl BreakerState {
    pub(crate) fn new(settings: Breaker) -> Self {
        Self {
            settings,
            is_open: AtomicBool::new(false),
            keys: Keys::new(settings),
            window: Mutex::new(Window {
                failed: 0,
                of: 0,
                wait: FIRST_WAIT,
                next_probe: None,
                waiting: Vec::new(),
            }),
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Acquire)
    }

    /// Asks for an attempt, while it is open; whoever must wait is woken when it closes.
    pub(crate) fn admit(&self, now: Instant, waker: &Waker) -> Admission {
        let mut window = self.window();
        match window.next_probe {
            None => Admission::Yes,
            Some(at) if now < at => {
                if !window
                    .waiting
                    .iter()
                    .any(|waiting| waiting.will_wake(waker))
                {
                    window.waiting.push(waker.clone());
                }
                Admission::NotBefore(at)
            }
            Some(_) => {
                // One that never ends (its partition is taken away) must not keep it open for ever.
                window.next_probe = Some(now + window.wait);
                Admission::Probe
            }
        }
    }

    /// Takes note of what a first attempt came to for its key. One that failed behind another of its key says nothing new.
    #[inline]
    pub(crate) fn note(&self, key_hash: u64, has_failed: bool, is_behind_failed: bool) {
        match (has_failed, is_behind_failed) {
            (false, _) => self.keys.note(key_hash, GOOD),
            (true, false) => self.keys.note(key_hash, FAILED),
            (true, true) => {}
        }
    }

    /// Takes note of how first attempts ended.
    pub(crate) fn count(&self, good: u32, failed: u32, now: Instant) -> Option<Change> {
        let mut window = self.window();
        if window.next_probe.is_some() {
            return None;
        }
        window.of = window.of.saturating_add(good).saturating_add(failed);
        window.failed = window.failed.saturating_add(failed);
        let is_enough = window.of >= self.settings.records;
        if failed > 0
            && is_enough
            && f64::from(window.failed) >= self.settings.ratio * f64::from(window.of)
            && self.keys.have_failed(self.settings.ratio)
        {
            return Some(self.open(&mut window, now));
        }
        if window.of >= self.settings.records.saturating_mul(2) {
            // What is long ago counts half.
            window.of /= 2;
            window.failed /= 2;
        }
        None
    }

    /// Takes the attempt back that was let through: there was none to make. The next one that asks gets it.
    pub(crate) fn unused(&self, now: Instant) {
        let mut window = self.window();
        if window.next_probe.is_some() {
            window.next_probe = Some(now);
        }
        let waiting = std::mem::take(&mut window.waiting);
        drop(window);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Takes note of how the attempt ended that was let through.
    pub(crate) fn probed(&self, is_good: bool, now: Instant) -> Option<Change> {
        let mut window = self.window();
        window.next_probe?;
        if !is_good {
            window.wait = (2 * window.wait).min(LONGEST_WAIT);
            return Some(self.open(&mut window, now));
        }
        self.keys.forget();
        window.failed = 0;
        window.of = 0;
        window.wait = FIRST_WAIT;
        window.next_probe = None;
        self.is_open.store(false, Ordering::Release);
        let waiting = std::mem::take(&mut window.waiting);
        drop(window);
        waiting.into_iter().for_each(Waker::wake);
        Some(Change::Closed)
    }

    fn open(&self, window: &mut Window, now: Instant) -> Change {
        window.next_probe = Some(now + window.wait);
        self.is_open.store(true, Ordering::Release);
        Change::Opened {
            failed: window.failed,
            of: window.of,
            wait: window.wait,
        }
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        // Held for a few instructions that do not panic.
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: Breaker = Breaker {
        ratio: 0.5,
        records: 10,
    };

    fn admit(breaker: &BreakerState, now: Instant) -> Admission {
        breaker.admit(now, Waker::noop())
    }

    #[test]
    fn it_opens_when_most_fail_and_not_before_there_are_enough() {
        let breaker = BreakerState::new(SETTINGS);
        let now = Instant::now();

        assert_eq!(breaker.count(0, 9, now), None);
        assert!(!breaker.is_open());
        assert!(matches!(
            breaker.count(0, 1, now),
            Some(Change::Opened {
                failed: 10,
                of: 10,
                ..
            })
        ));
        assert!(breaker.is_open());
    }

    #[test]
    fn few_failures_among_many_do_not_open_it() {
        let breaker = BreakerState::new(SETTINGS);
        let now = Instant::now();

        for _ in 0..1000 {
            assert_eq!(breaker.count(6, 0, now), None);
            assert_eq!(breaker.count(0, 4, now), None);
        }
    }

    #[test]
    fn keys_that_fail_again_and_again_do_not_open_it_while_others_do_not() {
        let breaker = BreakerState::new(SETTINGS);
        for key in 0..8 {
            breaker.note(key, false, false);
        }

        for round in 0..1000 {
            breaker.note(3, true, round > 0);
            // Collides with a good one, and says nothing of it.
            breaker.note(12, true, round > 0);
            assert_eq!(breaker.count(0, 2, Instant::now()), None);
        }
    }

    #[test]
    fn a_topic_of_one_key_opens_it_when_all_fails_and_not_at_the_first_failure() {
        let breaker = BreakerState::new(SETTINGS);
        let now = Instant::now();
        breaker.note(3, false, false);
        assert_eq!(breaker.count(10, 0, now), None);
        breaker.note(3, true, false);
        assert_eq!(breaker.count(0, 1, now), None);

        let opened = (0..20).find_map(|_| {
            breaker.note(3, true, true);
            breaker.count(0, 1, now)
        });

        assert!(matches!(opened, Some(Change::Opened { .. })));
    }

    #[test]
    fn many_keys_that_begin_to_fail_open_it() {
        let breaker = BreakerState::new(Breaker::DEFAULT);
        let now = Instant::now();
        for key in 0..1000 {
            breaker.note(key, false, false);
        }
        breaker.count(1000, 0, now);

        let failed = (1..1000).find(|key| {
            breaker.note(key * 7919, true, false);
            breaker.count(0, 1, now).is_some()
        });

        assert!(failed.is_some_and(|failed| failed < 400), "{failed:?}");
    }

    #[test]
    fn one_attempt_at_a_time_is_let_through_and_decides() {
        let breaker = BreakerState::new(SETTINGS);
        let start = Instant::now();
        breaker.count(0, 10, start);

        let first = start + FIRST_WAIT;
        assert_eq!(admit(&breaker, start), Admission::NotBefore(first));
        assert_eq!(admit(&breaker, first), Admission::Probe);
        assert!(matches!(admit(&breaker, first), Admission::NotBefore(_)));

        assert!(matches!(
            breaker.probed(false, first),
            Some(Change::Opened { .. })
        ));
        assert_eq!(
            admit(&breaker, first + FIRST_WAIT),
            Admission::NotBefore(first + 2 * FIRST_WAIT)
        );

        assert_eq!(admit(&breaker, first + 2 * FIRST_WAIT), Admission::Probe);
        assert_eq!(
            breaker.probed(true, first + 2 * FIRST_WAIT),
            Some(Change::Closed)
        );
        assert!(!breaker.is_open());
        assert_eq!(admit(&breaker, start), Admission::Yes);
    }

    #[test]
    fn off_is_off() {
        let breaker = BreakerState::new(Breaker::OFF);

        assert_eq!(breaker.count(0, u32::MAX, Instant::now()), None);
    }
}
