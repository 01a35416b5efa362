use std::borrow::Cow;
use std::collections::HashMap;

use kafka_runtime::{
    DatabaseEvent, DecodeError, FromRecord, Json, JsonOrText, Key, Raw, Record, Text, topic_handler,
};

#[derive(serde::Deserialize)]
struct Event<'m> {
    #[serde(borrow)]
    email: Cow<'m, str>,
}

type UserEvent = DatabaseEvent<HashMap<String, String>>;

/// Four bytes, big-endian.
struct Reading(u32);

impl FromRecord<'_> for Reading {
    fn from_record(record: &Record) -> Result<Self, DecodeError> {
        let bytes = record.value().ok_or(DecodeError::custom("a reading has a value"))?;
        let bytes = bytes.try_into().map_err(|_| DecodeError::custom("a reading has 4 bytes"))?;
        Ok(Self(u32::from_be_bytes(bytes)))
    }
}

#[topic_handler("borrowed")]
async fn borrowed(event: Event<'_>, Key(key): Key<&str>) {
    tokio::task::yield_now().await;
    let _ = (event.email.len(), key.len());
}

#[topic_handler("borrowed_row")]
async fn borrowed_row(event: Option<DatabaseEvent<Event<'_>>>) {
    tokio::task::yield_now().await;
    let _ = event.and_then(|event| event.after().map(|row| row.email.len()));
}

#[topic_handler("text")]
async fn borrowed_text(text: &str) {
    tokio::task::yield_now().await;
    let _ = text.len();
}

#[topic_handler("cow")]
async fn cow(_: Cow<'static, str>) {}

#[topic_handler("alias")]
async fn alias(_: UserEvent) {}

#[topic_handler("json_event")]
async fn json_event(_: Json<DatabaseEvent<u8>>) {}

#[topic_handler("either_event")]
async fn either_event(_: JsonOrText<DatabaseEvent<u8>>) {}

#[topic_handler("option")]
async fn option(_: Option<u8>) {}

#[topic_handler("json")]
async fn json(Json((a, b)): Json<(u8, u8)>) {
    let _ = (a, b);
}

#[topic_handler("either")]
async fn either(_: JsonOrText<u64>) {}

#[topic_handler("raw")]
async fn raw(_: Raw) {}

#[topic_handler("text")]
async fn text(_: Text) {}

#[topic_handler("record")]
async fn record(_: Record) {}

#[topic_handler("own")]
async fn own(Reading(reading): Reading) {
    let _ = reading;
}

#[topic_handler("many")]
async fn many(_: Vec<HashMap<String, Option<(u8, [f64; 2])>>>) {}

fn main() {
    assert_eq!(kafka_runtime::registered().len(), 15);
}
