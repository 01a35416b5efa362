//! `interval`.

use std::fmt;

use serde::de::Deserializer;
use serde::{Deserialize, Serialize, Serializer};

use super::NumberOrText;

/// An `interval`: microseconds (`interval.handling.mode=numeric`, the default), or text (`string`).
///
/// In the first form months and days are lost: the connector counts a month as 365.25 / 12 days.
///
/// ```
/// # use kafka_core::column::Interval;
/// assert_eq!(serde_json::from_str::<Interval>("3600000000")?, Interval::Micros(3_600_000_000));
/// assert_eq!(
///     serde_json::from_str::<Interval>(r#""P1Y2M3DT4H5M6.78S""#)?,
///     Interval::Parts { months: 14, days: 3, micros: 14_706_780_000 },
/// );
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Interval {
    /// All of it in microseconds.
    Micros(i64),
    /// The three parts that PostgreSQL stores.
    Parts {
        /// Months; a year is twelve.
        months: i64,
        /// Days.
        days: i64,
        /// Microseconds.
        micros: i64,
    },
}

impl Interval {
    /// Reads ISO 8601: `P1Y2M3DT4H5M6.78S`, each number with its own sign.
    fn read(text: &str) -> Option<Self> {
        let (mut months, mut days, mut micros) = (0_i64, 0_i64, 0_i64);
        let mut rest = text.strip_prefix('P')?;
        let mut is_time = false;
        let mut has_part = false;
        while !rest.is_empty() {
            if let Some(time) = rest.strip_prefix('T').filter(|_| !is_time) {
                (rest, is_time) = (time, true);
                continue;
            }
            let len = rest.find(|c: char| c.is_ascii_alphabetic())?;
            let (number, unit) = rest.split_at(len);
            let whole = || number.parse::<i64>().ok();
            let add = |sum: i64, unit: i64| sum.checked_add(whole()?.checked_mul(unit)?);
            match (unit.as_bytes().first()?, is_time) {
                (b'Y', false) => months = add(months, 12)?,
                (b'M', false) => months = add(months, 1)?,
                (b'W', false) => days = add(days, 7)?,
                (b'D', false) => days = add(days, 1)?,
                (b'H', true) => micros = add(micros, 3_600_000_000)?,
                (b'M', true) => micros = add(micros, 60_000_000)?,
                (b'S', true) => micros = micros.checked_add(seconds(number)?)?,
                _ => return None,
            }
            rest = &unit[1..];
            has_part = true;
        }
        has_part.then_some(Self::Parts {
            months,
            days,
            micros,
        })
    }
}

/// Reads seconds with up to six digits of a fraction, as microseconds.
fn seconds(text: &str) -> Option<i64> {
    let (is_negative, unsigned) = match text.strip_prefix('-') {
        Some(unsigned) => (true, unsigned),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > 6
        || !fraction.bytes().all(|byte| byte.is_ascii_digit())
        || whole.starts_with(['-', '+'])
    {
        return None;
    }
    let micros: i64 = format!("{fraction:0<6}").parse().ok()?;
    let micros = whole
        .parse::<i64>()
        .ok()?
        .checked_mul(1_000_000)?
        .checked_add(micros)?;
    Some(if is_negative { -micros } else { micros })
}

impl fmt::Display for Interval {
    /// ISO 8601.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (months, days, micros) = match *self {
            Self::Micros(micros) => (0, 0, micros),
            Self::Parts {
                months,
                days,
                micros,
            } => (months, days, micros),
        };
        let (hours, minutes) = (micros / 3_600_000_000, micros / 60_000_000 % 60);
        let rest = micros % 60_000_000;
        let sign = if rest < 0 { "-" } else { "" };
        let (whole, fraction) = (rest.abs() / 1_000_000, rest.abs() % 1_000_000);
        write!(
            f,
            "P{}Y{}M{days}DT{hours}H{minutes}M{sign}{whole}",
            months / 12,
            months % 12
        )?;
        if fraction != 0 {
            write!(f, ".{}", format!("{fraction:06}").trim_end_matches('0'))?;
        }
        f.write_str("S")
    }
}

impl<'de> Deserialize<'de> for Interval {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberOrText {
            expected: "an interval in microseconds, or ISO 8601",
            number: |micros: i64| Some(Self::Micros(micros)),
            text: Self::read,
        })
    }
}

impl Serialize for Interval {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Micros(micros) => micros.serialize(serializer),
            Self::Parts { .. } => serializer.collect_str(self),
        }
    }
}
