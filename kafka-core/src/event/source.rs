//! Where a change comes from.

use std::collections::BTreeMap;
use std::fmt;
use std::time::SystemTime;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::decode_error::DecodeError;
use crate::field::Name;

/// Where in the database a change happened. Fields that the connector does not send are `None` or empty.
///
/// The fields are those of PostgreSQL's connector. What other connectors send beside the common part (`version`, `connector`,
/// `name`, `ts_*`, `snapshot`, `db`, `sequence`, `schema`, `table`) is in [`other`](Self::other):
///
/// | connector | fields there |
/// |---|---|
/// | MySQL, MariaDB | `server_id`, `gtid`, `file`, `pos`, `row`, `thread`, `query` |
/// | SQL Server | `change_lsn`, `commit_lsn` (text), `event_serial_no` |
/// | Oracle | `scn`, `commit_scn` (text), `rs_id`, `ssn`, `redo_thread`, … |
/// | MongoDB | `collection`, `ord`, `lsid`, `txnNumber`, … |
///
/// ```
/// use kafka_core::{DatabaseEvent, Snapshot};
///
/// let event: DatabaseEvent<serde_json::Value> = serde_json::from_str(
///     r#"{"after":{"id":7},"op":"r","source":{"connector":"mysql","db":"shop","table":"orders",
///         "snapshot":"last","file":"binlog.000003","pos":154}}"#,
/// )?;
/// assert_eq!(event.source.snapshot, Snapshot::Last);
/// assert_eq!(event.source.get::<u64>("pos")?, Some(154));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Source {
    /// Debezium's version.
    pub version: String,
    /// The connector: `postgresql`, `mysql`, `sqlserver`, `oracle`, `mongodb`, …
    pub connector: String,
    /// The connector's `topic.prefix`.
    pub name: String,
    /// The commit time in the database: milliseconds since the Unix epoch.
    pub ts_ms: Option<i64>,
    /// The same in microseconds; from Debezium 2.6 on.
    pub ts_us: Option<i64>,
    /// The same in nanoseconds; from Debezium 2.6 on.
    pub ts_ns: Option<i64>,
    /// Whether a snapshot read the row, and which of its rows this is.
    pub snapshot: Snapshot,
    /// The database.
    pub db: String,
    /// Positions as the connector writes them down, for ordering; see [`sequence_lsns`](Self::sequence_lsns).
    pub sequence: Option<String>,
    /// The schema.
    pub schema: String,
    /// The table.
    pub table: String,
    /// The transaction's id in the database. Null for rows of an incremental snapshot.
    pub tx_id: Option<Scalar>,
    /// The position in PostgreSQL's write-ahead log. Null for rows of an incremental snapshot.
    pub lsn: Option<Scalar>,
    /// The oldest transaction that was running, if the connector tracks it (`xmin.fetch.interval.ms`).
    pub xmin: Option<i64>,
    /// What other connectors send.
    pub other: BTreeMap<String, Value>,
}

impl Source {
    /// Returns the position in PostgreSQL's write-ahead log as a number.
    pub fn lsn(&self) -> Option<u64> {
        self.lsn.as_ref()?.as_u64()
    }

    /// Returns the two positions of PostgreSQL's `sequence`: of the commit before, and of this change.
    ///
    /// ```
    /// # use kafka_core::Source;
    /// let source: Source = serde_json::from_str(r#"{"sequence":"[null,\"27951680\"]"}"#)?;
    /// assert_eq!(source.sequence_lsns(), Some((None, Some(27_951_680))));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn sequence_lsns(&self) -> Option<(Option<u64>, Option<u64>)> {
        let (commit, event): (Option<String>, Option<String>) =
            serde_json::from_str(self.sequence.as_deref()?).ok()?;
        let number = |text: Option<String>| text.and_then(|text| text.parse().ok());
        Some((number(commit), number(event)))
    }

    /// Returns the commit time in the database, as exactly as the connector sends it.
    pub fn committed_at(&self) -> Option<SystemTime> {
        super::time::moment(self.ts_ms, self.ts_us, self.ts_ns)
    }

    /// Decodes a field that is not of PostgreSQL's connector; `None` if it is absent or null.
    ///
    /// # Errors
    /// The field does not fit `V`.
    pub fn get<V: DeserializeOwned>(&self, field: &str) -> Result<Option<V>, DecodeError> {
        let Some(value) = self.other.get(field).filter(|value| !value.is_null()) else {
            return Ok(None);
        };
        let value = V::deserialize(value);
        value
            .map(Some)
            .map_err(|error| DecodeError::from_json("source", std::any::type_name::<V>(), &error))
    }
}

