//! Every record is read, as what it is.

use std::collections::BTreeMap;

use kafka_runtime::{
    BatchRecord, Change, DatabaseEvent, DecodeError, FlatEvent, FromRecord, Heartbeat,
    HeartbeatKey, OutboxEvent, Record, TransactionMarker,
};
use serde_json::Value;

use crate::golden::{Configuration, Golden};

/// Reads a record; returns which kind it is.
pub(crate) fn read(configuration: &str, record: &Record) -> Result<&'static str, DecodeError> {
    if record.topic().starts_with("__debezium-heartbeat.") {
        Heartbeat::from_record(record)?;
        BatchRecord::for_test((), record).key_as::<HeartbeatKey>()?;
        return Ok("heartbeat");
    }
    if record.topic().ends_with(".transaction") {
        return TransactionMarker::from_record(record).map(|_| "transaction");
    }
    if record.header("id").is_some() {
        return OutboxEvent::<Value>::from_record(record).map(|_| "outbox");
    }
    if configuration.starts_with("flattened") {
        let event = Option::<FlatEvent<Value>>::from_record(record)?;
        return Ok(if event.is_some() { "flat" } else { "tombstone" });
    }
    let event = Option::<DatabaseEvent<Value>>::from_record(record)?;
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
    let mut kinds = BTreeMap::<_, u32>::new();
    let mut failures = Vec::new();
    for configuration in Configuration::all() {
        for golden in &configuration.goldens {
            match read(&configuration.name, &golden.record()) {
                Ok(kind) => *kinds.entry(kind).or_default() += 1,
                Err(error) => failures.push(format!(
                    "{} {} {}: {error}",
                    configuration.name, golden.case, golden.topic
                )),
            }
        }
    }

    assert!(failures.is_empty(), "{failures:#?}");
    for kind in [
        "create",
        "read",
        "update",
        "delete",
        "truncate",
        "message",
        "tombstone",
        "flat",
        "heartbeat",
        "outbox",
        "transaction",
    ] {
        assert!(kinds.contains_key(kind), "no {kind} among {kinds:?}");
    }
    assert!(!kinds.contains_key("other"), "{kinds:?}");
}

#[test]
fn what_a_connector_sends_besides_rows_is_read() {
    let bare = Configuration::read("bare");
    let of = |case: &str, topic: &str| {
        let is_it = |golden: &&Golden| golden.case == case && golden.topic == topic;
        bare.goldens
            .iter()
            .filter(is_it)
            .map(Golden::record)
            .collect::<Vec<_>>()
    };

    let messages = of("message/transactional", "bare.message");
    let event = DatabaseEvent::<()>::from_record(&messages[0]).unwrap();
    let Change::Message { prefix, content } = event.change else {
        panic!("{event:?}");
    };
    assert_eq!(
        (prefix.as_str(), content.base64().unwrap()),
        ("audit", br#"{"by":"hal"}"#.to_vec())
    );

    // The rows of a transaction, its begin and its end name the same.
    let users = of("transaction/two-tables", "bare.public.users");
    let ids: Vec<String> = users
        .iter()
        .filter(|record| record.value().is_some())
        .map(|record| {
            let event = DatabaseEvent::<Value>::from_record(record).unwrap();
            event.transaction.unwrap().tx_id().to_owned()
        })
        .collect();
    let markers = of("transaction/two-tables", "bare.transaction");
    let markers = markers
        .iter()
        .map(|record| TransactionMarker::from_record(record).unwrap());
    let ends: Vec<_> = markers.filter(|marker| marker.tx_id() == ids[0]).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(ends.len(), 2);
    assert_eq!(ends[1].event_count, Some(4));
    let of_users = |marker: &TransactionMarker| {
        let mut tables = marker.data_collections.iter();
        tables
            .find(|table| table.data_collection == "public.users")
            .map(|table| table.event_count)
    };
    assert_eq!((of_users(&ends[0]), of_users(&ends[1])), (None, Some(3)));
}
