//! What happens to a record that failed: a decision from values, without a clock or a client.

use std::time::Duration;

use crate::failure::backoff::Retry;
use crate::mutant::{self, Mutant};
use crate::outcome::FailureKind;

/// What becomes of a record after its last attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailurePolicy {
    /// The record is written to the dead letter topic, then the source offset is finished. The default.
    #[default]
    DeadLetter,
    /// The record is counted and logged, and the source offset is finished.
    Skip,
    /// The runtime ends with an error that names the record; nothing past it is committed.
    Stop,
}

impl FailurePolicy {
    /// The name in the attribute, in logs and in the start table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DeadLetter => "dead_letter",
            Self::Skip => "skip",
            Self::Stop => "stop",
        }
    }
}

/// What to do with a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Try again after this long; the key waits.
    RetryAfter(Duration),
    /// The last attempt is spent.
    GiveUp,
}

/// Decides about an attempt (from 1) that failed; `jitter` is a fraction from 0 to 1.
pub(crate) fn decide(retry: &Retry, kind: FailureKind, attempt: u32, jitter: f64) -> Decision {
    let more = u32::from(mutant::is_active(Mutant::RetryOnceMore));
    if !kind.is_retried() || attempt >= retry.attempts.saturating_add(more) {
        return Decision::GiveUp;
    }
    Decision::RetryAfter(retry.delay(attempt, jitter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decode_and_permanent_failures_are_not_retried() {
        let retry = Retry::default();

        for kind in [FailureKind::Decode, FailureKind::Permanent] {
            assert_eq!(decide(&retry, kind, 1, 0.5), Decision::GiveUp);
        }
    }

    #[test]
    fn attempts_count_the_first_one() {
        let retry = Retry {
            attempts: 2,
            ..Retry::default()
        };

        assert!(matches!(
            decide(&retry, FailureKind::Panic, 1, 0.5),
            Decision::RetryAfter(_)
        ));
        assert_eq!(decide(&retry, FailureKind::Panic, 2, 0.5), Decision::GiveUp);
    }
}
