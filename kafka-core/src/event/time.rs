//! Moments that are sent in three units.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Returns the most exact of the three.
pub(super) fn moment(ms: Option<i64>, us: Option<i64>, ns: Option<i64>) -> Option<SystemTime> {
    let (count, per_second) = ns
        .map(|ns| (ns, 1_000_000_000))
        .or_else(|| us.map(|us| (us, 1_000_000)))
        .or_else(|| ms.map(|ms| (ms, 1_000)))?;
    let size = count.unsigned_abs();
    let nanos = (size % per_second) * (1_000_000_000 / per_second);
    let since = Duration::from_secs(size / per_second) + Duration::from_nanos(nanos);
    if count < 0 {
        UNIX_EPOCH.checked_sub(since)
    } else {
        UNIX_EPOCH.checked_add(since)
    }
}

/// Returns how much later `later` is; zero if the clocks of two machines say it is earlier.
pub(super) fn between(earlier: SystemTime, later: SystemTime) -> Duration {
    later.duration_since(earlier).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_exact_unit_is_taken() {
        let ms = moment(Some(1_500), None, None);
        let ns = moment(Some(1_500), Some(1_500_001), Some(1_500_001_002));

        assert_eq!(ms, Some(UNIX_EPOCH + Duration::from_millis(1_500)));
        assert_eq!(ns, Some(UNIX_EPOCH + Duration::from_nanos(1_500_001_002)));
        assert_eq!(
            moment(Some(-1), None, None),
            Some(UNIX_EPOCH - Duration::from_millis(1))
        );
        assert_eq!(moment(None, None, None), None);
    }
}
