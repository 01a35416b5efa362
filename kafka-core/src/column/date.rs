//! `date`.

use std::fmt;

use serde::de::Deserializer;
use serde::{Deserialize, Serialize, Serializer};

use super::NumberOrText;
use super::civil;

/// A `date`: days since 1970-01-01, or text (`time.precision.mode=isostring`).
///
/// PostgreSQL's infinities arrive as days that it cannot hold, see [`is_infinite`](Self::is_infinite).
///
/// ```
/// # use kafka_core::column::Date;
/// let date: Date = serde_json::from_str("17424")?;
/// assert_eq!((date.year(), date.month(), date.day()), (2017, 9, 15));
/// assert_eq!(date, serde_json::from_str(r#""2017-09-15Z""#)?);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    days: i32,
}

impl Date {
    /// A date by the days since 1970-01-01.
    pub fn from_days(days: i32) -> Self {
        Self { days }
    }

    /// Returns the days since 1970-01-01.
    pub fn days(self) -> i32 {
        self.days
    }

    /// True for a day before 4713 BC or after 5874897 AD, which PostgreSQL cannot hold ("Date/Time Types", 8.5 in its manual):
    /// the connector sends `infinity` and `-infinity` as such days, another one in a snapshot than later.
    ///
    /// ```
    /// # use kafka_core::column::Date;
    /// assert!(serde_json::from_str::<Date>("-2147472692")?.is_infinite());
    /// assert!(!serde_json::from_str::<Date>("17424")?.is_infinite());
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn is_infinite(self) -> bool {
        !(-2_440_588..=2_145_031_948).contains(&self.days)
    }

    /// Returns the year; 0 is the year before 1 (1 BC).
    pub fn year(self) -> i32 {
        let (year, _, _) = civil::date(self.days.into());
        i32::try_from(year).unwrap_or_default()
    }

    /// Returns the month, 1 to 12.
    pub fn month(self) -> u8 {
        let (_, month, _) = civil::date(self.days.into());
        u8::try_from(month).unwrap_or_default()
    }

    /// Returns the day of the month, 1 to 31.
    pub fn day(self) -> u8 {
        let (_, _, day) = civil::date(self.days.into());
        u8::try_from(day).unwrap_or_default()
    }
}

impl fmt::Display for Date {
    /// ISO 8601.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        civil::write_date(f, self.days.into())
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let of_days = |days: i64| i32::try_from(days).ok().map(Self::from_days);
        deserializer.deserialize_any(NumberOrText {
            expected: "the days of a date, or ISO 8601",
            number: of_days,
            text: |text: &str| {
                let (days, rest) = civil::read_date(text)?;
                let is_date = rest.is_empty() || civil::read_offset(rest).is_some();
                of_days(days).filter(|_| is_date)
            },
        })
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.days.serialize(serializer)
    }
}
