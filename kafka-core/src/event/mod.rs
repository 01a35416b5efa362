//! Changes of database rows, as Debezium sends them.
//!
//! | file | has |
//! |---|---|
//! | `mod`, `envelope` | [`DatabaseEvent`], and how it is read |
//! | `old_row`, `source`, `transaction` | its parts |
//! | `flat` | [`FlatEvent`]: a row that was an event before a transform flattened it |
//! | `change_id`, `key_change` | what a record says besides: [`ChangeId`], [`KeyChange`] |
//! | `outbox`, `heartbeat`, `schema_change`, `signal` | what else a connector sends, or takes |

mod change_id;
mod envelope;
mod flat;
mod heartbeat;
mod key_change;
mod lazy_source;
mod message;
mod old_row;
mod outbox;
mod schema_change;
mod signal;
mod source;
#[cfg(test)]
mod tests;
mod time;
mod transaction;

use std::time::{Duration, SystemTime};

pub use self::change_id::ChangeId;
pub use self::flat::{FlatChange, FlatEvent};
pub use self::heartbeat::{Heartbeat, HeartbeatKey};
pub use self::key_change::KeyChange;
pub use self::lazy_source::LazySource;
pub use self::message::MessageContent;
pub use self::old_row::OldRow;
pub use self::outbox::OutboxEvent;
pub use self::schema_change::{SchemaChange, TableChange};
pub use self::signal::Signal;
pub use self::source::{Scalar, Snapshot, Source};
pub use self::transaction::{DataCollection, Transaction, TransactionMarker, TransactionStatus};

/// What [`DatabaseEvent`] and [`FlatEvent`] call themselves when they are decoded.
pub(crate) const DATABASE_EVENT: &str = "DatabaseEvent";
/// See [`DATABASE_EVENT`].
pub(crate) const FLAT_EVENT: &str = "FlatEvent";

/// A change event of Debezium's envelope: `before`, `after`, `source`, `transaction`, `op`, `ts_ms`.
///
/// Read from JSON, with its schema (`schemas.enable=true`: `{"schema": …, "payload": …}`) or without, whichever a record has.
/// Records without an envelope (the transform `ExtractNewRecordState`) are [`FlatEvent`]s. A tombstone, which follows a
/// delete, is a null value: take `Option<DatabaseEvent<T>>`, or set `tombstones.on.delete=false`.
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
#[non_exhaustive]
pub struct DatabaseEvent<T> {
    /// What happened, with the rows.
    pub change: Change<T>,
    /// Where in the database it happened.
    pub source: LazySource,
    /// The transaction, if the connector provides it (`provide.transaction.metadata`).
    pub transaction: Option<Transaction>,
    /// When the connector processed the change: milliseconds since the Unix epoch.
    pub ts_ms: Option<i64>,
    /// The same in microseconds; from Debezium 2.6 on.
    pub ts_us: Option<i64>,
    /// The same in nanoseconds; from Debezium 2.6 on.
    pub ts_ns: Option<i64>,
}

