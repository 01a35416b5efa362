//! The source of a change, decoded when somebody asks.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::OnceLock;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, Unexpected};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::Source;

/// The [`Source`] of a change, not yet decoded: until one of its fields is looked at, it costs one copy of its text.
///
/// Most handlers never look, and to decode its fourteen fields costs more than most rows do. It is used as if it were the
/// source:
///
/// ```
/// use kafka_core::DatabaseEvent;
///
/// let event: DatabaseEvent<i64> =
///     serde_json::from_str(r#"{"after":7,"op":"c","source":{"table":"orders","lsn":24023128}}"#)?;
/// assert_eq!(event.source.table, "orders");
/// assert_eq!(event.source.lsn(), Some(24_023_128));
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// So a field that is not what it should be is no error of the event: it is absent, and found in [`Source::other`] as it was
/// sent.
#[derive(Clone, Default)]
pub struct LazySource {
    json: Option<Box<RawValue>>,
    source: OnceLock<Source>,
}

impl LazySource {
    /// Returns the source by value.
    ///
    /// ```
    /// # use kafka_core::{DatabaseEvent, Source};
    /// # let event = DatabaseEvent::create(7);
    /// let source: Source = event.source.into_inner();
    /// # assert_eq!(source, Source::default());
    /// ```
    pub fn into_inner(mut self) -> Source {
        std::mem::take(&mut *self)
    }

    fn decoded(&self) -> &Source {
        let decode = || self.json.as_ref().map(|json| decode(json.get()));
        self.source.get_or_init(|| decode().unwrap_or_default())
    }
}

/// Decodes what is a JSON object; a field of another type than it should have is put aside.
fn decode(json: &str) -> Source {
    if let Ok(source) = serde_json::from_str(json) {
        return source;
    }
    // Of a field that is there twice, the last one.
    let fields: Map<String, Value> = serde_json::from_str(json).unwrap_or_default();
    let (good, bad): (Map<_, _>, Map<_, _>) = fields.into_iter().partition(|(name, value)| {
        let alone = Map::from_iter([(name.clone(), value.clone())]);
        Source::deserialize(Value::Object(alone)).is_ok()
    });
    let mut source = Source::deserialize(Value::Object(good)).unwrap_or_default();
    source.other.extend(bad);
    source
}

impl Deref for LazySource {
    type Target = Source;

    fn deref(&self) -> &Source {
        self.decoded()
    }
}

impl DerefMut for LazySource {
    fn deref_mut(&mut self) -> &mut Source {
        self.decoded();
        match self.source.get_mut() {
            Some(source) => source,
            None => unreachable!("it was just decoded"),
        }
    }
}

impl From<Source> for LazySource {
    fn from(source: Source) -> Self {
        Self {
            json: None,
            source: source.into(),
        }
    }
}

impl fmt::Debug for LazySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.decoded().fmt(f)
    }
}

impl PartialEq for LazySource {
    fn eq(&self, other: &Self) -> bool {
        self.decoded() == other.decoded()
    }
}

impl<'de> Deserialize<'de> for LazySource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Box::<RawValue>::deserialize(deserializer)?;
        if !json.get().starts_with('{') {
            let told = match json.get().as_bytes().first() {
                Some(b'"') => Unexpected::Str("…"),
                Some(b'[') => Unexpected::Seq,
                Some(b't' | b'f') => Unexpected::Other("boolean"),
                _ => Unexpected::Other("number"),
            };
            return Err(D::Error::invalid_type(told, &"the source of a change"));
        }
        Ok(Self {
            json: Some(json),
            source: OnceLock::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{LazySource, Source};
    use crate::event::Scalar;

    fn of(json: &str) -> LazySource {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn it_is_the_source_that_was_sent() {
        let json =
            r#"{"connector":"postgresql","table":"users","lsn":7,"snapshot":"last","gtid":"x"}"#;

        let source: Source = serde_json::from_str(json).unwrap();

        assert_eq!(of(json), LazySource::from(source.clone()));
        assert_eq!(of(json).into_inner(), source);
    }

    #[test]
    fn what_is_changed_stays_changed() {
        let mut source = of(r#"{"table":"users"}"#);

        source.schema = "public".into();

        assert_eq!((&*source.schema, &*source.table), ("public", "users"));
    }

    #[test]
    fn a_field_of_another_type_is_put_aside_and_the_others_are_read() {
        let source = of(r#"{"table":"users","ts_ms":"soon","lsn":{"high":1},"txId":771}"#);

        assert_eq!((source.ts_ms, &source.lsn), (None, &None));
        assert_eq!(
            (&*source.table, &source.tx_id),
            ("users", &Some(Scalar::Number(771)))
        );
        assert_eq!(source.other["ts_ms"], "soon");
        assert_eq!(source.other["lsn"]["high"], 1);
    }

    #[test]
    fn what_is_no_object_is_an_error_at_once() {
        assert!(serde_json::from_str::<LazySource>("7").is_err());
        assert!(serde_json::from_str::<LazySource>(r#"{"table":"#).is_err());
    }
}
