//! Says when the poll thread looked at the group last.
//!
//! A process that was suspended (SIGSTOP, a sleeping laptop, a paused virtual machine) finds its partitions in other
//! hands, and its lanes wake up before its poll thread has looked. So the lanes ask, too.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::mutant::{self, Mutant};

/// What a look at the group says of the time since the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beat {
    InTime,
    /// Not too long; but a lane that read its clock a moment later may have thought so, and waits to be woken.
    Close,
    /// Nobody had looked for so long.
    Late(Duration),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Pulse {
    base: Instant,
    /// Milliseconds since `base`; 0 before the first beat.
    last: AtomicU64,
    /// After this long without a look the group takes the member for gone.
    limit: Duration,
}

impl Pulse {
    pub(crate) fn new(limit: Duration) -> Self {
        Self {
            // Tokio's clock, which tests pause.
            base: tokio::time::Instant::now().into_std(),
            last: AtomicU64::new(0),
            limit,
        }
    }

    /// Takes note of a look at the group.
    pub(crate) fn beat(&self, now: Instant) -> Beat {
        let now = self.millis(now);
        let last = self.last.swap(now, Ordering::AcqRel);
        let gap = Duration::from_millis(now.saturating_sub(last));
        if last == 0 || mutant::is_active(Mutant::IgnoreSuspend) {
            Beat::InTime
        } else if gap > self.limit {
            Beat::Late(gap)
        } else if gap > self.limit / 2 {
            Beat::Close
        } else {
            Beat::InTime
        }
    }

    /// True if nobody has looked for too long: nothing may be started.
    pub(crate) fn is_late(&self) -> bool {
        let last = self.last.load(Ordering::Acquire);
        let now = self.millis(tokio::time::Instant::now().into_std());
        let gap = Duration::from_millis(now.saturating_sub(last));
        last > 0 && gap > self.limit && !mutant::is_active(Mutant::IgnoreSuspend)
    }

    fn millis(&self, at: Instant) -> u64 {
        let millis = at.saturating_duration_since(self.base).as_millis();
        // From 1, so that a beat is never taken for none.
        u64::try_from(millis).unwrap_or(u64::MAX - 1) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_gap_is_told_to_the_thread_and_to_the_lanes() {
        let pulse = Pulse::new(Duration::from_secs(10));
        let now = || tokio::time::Instant::now().into_std();
        assert_eq!(pulse.beat(now()), Beat::InTime);

        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(pulse.beat(now()), Beat::InTime);

        tokio::time::advance(Duration::from_secs(10)).await;
        assert!(!pulse.is_late());
        assert_eq!(pulse.beat(now()), Beat::Close);

        tokio::time::advance(Duration::from_secs(11)).await;
        assert!(pulse.is_late());
        assert_eq!(pulse.beat(now()), Beat::Late(Duration::from_secs(11)));
        assert!(!pulse.is_late());
    }
}
