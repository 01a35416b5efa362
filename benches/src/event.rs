//! The record that is handled: a row's update as Debezium writes it, and the types that it is read into.

use std::sync::Arc;

use kafka_core::costs::Written;
use kafka_runtime::{DatabaseEvent, topic_handler};
use serde::Deserialize;

use crate::zipf::Zipf;

const EVENT: &str = r#"{"before":{"id":4711,"email":"user4711@example.com","name":"Ada Lovelace 4711","status":"active","balance":"1234.50","created_at":1732788000000000,"version":6,"note":null},"after":{"id":4711,"email":"user4711@example.com","name":"Ada Lovelace 4711","status":"active","balance":"1234.50","created_at":1732788000000000,"version":7,"note":null},"source":{"version":"3.3.1.Final","connector":"postgresql","name":"auth","ts_ms":1732788000000,"snapshot":"false","db":"auth","sequence":"[\"24023119\",\"24023128\"]","ts_us":1732788000000000,"ts_ns":1732788000000000000,"schema":"public","table":"users","txId":771,"lsn":24023128,"xmin":null},"transaction":null,"op":"u","ts_ms":1732788000123,"ts_us":1732788000123000,"ts_ns":1732788000123000000}"#;

const KEYS: u32 = 10_000;
const SEED: u64 = 0x9E37_79B9_7F4A_7C15;

/// So many records, all of them this event, with the keys of many rows.
pub(crate) fn written(records: usize) -> Written {
    let value: Arc<[u8]> = Arc::from(EVENT.as_bytes());
    let mut keys = Zipf::new(KEYS, SEED);
    Written::new((0..records).map(|_| {
        let key = format!(r#"{{"id":{}}}"#, keys.draw());
        (key.into_bytes(), Arc::clone(&value))
    }))
}

/// A row with columns of its own.
#[derive(Deserialize)]
#[expect(dead_code, reason = "read to be measured")]
pub(crate) struct Row {
    id: i64,
    email: String,
    name: String,
    status: String,
    balance: String,
    created_at: i64,
    version: i32,
    note: Option<String>,
}

/// The envelope as one writes it without this library's.
#[derive(Deserialize)]
#[expect(dead_code, reason = "read to be measured")]
pub(crate) struct Plain {
    before: Option<Row>,
    after: Option<Row>,
    source: PlainSource,
    op: String,
    ts_ms: Option<i64>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "read to be measured")]
struct PlainSource {
    version: String,
    connector: String,
    name: String,
    ts_ms: i64,
    db: String,
    schema: String,
    table: String,
    lsn: Option<i64>,
}

/// A row with columns that point into the record.
#[derive(Deserialize)]
#[expect(dead_code, reason = "read to be measured")]
pub(crate) struct BorrowedRow<'a> {
    id: i64,
    email: &'a str,
    name: &'a str,
    status: &'a str,
    balance: &'a str,
    created_at: i64,
    version: i32,
    note: Option<&'a str>,
}

/// A payload that borrows from its record needs the attribute.
#[topic_handler("auth.public.users", name = "borrowed")]
async fn borrowed(event: DatabaseEvent<BorrowedRow<'_>>) {
    std::hint::black_box(&event);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_reads_the_event() {
        assert_eq!(EVENT.len(), 738);
        serde_json::from_str::<Plain>(EVENT).unwrap();
        let event: DatabaseEvent<Row> = serde_json::from_str(EVENT).unwrap();
        assert_eq!(event.after().unwrap().version, 7);
        serde_json::from_str::<DatabaseEvent<BorrowedRow<'_>>>(EVENT).unwrap();
    }
}
