//! Why a record could not be turned into what its handler takes, told without what the record holds.

use std::borrow::Cow;

use crate::mutant::{self, Mutant};

/// Why a payload, a key or another argument of a handler could not be made from a record.
///
/// A record that cannot be decoded is never retried: it goes to the failure policy with its original bytes. The
/// text names kinds, positions and the names of Rust fields, never a value of the record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes are not UTF-8, so they are neither JSON nor text.
    #[error("{part} is not UTF-8 (first bad byte at {position})")]
    NotUtf8 {
        /// `value` or `key`.
        part: &'static str,
        /// The first bad byte, from 0.
        position: usize,
    },
    /// The bytes are not JSON.
    #[error("{part} is not JSON: {reason} at line {line} column {column}")]
    NotJson {
        /// `value` or `key`.
        part: &'static str,
        /// The parser's words.
        reason: Cow<'static, str>,
        /// From 1.
        line: usize,
        /// From 1; in bytes.
        column: usize,
    },
    /// The JSON is not of the shape that the handler takes.
    #[error("{part} does not fit `{wanted}`: {reason} at line {line} column {column}")]
    Mismatch {
        /// `value` or `key`.
        part: &'static str,
        /// The Rust type.
        wanted: &'static str,
        /// What was found and what was expected, without the value.
        reason: Cow<'static, str>,
        /// From 1.
        line: usize,
        /// From 1; in bytes.
        column: usize,
    },
    /// The value is null: a tombstone.
    #[error("value is null (a tombstone), which `{wanted}` cannot be; take an `Option` of it")]
    NullValue {
        /// The Rust type.
        wanted: &'static str,
    },
    /// The key is null.
    #[error("key is null, which `{wanted}` cannot be; take `Key<Option<_>>`")]
    NullKey {
        /// The Rust type.
        wanted: &'static str,
    },
    /// There are no bytes, where JSON needs some.
    #[error("{part} is empty, which is not JSON")]
    Empty {
        /// `value` or `key`.
        part: &'static str,
    },
    /// The value is larger than the handler's `max_payload`.
    #[error("value has {size} bytes, more than max_payload = {limit}")]
    TooLarge {
        /// Bytes of the value.
        size: usize,
        /// The handler's limit in bytes.
        limit: usize,
    },
    /// A decoder of the user's own refused the record.
    #[error("{0}")]
    Custom(Cow<'static, str>),
}

impl DecodeError {
    /// A reason of your own, for an `impl FromRecord` or a `decode = path` function.
    ///
    /// Say what was wrong, not what the record held: the text is logged.
    pub fn custom(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Custom(reason.into())
    }

    /// Tells a JSON error without the values that serde_json puts in its text.
    pub(crate) fn from_json(
        part: &'static str,
        wanted: &'static str,
        error: &serde_json::Error,
    ) -> Self {
        let (line, column) = (error.line(), error.column());
        let text = error.to_string();
        let reason = text.split(" at line ").next().unwrap_or_default();
        match error.classify() {
            serde_json::error::Category::Data => Self::Mismatch {
                part,
                wanted: wanted.strip_prefix("kafka_core::event::").unwrap_or(wanted),
                reason: without_values(&text).into(),
                line,
                column,
            },
            _ => Self::NotJson {
                part,
                // Syntax errors of serde_json are fixed sentences.
                reason: reason.to_owned().into(),
                line,
                column,
            },
        }
    }
}

impl DecodeError {
    /// The same, with the field that it is about.
    pub(crate) fn in_field(self, path: &str) -> Self {
        self.with(|reason| format!("`{path}`: {reason}"))
    }

    /// The same, with what to do.
    pub(crate) fn with_advice(self, advice: &str) -> Self {
        self.with(|reason| format!("{reason} ({advice})"))
    }

    fn with(mut self, words: impl FnOnce(&str) -> String) -> Self {
        if let Self::Mismatch { reason, .. } | Self::NotJson { reason, .. } = &mut self {
            *reason = words(reason).into();
        }
        self
    }
}

/// What serde says of a value that it found (`serde::de::Unexpected`), and the column types of theirs.
const KINDS: [&str; 27] = [
    "boolean",
    "integer",
    "floating point",
    "character",
    "string",
    "byte array",
    "unit value",
    "null",
    "Option value",
    "newtype struct",
    "sequence",
    "map",
    "enum",
    "unit variant",
    "newtype variant",
    "tuple variant",
    "struct variant",
    "number",
    "text",
    "a decimal in text",
    "a decimal with its scale",
    "what may be base64",
    "an object",
    "a number out of range",
    "text with other JSON",
    "text that is not JSON",
    "the placeholder of an unchanged TOAST value",
];

/// Cuts the values out of serde's fixed sentences; anything else may be a sentence of the user's and is dropped.
fn without_values(text: &str) -> String {
    if mutant::is_active(Mutant::QuoteValues) {
        return text.to_owned();
    }
    let expected = text.rfind(", expected ").map(|at| {
        let rest = &text[at..];
        &rest[..rest.rfind(" at line ").unwrap_or(rest.len())]
    });
    if text.starts_with("missing field `") || text.starts_with("duplicate field `") {
        // The name is the Rust struct's.
        return text[..text.rfind(" at line ").unwrap_or(text.len())].to_owned();
    }
    for sentence in ["invalid type: ", "invalid value: "] {
        if let Some(found) = text.strip_prefix(sentence) {
            let kind = found
                .split(['"', '`', ','])
                .next()
                .unwrap_or_default()
                .trim();
            if expected.is_none() || !KINDS.contains(&kind) {
                break;
            }
            let hint = if text.contains("expected a borrowed string") {
                " (a JSON escape cannot be borrowed as `&str`: use `Cow<'_, str>` with `#[serde(borrow)]`)"
            } else {
                ""
            };
            return format!("{sentence}{kind}{}{hint}", expected.unwrap_or_default());
        }
    }
    for sentence in ["unknown variant", "unknown field", "invalid length"] {
        if text.starts_with(sentence) {
            return format!("{sentence}{}", expected.unwrap_or_default());
        }
    }
    "the type's own check refused it".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    fn error<'a, T: Deserialize<'a>>(json: &'a str) -> String {
        let error = serde_json::from_str::<T>(json).err().unwrap();
        DecodeError::from_json("value", "T", &error).to_string()
    }

    #[derive(Debug, Deserialize)]
    enum Colour {
        Red,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only decoded")]
    struct Named {
        id: u8,
    }

    #[test]
    fn no_value_of_the_record_is_told() {
        for text in [
            error::<i64>(r#""hunter2, expected mercy""#),
            error::<String>("4711"),
            error::<u8>("4711"),
            error::<Colour>(r#""hunter2""#),
            error::<Named>(r#"{"id":"hunter2"}"#),
            error::<std::net::IpAddr>(r#""hunter2""#),
        ] {
            assert!(
                !text.contains("hunter2") && !text.contains("4711"),
                "{text}"
            );
        }
    }

    #[test]
    fn the_kinds_and_the_place_are_told() {
        assert_eq!(
            error::<Named>(r#"{"id":"x"}"#),
            "value does not fit `T`: invalid type: string, expected u8 at line 1 column 9"
        );
        assert_eq!(
            error::<Named>("{}"),
            "value does not fit `T`: missing field `id` at line 1 column 2"
        );
        assert_eq!(
            error::<Named>("{]"),
            "value is not JSON: key must be a string at line 1 column 2"
        );
    }

    #[test]
    fn a_borrowed_string_with_an_escape_is_told_to_use_cow() {
        assert!(error::<&str>(r#""a\nb""#).contains("Cow<'_, str>"));
    }
}
