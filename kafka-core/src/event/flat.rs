//! Rows that were change events before a transform flattened them.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{FLAT_EVENT, OldRow, Operation};
use crate::connect;
use crate::field::Name;

/// A record of the transform `ExtractNewRecordState`: the row itself, without an envelope.
///
/// What becomes of a delete is the transform's `delete.tombstone.handling.mode`:
///
/// | mode | a delete is | take |
/// |---|---|---|
/// | `tombstone` (default), `delete-to-tombstone` | null | `Option<FlatEvent<T>>` |
/// | `drop` | nothing | `FlatEvent<T>` |
/// | `rewrite` | the row, with `__deleted` | `FlatEvent<T>` |
/// | `rewrite-with-tombstone` | the row, with `__deleted`, then null | `Option<FlatEvent<T>>` |
///
/// A null value and the text `null`, which the transform sends for a tombstone, are the same. Without `add.fields=op` nobody
/// can tell an insert from an update.
///
/// ```
/// use kafka_core::{FlatChange, FlatEvent, Operation};
///
/// #[derive(serde::Deserialize)]
/// struct User { id: i64, email: String }
///
/// let event: FlatEvent<User> =
///     serde_json::from_str(r#"{"id":7,"email":"a@b.c","__op":"u","__lsn":24023128,"__deleted":"false"}"#)?;
/// assert_eq!(event.op(), Some(Operation::Update));
/// assert_eq!(event.added["__lsn"], 24_023_128);
/// let FlatChange::Upsert { row } = event.change else { unreachable!() };
/// assert_eq!(row.email, "a@b.c");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FlatEvent<T> {
    /// The row.
    pub change: FlatChange<T>,
    /// What the transform added (`add.fields`), and every other field whose name begins with `__`.
    pub added: BTreeMap<String, Value>,
}

/// What became of a row.
#[derive(Debug, Clone)]
pub enum FlatChange<T> {
    /// It was inserted, updated or read by a snapshot.
    Upsert {
        /// The row as it is now.
        row: T,
    },
    /// It was deleted.
    Delete {
        /// The row as it was: only its key is true unless the table's replica identity is `FULL`.
        row: OldRow<T>,
    },
}

impl<T> FlatEvent<T> {
    /// Returns the kind of the change, if the transform added it: `add.fields=op`.
    pub fn op(&self) -> Option<Operation> {
        let code = self.added.get("__op")?.as_str()?;
        Some(Operation::of_code(code))
    }

    /// Returns the row as it is now; `None` if it was deleted.
    pub fn row(&self) -> Option<&T> {
        match &self.change {
            FlatChange::Upsert { row } => Some(row),
            FlatChange::Delete { .. } => None,
        }
    }

    /// A row, for calling a handler in a unit test.
    pub fn upsert(row: T) -> Self {
        Self {
            change: FlatChange::Upsert { row },
            added: BTreeMap::new(),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for FlatEvent<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(FLAT_EVENT, Row(std::marker::PhantomData))
    }
}

struct Row<T>(std::marker::PhantomData<fn() -> T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Row<T> {
    type Value = FlatEvent<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Self::Value, D::Error> {
        connect::unwrapped(deserializer, |json| {
            let row = <&RawValue>::deserialize(&mut *json)?;
            let Added(added) = serde_json::from_str(row.get())?;
            let change = if is_deleted(&added) {
                FlatChange::Delete {
                    row: OldRow::from_text(row),
                }
            } else {
                FlatChange::Upsert {
                    row: serde_json::from_str(row.get())?,
                }
            };
            Ok(FlatEvent { change, added })
        })
    }
}

fn is_deleted(added: &BTreeMap<String, Value>) -> bool {
    match added.get("__deleted") {
        Some(Value::String(text)) => text == "true",
        Some(Value::Bool(is_deleted)) => *is_deleted,
        _ => added.get("__op").is_some_and(|op| op == "d"),
    }
}

/// The fields whose names begin with `__`.
struct Added(BTreeMap<String, Value>);

impl<'de> Deserialize<'de> for Added {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Added;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a row")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Added, A::Error> {
                let mut added = BTreeMap::new();
                while let Some(Name(name)) = map.next_key::<Name<'de>>()? {
                    if name.starts_with("__") {
                        added.insert(name.into_owned(), map.next_value()?);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(Added(added))
            }
        }

        deserializer.deserialize_map(Fields)
    }
}
