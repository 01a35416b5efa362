//! Messages that services write into an outbox table.

use serde::de::DeserializeOwned;

use crate::connect;
use crate::decode_error::DecodeError;
use crate::field;
use crate::payload::{FromRecord, utf8};
use crate::record::Record;

/// A record of the transform `EventRouter`: what a service wrote into its outbox table, in the topic
/// `outbox.event.{aggregatetype}`.
///
/// The payload is JSON in text by default, an object with `table.expand.json.payload=true`; both are read, with their schema
/// or without.
///
/// ```
/// use kafka_core::{FromRecord, OutboxEvent, Record};
///
/// #[derive(serde::Deserialize)]
/// struct OrderPlaced { order: i64 }
///
/// let record = Record::for_test("outbox.event.order", Some(br#""7""#), Some(br#""{\"order\":7}""#))
///     .with_headers(&[("id", b"4d47e190-0402-4048-bc2c-89dd54343cdc")]);
/// let event = OutboxEvent::<OrderPlaced>::from_record(&record)?;
/// assert_eq!(event.id, "4d47e190-0402-4048-bc2c-89dd54343cdc");
/// assert_eq!((event.aggregate_id.as_deref(), event.payload.order), (Some("7"), 7));
/// # Ok::<(), kafka_core::DecodeError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutboxEvent<T> {
    /// The id of the event (header `id`): the same if the connector sends it again, so it is what to deduplicate by.
    pub id: String,
    /// The aggregate that it is about: the record's key.
    pub aggregate_id: Option<String>,
    /// The type, if the transform adds it: `table.fields.additional.placement=type:header:eventType`.
    pub event_type: Option<String>,
    /// The message.
    pub payload: T,
}

impl<T> OutboxEvent<T> {
    /// An event, for calling a handler in a unit test.
    pub fn new(id: impl Into<String>, payload: T) -> Self {
        Self {
            id: id.into(),
            aggregate_id: None,
            event_type: None,
            payload,
        }
    }
}

impl<T: DeserializeOwned> FromRecord<'_> for OutboxEvent<T> {
    fn from_record(record: &Record) -> Result<Self, DecodeError> {
        let id = header(record, "id")?.ok_or(DecodeError::custom(
            "there is no header `id`: is this a topic of the transform EventRouter?",
        ))?;
        let key = record.key().map(|key| utf8("key", key)).transpose()?;
        Ok(Self {
            id,
            aggregate_id: key.map(plain),
            event_type: header(record, "eventType")?,
            payload: payload(record)?,
        })
    }
}

fn payload<T: DeserializeOwned>(record: &Record) -> Result<T, DecodeError> {
    let text = record
        .value()
        .map(|value| utf8("value", value))
        .transpose()?;
    let text = text.map_or("null", |text| connect::payload(text).unwrap_or(text));
    if text.trim_start().starts_with('"') {
        let inner: String = field::decode("value", text)?;
        return field::decode("value", &inner);
    }
    field::decode("value", text)
}

fn header(record: &Record, name: &'static str) -> Result<Option<String>, DecodeError> {
    let value = record.header(name).map(|value| utf8(name, value));
    Ok(value.transpose()?.map(plain))
}

/// Takes text out of the quotes and the schema that a converter may have put around it.
fn plain(text: &str) -> String {
    let inner = connect::payload(text).unwrap_or(text);
    serde_json::from_str(inner).unwrap_or_else(|_| inner.to_owned())
}
