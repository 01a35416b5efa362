//! `time` and `timetz`.

use std::fmt;
use std::marker::PhantomData;

use serde::de::Deserializer;
use serde::{Deserialize, Serialize, Serializer};

use super::civil::{self, NANOS_OF_DAY, NANOS_OF_SECOND};
use super::{NumberOrText, Unit};

/// A `time` of day, counted in `U` since midnight, or text (`time.precision.mode=isostring`).
///
/// ```
/// # use kafka_core::column::{Micros, Millis, Time};
/// let time: Time<Micros> = serde_json::from_str("42690123789")?;
/// assert_eq!(time.to_string(), "11:51:30.123789");
/// assert_eq!(time.nanos(), 42_690_123_789_000);
/// let midnight: Time<Millis> = serde_json::from_str("86400000")?;
/// assert_eq!(midnight.to_string(), "24:00:00"); // PostgreSQL has both ends of a day
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time<U> {
    nanos: i64,
    unit: PhantomData<U>,
}

impl<U> Time<U> {
    /// A time by the nanoseconds since midnight; `None` if that is not within a day, both ends included.
    pub fn from_nanos(nanos: i64) -> Option<Self> {
        (0..=NANOS_OF_DAY).contains(&nanos).then_some(Self {
            nanos,
            unit: PhantomData,
        })
    }

    /// Returns the nanoseconds since midnight, up to a whole day.
    pub fn nanos(self) -> i64 {
        self.nanos
    }
}

impl<U> fmt::Display for Time<U> {
    /// ISO 8601.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        civil::write_time(f, self.nanos)
    }
}

impl<'de, U: Unit> Deserialize<'de> for Time<U> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberOrText {
            expected: "a time of day as a number, or ISO 8601",
            number: |count: i64| Self::from_nanos(count.checked_mul(U::NANOS)?),
            text: |text: &str| {
                let (nanos, rest) = civil::read_time(text)?;
                let is_utc = rest.is_empty() || rest == "Z";
                Self::from_nanos(nanos).filter(|_| is_utc)
            },
        })
    }
}

impl<U: Unit> Serialize for Time<U> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.nanos / U::NANOS).serialize(serializer)
    }
}

/// A `timetz`: text, a time of day with an offset; the connector sends it in UTC.
///
/// ```
/// # use kafka_core::column::ZonedTime;
/// let time: ZonedTime = serde_json::from_str(r#""11:51:30.123789Z""#)?;
/// assert_eq!((time.nanos(), time.offset_seconds()), (42_690_123_789_000, 0));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ZonedTime {
    nanos: i64,
    offset_seconds: i32,
}

impl ZonedTime {
    /// A time by the nanoseconds since midnight and the seconds east of UTC; `None` if it is not within a day.
    pub fn new(nanos: i64, offset_seconds: i32) -> Option<Self> {
        (0..=NANOS_OF_DAY).contains(&nanos).then_some(Self {
            nanos,
            offset_seconds,
        })
    }

    /// Returns the nanoseconds since midnight where the offset is.
    pub fn nanos(self) -> i64 {
        self.nanos
    }

    /// Returns the seconds east of UTC.
    pub fn offset_seconds(self) -> i32 {
        self.offset_seconds
    }

    /// Returns the nanoseconds since midnight in UTC, of whichever day.
    pub fn utc_nanos(self) -> i64 {
        (self.nanos - i64::from(self.offset_seconds) * NANOS_OF_SECOND).rem_euclid(NANOS_OF_DAY)
    }
}

impl fmt::Display for ZonedTime {
    /// ISO 8601.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        civil::write_time(f, self.nanos)?;
        if self.offset_seconds == 0 {
            return f.write_str("Z");
        }
        let sign = if self.offset_seconds < 0 { '-' } else { '+' };
        let seconds = self.offset_seconds.unsigned_abs();
        write!(f, "{sign}{:02}:{:02}", seconds / 3_600, seconds / 60 % 60)?;
        if !seconds.is_multiple_of(60) {
            write!(f, ":{:02}", seconds % 60)?;
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for ZonedTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberOrText {
            expected: "a time of day with an offset in ISO 8601",
            number: |_: i64| None,
            text: |text: &str| {
                let (nanos, rest) = civil::read_time(text)?;
                let offset = i32::try_from(civil::read_offset(rest)?).ok()?;
                Self::new(nanos, offset)
            },
        })
    }
}

impl Serialize for ZonedTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
