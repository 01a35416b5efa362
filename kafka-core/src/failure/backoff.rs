//! How long to wait before the next attempt: exponential, with full jitter.

use std::time::Duration;

/// How often and how patiently a record is tried again, in place: only its key waits.
///
/// The n-th wait is a random time between 0 and `initial` × 2^(n-1), capped at `max` ("full jitter", as in
/// the AWS architecture blog's "Exponential Backoff And Jitter").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Attempts in all, the first one included. Default 8.
    pub attempts: u32,
    /// The longest first wait. Default 100 ms.
    pub initial: Duration,
    /// The longest wait of all. Default 30 s.
    pub max: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Retry {
    /// 8 attempts, 100 ms, 30 s.
    pub const DEFAULT: Self = Self {
        attempts: 8,
        initial: Duration::from_millis(100),
        max: Duration::from_secs(30),
    };

    /// One attempt, no retry.
    pub const NONE: Self = Self {
        attempts: 1,
        ..Self::DEFAULT
    };

    /// Returns the wait after a failed attempt (from 1); `jitter` is a fraction from 0 to 1.
    pub(crate) fn delay(&self, attempt: u32, jitter: f64) -> Duration {
        self.ceiling(attempt).mul_f64(jitter.clamp(0.0, 1.0))
    }

    fn ceiling(&self, attempt: u32) -> Duration {
        let factor = 2_u32.saturating_pow(attempt.saturating_sub(1));
        self.initial.saturating_mul(factor).min(self.max)
    }
}

/// Returns a fraction from 0 to 1 that differs between the records and attempts that fail together.
pub(crate) fn jitter(seed: u64) -> f64 {
    use std::hash::BuildHasher;
    // A simulation is the same in every process.
    #[cfg(feature = "simulation")]
    let hasher = foldhash::fast::FixedState::default();
    #[cfg(not(feature = "simulation"))]
    let hasher = foldhash::fast::RandomState::default();
    // 53 bits: every value is exact in an f64.
    let bits = hasher.hash_one(seed) >> 11;
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    let fraction = bits as f64 / (1_u64 << 53) as f64;
    fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap() {
        let retry = Retry {
            attempts: 99,
            initial: Duration::from_millis(100),
            max: Duration::from_secs(1),
        };

        let waits: Vec<_> = (1..=6).map(|n| retry.delay(n, 1.0).as_millis()).collect();

        assert_eq!(waits, [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(retry.delay(u32::MAX, 1.0), retry.max);
        assert_eq!(retry.delay(3, 0.0), Duration::ZERO);
    }

    #[test]
    fn jitter_spreads_over_the_whole_range() {
        let fractions: Vec<_> = (0..1000).map(jitter).collect();

        assert!(fractions.iter().all(|f| (0.0..1.0).contains(f)));
        assert!(fractions.iter().any(|f| *f < 0.1) && fractions.iter().any(|f| *f > 0.9));
    }
}
