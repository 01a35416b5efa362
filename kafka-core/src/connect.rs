//! What Kafka Connect's `JsonConverter` puts around a value with `schemas.enable=true`.

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use serde_json::de::StrRead;
use serde_json::value::RawValue;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wrapped<'m> {
    #[serde(borrow)]
    schema: &'m RawValue,
    #[serde(borrow)]
    payload: &'m RawValue,
}

/// Returns the `payload` of a value with its schema; `None` if it is bare.
///
/// A wrapped value has exactly the fields `schema`, an object or null, and `payload`. A row whose only columns have
/// these names is not mistaken for one, nor is its key: a column is an object in no mode but `hstore.handling.mode=map`.
pub(crate) fn payload(text: &str) -> Option<&str> {
    // Nearly every value is bare: look at its first field before reading all of it.
    let first = text.trim_start().strip_prefix('{')?.trim_start();
    if !first.starts_with("\"schema\"") && !first.starts_with("\"payload\"") {
        return None;
    }
    let wrapped: Wrapped<'_> = serde_json::from_str(text).ok()?;
    let schema = wrapped.schema.get();
    (schema == "null" || schema.starts_with('{')).then(|| wrapped.payload.get())
}

/// Decodes a value, with or without its schema; errors have the position in all of it.
pub(crate) fn unwrapped<'de, D, T>(
    deserializer: D,
    decode: impl FnOnce(&mut serde_json::Deserializer<StrRead<'de>>) -> serde_json::Result<T>,
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
{
    let whole = <&RawValue>::deserialize(deserializer)?.get();
    let text = payload(whole).unwrap_or(whole);
    decode(&mut serde_json::Deserializer::from_str(text)).map_err(|error| {
        let start = text.as_ptr().addr() - whole.as_ptr().addr();
        let (line, column) = position(whole, start, &error);
        let words = error.to_string();
        let words = words
            .rsplit_once(" at line ")
            .map_or(&*words, |(words, _)| words);
        // serde_json takes the position of an error from its text.
        D::Error::custom(format_args!("{words} at line {line} column {column}"))
    })
}

/// Returns line and column, from 1, of an error in what starts at a position of the whole.
fn position(whole: &str, start: usize, error: &serde_json::Error) -> (usize, usize) {
    let before = &whole[..start];
    let lines = before.matches('\n').count();
    let column = if error.line() <= 1 {
        before.len() - before.rfind('\n').map_or(0, |at| at + 1) + error.column()
    } else {
        error.column()
    };
    (lines + error.line(), column)
}

/// For lists and maps that some connectors send as null.
pub(crate) fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_value_has_a_schema_and_nothing_else() {
        let text = r#"{"schema":{"type":"struct","fields":[]},"payload":{"id":7}}"#;

        assert_eq!(payload(text), Some(r#"{"id":7}"#));
        assert_eq!(
            payload(r#" { "payload" : 7 , "schema" : null } "#),
            Some("7")
        );
        assert_eq!(payload(r#"{"schema":null,"payload":null}"#), Some("null"));
    }

    #[test]
    fn columns_called_schema_and_payload_are_a_row() {
        assert_eq!(payload(r#"{"schema":"a","payload":"b"}"#), None);
        assert_eq!(payload(r#"{"schema":{},"payload":{},"id":7}"#), None);
        assert_eq!(payload(r#"{"payload":"b"}"#), None);
        assert_eq!(payload(r#""schema""#), None);
        assert_eq!(payload("{"), None);
        assert_eq!(payload(""), None);
    }
}
