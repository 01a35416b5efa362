//! `numeric` and `money`, in the modes of `decimal.handling.mode`.

use std::fmt;
use std::ops::Deref;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserializer, Error, Unexpected};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use super::{DecimalValue, unfit};

/// A `numeric(p, SCALE)` in the mode `precise` (the default): base64 of an unscaled number, whose scale only the schema tells; or a
/// number, with `decimal.format=NUMERIC`, read by its digits. A `money` is a `Decimal<2>`.
///
/// Text such as `"12.34"` (mode `string`) is refused, but digits alone may be base64, too: where the mode is `string`, take
/// [`DecimalText`]; where it is `double`, [`Double`](super::Double), since its `"Infinity"` is base64.
///
/// ```
/// # use kafka_core::column::Decimal;
/// let total: Decimal<2> = serde_json::from_str(r#""BNI=""#)?;
/// assert_eq!(total.to_string(), "12.34");
/// assert_eq!(total, serde_json::from_str("12.34")?);
/// assert!(serde_json::from_str::<Decimal<2>>(r#""12.34""#).is_err());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Decimal<const SCALE: u32>(DecimalValue);

/// A `numeric` in the mode `string`: its digits as text, also `NAN`, `POSITIVE_INFINITY` and `NEGATIVE_INFINITY`; or a number.
///
/// ```
/// # use kafka_core::column::DecimalText;
/// let total: DecimalText = serde_json::from_str(r#""12.34""#)?;
/// assert_eq!((total.unscaled(), total.scale()), (Some(1234), Some(2)));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DecimalText(DecimalValue);

/// A `numeric` without a scale in the mode `precise`: an object with its scale; or a number.
///
/// ```
/// # use kafka_core::column::VariableScaleDecimal;
/// let rate: VariableScaleDecimal = serde_json::from_str(r#"{"scale":4,"value":"AYr3"}"#)?;
/// assert_eq!(rate.to_string(), "10.1111");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct VariableScaleDecimal(DecimalValue);

macro_rules! is_a_value {
    ([$($parameter:tt)*] $name:ty) => {
        impl<$($parameter)*> $name {
            /// A column of this value.
            pub fn new(value: DecimalValue) -> Self {
                Self(value)
            }

            /// Returns the value.
            pub fn into_value(self) -> DecimalValue {
                self.0
            }
        }

        impl<$($parameter)*> From<DecimalValue> for $name {
            fn from(value: DecimalValue) -> Self {
                Self(value)
            }
        }

        impl<$($parameter)*> Deref for $name {
            type Target = DecimalValue;

            fn deref(&self) -> &DecimalValue {
                &self.0
            }
        }

        impl<$($parameter)*> fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

is_a_value!([const SCALE: u32] Decimal<SCALE>);
is_a_value!([] DecimalText);
is_a_value!([] VariableScaleDecimal);

impl<'de, const SCALE: u32> Deserialize<'de> for Decimal<SCALE> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "a decimal as base64 or a number";
        match Json::read(deserializer, expected)? {
            Json::Number(value) => Ok(Self(value)),
            Json::Text(text) => {
                let is_value = !super::is_marker(&text);
                let unscaled = STANDARD.decode(&*text).ok().filter(|_| is_value);
                let value = unscaled.and_then(|bytes| DecimalValue::from_bytes(&bytes, SCALE));
                value
                    .map(Self)
                    .ok_or_else(|| match text.parse::<DecimalValue>() {
                        Ok(_) => D::Error::invalid_value(
                            Unexpected::Other("a decimal in text"),
                            &"base64 (with decimal.handling.mode=string take `DecimalText`)",
                        ),
                        Err(_) => unfit(&text, expected),
                    })
            }
            Json::Object(_) => Err(D::Error::invalid_value(
                Unexpected::Other("a decimal with its scale"),
                &"base64 (for a `numeric` without a scale take `VariableScaleDecimal`)",
            )),
        }
    }
}

impl<const SCALE: u32> Serialize for Decimal<SCALE> {
    /// As in the mode `precise`; what is no number is null.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !self.0.is_finite() {
            return serializer.serialize_none();
        }
        match self.0.to_bytes(SCALE) {
            Some(bytes) => serializer.serialize_str(&STANDARD.encode(bytes)),
            None => Err(serde::ser::Error::custom(
                "a decimal has more digits than its column's scale",
            )),
        }
    }
}

