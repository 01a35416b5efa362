//! Values that are not sent because they did not change.

use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

/// What stands for an unchanged value (`unavailable.value.placeholder`, its default).
pub(super) const MARKER: &str = "__debezium_unavailable_value";
/// The same as bytes.
pub(super) const MARKER_BASE64: &str = "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==";
/// The same in an array of UUIDs: the UUID of version 3 that Java makes of its bytes.
const MARKER_UUID: &str = "b68a35a7-17ad-35b3-af2a-ae46edb4545a";

/// A column that may be missing from an update because it did not change.
///
/// PostgreSQL stores long values out of line (TOAST) and does not write them again with an update that leaves them alone; the
/// connector sends a placeholder instead, which a plain `String` takes for the value. It happens to `text`, `varchar`, `json`, `bytea`,
/// arrays and `hstore`, in updates and in the create that is half of a change of the primary key; never with `REPLICA IDENTITY FULL`.
///
/// A column that can be null is a `Toast<Option<T>>`. Arrays of types other than text, numbers, dates and UUIDs, and `bytea` in the modes
/// `base64` and `base64-url-safe`, arrive as null instead, which nobody can tell from a null that was written.
///
/// ```
/// # use kafka_core::column::Toast;
/// let same: Toast<String> = serde_json::from_str(r#""__debezium_unavailable_value""#)?;
/// assert_eq!(same, Toast::Unavailable);
/// assert_eq!(same.or("what we stored".to_owned()), "what we stored");
/// let new: Toast<String> = serde_json::from_str(r#""news""#)?;
/// assert_eq!(new.as_option().map(String::as_str), Some("news"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Toast<T> {
    /// The value.
    Value(T),
    /// It did not change, and was not sent.
    Unavailable,
}

impl<T> Toast<T> {
    /// True if the value was not sent.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable)
    }

    /// Returns the value, if it was sent.
    pub fn as_option(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Unavailable => None,
        }
    }

    /// Returns the value, if it was sent.
    pub fn into_option(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Unavailable => None,
        }
    }

    /// Returns the value, or the old one if it was not sent.
    pub fn or(self, old: T) -> T {
        self.into_option().unwrap_or(old)
    }

    /// Returns the value, or the old one, which is looked up only if it is needed.
    pub fn or_else(self, old: impl FnOnce() -> T) -> T {
        self.into_option().unwrap_or_else(old)
    }
}

impl<T> From<T> for Toast<T> {
    fn from(value: T) -> Self {
        Self::Value(value)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Toast<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = <&RawValue>::deserialize(deserializer)?.get();
        if is_unavailable(json) {
            return Ok(Self::Unavailable);
        }
        serde_json::from_str(json)
            .map(Self::Value)
            .map_err(|error| {
                // Its position would be taken for one in the whole record.
                let words = error.to_string();
                D::Error::custom(
                    words
                        .rsplit_once(" at line ")
                        .map_or(&*words, |(words, _)| words),
                )
            })
    }
}

impl<T: Serialize> Serialize for Toast<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Value(value) => value.serialize(serializer),
            Self::Unavailable => serializer.serialize_str(MARKER),
        }
    }
}

/// True for text that is the placeholder, or base64 of it.
pub(super) fn is_marker(text: &str) -> bool {
    text == MARKER || text == MARKER_BASE64
}

/// True for JSON that stands for an unchanged value, in any of the forms that the connector has for a type.
pub(crate) fn is_unavailable(json: &str) -> bool {
    let text = |json: &str| {
        let inner = json
            .strip_prefix('"')
            .and_then(|json| json.strip_suffix('"'));
        inner.is_some_and(|inner| is_marker(inner) || inner == MARKER_UUID)
    };
    match json.as_bytes().first() {
        Some(b'"') if json.len() == MARKER.len() + 2 || json.len() == MARKER_BASE64.len() + 2 => {
            text(json) && !json.contains(MARKER_UUID)
        }
        // An hstore in text.
        Some(b'"') if json.contains(MARKER) => {
            serde_json::from_str::<String>(json).is_ok_and(|inner| is_hstore(&inner))
        }
        Some(b'{') if json.contains(MARKER) => is_hstore(json),
        Some(b'[') => {
            let inner = json[1..].trim_start().trim_end_matches(']').trim_end();
            text(inner) || is_ascii_of_marker(inner)
        }
        _ => false,
    }
}

fn is_hstore(json: &str) -> bool {
    type Pairs<'m> = std::collections::BTreeMap<&'m str, &'m str>;
    let pairs = serde_json::from_str::<Pairs<'_>>(json);
    pairs.is_ok_and(|pairs| pairs.len() == 1 && pairs.get(MARKER) == Some(&MARKER))
}

/// An array of numbers has the bytes of the placeholder.
fn is_ascii_of_marker(list: &str) -> bool {
    if !list.starts_with("95") {
        return false;
    }
    let mut numbers = list
        .split(',')
        .map(|number| number.trim().parse::<u8>().ok());
    MARKER
        .bytes()
        .all(|byte| numbers.next() == Some(Some(byte)))
        && numbers.next().is_none()
}
