//! A change of a database row, as Debezium sends it.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use serde_json::value::RawValue;

/// A change event of Debezium's JSON envelope: `before`, `after`, `source`, `transaction`, `op`, `ts_ms`.
///
/// ```
/// use kafka_core::{Change, DatabaseEvent};
///
/// #[derive(serde::Deserialize)]
/// struct User { id: i64, email: String }
///
/// let event: DatabaseEvent<User> = serde_json::from_str(
///     r#"{"before":null,"after":{"id":7,"email":"a@b.c"},"source":{"schema":"public","table":"users"},
///         "op":"c","ts_ms":1700000000000}"#,
/// )?;
/// match event.change {
///     Change::Create { after } => assert_eq!(after.email, "a@b.c"),
///     _ => unreachable!(),
/// }
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct DatabaseEvent<T> {
    /// What happened, with the rows.
    pub change: Change<T>,
    /// Where in the database it happened.
    pub source: Source,
    /// The transaction, if the connector provides it (`provide.transaction.metadata`).
    pub transaction: Option<Transaction>,
    /// When the connector processed the change: milliseconds since the Unix epoch.
    pub ts_ms: Option<i64>,
}

/// What happened to a row or a table.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Change<T> {
    /// A row was inserted (`c`).
    Create {
        /// The new row.
        after: T,
    },
    /// A row was read by a snapshot (`r`).
    Read {
        /// The row.
        after: T,
    },
    /// A row was updated (`u`).
    Update {
        /// The old row; absent under the default replica identity unless the key changed.
        before: Option<OldRow<T>>,
        /// The new row.
        after: T,
    },
    /// A row was deleted (`d`).
    Delete {
        /// The old row; under the default replica identity only its key columns are true.
        before: Option<OldRow<T>>,
    },
    /// The table was truncated (`t`).
    Truncate,
    /// A logical decoding message (`m`).
    Message,
    /// An operation that this version does not know.
    Other {
        /// The code that was sent.
        op: String,
    },
}

/// The kind of a change, as Debezium's one-letter code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// `c`
    Create,
    /// `r`
    Read,
    /// `u`
    Update,
    /// `d`
    Delete,
    /// `t`
    Truncate,
    /// `m`
    Message,
    /// Any other code.
    Other,
}

impl Operation {
    /// Returns Debezium's code; `?` for one that this version does not know.
    pub fn code(self) -> char {
        match self {
            Self::Create => 'c',
            Self::Read => 'r',
            Self::Update => 'u',
            Self::Delete => 'd',
            Self::Truncate => 't',
            Self::Message => 'm',
            Self::Other => '?',
        }
    }
}

impl<T> DatabaseEvent<T> {
    /// Returns the kind of the change.
    pub fn op(&self) -> Operation {
        match self.change {
            Change::Create { .. } => Operation::Create,
            Change::Read { .. } => Operation::Read,
            Change::Update { .. } => Operation::Update,
            Change::Delete { .. } => Operation::Delete,
            Change::Truncate => Operation::Truncate,
            Change::Message => Operation::Message,
            Change::Other { .. } => Operation::Other,
        }
    }

    /// Returns the old row, if the event has one.
    pub fn before(&self) -> Option<&OldRow<T>> {
        match &self.change {
            Change::Update { before, .. } | Change::Delete { before } => before.as_ref(),
            _ => None,
        }
    }

    /// Returns the new row, if the event has one.
    pub fn after(&self) -> Option<&T> {
        match &self.change {
            Change::Create { after } | Change::Read { after } | Change::Update { after, .. } => {
                Some(after)
            }
            _ => None,
        }
    }

    /// An event without a source, for calling a handler in a unit test.
    pub fn of(change: Change<T>) -> Self {
        Self {
            change,
            source: Source::default(),
            transaction: None,
            ts_ms: None,
        }
    }

    /// An insert of this row, for calling a handler in a unit test.
    pub fn create(after: T) -> Self {
        Self::of(Change::Create { after })
    }
}

/// The row as it was, not yet decoded.
///
/// Under PostgreSQL's default replica identity the columns outside the key hold made-up zero values, so a decoded old
/// row may lie, and may fail to decode. [`parse`](Self::parse) decodes it on request; until then it costs one copy.
#[derive(Clone)]
pub struct OldRow<T> {
    pub(crate) json: Box<RawValue>,
    pub(crate) row: PhantomData<fn() -> T>,
}

impl<T> OldRow<T> {
    /// Decodes the row.
    ///
    /// # Errors
    /// The row does not fit `T`; see the type's own description for why a good event can have such a row.
    pub fn parse<'a>(&'a self) -> Result<T, crate::DecodeError>
    where
        T: Deserialize<'a>,
    {
        serde_json::from_str(self.json.get()).map_err(|error| {
            crate::DecodeError::from_json("before", std::any::type_name::<T>(), &error)
        })
    }
}

