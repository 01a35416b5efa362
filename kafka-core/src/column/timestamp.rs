//! `timestamp` and `timestamptz`.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use serde::de::Deserializer;
use serde::{Deserialize, Serialize, Serializer};

use super::{Moment, NumberOrText, Unit};

/// A `timestamp` without time zone, counted in `U` since 1970-01-01T00:00:00, or text (`time.precision.mode=isostring`).
///
/// `infinity` and `-infinity` are known in milliseconds, in microseconds and in text. In nanoseconds the connector's arithmetic
/// overflows: what it sends for them, and for years before 1677 and after 2262, is some other moment, which is refused where it
/// is known for that (it is no multiple of 100 ns).
///
/// ```
/// # use kafka_core::column::{Micros, Moment, Timestamp};
/// let at: Timestamp<Micros> = serde_json::from_str("1505483490123456")?;
/// assert_eq!(at.to_string(), "2017-09-15T13:51:30.123456");
/// assert_eq!(at.unix_micros(), Some(1_505_483_490_123_456));
/// let never: Timestamp<Micros> = serde_json::from_str("9223372036825200000")?;
/// assert_eq!(*never, Moment::Infinity);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp<U> {
    moment: Moment,
    unit: PhantomData<U>,
}

impl<U> Timestamp<U> {
    /// A timestamp.
    pub fn new(moment: Moment) -> Self {
        Self {
            moment,
            unit: PhantomData,
        }
    }
}

impl<U> From<Moment> for Timestamp<U> {
    fn from(moment: Moment) -> Self {
        Self::new(moment)
    }
}

impl<U> Deref for Timestamp<U> {
    type Target = Moment;

    fn deref(&self) -> &Moment {
        &self.moment
    }
}

impl<U> fmt::Display for Timestamp<U> {
    /// ISO 8601, without a time zone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.moment.fmt(f)
    }
}

impl<'de, U: Unit> Deserialize<'de> for Timestamp<U> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let moment = deserializer.deserialize_any(NumberOrText {
            expected: "a timestamp as a number, or ISO 8601",
            number: |count: i64| {
                let (infinity, negative_infinity) = U::INFINITY;
                if count == infinity {
                    Some(Moment::Infinity)
                } else if count == negative_infinity {
                    Some(Moment::NegativeInfinity)
                } else {
                    let nanos = i128::from(count) * i128::from(U::NANOS);
                    U::is_sound(count).then_some(Moment::At(nanos))
                }
            },
            text: |text: &str| Moment::read(text, false).map(Moment::or_infinity),
        });
        moment.map(Self::new)
    }
}

impl<U: Unit> Serialize for Timestamp<U> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (infinity, negative_infinity) = U::INFINITY;
        let count = match self.moment {
            Moment::Infinity => Some(infinity),
            Moment::NegativeInfinity => Some(negative_infinity),
            Moment::At(nanos) => i64::try_from(nanos.div_euclid(U::NANOS.into())).ok(),
        };
        match count {
            Some(count) => count.serialize(serializer),
            None => Err(serde::ser::Error::custom(
                "a timestamp beyond 64 bits of its unit",
            )),
        }
    }
}

/// A `timestamptz`: text in UTC, with years beyond 9999 and before 1, and `infinity`.
///
/// ```
/// # use kafka_core::column::{Moment, ZonedTimestamp};
/// let at: ZonedTimestamp = serde_json::from_str(r#""2017-09-15T11:51:30.123456Z""#)?;
/// assert_eq!(at.unix_micros(), Some(1_505_476_290_123_456));
/// let never: ZonedTimestamp = serde_json::from_str(r#""infinity""#)?;
/// assert_eq!(*never, Moment::Infinity);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ZonedTimestamp(Moment);

impl ZonedTimestamp {
    /// A timestamp, in UTC.
    pub fn new(moment: Moment) -> Self {
        Self(moment)
    }
}

impl From<Moment> for ZonedTimestamp {
    fn from(moment: Moment) -> Self {
        Self(moment)
    }
}

impl Deref for ZonedTimestamp {
    type Target = Moment;

    fn deref(&self) -> &Moment {
        &self.0
    }
}

impl fmt::Display for ZonedTimestamp {
    /// ISO 8601, in UTC.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)?;
        f.write_str(if self.0.is_infinite() { "" } else { "Z" })
    }
}

impl<'de> Deserialize<'de> for ZonedTimestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let moment = deserializer.deserialize_any(NumberOrText {
            expected: "a timestamp with an offset in ISO 8601",
            number: |_: i64| None,
            text: |text: &str| Moment::read(text, true),
        });
        moment.map(Self)
    }
}

impl Serialize for ZonedTimestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
