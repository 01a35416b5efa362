//! `real` and `double precision`.

use std::fmt;
use std::ops::Deref;

use serde::de::{Deserializer, Error, Unexpected, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::unfit;

/// A `double precision`, or a `numeric` in the mode `double`: a number, or `"NaN"`, `"Infinity"`, `"-Infinity"`.
///
/// ```
/// # use kafka_core::column::Double;
/// assert_eq!(*serde_json::from_str::<Double>("1.0E10")?, 1e10);
/// assert!(serde_json::from_str::<Double>(r#""NaN""#)?.is_nan());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Double(pub f64);

/// A `real`: as a [`Double`] of half the size.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Real(pub f32);

impl Deref for Double {
    type Target = f64;

    fn deref(&self) -> &f64 {
        &self.0
    }
}

impl Deref for Real {
    type Target = f32;

    fn deref(&self) -> &f32 {
        &self.0
    }
}

struct Number;

impl Visitor<'_> for Number {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, or NaN or an infinity in text")
    }

    fn visit_f64<E>(self, number: f64) -> Result<f64, E> {
        Ok(number)
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "whole numbers are how JSON writes some of them"
    )]
    fn visit_i64<E>(self, number: i64) -> Result<f64, E> {
        Ok(number as f64)
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "whole numbers are how JSON writes some of them"
    )]
    fn visit_u64<E>(self, number: u64) -> Result<f64, E> {
        Ok(number as f64)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<f64, E> {
        match text {
            "NaN" | "NAN" => Ok(f64::NAN),
            "Infinity" | "POSITIVE_INFINITY" => Ok(f64::INFINITY),
            "-Infinity" | "NEGATIVE_INFINITY" => Ok(f64::NEG_INFINITY),
            _ => Err(unfit(text, "a number, or NaN or an infinity in text")),
        }
    }
}

impl<'de> Deserialize<'de> for Double {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Number).map(Self)
    }
}

impl<'de> Deserialize<'de> for Real {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = deserializer.deserialize_any(Number)?;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the column has no more digits"
        )]
        let real = number as f32;
        if real.is_infinite() && number.is_finite() {
            let found = Unexpected::Other("a number out of range");
            return Err(D::Error::invalid_value(found, &"a number of 32 bits"));
        }
        Ok(Self(real))
    }
}

/// Writes a number as the connector does: what JSON has no number for is text.
fn write<S: Serializer>(
    number: f64,
    serializer: S,
    finite: impl Serialize,
) -> Result<S::Ok, S::Error> {
    if number.is_nan() {
        serializer.serialize_str("NaN")
    } else if number.is_infinite() {
        serializer.serialize_str(if number > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        })
    } else {
        finite.serialize(serializer)
    }
}

impl Serialize for Double {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write(self.0, serializer, self.0)
    }
}

impl Serialize for Real {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write(self.0.into(), serializer, self.0)
    }
}
