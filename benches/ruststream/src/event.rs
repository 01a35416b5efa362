//! What a record holds: a change of one row, in Debezium's JSON without its schema.

use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[expect(
    dead_code,
    reason = "decoded because a service would have it, not read"
)]
pub(crate) struct Event {
    pub(crate) before: Option<Row>,
    pub(crate) after: Option<Row>,
    pub(crate) source: Source,
    pub(crate) op: String,
    pub(crate) ts_ms: Option<i64>,
    pub(crate) ts_us: Option<i64>,
    pub(crate) ts_ns: Option<i64>,
    pub(crate) transaction: Option<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
#[expect(
    dead_code,
    reason = "decoded because a service would have it, not read"
)]
pub(crate) struct Row {
    pub(crate) id: i64,
    pub(crate) email: String,
    pub(crate) name: String,
    pub(crate) status: String,
    pub(crate) balance: String,
    pub(crate) created_at: i64,
    pub(crate) version: i32,
    pub(crate) note: Option<String>,
}

#[derive(Debug, Deserialize)]
#[expect(
    dead_code,
    reason = "decoded because a service would have it, not read"
)]
pub(crate) struct Source {
    pub(crate) version: String,
    pub(crate) connector: String,
    pub(crate) name: String,
    pub(crate) ts_ms: i64,
    pub(crate) snapshot: Option<String>,
    pub(crate) db: String,
    pub(crate) sequence: Option<String>,
    pub(crate) ts_us: Option<i64>,
    pub(crate) ts_ns: Option<i64>,
    pub(crate) schema: String,
    pub(crate) table: String,
    #[serde(rename = "txId")]
    pub(crate) tx_id: Option<i64>,
    pub(crate) lsn: Option<i64>,
    pub(crate) xmin: Option<i64>,
}
