//! A primary key that changed.

use serde::Deserialize;

use crate::connect;
use crate::decode_error::DecodeError;
use crate::extract::{FromContext, HandlerContext};
use crate::field;
use crate::payload::utf8;
use crate::record::Record;

/// Whether a record is part of a change of the primary key, which the connector sends as a delete of the old key (with its
/// tombstone) and a create of the new one. They can be in two partitions, so either can be handled first.
///
/// ```
/// use kafka_core::{Change, DatabaseEvent, KeyChange};
///
/// # #[derive(serde::Deserialize)]
/// # struct User { id: i64 }
/// #[derive(serde::Deserialize)]
/// struct UserKey { id: i64 }
///
/// async fn on_user(event: DatabaseEvent<User>, key: KeyChange<UserKey>) -> anyhow::Result<()> {
///     match (event.change, key) {
///         (Change::Create { after }, KeyChange::From(old)) => println!("{} is {} now", old.id, after.id),
///         (Change::Delete { .. }, KeyChange::To(_)) => {} // the create says it all
///         _ => {}
///     }
///     Ok(())
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyChange<K> {
    /// It is not.
    No,
    /// A delete, or its tombstone: the row has this key from now on (header `__debezium.newkey`).
    To(K),
    /// A create: the row had this key (header `__debezium.oldkey`).
    From(K),
}

impl<K> KeyChange<K> {
    /// Reads it from a record, such as one of a batch.
    ///
    /// # Errors
    /// The other key does not fit `K`.
    pub fn of<'m>(record: &'m Record) -> Result<Self, DecodeError>
    where
        K: Deserialize<'m>,
    {
        if let Some(key) = header(record, "__debezium.newkey")? {
            return Ok(Self::To(key));
        }
        let old = header(record, "__debezium.oldkey")?;
        Ok(old.map_or(Self::No, Self::From))
    }
}

impl<'m, K: Deserialize<'m>> FromContext<'m> for KeyChange<K> {
    fn from_context(record: &'m Record, _: &'m HandlerContext) -> Result<Self, DecodeError> {
        Self::of(record)
    }
}

fn header<'m, K: Deserialize<'m>>(
    record: &'m Record,
    name: &'static str,
) -> Result<Option<K>, DecodeError> {
    let Some(value) = record.header(name) else {
        return Ok(None);
    };
    let text = utf8(name, value)?;
    field::decode(name, connect::payload(text).unwrap_or(text)).map(Some)
}