/// What happened to a row or a table.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Change<T> {
    /// A row was inserted (`c`). Also the second half of a change of the primary key, see [`KeyChange`].
    Create {
        /// The new row.
        after: T,
    },
    /// A row was read by a snapshot (`r`).
    Read {
        /// The row.
        after: T,
    },
    /// A row was updated (`u`); also by an update that changed nothing.
    Update {
        /// The old row; absent under the default replica identity, see [`OldRow`].
        before: Option<OldRow<T>>,
        /// The new row.
        after: T,
    },
    /// A row was deleted (`d`). Also the first half of a change of the primary key, see [`KeyChange`].
    Delete {
        /// The old row; under the default replica identity only its key columns are true. Absent if the table has no
        /// replica identity, which PostgreSQL allows only for tables that are not updated.
        before: Option<OldRow<T>>,
    },
    /// The table was truncated (`t`): sent with `skipped.operations=none`, once for each table, without a key.
    Truncate,
    /// A logical decoding message (`m`): what `pg_logical_emit_message` wrote, in the topic `{prefix}.message`.
    Message {
        /// What kind of message it is; also the record's key, `{"prefix": …}`.
        prefix: String,
        /// The message.
        content: MessageContent,
    },
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

    pub(crate) fn of_code(code: &str) -> Self {
        match code {
            "c" => Self::Create,
            "r" => Self::Read,
            "u" => Self::Update,
            "d" => Self::Delete,
            "t" => Self::Truncate,
            "m" => Self::Message,
            _ => Self::Other,
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
            Change::Message { .. } => Operation::Message,
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

    /// Tells whether an update changed a column; `None` if nobody can know: the event is no update, or has no old row (the
    /// table's replica identity is not `FULL`), or one that does not decode.
    ///
    /// A column that is `Unavailable` (unchanged TOAST) differs from the old row's value although it did not change: compare
    /// with [`Toast::or`](crate::column::Toast::or), or filter by the attribute's `changed = ["email"]`, which knows.
    ///
    /// ```
    /// use kafka_core::DatabaseEvent;
    ///
    /// #[derive(serde::Deserialize)]
    /// struct User { id: i64, email: String }
    ///
    /// let event: DatabaseEvent<User> = serde_json::from_str(
    ///     r#"{"before":{"id":7,"email":"a@b.c"},"after":{"id":7,"email":"x@y.z"},"op":"u"}"#,
    /// )?;
    /// assert_eq!(event.changed(|user| &user.email), Some(true));
    /// assert_eq!(event.changed(|user| &user.id), Some(false));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn changed<'a, V: PartialEq + ?Sized>(
        &'a self,
        column: impl for<'r> Fn(&'r T) -> &'r V,
    ) -> Option<bool>
    where
        T: serde::Deserialize<'a>,
    {
        let Change::Update {
            before: Some(before),
            after,
        } = &self.change
        else {
            return None;
        };
        let before = before.parse().ok()?;
        Some(column(&before) != column(after))
    }

    /// Returns when the connector processed the change.
    pub fn processed_at(&self) -> Option<SystemTime> {
        time::moment(self.ts_ms, self.ts_us, self.ts_ns)
    }

    /// Returns how long ago the change was committed, by this machine's clock: the lag of everything, from the database to
    /// here. Zero if the clocks disagree; `None` if the event does not say.
    pub fn lag(&self) -> Option<Duration> {
        self.lag_at(SystemTime::now())
    }

    /// Returns how long before `now` the change was committed.
    ///
    /// ```
    /// use std::time::{Duration, UNIX_EPOCH};
    /// use kafka_core::DatabaseEvent;
    ///
    /// let event: DatabaseEvent<i64> =
    ///     serde_json::from_str(r#"{"after":7,"op":"c","source":{"ts_ms":1000},"ts_ms":1200}"#)?;
    /// assert_eq!(event.lag_at(UNIX_EPOCH + Duration::from_secs(3)), Some(Duration::from_secs(2)));
    /// assert_eq!(event.connector_lag(), Some(Duration::from_millis(200)));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn lag_at(&self, now: SystemTime) -> Option<Duration> {
        Some(time::between(self.source.committed_at()?, now))
    }

    /// Returns how long after the commit the connector processed the change: the part of [`lag`](Self::lag) that is the
    /// connector's.
    pub fn connector_lag(&self) -> Option<Duration> {
        self.lag_at(self.processed_at()?)
    }

    /// An event without a source, for calling a handler in a unit test.
    pub fn of(change: Change<T>) -> Self {
        Self {
            change,
            source: LazySource::default(),
            transaction: None,
            ts_ms: None,
            ts_us: None,
            ts_ns: None,
        }
    }

    /// An insert of this row, for calling a handler in a unit test.
    pub fn create(after: T) -> Self {
        Self::of(Change::Create { after })
    }
}
