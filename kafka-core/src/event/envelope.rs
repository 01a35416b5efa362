//! Reads Debezium's envelope.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use super::message::Message;
use super::{Change, DATABASE_EVENT, DatabaseEvent, LazySource, OldRow, Operation, Transaction};
use crate::column::CowStr;

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
        while let Some(field) = map.next_key::<Field>()? {
            seen.note(field)?;
            match field {
                Field::Payload if self.may_be_wrapped => {
                    payload = Some(map.next_value_seed(Envelope::BARE)?);
                }
                Field::Before => parts.before = map.next_value()?,
                Field::After => parts.after = map.next_value()?,
                Field::Source => parts.source = map.next_value()?,
                Field::Transaction => parts.transaction = map.next_value()?,
                Field::Op => parts.op = Some(map.next_value::<CowStr<'de>>()?),
                Field::TsMs => parts.ts_ms = map.next_value()?,
                Field::TsUs => parts.ts_us = map.next_value()?,
                Field::TsNs => parts.ts_ns = map.next_value()?,
                Field::Message => parts.message = map.next_value()?,
                Field::Payload | Field::Schema | Field::Other => {
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

/// A field of an envelope, or of what stands around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Before,
    After,
    Source,
    Message,
    Op,
    Transaction,
    TsMs,
    TsUs,
    TsNs,
    Payload,
    Schema,
    Other,
}

impl Field {
    /// Returns the bit of those that may be there but once.
    fn bit(self) -> u16 {
        1 << self as u16
    }

    fn of(name: &str) -> Self {
        match name {
            "before" => Self::Before,
            "after" => Self::After,
            "source" => Self::Source,
            "message" => Self::Message,
            "op" => Self::Op,
            "transaction" => Self::Transaction,
            "ts_ms" => Self::TsMs,
            "ts_us" => Self::TsUs,
            "ts_ns" => Self::TsNs,
            "payload" => Self::Payload,
            "schema" => Self::Schema,
            _ => Self::Other,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
            Self::Source => "source",
            Self::Message => "message",
            Self::Op => "op",
            Self::Transaction => "transaction",
            Self::TsMs => "ts_ms",
            Self::TsUs => "ts_us",
            Self::TsNs => "ts_ns",
            Self::Payload => "payload",
            Self::Schema => "schema",
            Self::Other => "",
        }
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;

        impl Visitor<'_> for Name {
            type Value = Field;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a field")
            }

            fn visit_str<E>(self, name: &str) -> Result<Field, E> {
                Ok(Field::of(name))
            }
        }

        deserializer.deserialize_identifier(Name)
    }
}

/// Which fields an object has, each once.
#[derive(Default)]
struct Seen {
    /// A bit for each that is known.
    known: u16,
    /// How many there are.
    count: usize,
}

impl Seen {
    fn note<E: serde::de::Error>(&mut self, field: Field) -> Result<(), E> {
        self.count += 1;
        if field == Field::Other {
            return Ok(());
        }
        if self.has(field) {
            return Err(E::duplicate_field(field.name()));
        }
        self.known |= field.bit();
        Ok(())
    }

    fn has(&self, field: Field) -> bool {
        self.known & field.bit() != 0
    }

    /// True if a part of an envelope is there: a row of another topic may have a column `op`, too.
    fn is_envelope(&self) -> bool {
        let parts = [Field::Before, Field::After, Field::Source, Field::Message];
        parts.into_iter().any(|part| self.has(part))
    }

    /// True for a payload, its schema, and nothing else.
    fn is_wrapped(&self) -> bool {
        self.has(Field::Payload) && self.has(Field::Schema) && self.count == 2
    }
}

/// What was read of an envelope.
struct Parts<'de, T> {
    before: Option<OldRow<T>>,
    after: Option<T>,
    source: Option<LazySource>,
    transaction: Option<Transaction>,
    op: Option<CowStr<'de>>,
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
        let CowStr(code) = self.op.ok_or_else(|| E::missing_field("op"))?;
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
