//! The time that the poll thread gives to the questions of one round.
//!
//! A question blocks it: whoever is asked may be away. So all questions of a kind share one time, however many partitions
//! there are; what it was too short for is asked in the next round, and the group and a stop are looked at between them.

use std::time::{Duration, Instant};

use super::poll::COMMITTED_TIMEOUT;

/// A broker that is there has answered by then.
const SHORTEST: Duration = Duration::from_millis(100);

/// See the module.
pub(super) struct Questions {
    until: Instant,
}

impl Questions {
    pub(super) fn begin() -> Self {
        Self {
            until: Instant::now() + COMMITTED_TIMEOUT,
        }
    }

    /// Returns how long the next of so many questions may take; `None`: not in this round.
    pub(super) fn next(&self, of: usize) -> Option<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        let of = u32::try_from(of).unwrap_or(u32::MAX).max(1);
        (!left.is_zero()).then(|| (left / of).max(SHORTEST).min(left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_questions_together_take_no_longer_than_one() {
        let questions = Questions::begin();

        assert!(questions.next(1).unwrap() <= COMMITTED_TIMEOUT);
        assert!(questions.next(3).unwrap() <= COMMITTED_TIMEOUT / 3);
        assert_eq!(questions.next(1000), Some(SHORTEST));
        let over = Questions {
            until: Instant::now(),
        };
        assert_eq!(over.next(1), None);
    }
}
