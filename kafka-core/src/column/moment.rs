//! A point of PostgreSQL's time.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::civil::{NANOS_OF_DAY, read_date, read_offset, read_time, write_date, write_time};
use super::{Millis, Unit};

/// A point in time, or one of PostgreSQL's infinities, which come before and after all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Moment {
    /// `-infinity`
    NegativeInfinity,
    /// Nanoseconds since 1970-01-01T00:00:00, in UTC if there is a time zone.
    At(i128),
    /// `infinity`
    Infinity,
}

impl Moment {
    /// True for `infinity` and `-infinity`.
    pub fn is_infinite(self) -> bool {
        !matches!(self, Self::At(_))
    }

    /// Returns nanoseconds since 1970-01-01T00:00:00; `None` for an infinity.
    pub fn unix_nanos(self) -> Option<i128> {
        match self {
            Self::At(nanos) => Some(nanos),
            Self::NegativeInfinity | Self::Infinity => None,
        }
    }

    /// Returns microseconds since 1970-01-01T00:00:00, rounded down; `None` for an infinity.
    pub fn unix_micros(self) -> Option<i64> {
        i64::try_from(self.unix_nanos()?.div_euclid(1_000)).ok()
    }

    /// Returns milliseconds since 1970-01-01T00:00:00, rounded down; `None` for an infinity.
    pub fn unix_millis(self) -> Option<i64> {
        i64::try_from(self.unix_nanos()?.div_euclid(1_000_000)).ok()
    }

    /// Returns the same as a [`SystemTime`]; `None` for an infinity, or if the system's range ends before it.
    pub fn to_system_time(self) -> Option<SystemTime> {
        let nanos = self.unix_nanos()?;
        let size = nanos.unsigned_abs();
        let seconds = u64::try_from(size / 1_000_000_000).ok()?;
        let since = Duration::new(seconds, u32::try_from(size % 1_000_000_000).ok()?);
        if nanos < 0 {
            UNIX_EPOCH.checked_sub(since)
        } else {
            UNIX_EPOCH.checked_add(since)
        }
    }

    /// Returns the days since 1970-01-01 and the nanoseconds since midnight.
    pub(super) fn days_and_nanos(self) -> Option<(i64, i64)> {
        let nanos = self.unix_nanos()?;
        let of_day = i128::from(NANOS_OF_DAY);
        let days = i64::try_from(nanos.div_euclid(of_day)).ok()?;
        Some((days, i64::try_from(nanos.rem_euclid(of_day)).ok()?))
    }

    pub(super) fn of_days_and_nanos(days: i64, nanos: i64) -> Self {
        Self::At(i128::from(days) * i128::from(NANOS_OF_DAY) + i128::from(nanos))
    }

    /// Returns the infinity that the connector wrote down as a moment in text.
    pub(super) fn or_infinity(self) -> Self {
        let (infinity, negative_infinity) = Millis::INFINITY;
        let of = |millis: i64| Self::At(i128::from(millis) * i128::from(Millis::NANOS));
        if self == of(infinity) {
            Self::Infinity
        } else if self == of(negative_infinity) {
            Self::NegativeInfinity
        } else {
            self
        }
    }

    /// Reads ISO 8601, with an offset, or without if there may be none; and the infinities.
    pub(super) fn read(text: &str, needs_offset: bool) -> Option<Self> {
        match text {
            "infinity" => return Some(Self::Infinity),
            "-infinity" => return Some(Self::NegativeInfinity),
            _ => {}
        }
        let (days, rest) = read_date(text)?;
        let (nanos, rest) = read_time(rest.strip_prefix('T')?)?;
        let offset = if rest.is_empty() && !needs_offset {
            0
        } else {
            read_offset(rest)?
        };
        let moment = Self::of_days_and_nanos(days, nanos).unix_nanos()?;
        Some(Self::At(moment - i128::from(offset) * 1_000_000_000))
    }
}

impl fmt::Display for Moment {
    /// ISO 8601, without a time zone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.days_and_nanos() {
            Some((days, nanos)) => {
                write_date(f, days)?;
                f.write_str("T")?;
                write_time(f, nanos)
            }
            None => match self {
                Self::NegativeInfinity => f.write_str("-infinity"),
                Self::Infinity => f.write_str("infinity"),
                // Beyond any calendar.
                Self::At(nanos) => write!(f, "{nanos}ns"),
            },
        }
    }
}
