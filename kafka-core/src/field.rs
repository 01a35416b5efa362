//! Which field of a JSON value an error is about.
//!
//! serde_json says where it stopped, not in which field. This looks it up once decoding has failed, so that decoding costs
//! nothing for it. Only names are told that a type or a table has: those of a struct's fields, and the columns of a row.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::value::Error as Stopped;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::value::RawValue;

use crate::connect;
use crate::decode_error::DecodeError;
use crate::event::{DATABASE_EVENT, FLAT_EVENT};

/// Decodes a value of JSON; an error names the field.
pub(crate) fn decode<'m, T: Deserialize<'m>>(
    part: &'static str,
    text: &'m str,
) -> Result<T, DecodeError> {
    serde_json::from_str(text).map_err(|error| explain::<T>(part, text, &error))
}

/// Decodes one field of an object; `None` if there is no field of this name.
pub(crate) fn decode_one<'m, V: Deserialize<'m>>(
    part: &'static str,
    text: &'m str,
    name: &str,
) -> Result<Option<V>, DecodeError> {
    let fields: Fields<'m> = decode(part, text)?;
    let Some((_, value)) = fields.0.iter().find(|(field, _)| field == name) else {
        return Ok(None);
    };
    let value = decode(part, value);
    value
        .map(Some)
        .map_err(|error: DecodeError| error.in_field(name))
}

#[cold]
fn explain<'m, T: Deserialize<'m>>(
    part: &'static str,
    text: &'m str,
    error: &serde_json::Error,
) -> DecodeError {
    let told = DecodeError::from_json(part, std::any::type_name::<T>(), error);
    let shape = Shape::of::<T>();
    let is_missing = error.to_string().starts_with("missing field");
    if is_missing && matches!(shape, Shape::Event) && is_flat(text) {
        return told.with_advice(
            "no part of an envelope is there: is the record flattened (ExtractNewRecordState)? then take `FlatEvent<_>`",
        );
    }
    match path(&shape, text, error) {
        Some(path) => told.in_field(&path),
        None => told,
    }
}

/// What names the fields of a value have.
enum Shape {
    /// Those of a change event: the columns of its rows, too.
    Event,
    /// Those of a flattened change event: columns.
    Flat,
    /// Those of a struct.
    Struct(&'static [&'static str]),
    /// Who knows: the keys of a map are data.
    Other,
}

impl Shape {
    fn of<'m, T: Deserialize<'m>>() -> Self {
        let mut shape = Self::Other;
        // It always fails: all it does is ask.
        drop(T::deserialize(Question(&mut shape)));
        shape
    }

    fn has(&self, name: &str) -> bool {
        match self {
            Self::Event | Self::Flat => true,
            Self::Struct(names) => names.contains(&name),
            Self::Other => false,
        }
    }
}

/// Asks a type what it is.
struct Question<'a>(&'a mut Shape);

impl<'de> Deserializer<'de> for Question<'_> {
    type Error = Stopped;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Stopped> {
        Err(Stopped::custom("asked"))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stopped> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Stopped> {
        if name == FLAT_EVENT {
            *self.0 = Shape::Flat;
            return self.deserialize_any(visitor);
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stopped> {
        *self.0 = if name == DATABASE_EVENT {
            Shape::Event
        } else {
            Shape::Struct(fields)
        };
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map enum identifier ignored_any
    }
}

/// Returns the field at which decoding stopped: `email`, or `after.email` of an event.
fn path(shape: &Shape, text: &str, error: &serde_json::Error) -> Option<String> {
    let stopped = text.get(offset(text, error)..)?.as_ptr();
    let (mut shape, mut inner) = (shape, text);
    if let (Shape::Event | Shape::Flat, Some(payload)) = (shape, connect::payload(text)) {
        inner = payload;
    }
    let mut path = String::new();
    loop {
        let fields = Fields::of(inner)?;
        let Some((name, value)) = fields.at(stopped).filter(|(name, _)| shape.has(name)) else {
            break;
        };
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(name);
        let is_row = matches!(shape, Shape::Event) && ["before", "after"].contains(&name);
        if !is_row {
            break;
        }
        (shape, inner) = (&Shape::Flat, value);
    }
    Some(path).filter(|path| !path.is_empty())
}

/// Returns where an error is, as a position in the text.
fn offset(text: &str, error: &serde_json::Error) -> usize {
    let lines = text
        .split_inclusive('\n')
        .take(error.line().saturating_sub(1));
    lines.map(str::len).sum::<usize>() + error.column()
}

/// True for an object that has nothing of an envelope.
fn is_flat(text: &str) -> bool {
    let row = connect::payload(text).unwrap_or(text);
    let is_envelope = |fields: Fields<'_>| {
        let mut names = fields.0.iter().map(|(name, _)| &**name);
        names.any(|name| ["before", "after", "source", "payload"].contains(&name))
    };
    Fields::of(row).is_some_and(|fields| !is_envelope(fields))
}

/// The fields of an object, each with the text of its value.
struct Fields<'m>(Vec<(Cow<'m, str>, &'m str)>);

impl<'m> Fields<'m> {
    fn of(text: &'m str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Returns the field whose value ends at a position, or around it.
    fn at(&self, stopped: *const u8) -> Option<(&str, &'m str)> {
        let fields = self.0.iter().map(|(name, value)| (&**name, *value));
        fields.into_iter().find(|(_, value)| {
            value.as_ptr() < stopped && stopped <= value.as_bytes().as_ptr_range().end
        })
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;

        impl<'de> Visitor<'de> for All {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some((name, value)) = map.next_entry::<Name<'de>, &RawValue>()? {
                    fields.push((name.0, value.get()));
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(All)
    }
}

/// The name of a field of a JSON object.
pub(crate) use crate::column::CowStr as Name;

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only decoded")]
    struct User {
        id: i64,
        email: String,
    }

    fn told<'m, T: Deserialize<'m>>(text: &'m str) -> String {
        decode::<T>("value", text).err().unwrap().to_string()
    }

    #[test]
    fn the_field_of_a_struct_is_named() {
        let text = told::<User>("{\"id\":1,\n  \"email\" : 4711 }");

        assert_eq!(
            text,
            "value does not fit `kafka_core::field::tests::User`: `email`: invalid type: integer, expected a string at \
             line 2 column 16"
        );
        assert!(told::<Option<User>>(r#"{"id":"x"}"#).contains("`id`: invalid type: string"));
    }

    #[test]
    fn the_keys_of_a_map_are_data_and_not_told() {
        type Balances = std::collections::HashMap<String, i64>;

        let text = told::<Balances>(r#"{"ada@example.com":"none"}"#);

        assert!(!text.contains("ada"), "{text}");
    }

    #[test]
    fn a_field_within_a_field_is_not_looked_for() {
        #[derive(Debug, Deserialize)]
        #[expect(dead_code, reason = "only decoded")]
        struct Outer {
            inner: User,
        }

        let text = told::<Outer>(r#"{"inner":{"id":[],"email":""}}"#);

        assert!(text.contains("`inner`: invalid type: sequence"), "{text}");
    }

    #[test]
    fn what_is_missing_is_named_once() {
        let text = told::<User>(r#"{"id":1}"#);

        assert!(text.contains("`: missing field `email` at"), "{text}");
    }
}
