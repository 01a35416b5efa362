//! Which change events a handler wants: by Debezium's operation, and by the columns that an update changed.
//!
//! The question is asked of the bytes, before anything is decoded, and it is asked of every record: so it costs one scan
//! of the JSON, borrows what it looks at, and allocates only for the columns of an update. It knows Debezium's envelope
//! (bare, or in `{"schema":…,"payload":…}`), rows that `ExtractNewRecordState` has flattened, and tombstones.
//!
//! **What it cannot know, it takes.** A record that is no change event, an operation that this version does not know, an
//! update without its old row: the handler has them, or the failure policy, as without a filter.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::column::is_unavailable;
use crate::connect;
use crate::event::Operation;

/// The operations and columns that a handler was told to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChangeFilter {
    /// `None`: all of them.
    operations: Option<Vec<Operation>>,
    /// Each once; empty: an update is not looked into.
    changed: Vec<String>,
}

impl ChangeFilter {
    /// Makes the filter of these options; `None` if they ask for everything.
    pub(crate) fn new(
        operations: Option<&[Operation]>,
        changed: Option<&[String]>,
    ) -> Option<Self> {
        let mut changed = changed.unwrap_or_default().to_vec();
        changed.sort_unstable();
        changed.dedup();
        let operations = operations.map(<[_]>::to_vec);
        (operations.is_some() || !changed.is_empty()).then_some(Self {
            operations,
            changed,
        })
    }

    /// True if the handler wants a record with this value, or if that cannot be known.
    pub(crate) fn takes(&self, value: Option<&[u8]>) -> bool {
        match Seen::of(value) {
            // It follows each delete, and says the same.
            Seen::Tombstone => self.wants(Operation::Delete),
            Seen::Event(Operation::Update, rows) => {
                self.wants(Operation::Update) && self.may_have_changed(&rows)
            }
            Seen::Event(op, _) | Seen::Flattened(op) => self.wants(op),
            Seen::FlattenedRow => [Operation::Create, Operation::Read, Operation::Update]
                .into_iter()
                .any(|op| self.wants(op)),
            Seen::Unknown => true,
        }
    }

    fn wants(&self, op: Operation) -> bool {
        let is_wanted = |wanted: &Vec<Operation>| wanted.contains(&op);
        op == Operation::Other || self.operations.as_ref().is_none_or(is_wanted)
    }

    /// False if it is known of each column that it has the value that it had.
    fn may_have_changed(&self, rows: &Rows<'_>) -> bool {
        if self.changed.is_empty() {
            return true;
        }
        let Some(after) = self.columns(rows.after) else {
            return true;
        };
        // Without an old row there is still what says of itself that it is as it was.
        let before = self
            .columns(rows.before)
            .unwrap_or_else(|| vec![None; after.len()]);
        let mut columns = before.into_iter().zip(after);
        columns.any(|(before, after)| match (before, after) {
            (_, Some(after)) if is_unavailable(after.get()) => false,
            // Both were written by the same converter: one value, one spelling.
            (Some(before), Some(after)) => before.get() != after.get(),
            _ => true,
        })
    }

    /// Finds the columns in a row, in the order of `changed`; `None` if that is no row.
    fn columns<'v>(&self, row: Option<&'v RawValue>) -> Option<Vec<Option<&'v RawValue>>> {
        let mut json = serde_json::Deserializer::from_str(row?.get());
        Columns(&self.changed).deserialize(&mut json).ok()
    }
}

/// As an operator reads it in the start table.
impl fmt::Display for ChangeFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        if let Some(operations) = &self.operations {
            f.write_str("ops ")?;
            for (n, op) in operations.iter().enumerate() {
                write!(f, "{}{}", if n == 0 { "" } else { "," }, op.code())?;
            }
            between = "; ";
        }
        if !self.changed.is_empty() {
            write!(f, "{between}changed {}", self.changed.join(","))?;
        }
        Ok(())
    }
}

/// A record, as far as a filter looks into it.
enum Seen<'v> {
    /// A null value, or the text `null`.
    Tombstone,
    /// Debezium's envelope.
    Event(Operation, Rows<'v>),
    /// A flattened row that says what happened (`__op`, or `__deleted` is `"true"`).
    Flattened(Operation),
    /// A flattened row of which is known that it was not deleted (`__deleted` is `"false"`).
    FlattenedRow,
    /// Something else, or damaged.
    Unknown,
}

/// The rows of an update, not decoded.
struct Rows<'v> {
    before: Option<&'v RawValue>,
    after: Option<&'v RawValue>,
}

