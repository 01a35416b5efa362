//! `hstore`.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::unfit;

/// An `hstore`: JSON in text (`hstore.handling.mode=json`, the default), or an object (`map`).
///
/// ```
/// # use kafka_core::column::Hstore;
/// let attributes: Hstore = serde_json::from_str(r#""{\"colour\":\"red\",\"size\":null}""#)?;
/// assert_eq!(attributes["colour"].as_deref(), Some("red"));
/// assert_eq!(attributes, serde_json::from_str(r#"{"colour":"red","size":null}"#)?);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hstore(pub BTreeMap<String, Option<String>>);

impl Deref for Hstore {
    type Target = BTreeMap<String, Option<String>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Hstore {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Hstore;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an hstore, as an object or JSON in text")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Hstore, E> {
                let pairs = serde_json::from_str(text).map(Hstore);
                let pairs = pairs.map_err(|_| unfit(text, "an hstore as JSON in text"))?;
                refuse_marker(pairs)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Hstore, A::Error> {
                let pairs = BTreeMap::deserialize(MapAccessDeserializer::new(map))?;
                refuse_marker(Hstore(pairs))
            }
        }

        deserializer.deserialize_any(Either)
    }
}

/// The placeholder of an unchanged value is an hstore itself.
fn refuse_marker<E: Error>(pairs: Hstore) -> Result<Hstore, E> {
    match pairs.0.get(super::MARKER) {
        Some(Some(value)) if value == super::MARKER => Err(unfit(value, "an hstore")),
        _ => Ok(pairs),
    }
}

impl Serialize for Hstore {
    /// As in the mode `json`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = serde_json::to_string(&self.0).map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(&text)
    }
}
