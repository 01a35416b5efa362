//! Events of a database made by hand, for calling a handler directly. See [`debezium`](super::debezium) for the records.

use std::marker::PhantomData;

use serde::Serialize;
use serde_json::Value;

use super::by_hand::misuse;
use crate::event::{Change, DatabaseEvent, OldRow, Scalar, Source};

/// The time of every event that does not say another one: 2023-11-14, 22:13:20 UTC.
pub(super) const TS_MS: i64 = 1_700_000_000_000;
/// The version that the shape of sources was taken from.
pub(super) const VERSION: &str = "3.2.7.Final";

/// Events for calling a handler in a unit test.
///
/// ```
/// use kafka_core::{DatabaseEvent, Operation};
/// use serde_json::json;
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct User { id: i64, email: String }
///
/// let user = User { id: 7, email: "new@example.com".into() };
/// let event = DatabaseEvent::update(json!({"id": 7, "email": "old@example.com"}), user)
///     .in_table("auth.public.users")
///     .at_lsn(24_023_128);
/// assert_eq!(event.op(), Operation::Update);
/// assert_eq!(event.source.table, "users");
/// assert_eq!(event.before().map(|old| old.parse().unwrap().email), Some("old@example.com".into()));
/// ```
impl<T> DatabaseEvent<T> {
    /// A row that a snapshot has read.
    pub fn read(after: T) -> Self {
        Self::of(Change::Read { after })
    }

    /// An update; the old row is anything that is JSON, `()` if there is none, as under the default replica identity.
    ///
    /// # Panics
    /// The old row cannot be written as JSON.
    #[track_caller]
    pub fn update(before: impl Serialize, after: T) -> Self {
        let before = OldRow::of(&before);
        Self::of(Change::Update { before, after })
    }

    /// A delete; the old row is anything that is JSON, `()` if there is none.
    ///
    /// # Panics
    /// The old row cannot be written as JSON.
    #[track_caller]
    pub fn delete(before: impl Serialize) -> Self {
        let before = OldRow::of(&before);
        Self::of(Change::Delete { before })
    }

    /// The end of all rows of a table.
    pub fn truncate() -> Self {
        Self::of(Change::Truncate)
    }

    /// The same from a table, `{prefix}.{schema}.{table}` as its topic is called, with the source that PostgreSQL's
    /// connector sends.
    ///
    /// # Panics
    /// The name has not three parts.
    #[must_use]
    #[track_caller]
    pub fn in_table(mut self, name: &str) -> Self {
        let (prefix, schema, table) = parts(name);
        VERSION.clone_into(&mut self.source.version);
        "postgresql".clone_into(&mut self.source.connector);
        prefix.clone_into(&mut self.source.name);
        prefix.clone_into(&mut self.source.db);
        schema.clone_into(&mut self.source.schema);
        table.clone_into(&mut self.source.table);
        self.source.ts_ms.get_or_insert(TS_MS);
        self.source.tx_id.get_or_insert(Scalar::Number(771));
        self.source.lsn.get_or_insert(Scalar::Number(24_023_128));
        self.ts_ms.get_or_insert(TS_MS + 200);
        self
    }

    /// The same at a position of PostgreSQL's write-ahead log.
    #[must_use]
    pub fn at_lsn(mut self, lsn: u64) -> Self {
        self.source.lsn = Some(number(lsn));
        self
    }

    /// The same in a transaction of the database.
    #[must_use]
    pub fn in_transaction(mut self, tx_id: u64) -> Self {
        self.source.tx_id = Some(number(tx_id));
        self
    }

    /// The same, committed at this time, in milliseconds since the Unix epoch, and processed at the same time.
    #[must_use]
    pub fn at_ms(mut self, ts_ms: i64) -> Self {
        self.source.ts_ms = Some(ts_ms);
        self.ts_ms = Some(ts_ms);
        self
    }

    /// The same with another source.
    #[must_use]
    pub fn with_source(mut self, source: Source) -> Self {
        self.source = source.into();
        self
    }
}

impl<T> OldRow<T> {
    /// An old row of anything that is JSON; `None` if that is `null`.
    #[track_caller]
    fn of(row: &impl Serialize) -> Option<Self> {
        let json = to_json(row);
        if json.is_null() {
            return None;
        }
        match serde_json::value::to_raw_value(&json) {
            Ok(json) => Some(Self {
                json,
                row: PhantomData,
            }),
            Err(error) => misuse(&format!("the row cannot be written as JSON: {error}")),
        }
    }
}

/// A number; as text, if it is too large for one.
fn number(number: u64) -> Scalar {
    i64::try_from(number).map_or_else(|_| Scalar::Text(number.to_string()), Scalar::Number)
}

#[track_caller]
pub(super) fn to_json(row: &impl Serialize) -> Value {
    match serde_json::to_value(row) {
        Ok(json) => json,
        Err(error) => misuse(&format!("the row cannot be written as JSON: {error}")),
    }
}

/// Takes the name of a topic apart, as Debezium's PostgreSQL connector puts it together.
#[track_caller]
pub(super) fn parts(name: &str) -> (&str, &str, &str) {
    match name.split('.').collect::<Vec<_>>()[..] {
        [prefix, schema, table] => (prefix, schema, table),
        _ => misuse(&format!(
            "{name:?} is no table: write {{prefix}}.{{schema}}.{{table}}, such as \"auth.public.users\""
        )),
    }
}
