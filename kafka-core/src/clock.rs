//! The time of day, as far as records carry it from one process to another.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Returns milliseconds since the Unix epoch. Tests that pause tokio's clock move this one, too.
pub(crate) fn unix_ms() -> i64 {
    #[cfg(feature = "simulation")]
    if let Some(start) = simulated::start() {
        return i64::try_from((Instant::now() - start).as_millis()).unwrap_or(i64::MAX);
    }
    let ahead = Instant::now()
        .into_std()
        .saturating_duration_since(std::time::Instant::now());
    let now = SystemTime::now() + ahead;
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(feature = "simulation")]
pub(crate) mod simulated {
    use std::cell::Cell;

    use tokio::time::Instant;

    thread_local!(static START: Cell<Option<Instant>> = const { Cell::new(None) });

    /// Makes a simulated run begin at 0, so that it is the same each time.
    pub(crate) fn begin() {
        START.set(Some(Instant::now()));
    }

    pub(super) fn start() -> Option<Instant> {
        START.get()
    }
}