impl<'de> Deserialize<'de> for DecimalText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "a decimal in text";
        match Json::read(deserializer, expected)? {
            Json::Number(value) => Ok(Self(value)),
            Json::Text(text) => match text.parse() {
                Ok(value) => Ok(Self(value)),
                Err(_)
                    if STANDARD.decode(&*text).is_ok_and(|bytes| !bytes.is_empty())
                        && !super::is_marker(&text) =>
                {
                    Err(D::Error::invalid_value(
                        Unexpected::Other("what may be base64"),
                        &"a decimal in text (with decimal.handling.mode=precise take `Decimal<SCALE>`)",
                    ))
                }
                Err(_) => Err(unfit(&text, expected)),
            },
            Json::Object(_) => Err(D::Error::invalid_value(
                Unexpected::Other("a decimal with its scale"),
                &"text (for a `numeric` without a scale take `VariableScaleDecimal`)",
            )),
        }
    }
}

impl Serialize for DecimalText {
    /// As in the mode `string`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.0.to_string();
        serializer.serialize_str(match &*text {
            "NaN" => "NAN",
            "Infinity" => "POSITIVE_INFINITY",
            "-Infinity" => "NEGATIVE_INFINITY",
            text => text,
        })
    }
}

/// The most digits that PostgreSQL's `numeric` has after the point ("Arbitrary Precision Numbers", 8.1.2 in its manual).
const MOST_SCALE: u32 = 16_383;

#[derive(Serialize, Deserialize)]
struct Scaled {
    scale: u32,
    value: String,
}

impl<'de> Deserialize<'de> for VariableScaleDecimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "a decimal with its scale, {scale, value}";
        match Json::read(deserializer, expected)? {
            Json::Number(value) => Ok(Self(value)),
            Json::Text(text) => Err(unfit(&text, expected)),
            Json::Object(json) => {
                let scaled = serde_json::from_str::<Scaled>(json).ok();
                let value = scaled.filter(|one| one.scale <= MOST_SCALE);
                let value = value.and_then(|Scaled { scale, value }| {
                    DecimalValue::from_bytes(&STANDARD.decode(value).ok()?, scale)
                });
                let unfit = || D::Error::invalid_value(Unexpected::Other("an object"), &expected);
                value.map(Self).ok_or_else(unfit)
            }
        }
    }
}

impl Serialize for VariableScaleDecimal {
    /// As in the mode `precise`; what is no number is null.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(scale) = self.0.scale() else {
            return serializer.serialize_none();
        };
        let value = self.0.to_bytes(scale).map(|bytes| STANDARD.encode(bytes));
        let value = value.unwrap_or_default();
        Scaled { scale, value }.serialize(serializer)
    }
}

/// A decimal as it stands in JSON: numbers by their digits, since a binary number would lose some.
enum Json<'de> {
    Number(DecimalValue),
    Text(std::borrow::Cow<'de, str>),
    Object(&'de str),
}

impl<'de> Json<'de> {
    fn read<D: Deserializer<'de>>(deserializer: D, expected: &str) -> Result<Self, D::Error> {
        let json = <&RawValue>::deserialize(deserializer)?.get();
        let unfit = |found| D::Error::invalid_type(found, &expected);
        match json.as_bytes().first() {
            Some(b'"') => {
                let text = serde_json::from_str::<crate::field::Name<'de>>(json);
                text.map(|text| Self::Text(text.0))
                    .map_err(D::Error::custom)
            }
            Some(b'{') => Ok(Self::Object(json)),
            Some(b'-' | b'0'..=b'9') => match json.parse() {
                Ok(value) => Ok(Self::Number(value)),
                Err(_) => Err(unfit(Unexpected::Other("a number out of range"))),
            },
            Some(b'n') => Err(unfit(Unexpected::Unit)),
            Some(b'[') => Err(unfit(Unexpected::Seq)),
            _ => Err(unfit(Unexpected::Other("boolean"))),
        }
    }
}
