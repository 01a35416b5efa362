//! Records as Debezium writes them: key, value and headers, for [`TestRuntime::produce`](super::TestRuntime::produce).

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::by_hand::misuse;
use super::event::{TS_MS, VERSION, parts, to_json};
use crate::producer::MessagePayload;

/// A table of PostgreSQL that is captured: makes the records of its topic.
///
/// As with `JsonConverter` and `schemas.enable=false`. Each record is one transaction later than the one before.
///
/// ```
/// use kafka_core::testing::debezium::Table;
///
/// #[derive(serde::Serialize)]
/// struct User { id: i64, email: &'static str }
///
/// let users = Table::new("auth.public.users");
/// let ada = User { id: 7, email: "ada@example.com" };
/// let created = users.create(&ada);                    // key {"id":7}, value with before, after, source, op, …
/// let renamed = users.update(&ada, &User { id: 7, email: "ada@lovelace.org" });
/// let deleted = [users.delete(&ada), users.tombstone(&ada)];
/// ```
#[derive(Debug)]
pub struct Table {
    topic: String,
    key: Vec<String>,
    transactions: AtomicU64,
}

impl Table {
    /// A table, named as its topic is: `{prefix}.{schema}.{table}`. Its primary key is `id`.
    ///
    /// # Panics
    /// The name has not three parts.
    #[track_caller]
    pub fn new(topic: impl Into<String>) -> Self {
        let topic = topic.into();
        parts(&topic);
        Self {
            topic,
            key: vec!["id".to_owned()],
            transactions: AtomicU64::new(0),
        }
    }

    /// Sets the columns of the primary key. None: records have no key.
    #[must_use]
    pub fn key<C: Into<String>>(mut self, columns: impl IntoIterator<Item = C>) -> Self {
        self.key = columns.into_iter().map(Into::into).collect();
        self
    }

    /// Returns the topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// An insert.
    ///
    /// # Panics
    /// The row is no JSON object, or has not the columns of the key. So with all others.
    #[track_caller]
    pub fn create(&self, after: &impl Serialize) -> MessagePayload {
        let after = row(after);
        self.record('c', Some(&after), &json!(null), &after)
    }

    /// A row that a snapshot has read.
    #[track_caller]
    pub fn read(&self, after: &impl Serialize) -> MessagePayload {
        let after = row(after);
        self.record('r', Some(&after), &json!(null), &after)
    }

    /// An update. Under PostgreSQL's default replica identity there is no old row, unless the key changes: give `&()`.
    #[track_caller]
    pub fn update(&self, before: &impl Serialize, after: &impl Serialize) -> MessagePayload {
        let (before, after) = (to_json(before), row(after));
        self.record('u', Some(&after), &before, &after)
    }

    /// A delete. Under PostgreSQL's default replica identity only the key's columns of the old row are true; the others
    /// hold zero values, `""` and 0.
    #[track_caller]
    pub fn delete(&self, before: &impl Serialize) -> MessagePayload {
        let before = row(before);
        self.record('d', Some(&before), &before, &json!(null))
    }

    /// The record that follows a delete (`tombstones.on.delete`): the same key and a null value.
    #[track_caller]
    pub fn tombstone(&self, row_of_key: &impl Serialize) -> MessagePayload {
        match self.key_of(&row(row_of_key)) {
            Some(key) => MessagePayload::tombstone(key),
            None => misuse(&format!(
                "{} has no primary key, so it has no tombstones",
                self.topic
            )),
        }
    }

    /// The end of all rows: no key, no rows.
    pub fn truncate(&self) -> MessagePayload {
        self.record('t', None, &json!(null), &json!(null))
    }

    #[track_caller]
    fn record(
        &self,
        op: char,
        row_of_key: Option<&Value>,
        before: &Value,
        after: &Value,
    ) -> MessagePayload {
        let n = self.transactions.fetch_add(1, Ordering::Relaxed);
        let ts_ms = TS_MS + i64::try_from(n).unwrap_or(0);
        let (prefix, schema, table) = parts(&self.topic);
        let lsn = 24_023_128 + 56 * n;
        let snapshot = if op == 'r' { "true" } else { "false" };
        let value = json!({
            "before": before,
            "after": after,
            "source": {
                "version": VERSION,
                "connector": "postgresql",
                "name": prefix,
                "ts_ms": ts_ms,
                "snapshot": snapshot,
                "db": prefix,
                "sequence": format!("[\"{}\",\"{lsn}\"]", lsn - 56),
                "ts_us": ts_ms * 1_000,
                "ts_ns": ts_ms * 1_000_000,
                "schema": schema,
                "table": table,
                "txId": 771 + n,
                "lsn": lsn,
                "xmin": null,
            },
            "transaction": null,
            "op": op,
            "ts_ms": ts_ms + 200,
            "ts_us": (ts_ms + 200) * 1_000,
            "ts_ns": (ts_ms + 200) * 1_000_000,
        });
        let mut payload = MessagePayload::new(value.to_string())
            .header("__debezium.context.connectorLogicalName", prefix)
            .header("__debezium.context.taskId", "0")
            .header("__debezium.context.connectorName", "postgresql");
        if let Some(key) = row_of_key.and_then(|row| self.key_of(row)) {
            payload = payload.key(key);
        }
        payload
    }

    /// The key's columns as a JSON object; `None` without a primary key.
    #[track_caller]
    fn key_of(&self, row: &Value) -> Option<String> {
        if self.key.is_empty() {
            return None;
        }
        let mut key = Map::new();
        for column in &self.key {
            let Some(value) = row.get(column) else {
                misuse(&format!(
                    "a row of {} has no column {column:?}, which is of its key: name the key's columns, \
                     Table::new({:?}).key([..])",
                    self.topic, self.topic
                ));
            };
            key.insert(column.clone(), value.clone());
        }
        Some(Value::Object(key).to_string())
    }
}

#[track_caller]
fn row(row: &impl Serialize) -> Value {
    let row = to_json(row);
    if !row.is_object() {
        misuse(&format!("a row is a struct or a JSON object, not {row}"));
    }
    row
}
