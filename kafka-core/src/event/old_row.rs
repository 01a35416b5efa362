//! A row as it was.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::Deserializer;
use serde_json::value::RawValue;

use crate::decode_error::DecodeError;
use crate::field;

/// The row as it was, not yet decoded: until it is asked for, it costs one copy of its text.
///
/// Not a `T`, because `before` lies: under PostgreSQL's default replica identity only the columns of the key are what they
/// were. Of a deleted row the connector sends every other column that is `NOT NULL` as a made-up value (its constant
/// default, else `""`, `0`, `false`, `"1970-01-01T00:00:00Z"`, `"{}"`), and the rest as null; `""` where a UUID or JSON
/// belongs does not even decode. So ask for what you trust:
///
/// | the table's replica identity | before an update | before a delete | use |
/// |---|---|---|---|
/// | `DEFAULT` (the primary key) | absent | the key is true, the rest is made up | [`key`](Self::key) |
/// | `FULL` | complete | complete | [`parse`](Self::parse) |
/// | `USING INDEX` | absent | the columns of the index are true | [`column`](Self::column) |
///
/// `ALTER TABLE users REPLICA IDENTITY FULL` makes PostgreSQL write whole old rows; nothing in the event says which
/// identity the table has.
///
/// ```
/// use kafka_core::{Change, DatabaseEvent};
/// use serde_json::json;
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct User { id: i64, email: String }
///
/// #[derive(serde::Deserialize)]
/// struct UserKey { id: i64 }
///
/// // As it comes from a table with the default replica identity: the address is made up.
/// let event: DatabaseEvent<User> =
///     serde_json::from_str(r#"{"before":{"id":7,"email":""},"after":null,"op":"d","ts_ms":1}"#)?;
/// if let Change::Delete { before: Some(old) } = &event.change {
///     assert_eq!(old.key::<UserKey>()?.id, 7);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct OldRow<T> {
    pub(crate) json: Box<RawValue>,
    pub(crate) row: PhantomData<fn() -> T>,
}

impl<T> OldRow<T> {
    pub(super) fn from_text(json: &RawValue) -> Self {
        Self {
            json: json.to_owned(),
            row: PhantomData,
        }
    }

    /// Decodes the whole row. True only if the table's replica identity is `FULL`.
    ///
    /// # Errors
    /// The row does not fit `T`: a good event of a table with another replica identity can have such a row.
    pub fn parse<'a>(&'a self) -> Result<T, DecodeError>
    where
        T: Deserialize<'a>,
    {
        self.key()
    }

    /// Decodes some columns of the row: a struct with those of the primary key, which are true under each replica identity.
    ///
    /// # Errors
    /// The columns do not fit `K`, or one is missing.
    pub fn key<'a, K: Deserialize<'a>>(&'a self) -> Result<K, DecodeError> {
        field::decode("before", self.json.get())
    }

    /// Decodes one column; `None` if the row has no column of this name.
    ///
    /// ```
    /// # use kafka_core::DatabaseEvent;
    /// # use serde_json::json;
    /// let event: DatabaseEvent<serde_json::Value> =
    ///     serde_json::from_str(r#"{"before":{"id":7},"after":null,"op":"d"}"#)?;
    /// let old = event.before().ok_or("no old row")?;
    /// assert_eq!(old.column::<i64>("id")?, Some(7));
    /// assert_eq!(old.column::<String>("email")?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The column does not fit `V`, or the row is no JSON object.
    pub fn column<'a, V: Deserialize<'a>>(&'a self, name: &str) -> Result<Option<V>, DecodeError> {
        field::decode_one("before", self.json.get(), name)
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