/// What is a number in one connector and text in another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scalar {
    /// A number.
    Number(i64),
    /// Text.
    Text(String),
}

impl Scalar {
    /// Returns the number, also if it was sent as text; `None` if it is none, or below zero.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Number(number) => u64::try_from(*number).ok(),
            Self::Text(text) => text.parse().ok(),
        }
    }
}

impl From<i64> for Scalar {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl Visitor<'_> for Either {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of 64 bits, or text")
            }

            fn visit_i64<E>(self, number: i64) -> Result<Scalar, E> {
                Ok(Scalar::Number(number))
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Scalar, E> {
                i64::try_from(number)
                    .map(Scalar::Number)
                    .map_err(|_| E::invalid_value(serde::de::Unexpected::Unsigned(number), &self))
            }

            fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar::Text(text.to_owned()))
            }
        }

        deserializer.deserialize_any(Either)
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

/// Whether a snapshot read a row: `source.snapshot`, which is text, a boolean or null.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Snapshot {
    /// It is a change as it happened: `"false"`, `false`, null (`replace.null.with.default=false`) or absent.
    #[default]
    No,
    /// A row of a snapshot: `"true"`, `true`.
    Yes,
    /// The first of all rows: `"first"`.
    First,
    /// The first row of its table: `"first_in_data_collection"`.
    FirstInDataCollection,
    /// The last row of its table: `"last_in_data_collection"`.
    LastInDataCollection,
    /// The last of all rows: `"last"`.
    Last,
    /// A row of an incremental snapshot, between changes as they happen: `"incremental"`.
    Incremental,
    /// A word that this version does not know.
    Other(String),
}

impl Snapshot {
    /// True if a snapshot read the row, of whatever kind.
    pub fn is_snapshot(&self) -> bool {
        *self != Self::No
    }
}

impl<'de> Deserialize<'de> for Snapshot {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;

        impl Visitor<'_> for Words {
            type Value = Snapshot;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text, a boolean or null")
            }

            fn visit_str<E>(self, word: &str) -> Result<Snapshot, E> {
                Ok(match word {
                    "false" => Snapshot::No,
                    "true" => Snapshot::Yes,
                    "first" => Snapshot::First,
                    "first_in_data_collection" => Snapshot::FirstInDataCollection,
                    "last_in_data_collection" => Snapshot::LastInDataCollection,
                    "last" => Snapshot::Last,
                    "incremental" => Snapshot::Incremental,
                    other => Snapshot::Other(other.to_owned()),
                })
            }

            fn visit_bool<E>(self, is_snapshot: bool) -> Result<Snapshot, E> {
                Ok(if is_snapshot {
                    Snapshot::Yes
                } else {
                    Snapshot::No
                })
            }

            fn visit_unit<E>(self) -> Result<Snapshot, E> {
                Ok(Snapshot::No)
            }
        }

        deserializer.deserialize_any(Words)
    }
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Source;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the source of a change")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Source, A::Error> {
                let mut source = Source::default();
                while let Some(field) = map.next_key::<Name<'de>>()? {
                    match &*field.0 {
                        "version" => source.version = text(&mut map)?,
                        "connector" => source.connector = text(&mut map)?,
                        "name" => source.name = text(&mut map)?,
                        "ts_ms" => source.ts_ms = map.next_value()?,
                        "ts_us" => source.ts_us = map.next_value()?,
                        "ts_ns" => source.ts_ns = map.next_value()?,
                        "snapshot" => source.snapshot = map.next_value()?,
                        "db" => source.db = text(&mut map)?,
                        "sequence" => source.sequence = map.next_value()?,
                        "schema" => source.schema = text(&mut map)?,
                        "table" => source.table = text(&mut map)?,
                        "txId" => source.tx_id = map.next_value()?,
                        "lsn" => source.lsn = map.next_value()?,
                        "xmin" => source.xmin = map.next_value()?,
                        other => {
                            source.other.insert(other.to_owned(), map.next_value()?);
                        }
                    }
                }
                Ok(source)
            }
        }

        deserializer.deserialize_struct("Source", &[], Fields)
    }
}

/// Reads text; null is empty, as MySQL's `table` is for an event of no table.
fn text<'de, A: MapAccess<'de>>(map: &mut A) -> Result<String, A::Error> {
    Ok(map.next_value::<Option<String>>()?.unwrap_or_default())
}
