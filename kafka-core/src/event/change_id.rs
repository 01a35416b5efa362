//! What makes a change one change, however often it arrives.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;

use super::Scalar;
use crate::connect;
use crate::decode_error::DecodeError;
use crate::extract::{FromContext, HandlerContext};
use crate::field::Name;
use crate::payload::utf8;
use crate::record::Record;

/// The identity of a change of PostgreSQL: topic, key, operation, and its position in the write-ahead log.
///
/// A connector that was killed sends again what it had not noted down, as new records with new offsets: by this they are
/// known. Positions alone are not enough: both halves of a change of the primary key share one, as do all tables of a
/// `TRUNCATE` and all rows of a snapshot. `source.sequence` is no part of it: it holds the same position, and that of the
/// commit before, which a connector that starts again does not know or knows another one of.
///
/// What a snapshot reads (`r`) has an identity of its own, not that of the insert: a connector that was killed before it had
/// noted down anything reads one again.
///
/// Take it as `Option<ChangeId>`. It is `None` where nothing tells a change from another one, so that to skip it as known would
/// lose it: a record without a key (no primary key), without a position (tombstones, rows of an incremental snapshot, other
/// connectors, flattened records without `add.fields=op,lsn`), or that is no change event.
///
/// ```
/// use kafka_core::{ChangeId, Record};
///
/// let value = br#"{"after":{"id":7},"op":"c","source":{"lsn":24023128,"sequence":"[null,\"24023128\"]"}}"#;
/// let record = Record::for_test("auth.public.users", Some(br#"{"id":7}"#), Some(value));
/// let id = ChangeId::of(&record).ok_or("no identity")?;
/// // INSERT INTO handled (id) VALUES ($1) ON CONFLICT DO NOTHING
/// assert_eq!(id.to_string(), r#"auth.public.users c 24023128 {"id":7}"#);
/// # Ok::<(), &'static str>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ChangeId {
    topic: Arc<str>,
    op: String,
    lsn: u64,
    /// The key; the table that a truncate has emptied.
    of_row: String,
}

impl ChangeId {
    /// Returns the identity of a record; `None` if it has none.
    pub fn of(record: &Record) -> Option<Self> {
        let value = utf8("value", record.value()?).ok()?;
        let value = connect::payload(value).unwrap_or(value);
        let head: Head<'_> = serde_json::from_str(value).ok()?;
        let op = head.op.or(head.flat_op)?.0.into_owned();
        let source = head.source.unwrap_or_default();
        let of_row = match record.key() {
            Some(key) => {
                let key = utf8("key", key).ok()?;
                connect::payload(key).unwrap_or(key).to_owned()
            }
            // One statement can empty many tables.
            None if op == "t" => {
                let (schema, table) = (source.schema?, source.table?);
                format!("{}.{}", &*schema, &*table)
            }
            None => return None,
        };
        Some(Self {
            topic: record.topic_arc(),
            op,
            lsn: source.lsn.or(head.flat_lsn)?.as_u64()?,
            of_row,
        })
    }

    /// Returns the position in the write-ahead log.
    pub fn lsn(&self) -> u64 {
        self.lsn
    }
}

impl fmt::Debug for ChangeId {
    /// Never shows the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChangeId")
            .field("topic", &self.topic)
            .field("op", &self.op)
            .field("lsn", &self.lsn)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for ChangeId {
    /// All parts, the key last: text that is the same for the same change and for no other.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            topic,
            op,
            lsn,
            of_row,
        } = self;
        write!(f, "{topic} {op} {lsn} {of_row}")
    }
}

impl FromContext<'_> for Option<ChangeId> {
    fn from_context(record: &Record, _: &HandlerContext) -> Result<Self, DecodeError> {
        Ok(ChangeId::of(record))
    }
}

/// What of a change event is needed.
#[derive(Deserialize)]
struct Head<'m> {
    #[serde(borrow)]
    op: Option<Name<'m>>,
    source: Option<Position<'m>>,
    #[serde(rename = "__op")]
    flat_op: Option<Name<'m>>,
    #[serde(rename = "__lsn")]
    flat_lsn: Option<Scalar>,
}

#[derive(Default, Deserialize)]
struct Position<'m> {
    lsn: Option<Scalar>,
    #[serde(borrow)]
    schema: Option<Name<'m>>,
    table: Option<Name<'m>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(key: Option<&str>, value: &str) -> Option<String> {
        let record = Record::for_test("t", key.map(str::as_bytes), Some(value.as_bytes()));
        ChangeId::of(&record).map(|id| id.to_string())
    }

    #[test]
    fn both_halves_of_a_key_change_are_two_changes() {
        let source = r#""source":{"lsn":5,"sequence":"[\"4\",\"5\"]"}"#;
        let deleted = id(Some("1"), &format!(r#"{{"op":"d",{source}}}"#));
        let created = id(Some("2"), &format!(r#"{{"op":"c",{source}}}"#));

        assert_eq!(deleted.as_deref(), Some("t d 5 1"));
        assert_eq!(created.as_deref(), Some("t c 5 2"));
    }

    /// As a connector sent one row before it was killed and after.
    #[test]
    fn a_change_that_is_sent_again_is_the_same_one() {
        let first = r#"{"op":"c","source":{"lsn":9,"sequence":"[null,\"9\"]"}}"#;
        let again = r#"{"op":"c","source":{"lsn":9,"sequence":"[\"5\",\"9\"]"}}"#;

        assert_eq!(id(Some("1"), first), id(Some("1"), again));
    }

    #[test]
    fn a_key_is_the_same_with_its_schema_around_it() {
        let value = r#"{"op":"c","source":{"lsn":5}}"#;

        let wrapped = id(
            Some(r#"{"schema":{"type":"struct"},"payload":{"id":7}}"#),
            value,
        );

        assert_eq!(wrapped, id(Some(r#"{"id":7}"#), value));
    }

    #[test]
    fn wrapped_and_flattened_changes_have_one() {
        let wrapped = r#"{"schema":{},"payload":{"op":"c","source":{"lsn":"5","sequence":null}}}"#;
        let flat = r#"{"id":1,"__op":"c","__lsn":5}"#;

        assert_eq!(id(Some("1"), wrapped).as_deref(), Some("t c 5 1"));
        assert_eq!(id(Some("1"), flat), id(Some("1"), wrapped));
    }

    #[test]
    fn what_could_be_another_change_has_none() {
        let incremental = r#"{"op":"r","source":{"lsn":null,"snapshot":"incremental"}}"#;
        let change = r#"{"op":"c","source":{"lsn":5}}"#;
        let truncate = r#"{"op":"t","source":{"lsn":5,"schema":"public","table":"users"}}"#;

        assert_eq!(id(Some("1"), incremental), None);
        assert_eq!(id(None, change), None);
        assert_eq!(id(None, truncate).as_deref(), Some("t t 5 public.users"));
        assert_eq!(id(Some("1"), "{"), None);
        assert_eq!(id(Some("1"), "null"), None);
        assert_eq!(ChangeId::of(&Record::for_test("t", Some(b"1"), None)), None);
    }
}
