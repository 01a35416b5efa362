//! What can a handler take?
//!
//! The payload first: any `Deserialize` type is JSON, and there is a type for everything else. Then extractors, in any
//! order, any subset. What cannot be decoded goes to the failure policy, with its original bytes, and is not retried.
//!
//! | payload | for |
//! |---|---|
//! | `T: Deserialize`, `Json<T>` | JSON, owned, or borrowed from the record (`Event<'_>`) |
//! | `Option<T>` | JSON, with tombstones |
//! | `DatabaseEvent<T>` | Debezium's envelope |
//! | `JsonOrText<T>` | JSON if it fits, else text |
//! | `Text`, `Raw`, `Record` | text, bytes, all of it |
//! | a type with `impl FromRecord<'_>`, or `decode = path` | any other encoding |
//!
//! ```sh
//! cargo run --example extractors
//! ```
//! ```text
//! borrowed: "Ada" points into the record: true
//! tombstone of user-1: None
//! change: Create of row Some(9)
//! json: 7
//! text: "not JSON"
//! text: "plain"
//! raw: 3 bytes
//! reading: 258
//! csv: ["a", "b"]
//! everything: key id 7, source auth, trace t-1, demo.all[0]@…, attempt 1, cancelled false
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod support;

use std::borrow::Cow;

use anyhow::Context;
use kafka_runtime::{
    CancellationToken, DatabaseEvent, DecodeError, FromContext, FromRecord, HandlerContext,
    Headers, JsonOrText, KafkaProducer, Key, MessagePayload, Raw, Record, RecordMetadata, Runtime,
    State, Text, topic_handler,
};

/// Zero copy: the name points into the record, unless JSON escapes force a copy. A bare `&str` would fail on those.
#[derive(serde::Deserialize)]
struct Borrowed<'m> {
    #[serde(borrow)]
    name: Cow<'m, str>,
}

#[topic_handler("demo.borrowed")]
async fn borrowed(user: Borrowed<'_>) {
    let is_borrowed = matches!(user.name, Cow::Borrowed(_));
    println!(
        "borrowed: {:?} points into the record: {is_borrowed}",
        user.name
    );
}

#[topic_handler("demo.compacted")]
async fn with_tombstones(user: Option<serde_json::Value>, key: Key<String>) {
    println!("tombstone of {}: {user:?}", key.0);
}

#[derive(Clone, serde::Deserialize)]
struct Row {
    id: i64,
}

#[topic_handler("demo.changes")]
async fn change(event: DatabaseEvent<Row>) {
    println!(
        "change: {:?} of row {:?}",
        event.op(),
        event.after().map(|row| row.id)
    );
}

#[topic_handler("demo.mixed")]
async fn json_or_text(value: JsonOrText<Row>) {
    match value {
        JsonOrText::Json(row) => println!("json: {}", row.id),
        JsonOrText::Text(text) => println!("text: {text:?}"),
    }
}

#[topic_handler("demo.text")]
async fn text(text: Text) {
    println!("text: {:?}", text.as_str().unwrap_or("(null)"));
}

#[topic_handler("demo.raw")]
async fn raw(raw: Raw) {
    println!("raw: {} bytes", raw.bytes().map_or(0, <[u8]>::len));
}

/// A payload of your own: two bytes, big-endian.
struct Reading(u16);

impl FromRecord<'_> for Reading {
    fn from_record(record: &Record) -> Result<Self, DecodeError> {
        let bytes = record.value().unwrap_or_default();
        let bytes = bytes
            .try_into()
            .map_err(|_| DecodeError::custom("a reading has 2 bytes"))?;
        Ok(Self(u16::from_be_bytes(bytes)))
    }
}

#[topic_handler("demo.readings")]
async fn reading(reading: Reading) {
    println!("reading: {}", reading.0);
}

/// A decoder for a type that is not yours, or for one handler only.
fn csv(record: &Record) -> Result<Vec<String>, DecodeError> {
    let line = str::from_utf8(record.value().unwrap_or_default());
    let line = line.map_err(|_| DecodeError::custom("a line is UTF-8"))?;
    Ok(line.split(',').map(str::to_owned).collect())
}

#[topic_handler("demo.csv", decode = csv)]
async fn with_decoder(fields: Vec<String>) {
    println!("csv: {fields:?}");
}

/// An extractor of your own.
struct TraceId(String);

impl FromContext<'_> for TraceId {
    fn from_context(record: &Record, _: &HandlerContext) -> Result<Self, DecodeError> {
        let headers = record.headers();
        let value = headers
            .get("trace")
            .ok_or(DecodeError::custom("no trace header"))?;
        Ok(Self(String::from_utf8_lossy(value).into_owned()))
    }
}

#[derive(serde::Deserialize)]
struct RowKey {
    id: i64,
}

#[topic_handler("demo.all")]
#[expect(clippy::too_many_arguments, reason = "one of each")]
async fn everything(
    _: Raw,
    Key(key): Key<RowKey>, // a JSON object, or a bare value: Key<i64>, Key<String>
    headers: Headers,
    trace: TraceId,
    record: RecordMetadata,
    service: State<&'static str>,
    _: KafkaProducer,
    cancel: CancellationToken, // fires when the partition is taken away or the process stops
) -> anyhow::Result<()> {
    let source = headers.get("source").context("no source")?; // bytes: never trusted as UTF-8
    let source = String::from_utf8_lossy(source);
    println!(
        "{}: key id {}, source {source}, trace {}, {}[{}]@{}, attempt {}, cancelled {}",
        service.0,
        key.id,
        trace.0,
        record.topic(),
        record.partition(),
        record.offset(),
        record.attempt(),
        cancel.is_cancelled()
    );
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cluster = support::cluster()?;
    let runtime = Runtime::builder()
        .config(cluster.config("extractors")?)
        .state("everything")
        .build()?;
    let value = |text: &str| MessagePayload::new(text);
    let all = value("")
        .partition(0)
        .key(r#"{"id":7}"#)
        .header("source", "auth")
        .header("trace", "t-1");
    let records = vec![
        ("demo.borrowed", value(r#"{"name":"Ada"}"#)),
        ("demo.compacted", MessagePayload::tombstone("user-1")),
        ("demo.changes", value(r#"{"op":"c","after":{"id":9}}"#)),
        ("demo.mixed", value(r#"{"id":7}"#)),
        ("demo.mixed", value("not JSON")),
        ("demo.text", value("plain")),
        ("demo.raw", MessagePayload::new([1, 2, 3])),
        ("demo.readings", MessagePayload::new([1, 2])),
        ("demo.csv", value("a,b")),
        ("demo.all", all),
    ];
    cluster.run(runtime, records).await
}
