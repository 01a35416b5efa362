//! The test's clock: holds it, knows when nothing moves any more, and bounds every wait in real time.
//!
//! Tokio's paused clock jumps to the next timer as soon as every task waits. That is what `advance` wants and what
//! `idle` must not have, so `idle` holds the clock meanwhile: tokio does not let it jump while a blocking task runs.
//! That blocking task also watches the runtime's thread: while it is parked, every task waits.

use std::io::Write as _;
use std::panic::Location;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor, RuntimeMetrics};
use tokio::sync::oneshot;

/// How often the runtime's thread is looked at. A look costs nothing; a test waits for about three of them.
const STEP: Duration = Duration::from_micros(20);

/// A test that does not take note within this time is stuck.
const HEARING: Duration = Duration::from_millis(500);

/// What a test gets that cannot work as it is.
const NO_RUNTIME: &str = "kafka_runtime::testing needs tokio's current-thread runtime, whose clock it can hold: write \
                          #[tokio::test(start_paused = true)], without a flavor";

/// The wait took more real time than it may.
#[derive(Debug)]
pub(super) struct TooLong;

/// Pauses tokio's clock, unless it is paused already.
pub(super) fn pause(caller: &Location<'_>) {
    let is_current_thread = Handle::try_current()
        .is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::CurrentThread);
    assert!(is_current_thread, "{NO_RUNTIME}; at {caller}");
    let (now, real) = (tokio::time::Instant::now(), std::time::Instant::now());
    while real.elapsed() < Duration::from_micros(2) {
        std::hint::spin_loop();
    }
    if tokio::time::Instant::now() != now {
        tokio::time::pause();
    }
}

/// Holds the clock until it is dropped.
pub(super) struct Stillness {
    asks: Sender<Ask>,
    metrics: RuntimeMetrics,
}

struct Ask {
    /// The runtime's thread had parked or gone on this many times.
    turns: u64,
    at_least: Duration,
    answer: oneshot::Sender<Result<(), TooLong>>,
}

impl Stillness {
    /// Holds the clock; nothing that is asked may take longer than until then. If the test's thread does not come back
    /// to say so, `stuck` is printed.
    pub(super) fn hold(
        until: std::time::Instant,
        stuck: impl Fn() -> String + Send + 'static,
    ) -> Self {
        let (asks, asked) = channel();
        let metrics = Handle::current().metrics();
        let watched = metrics.clone();
        drop(tokio::task::spawn_blocking(move || {
            watch(&asked, &watched, until, &stuck);
        }));
        Self { asks, metrics }
    }

    /// Waits until every task of the runtime waits; then for `at_least` of real time, for what comes from outside of
    /// the runtime: blocking tasks, sockets.
    pub(super) async fn rest(&self, at_least: Duration) -> Result<(), TooLong> {
        let (answer, answered) = oneshot::channel();
        let ask = Ask {
            turns: self.metrics.worker_park_unpark_count(0),
            at_least,
            answer,
        };
        if self.asks.send(ask).is_err() {
            return Err(TooLong);
        }
        answered.await.unwrap_or(Err(TooLong))
    }
}

/// Answers until nobody asks any more.
fn watch(
    asked: &Receiver<Ask>,
    metrics: &RuntimeMetrics,
    until: std::time::Instant,
    stuck: &dyn Fn() -> String,
) {
    for ask in asked {
        std::thread::sleep(ask.at_least);
        let rested = has_parked(ask.turns, metrics, until);
        let is_too_long = rested.is_err();
        // Whoever asked may be gone.
        let _ = ask.answer.send(rested);
        // A test that hears this panics, and asks nothing more.
        if is_too_long && matches!(asked.recv_timeout(HEARING), Err(RecvTimeoutError::Timeout)) {
            // Not `eprintln!`: a test's output is shown when it ends, and this one may not.
            let _ = writeln!(std::io::stderr(), "{}", stuck());
        }
    }
}

/// Waits until the runtime's thread has parked since, and was not on its way out again.
fn has_parked(
    turns: u64,
    metrics: &RuntimeMetrics,
    until: std::time::Instant,
) -> Result<(), TooLong> {
    let mut seen = turns;
    loop {
        let turns_now = metrics.worker_park_unpark_count(0);
        if turns_now > turns && is_parked(turns_now) && turns_now == seen {
            return Ok(());
        }
        seen = turns_now;
        if std::time::Instant::now() > until {
            return Err(TooLong);
        }
        std::thread::sleep(STEP);
    }
}

/// The count is that of parking and of going on, in turn.
fn is_parked(turns: u64) -> bool {
    !turns.is_multiple_of(2)
}

/// Real time that a wait may take, where the clock must be free to jump.
pub(super) struct Limit {
    expired: oneshot::Receiver<()>,
    /// Dropped: its thread ends.
    _running: Sender<()>,
}

impl Limit {
    pub(super) fn start(limit: Duration) -> Self {
        let (running, ended) = channel::<()>();
        let (expire, expired) = oneshot::channel();
        let thread = std::thread::Builder::new().name("kafka-test-limit".into());
        // Without a thread the wait is over at once, with the message of one that took too long.
        let _ = thread.spawn(move || {
            if ended.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                let _ = expire.send(());
            }
        });
        Self {
            expired,
            _running: running,
        }
    }

    /// Waits for the future within the limit.
    pub(super) async fn keep<T>(&mut self, future: impl Future<Output = T>) -> Result<T, TooLong> {
        tokio::select! {
            biased;
            done = future => Ok(done),
            _ = &mut self.expired => Err(TooLong),
        }
    }
}
