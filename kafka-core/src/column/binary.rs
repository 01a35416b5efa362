//! `bytea`, `bit(n)` and `varbit`.

use std::fmt;
use std::ops::Deref;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::unfit;

/// A `bytea` in the modes `bytes` (the default), `base64` and `base64-url-safe` of `binary.handling.mode`: base64 in either alphabet.
///
/// Hexadecimal may be base64, too: where the mode is `hex`, take [`HexBytes`].
///
/// ```
/// # use kafka_core::column::Bytes;
/// assert_eq!(serde_json::from_str::<Bytes>(r#""aGk=""#)?.0, b"hi");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub Vec<u8>);

/// A `bytea` in the mode `hex` of `binary.handling.mode`.
///
/// ```
/// # use kafka_core::column::HexBytes;
/// assert_eq!(serde_json::from_str::<HexBytes>(r#""6869""#)?.0, b"hi");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HexBytes(pub Vec<u8>);

/// A `bit(n)` or `varbit`: base64 of its bits, the last one first. How many there are is not sent. A `bit(1)` is a `bool`.
///
/// ```
/// # use kafka_core::column::Bits;
/// let bits: Bits = serde_json::from_str(r#""BQ==""#)?; // B'00101'
/// assert_eq!((bits.bit(0), bits.bit(1), bits.bit(2)), (true, false, true));
/// assert_eq!(bits.to_u64(), Some(5));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Bits(pub Vec<u8>);

impl Bits {
    /// Returns a bit, counted from the last one that PostgreSQL writes, from 0; those that are not there are not set.
    pub fn bit(&self, index: usize) -> bool {
        self.0
            .get(index / 8)
            .is_some_and(|byte| byte >> (index % 8) & 1 == 1)
    }

    /// Returns the bits as a number; `None` if it has more than 64 bits.
    pub fn to_u64(&self) -> Option<u64> {
        let (low, high) = self.0.split_at(self.0.len().min(8));
        if high.iter().any(|byte| *byte != 0) {
            return None;
        }
        let mut bytes = [0; 8];
        bytes[..low.len()].copy_from_slice(low);
        Some(u64::from_le_bytes(bytes))
    }
}

/// Text that stands for bytes.
struct Encoded {
    expected: &'static str,
    decode: fn(&str) -> Option<Vec<u8>>,
}

impl Visitor<'_> for Encoded {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Vec<u8>, E> {
        // The placeholder of an unchanged value is base64 itself.
        let bytes = (self.decode)(text).filter(|_| !super::is_marker(text));
        bytes.ok_or_else(|| unfit(text, self.expected))
    }
}

const BASE64: Encoded = Encoded {
    expected: "bytes as base64",
    decode: base64,
};

pub(crate) fn base64(text: &str) -> Option<Vec<u8>> {
    let is_url_safe = text.contains(['-', '_']);
    let alphabet = if is_url_safe { &URL_SAFE } else { &STANDARD };
    alphabet.decode(text).ok()
}

pub(crate) fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = text.as_bytes().chunks(2).map(|pair| {
        let [high, low] = *pair else { return None };
        u8::try_from(digit(high)? * 16 + digit(low)?).ok()
    });
    pairs.collect()
}

macro_rules! bytes {
    ($name:ident, $encoded:expr, $write:expr) => {
        impl Deref for $name {
            type Target = [u8];

            fn deref(&self) -> &[u8] {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            /// Never shows the bytes.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("len", &self.0.len())
                    .finish_non_exhaustive()
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str($encoded).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let write: fn(&[u8]) -> String = $write;
                serializer.serialize_str(&write(&self.0))
            }
        }
    };
}

const HEX: Encoded = Encoded {
    expected: "bytes as hexadecimal digits",
    decode: hex,
};

bytes!(Bytes, BASE64, |bytes| STANDARD.encode(bytes));
bytes!(Bits, BASE64, |bytes| STANDARD.encode(bytes));
bytes!(HexBytes, HEX, |bytes| bytes.iter().fold(
    String::with_capacity(bytes.len() * 2),
    |text, byte| text + &format!("{byte:02x}")
));
