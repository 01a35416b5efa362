//! Reads Debezium's envelope.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use super::message::Message;
use super::{Change, DATABASE_EVENT, DatabaseEvent, OldRow, Operation, Source, Transaction};
use crate::field::Name;

const FIELDS: &[&str] = &[
    "before",
    "after",
    "source",
    "transaction",
    "op",
    "ts_ms",
    "ts_us",
    "ts_ns",
];

/// An envelope, which may stand in another object beside its schema.
struct Envelope<T> {
    may_be_wrapped: bool,
    row: PhantomData<fn() -> T>,
}

impl<T> Envelope<T> {
    const BARE: Self = Self {
        may_be_wrapped: false,
        row: PhantomData,
    };
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for DatabaseEvent<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let envelope = Envelope {
            may_be_wrapped: true,
            row: PhantomData,
        };
        deserializer.deserialize_struct(DATABASE_EVENT, FIELDS, envelope)
    }
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Envelope<T> {
    type Value = DatabaseEvent<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_struct(DATABASE_EVENT, FIELDS, self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Envelope<T> {
    type Value = DatabaseEvent<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a change event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<DatabaseEvent<T>, A::Error> {
        let mut parts = Parts::<T>::default();
        let mut payload = None;
        let mut seen = Seen::default();
        while let Some(name) = map.next_key::<Name<'de>>()? {
            seen.note(&name)?;
            match &*name.0 {
                "payload" if self.may_be_wrapped => {
                    payload = Some(map.next_value_seed(Envelope::BARE)?);
                }
                "before" => parts.before = map.next_value()?,
                "after" => parts.after = map.next_value()?,
                "source" => parts.source = map.next_value()?,
                "transaction" => parts.transaction = map.next_value()?,
                "op" => parts.op = Some(map.next_value::<Name<'de>>()?),
                "ts_ms" => parts.ts_ms = map.next_value()?,
                "ts_us" => parts.ts_us = map.next_value()?,
                "ts_ns" => parts.ts_ns = map.next_value()?,
                "message" => parts.message = map.next_value()?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        match payload {
            Some(payload) if seen.is_wrapped() => Ok(payload),
            // An event, and another one in it; or something else.
            Some(_) if parts.op.is_some() => Err(A::Error::duplicate_field("payload")),
            Some(_) => Err(A::Error::missing_field("schema")),
            None if parts.op.is_some() && !seen.is_envelope() => {
                Err(A::Error::missing_field("source"))
            }
            None => parts.into_event(),
        }
    }
}

/// Which fields an object has, each once.
#[derive(Default)]
struct Seen {
    /// A bit for each of [`NAMES`].
    known: u16,
    /// How many there are.
    count: usize,
}

/// The fields that are looked for.
const NAMES: [&str; 11] = [
    "before",
    "after",
    "source",
    "message",
    "op",
    "transaction",
    "ts_ms",
    "ts_us",
    "ts_ns",
    "payload",
    "schema",
];

impl Seen {
    fn note<E: serde::de::Error>(&mut self, name: &str) -> Result<(), E> {
        self.count += 1;
        let Some(at) = NAMES.iter().position(|known| *known == name) else {
            return Ok(());
        };
        if self.has(at) {
            return Err(E::duplicate_field(NAMES[at]));
        }
        self.known |= 1 << at;
        Ok(())
    }

    fn has(&self, at: usize) -> bool {
        self.known & (1 << at) != 0
    }

    /// True if a part of an envelope is there: a row of another topic may have a column `op`, too.
    fn is_envelope(&self) -> bool {
        (0..4).any(|at| self.has(at))
    }

    /// True for a payload, its schema, and nothing else.
    fn is_wrapped(&self) -> bool {
        self.has(9) && self.has(10) && self.count == 2
    }
}

/// What was read of an envelope.
struct Parts<'de, T> {
    before: Option<OldRow<T>>,
    after: Option<T>,
    source: Option<Source>,
    transaction: Option<Transaction>,
    op: Option<Name<'de>>,
    message: Option<Message>,
    ts_ms: Option<i64>,
    ts_us: Option<i64>,
    ts_ns: Option<i64>,
}

impl<T> Default for Parts<'_, T> {
    fn default() -> Self {
        Self {
            before: None,
            after: None,
            source: None,
            transaction: None,
            op: None,
            message: None,
            ts_ms: None,
            ts_us: None,
            ts_ns: None,
        }
    }
}

impl<T> Parts<'_, T> {
    fn into_event<E: serde::de::Error>(self) -> Result<DatabaseEvent<T>, E> {
        let Name(code) = self.op.ok_or_else(|| E::missing_field("op"))?;
        let after = || self.after.ok_or_else(|| E::missing_field("after"));
        let change = match Operation::of_code(&code) {
            Operation::Create => Change::Create { after: after()? },
            Operation::Read => Change::Read { after: after()? },
            Operation::Update => Change::Update {
                before: self.before,
                after: after()?,
            },
            Operation::Delete => Change::Delete {
                before: self.before,
            },
            Operation::Truncate => Change::Truncate,
            Operation::Message => {
                let message = self.message.ok_or_else(|| E::missing_field("message"))?;
                Change::Message {
                    prefix: message.prefix,
                    content: message.content,
                }
            }
            Operation::Other => Change::Other {
                op: code.into_owned(),
            },
        };
        Ok(DatabaseEvent {
            change,
            source: self.source.unwrap_or_default(),
            transaction: self.transaction,
            ts_ms: self.ts_ms,
            ts_us: self.ts_us,
            ts_ns: self.ts_ns,
        })
    }
}
