//! Whether the memory of a process stayed within its budget. No I/O.

use crate::verdict::Verdict;

/// What a process may take besides what it was told it may keep: its code, its threads, what malloc does not give back.
pub(crate) const SLACK: u64 = 64_000_000;

/// What a process may keep, and what it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    /// All that the configuration lets it keep.
    pub(crate) budget: u64,
    /// The peak of a process that has nothing to do.
    pub(crate) idle: u64,
    pub(crate) peak: u64,
}

impl Memory {
    pub(crate) fn limit(self) -> u64 {
        self.budget + SLACK
    }

    /// Judges the peak; `has_arisen` says whether what should have driven it up has happened.
    pub(crate) fn judge(self, has_arisen: bool) -> Verdict {
        if self.peak > self.limit() {
            Verdict::Fail
        } else if has_arisen {
            Verdict::Pass
        } else {
            Verdict::Inconclusive
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Memory, SLACK, Verdict};

    const WITHIN: Memory = Memory {
        budget: 100,
        idle: 10,
        peak: 100 + SLACK,
    };

    #[test]
    fn a_peak_up_to_the_limit_passes() {
        let above = Memory {
            peak: WITHIN.peak + 1,
            ..WITHIN
        };

        assert_eq!(WITHIN.judge(true), Verdict::Pass);
        assert_eq!(above.judge(true), Verdict::Fail);
        assert_eq!(above.judge(false), Verdict::Fail);
    }

    #[test]
    fn a_low_peak_of_a_process_that_had_little_to_do_says_nothing() {
        assert_eq!(WITHIN.judge(false), Verdict::Inconclusive);
    }
}
