//! What a connector can be told.

use serde::{Deserialize, Serialize};
use serde_json::json;

/// A row of Debezium's signal table (`signal.data.collection`), to tell a connector something while it runs.
///
/// Insert [`id`](Self::id), [`kind`](Self::kind) and [`data`](Self::data) into its three columns `id`, `type` and `data`. The table's own
/// changes are ordinary events, `DatabaseEvent<Signal>`, if it is captured.
///
/// ```
/// # use kafka_core::Signal;
/// // INSERT INTO debezium_signal (id, type, data) VALUES ($1, $2, $3)
/// let signal = Signal::execute_snapshot("again-1", ["public.users"]);
/// assert_eq!(signal.kind, "execute-snapshot");
/// assert_eq!(signal.data.as_deref(), Some(r#"{"data-collections":["public.users"],"type":"incremental"}"#));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Signal {
    /// Any text that no other signal has; at most 42 characters in Debezium's own table.
    pub id: String,
    /// What is to be done: `execute-snapshot`, `stop-snapshot`, `pause-snapshot`, `resume-snapshot`, `log`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The particulars, as JSON in text.
    pub data: Option<String>,
}

impl Signal {
    /// Any signal.
    pub fn new(id: impl Into<String>, kind: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            kind: kind.into(),
            data: None,
        }
    }

    /// The same with particulars.
    #[must_use]
    pub fn data(mut self, data: &serde_json::Value) -> Self {
        self.data = Some(data.to_string());
        self
    }

    /// Reads tables once more, beside the changes as they happen: their rows arrive as [`Change::Read`](super::Change::Read)
    /// with [`Snapshot::Incremental`](super::Snapshot::Incremental). Tables are `schema.table`, or regular expressions.
    pub fn execute_snapshot<T: Into<String>>(
        id: impl Into<String>,
        tables: impl IntoIterator<Item = T>,
    ) -> Self {
        Self::of_tables(id, "execute-snapshot", tables)
    }

    /// Ends an incremental snapshot of these tables; of all, if none is named.
    pub fn stop_snapshot<T: Into<String>>(
        id: impl Into<String>,
        tables: impl IntoIterator<Item = T>,
    ) -> Self {
        Self::of_tables(id, "stop-snapshot", tables)
    }

    fn of_tables<T: Into<String>>(
        id: impl Into<String>,
        kind: &str,
        tables: impl IntoIterator<Item = T>,
    ) -> Self {
        let tables: Vec<String> = tables.into_iter().map(Into::into).collect();
        let data = if tables.is_empty() {
            json!({"type": "incremental"})
        } else {
            json!({"type": "incremental", "data-collections": tables})
        };
        Self::new(id, kind).data(&data)
    }
}
