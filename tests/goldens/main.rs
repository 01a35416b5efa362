//! Every record that the real pipeline wrote is read: by the types of the library, and by the structs that
//! `kafka-runtime rows` prints for its tables.

mod filter;
mod golden;

use kafka_runtime::{
    BatchRecord, Change, DatabaseEvent, FlatEvent, FromRecord, Heartbeat, HeartbeatKey,
    OutboxEvent, TransactionMarker,
};
use serde_json::Value;

use self::golden::{Configuration, Golden};

/// Which kind of record it is, if it can be read.
fn read(configuration: &str, golden: &Golden) -> Result<&'static str, kafka_runtime::DecodeError> {
    let record = golden.record();
    if golden.topic.starts_with("__debezium-heartbeat.") {
        Heartbeat::from_record(&record)?;
        BatchRecord::for_test((), &record).key_as::<HeartbeatKey>()?;
        return Ok("heartbeat");
    }
    if golden.topic.ends_with(".transaction") {
        return TransactionMarker::from_record(&record).map(|_| "transaction");
    }
    if record.header("id").is_some() {
        return OutboxEvent::<Value>::from_record(&record).map(|_| "outbox");
    }
    if configuration.starts_with("flattened") {
        let event = Option::<FlatEvent<Value>>::from_record(&record)?;
        return Ok(if event.is_some() { "flat" } else { "tombstone" });
    }
    let event = Option::<DatabaseEvent<Value>>::from_record(&record)?;
    Ok(match event.map(|event| event.change) {
        None => "tombstone",
        Some(Change::Create { .. }) => "create",
        Some(Change::Read { .. }) => "read",
        Some(Change::Update { .. }) => "update",
        Some(Change::Delete { .. }) => "delete",
        Some(Change::Truncate) => "truncate",
        Some(Change::Message { .. }) => "message",
        Some(_) => "other",
    })
}

#[test]
fn every_record_is_read() {
    let mut kinds = std::collections::BTreeMap::<_, u32>::new();
    let mut failures = Vec::new();
    for configuration in Configuration::all() {
        for golden in &configuration.goldens {
            match read(&configuration.name, golden) {
                Ok(kind) => *kinds.entry(kind).or_default() += 1,
                Err(error) => failures.push(format!(
                    "{} {} {}: {error}",
                    configuration.name, golden.case, golden.topic
                )),
            }
        }
    }

    println!("{kinds:?}");
    assert!(failures.is_empty(), "{failures:#?}");
}
