//! The transactions that changes are part of.

use serde::Deserialize;
use serde::de::Deserializer;

use crate::connect;

/// The transaction that a change is part of.
///
/// ```
/// # use kafka_core::Transaction;
/// let transaction: Transaction =
///     serde_json::from_str(r#"{"id":"771:24023128","total_order":2,"data_collection_order":1}"#)?;
/// assert_eq!(transaction.tx_id(), "771");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Transaction {
    /// With PostgreSQL `txId:lsn`, another for each event of a transaction: group by [`tx_id`](Self::tx_id).
    pub id: String,
    /// The event's place among all events of the transaction, from 1.
    pub total_order: i64,
    /// The event's place among the events of its table in the transaction, from 1.
    pub data_collection_order: i64,
}

impl Transaction {
    /// Returns the part of the id before the first `:`, which all events of a transaction share, and its
    /// [`TransactionMarker`]s.
    pub fn tx_id(&self) -> &str {
        before_colon(&self.id)
    }
}

/// An event of the transaction topic (`{prefix}.transaction`, with `provide.transaction.metadata=true`): where a transaction
/// begins and ends.
///
/// Begin and end are records of different keys or none, so they can be in different partitions, and the end can be read
/// first.
///
/// ```
/// use kafka_core::{TransactionMarker, TransactionStatus};
///
/// let end: TransactionMarker = serde_json::from_str(
///     r#"{"status":"END","id":"771:24023128","event_count":2,"ts_ms":1700000000000,
///         "data_collections":[{"data_collection":"public.users","event_count":2}]}"#,
/// )?;
/// assert_eq!(end.status, TransactionStatus::End);
/// assert_eq!(end.tx_id(), "771");
/// assert_eq!(end.data_collections[0].event_count, 2);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct TransactionMarker {
    /// Begin or end.
    pub status: TransactionStatus,
    /// See [`Transaction::id`].
    pub id: String,
    /// How many events the transaction had; only at its end.
    pub event_count: Option<i64>,
    /// How many of them each table had; only at its end.
    #[serde(default, deserialize_with = "connect::null_is_default")]
    pub data_collections: Vec<DataCollection>,
    /// When the connector processed it: milliseconds since the Unix epoch.
    pub ts_ms: Option<i64>,
}

impl TransactionMarker {
    /// Returns what the transaction's events have as [`Transaction::tx_id`].
    pub fn tx_id(&self) -> &str {
        before_colon(&self.id)
    }
}

impl<'de> Deserialize<'de> for TransactionMarker {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        connect::unwrapped(deserializer, |json| Self::deserialize(json))
    }
}

/// Whether a transaction begins or ends.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[non_exhaustive]
pub enum TransactionStatus {
    /// `BEGIN`
    Begin,
    /// `END`
    End,
}

/// A table's part in a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct DataCollection {
    /// The table: `schema.table` with PostgreSQL.
    pub data_collection: String,
    /// How many events the transaction had of it.
    pub event_count: i64,
}

fn before_colon(id: &str) -> &str {
    id.split_once(':').map_or(id, |(tx_id, _)| tx_id)
}
