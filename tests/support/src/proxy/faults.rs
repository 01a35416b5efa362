//! What a proxy is told to do to connections.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Duration;

use super::{ApiKey, Both};

/// The faults that are switched on. Connections look at them at every step.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) delay: Both<Duration>,
    pub(super) cut: Both<bool>,
    pub(super) refuse: bool,
    /// How often all connections were to be reset: a connection that saw fewer is to go.
    pub(super) resets: u64,
    random_resets: Option<RandomResets>,
    /// Changes with `random_resets`: then open connections draw a time anew.
    pub(super) draws: u64,
    pub(super) held: BTreeSet<ApiKey>,
    /// How many more connections to close at requests with a key.
    pub(super) drops: BTreeMap<ApiKey, u64>,
    /// How many more fetch responses to spoil.
    pub(super) flips: u64,
}

impl Faults {
    /// Sets the mode in which every connection is reset after a while.
    pub(super) fn reset_at_random(&mut self, resets: Option<RandomResets>) {
        self.random_resets = resets;
        self.draws += 1;
    }

    /// Returns how long a connection may live.
    pub(super) fn draw_lifetime(&mut self) -> Option<Duration> {
        self.random_resets.as_mut().map(RandomResets::draw)
    }

    /// Returns whether this is one of the requests to close the connection at.
    pub(super) fn take_drop(&mut self, key: ApiKey) -> bool {
        self.drops.get_mut(&key).is_some_and(take_one)
    }

    /// Returns whether this is one of the responses to spoil.
    pub(super) fn take_flip(&mut self) -> bool {
        take_one(&mut self.flips)
    }

    /// Switches everything off. The counts stay, or connections would take it for a change.
    pub(super) fn end(&mut self) {
        *self = Self {
            resets: self.resets,
            draws: self.draws + 1,
            ..Self::default()
        };
    }
}

/// `u64::MAX` stays what it is: for ever.
fn take_one(left: &mut u64) -> bool {
    let is_left = *left > 0;
    if is_left && *left < u64::MAX {
        *left -= 1;
    }
    is_left
}

/// Draws lifetimes of connections, the same ones from the same seed.
#[derive(Debug)]
pub(super) struct RandomResets {
    between: RangeInclusive<Duration>,
    state: u64,
}

impl RandomResets {
    pub(super) fn new(between: RangeInclusive<Duration>, seed: u64) -> Self {
        let state = seed;
        Self { between, state }
    }

    fn draw(&mut self) -> Duration {
        let (least, most) = (*self.between.start(), *self.between.end());
        let span = u64::try_from(most.saturating_sub(least).as_micros()).unwrap_or(u64::MAX);
        least + Duration::from_micros(self.next() % span.saturating_add(1))
    }

    /// `SplitMix64`: enough chance for this, and no dependency.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{ApiKey, Faults, RandomResets};

    const BETWEEN: std::ops::RangeInclusive<Duration> =
        Duration::from_millis(500)..=Duration::from_millis(1500);

    #[test]
    fn lifetimes_lie_between_the_bounds_and_follow_from_the_seed() {
        let draw = |seed| {
            let mut resets = RandomResets::new(BETWEEN, seed);
            [(); 100].map(|()| resets.draw())
        };

        assert!(draw(7).iter().all(|lifetime| BETWEEN.contains(lifetime)));
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn a_fault_is_used_up_unless_it_is_for_ever() {
        let mut faults = Faults::default();
        faults.drops.insert(ApiKey::FETCH, 2);
        faults.drops.insert(ApiKey::PRODUCE, u64::MAX);

        let fetch = [(); 3].map(|()| faults.take_drop(ApiKey::FETCH));
        let produce = [(); 3].map(|()| faults.take_drop(ApiKey::PRODUCE));
        assert_eq!(fetch, [true, true, false]);
        assert_eq!(produce, [true; 3]);
        assert!(!faults.take_drop(ApiKey::METADATA));
        assert!(!faults.take_flip());
    }
}
