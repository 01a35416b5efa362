//! Ranges.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Bound;
use std::str::FromStr;

use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::unfit;

/// An `int4range`, `numrange`, `tsrange`, …: PostgreSQL's own text, with bounds that `T` reads from theirs.
///
/// The bounds of a `tsrange` are text as PostgreSQL writes timestamps: take `RangeText<String>`.
///
/// ```
/// # use std::ops::Bound;
/// # use kafka_core::column::RangeText;
/// let seats: RangeText<i32> = serde_json::from_str(r#""[1,10)""#)?;
/// assert_eq!(seats, RangeText::Range(Bound::Included(1), Bound::Excluded(10)));
/// assert!(seats.contains(&9) && !seats.contains(&10));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RangeText<T> {
    /// No value.
    Empty,
    /// All values between two bounds.
    Range(Bound<T>, Bound<T>),
}

impl<T> RangeText<T> {
    /// True if the value is in the range.
    pub fn contains(&self, value: &T) -> bool
    where
        T: PartialOrd,
    {
        match self {
            Self::Empty => false,
            Self::Range(lower, upper) => {
                std::ops::RangeBounds::contains(&(lower.as_ref(), upper.as_ref()), value)
            }
        }
    }

    fn read(text: &str) -> Option<Self>
    where
        T: FromStr,
    {
        if text == "empty" {
            return Some(Self::Empty);
        }
        let is_lower_in = match text.as_bytes().first()? {
            b'[' => true,
            b'(' => false,
            _ => return None,
        };
        let (lower, rest) = bound(&text[1..], ",")?;
        let (upper, rest) = bound(rest.strip_prefix(',')?, "])")?;
        let is_upper_in = match rest {
            "]" => true,
            ")" => false,
            _ => return None,
        };
        let read = |text: Option<String>, is_in| {
            Some(match text {
                None => Bound::Unbounded,
                Some(text) if is_in => Bound::Included(text.parse().ok()?),
                Some(text) => Bound::Excluded(text.parse().ok()?),
            })
        };
        Some(Self::Range(
            read(lower, is_lower_in)?,
            read(upper, is_upper_in)?,
        ))
    }
}

/// Reads a bound up to one of the characters that end it: none, bare, or in quotes with `""`, `\"` and `\\` for one character
/// ("Range Types", 8.17.5 in PostgreSQL's manual).
fn bound<'m>(text: &'m str, ends: &str) -> Option<(Option<String>, &'m str)> {
    let mut value = String::new();
    let mut is_there = false;
    let mut is_quoted = false;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            _ if !is_quoted && ends.contains(c) => {
                return Some((is_there.then_some(value), &text[at..]));
            }
            '"' if is_quoted && chars.next_if(|(_, next)| *next == '"').is_some() => {
                value.push('"');
            }
            '"' => (is_quoted, is_there) = (!is_quoted, true),
            '\\' => {
                value.push(chars.next()?.1);
                is_there = true;
            }
            c => {
                value.push(c);
                is_there = true;
            }
        }
    }
    None
}

impl<T: fmt::Display> fmt::Display for RangeText<T> {
    /// As PostgreSQL writes it, each bound in quotes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Range(lower, upper) = self else {
            return f.write_str("empty");
        };
        let quoted = |bound: &T| {
            format!(
                "\"{}\"",
                bound.to_string().replace('\\', r"\\").replace('"', "\\\"")
            )
        };
        match lower {
            Bound::Included(bound) => write!(f, "[{}", quoted(bound)),
            Bound::Excluded(bound) => write!(f, "({}", quoted(bound)),
            Bound::Unbounded => f.write_str("("),
        }?;
        match upper {
            Bound::Included(bound) => write!(f, ",{}]", quoted(bound)),
            Bound::Excluded(bound) => write!(f, ",{})", quoted(bound)),
            Bound::Unbounded => f.write_str(",)"),
        }
    }
}

impl<'de, T: FromStr> Deserialize<'de> for RangeText<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text<T>(PhantomData<fn() -> T>);

        impl<T: FromStr> Visitor<'_> for Text<T> {
            type Value = RangeText<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a range in text")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<RangeText<T>, E> {
                RangeText::read(text).ok_or_else(|| unfit(text, "a range in text"))
            }
        }

        deserializer.deserialize_str(Text(PhantomData))
    }
}

impl<T: fmt::Display> Serialize for RangeText<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
