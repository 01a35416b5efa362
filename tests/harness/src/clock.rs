//! One clock for all processes of a run.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds since the machine started: the same in every process, and it never goes back.
pub(crate) type Nanos = u64;

/// Reads the machine's monotonic clock.
pub(crate) fn now() -> Nanos {
    read(ClockId::Monotonic)
}

/// Returns the processor time that this process has had so far.
pub(crate) fn cpu() -> Nanos {
    read(ClockId::ProcessCPUTime)
}

fn read(clock: ClockId) -> Nanos {
    let time = clock_gettime(clock);
    let part = |n: i64| u64::try_from(n).unwrap_or_default();
    part(time.tv_sec) * 1_000_000_000 + part(time.tv_nsec)
}

/// Reads the clock on the wall, in nanoseconds since 1970; only for people.
pub(crate) fn wall() -> u128 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_nanos()
}

pub(crate) const fn seconds(n: u64) -> Nanos {
    n * 1_000_000_000
}

pub(crate) const fn millis(n: u64) -> Nanos {
    n * 1_000_000
}

/// The time from one moment to a later one; zero if it is not later.
pub(crate) fn between(from: Nanos, until: Nanos) -> Duration {
    Duration::from_nanos(until.saturating_sub(from))
}