impl<T> fmt::Debug for OldRow<T> {
    /// Never shows the row.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OldRow")
    }
}

impl<'de, T> Deserialize<'de> for OldRow<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self {
            json: Box::deserialize(deserializer)?,
            row: PhantomData,
        })
    }
}

/// Where a change comes from. Fields that the connector does not send are `None` or empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Source {
    /// Debezium's version.
    pub version: String,
    /// The connector: `postgresql`, `mysql`, …
    pub connector: String,
    /// The connector's `topic.prefix`.
    pub name: String,
    /// The commit time in the database: milliseconds since the Unix epoch.
    pub ts_ms: i64,
    /// The database.
    pub db: String,
    /// The schema.
    pub schema: String,
    /// The table.
    pub table: String,
    /// The transaction's id in the database.
    #[serde(rename = "txId")]
    pub tx_id: Option<serde_json::Value>,
    /// The position in PostgreSQL's write-ahead log.
    pub lsn: Option<serde_json::Value>,
}

/// The transaction that a change is part of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Transaction {
    /// `txId:lsn`; only the part before the colon is the same for all events of a transaction.
    pub id: String,
    /// The event's place among all events of the transaction, from 1.
    pub total_order: i64,
    /// The event's place among the events of its table in the transaction, from 1.
    pub data_collection_order: i64,
}

#[derive(Deserialize)]
#[serde(bound = "T: Deserialize<'de>")]
struct Envelope<'m, T> {
    #[serde(default = "none")]
    before: Option<OldRow<T>>,
    #[serde(default = "none")]
    after: Option<T>,
    #[serde(default)]
    source: Option<Source>,
    #[serde(default)]
    transaction: Option<Transaction>,
    #[serde(borrow)]
    op: Cow<'m, str>,
    ts_ms: Option<i64>,
}

fn none<T>() -> Option<T> {
    None
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for DatabaseEvent<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let envelope = Envelope::<T>::deserialize(deserializer)?;
        let before = envelope.before;
        let row = |after: Option<T>| after.ok_or_else(|| D::Error::missing_field("after"));
        let change = match &*envelope.op {
            "c" => Change::Create {
                after: row(envelope.after)?,
            },
            "r" => Change::Read {
                after: row(envelope.after)?,
            },
            "u" => Change::Update {
                before,
                after: row(envelope.after)?,
            },
            "d" => Change::Delete { before },
            "t" => Change::Truncate,
            "m" => Change::Message,
            other => Change::Other {
                op: other.to_owned(),
            },
        };
        Ok(Self {
            change,
            source: envelope.source.unwrap_or_default(),
            transaction: envelope.transaction,
            ts_ms: envelope.ts_ms,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Row<'m> {
        id: i64,
        #[serde(borrow)]
        name: Cow<'m, str>,
    }

    fn event(json: &str) -> DatabaseEvent<Row<'_>> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn an_update_without_an_old_row_has_none() {
        let event =
            event(r#"{"before":null,"after":{"id":1,"name":"a"},"source":{},"op":"u","ts_ms":1}"#);

        assert!(matches!(event.change, Change::Update { before: None, .. }));
        assert_eq!(event.op(), Operation::Update);
    }

    #[test]
    fn an_old_row_is_decoded_on_request_and_never_shown() {
        let event = event(r#"{"before":{"id":1,"name":"secret"},"after":null,"op":"d","ts_ms":1}"#);

        assert!(!format!("{:?}", event.before()).contains("secret"));
        assert_eq!(event.before().unwrap().parse().unwrap().name, "secret");
    }

    #[test]
    fn an_old_row_that_does_not_fit_is_no_error_until_it_is_read() {
        let event = event(r#"{"before":{"id":1},"after":{"id":1,"name":"a"},"op":"u","ts_ms":1}"#);

        assert!(event.before().unwrap().parse().is_err());
        assert_eq!(event.after().unwrap().id, 1);
    }

    #[test]
    fn an_unknown_operation_is_kept() {
        let event = event(r#"{"before":null,"after":null,"op":"x","ts_ms":1}"#);

        assert!(matches!(event.change, Change::Other { op } if op == "x"));
    }

    #[test]
    fn a_create_without_a_row_is_an_error() {
        let result = serde_json::from_str::<DatabaseEvent<Row<'_>>>(r#"{"after":null,"op":"c"}"#);

        assert!(
            result
                .unwrap_err()
                .to_string()
                .contains("missing field `after`")
        );
    }
}