impl<'v> Seen<'v> {
    fn of(value: Option<&'v [u8]>) -> Self {
        let Some(bytes) = value else {
            return Self::Tombstone;
        };
        // What is not JSON to its last byte has to reach whoever says so.
        let text = simdutf8::basic::from_utf8(bytes).ok();
        let text = text.map(|text| connect::payload(text).unwrap_or(text));
        match text.and_then(|text| serde_json::from_str(text).ok()) {
            Some(Found::Null) => Self::Tombstone,
            Some(Found::Object(fields)) => fields.seen(),
            None => Self::Unknown,
        }
    }
}

/// A JSON value that may be an event.
enum Found<'v> {
    Null,
    Object(Fields<'v>),
}

/// What is looked at in an object; nothing else of it is decoded.
#[derive(Default)]
struct Fields<'v> {
    op: Option<&'v RawValue>,
    before: Option<&'v RawValue>,
    after: Option<&'v RawValue>,
    source: Option<&'v RawValue>,
    flattened_op: Option<&'v RawValue>,
    is_deleted: Option<&'v RawValue>,
}

impl<'v> Fields<'v> {
    /// A table may have columns of all these names, too: so an envelope has an object where a row is, or its source
    /// beside the fields of both rows.
    fn seen(self) -> Seen<'v> {
        // The transform writes a string.
        let is_deleted = self.is_deleted.map(|raw| raw.get().trim_matches('"'));
        match (is_deleted, self.flattened_op.and_then(operation)) {
            (Some("true"), _) => return Seen::Flattened(Operation::Delete),
            (_, Some(op)) => return Seen::Flattened(op),
            (Some("false"), None) => return Seen::FlattenedRow,
            (_, None) => {}
        }
        let is_object = |raw: Option<&RawValue>| raw.is_some_and(|raw| raw.get().starts_with('{'));
        let op = self.op.and_then(operation);
        // A truncate has neither row, a message not even the fields for them.
        let has_rows = is_object(self.before) || is_object(self.after);
        let is_whole =
            self.before.is_some() && self.after.is_some() || op == Some(Operation::Message);
        let is_envelope = has_rows || is_whole && is_object(self.source);
        match op.filter(|_| is_envelope) {
            Some(op) => {
                let rows = Rows {
                    before: self.before,
                    after: self.after,
                };
                Seen::Event(op, rows)
            }
            None => Seen::Unknown,
        }
    }
}

/// Reads the value of `op` or `__op`; `None` if it is no string.
fn operation(raw: &RawValue) -> Option<Operation> {
    let code = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    Some(Operation::of_code(code))
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Name {
    Op,
    Before,
    After,
    Source,
    #[serde(rename = "__op")]
    FlattenedOp,
    #[serde(rename = "__deleted")]
    IsDeleted,
    #[serde(other)]
    Other,
}

impl<'de> Deserialize<'de> for Found<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FoundVisitor)
    }
}

struct FoundVisitor;

impl<'de> Visitor<'de> for FoundVisitor {
    type Value = Found<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or null")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Found::Null)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Fields::default();
        while let Some(name) = map.next_key()? {
            match name {
                Name::Op => once(&mut fields.op, map.next_value()?)?,
                Name::Before => once(&mut fields.before, map.next_value()?)?,
                Name::After => once(&mut fields.after, map.next_value()?)?,
                Name::FlattenedOp => once(&mut fields.flattened_op, map.next_value()?)?,
                Name::IsDeleted => once(&mut fields.is_deleted, map.next_value()?)?,
                Name::Source => once(&mut fields.source, map.next_value()?)?,
                Name::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Found::Object(fields))
    }
}

/// Takes a field that can be there once: of two, nobody knows which counts.
fn once<T, E: Error>(field: &mut Option<T>, value: T) -> Result<(), E> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(E::custom("a field is there twice")),
    }
}

/// The columns of a row, by their names.
struct Columns<'f>(&'f [String]);

impl<'de> DeserializeSeed<'de> for Columns<'_> {
    type Value = Vec<Option<&'de RawValue>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Columns<'_> {
    type Value = Vec<Option<&'de RawValue>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut columns = vec![None; self.0.len()];
        while let Some(place) = map.next_key_seed(Place(self.0))? {
            match place {
                Some(place) => once(&mut columns[place], map.next_value()?)?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(columns)
    }
}

/// Where a column is among those that are looked for, by its name.
struct Place<'f>(&'f [String]);

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Place<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a column")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|column| column == name))
    }
}

#[cfg(test)]
mod tests;
