//! Changes of tables themselves.

use serde::Deserialize;
use serde::de::Deserializer;
use serde_json::Value;

use super::Source;
use crate::connect;

/// A record of the schema change topic, which is named as the connector's `topic.prefix`.
///
/// MySQL, MariaDB, SQL Server and Oracle have one. PostgreSQL has none: there, columns that are added, dropped or renamed just
/// appear in the rows, or are missing.
///
/// ```
/// # use kafka_core::SchemaChange;
/// let change: SchemaChange = serde_json::from_str(
///     r#"{"source":{"connector":"mysql"},"databaseName":"shop","ddl":"DROP TABLE carts",
///         "tableChanges":[{"type":"DROP","id":"\"shop\".\"carts\"","table":null}]}"#,
/// )?;
/// assert_eq!(change.ddl.as_deref(), Some("DROP TABLE carts"));
/// assert_eq!(change.table_changes[0].kind, "DROP");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
#[non_exhaustive]
pub struct SchemaChange {
    /// Where it happened.
    #[serde(default)]
    pub source: Source,
    /// When the connector processed it: milliseconds since the Unix epoch.
    #[serde(rename = "ts_ms")]
    pub ts_ms: Option<i64>,
    /// The database.
    pub database_name: Option<String>,
    /// The schema.
    pub schema_name: Option<String>,
    /// The statement; absent for what a snapshot read in some connectors.
    pub ddl: Option<String>,
    /// The tables as they are now.
    #[serde(default, deserialize_with = "connect::null_is_default")]
    pub table_changes: Vec<TableChange>,
}

impl<'de> Deserialize<'de> for SchemaChange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        connect::unwrapped(deserializer, |json| Self::deserialize(json))
    }
}

/// A table that a [`SchemaChange`] changed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct TableChange {
    /// `CREATE`, `ALTER` or `DROP`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The table's full name, in quotes: `"shop"."carts"`.
    pub id: String,
    /// Its columns and keys, as the connector describes them; null if it was dropped.
    #[serde(default)]
    pub table: Value,
}
