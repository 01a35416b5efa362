//! Records as a test looks at them: owned, and shown in full by `Debug`.

use std::fmt;

use serde::de::DeserializeOwned;

use crate::client::memory::{Header, Stored};
use crate::failure::dead_letter::PREFIX;
use crate::outcome::FailureKind;
use crate::record::{Record, TopicPartition};

/// A record of the in-memory broker.
///
/// Unlike [`Record`] it shows its key and its value in `Debug`: whatever it holds, a test has put there.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TestRecord {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// Milliseconds since the Unix epoch, by the test's clock.
    pub timestamp_ms: i64,
    /// The bytes of the key; `None` if it is null.
    pub key: Option<Vec<u8>>,
    /// The bytes of the value; `None` if it is null (a tombstone).
    pub value: Option<Vec<u8>>,
    /// Name and value of each header, in order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl TestRecord {
    pub(super) fn stored(at: &TopicPartition, stored: Stored) -> Self {
        Self {
            topic: at.topic.to_string(),
            partition: at.partition,
            offset: stored.offset.0,
            timestamp_ms: stored.timestamp_ms,
            key: stored.key,
            value: stored.value,
            headers: stored.headers,
        }
    }

    /// Copied: a clone of the record would keep its batch in memory, which the engine counts.
    pub(super) fn of(record: &Record) -> Self {
        let headers = record.headers();
        let header = |(name, value): (&[u8], Option<&[u8]>)| -> Header {
            let name = String::from_utf8_lossy(name).into_owned();
            (name, value.map(<[u8]>::to_vec))
        };
        Self {
            topic: record.topic().to_owned(),
            partition: record.partition(),
            offset: record.offset().0,
            timestamp_ms: record.timestamp().millis().unwrap_or(-1),
            key: record.key().map(<[u8]>::to_vec),
            value: record.value().map(<[u8]>::to_vec),
            headers: headers.iter().map(header).collect(),
        }
    }

    /// Returns the key as text; `None` if it is null or no UTF-8.
    pub fn key_text(&self) -> Option<&str> {
        text(self.key.as_deref())
    }

    /// Returns the value as text; `None` if it is null or no UTF-8.
    pub fn text(&self) -> Option<&str> {
        text(self.value.as_deref())
    }

    /// Returns the value, decoded from JSON; a null value is JSON's `null`.
    ///
    /// # Panics
    /// It is no JSON, or does not fit `T`.
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        let json = self.value.as_deref().unwrap_or(b"null");
        serde_json::from_slice(json).unwrap_or_else(|error| {
            #[expect(
                clippy::panic,
                reason = "in a test a Result here is only another unwrap"
            )]
            {
                panic!(
                    "{self:?} is no {} in JSON: {error}",
                    std::any::type_name::<T>()
                )
            }
        })
    }

    /// Returns the value of the first header of this name; `None` if there is none or its value is null.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|(n, _)| n == name)?.1.as_deref()
    }

    /// Returns the first header of this name as text.
    pub fn header_text(&self, name: &str) -> Option<&str> {
        text(self.header(name))
    }
}

fn text(bytes: Option<&[u8]>) -> Option<&str> {
    std::str::from_utf8(bytes?).ok()
}

impl fmt::Debug for TestRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Shown<'a>(Option<&'a [u8]>);
        impl fmt::Debug for Shown<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match (self.0, text(self.0)) {
                    (None, _) => f.write_str("null"),
                    (_, Some(text)) => text.fmt(f),
                    (Some(bytes), None) => bytes.fmt(f),
                }
            }
        }
        write!(f, "{self}")?;
        f.debug_struct("")
            .field("key", &Shown(self.key.as_deref()))
            .field("value", &Shown(self.value.as_deref()))
            .field(
                "headers",
                &self
                    .headers
                    .iter()
                    .map(|(name, value)| (name, Shown(value.as_deref())))
                    .collect::<Vec<_>>(),
            )
            .finish_non_exhaustive()
    }
}

/// Where it is: `orders[0]@7`.
impl fmt::Display for TestRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]@{}", self.topic, self.partition, self.offset)
    }
}

/// A record in a dead letter topic, with what its headers say.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DeadLetter {
    /// The record in the dead letter topic: key, value and headers of the source, and the headers of the runtime.
    pub record: TestRecord,
    /// The topic that it comes from.
    pub topic: String,
    /// Its partition there.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// The consumer group that gave it up.
    pub group: String,
    /// The handler's name.
    pub handler: String,
    /// How many attempts it had.
    pub attempts: u32,
    /// Why it was given up.
    pub class: FailureKind,
    /// The text of the last error. It is in the record only with `dead_letter_error_text`.
    pub error: String,
}

impl DeadLetter {
    /// Reads a record of a dead letter topic; `None` if it is no dead letter of this runtime.
    pub(super) fn read(record: TestRecord) -> Option<Self> {
        let header = |name: &str| record.header_text(&format!("{PREFIX}{name}"));
        let kinds = [
            FailureKind::Decode,
            FailureKind::Permanent,
            FailureKind::Retryable,
            FailureKind::Unclassified,
            FailureKind::Panic,
            FailureKind::Timeout,
        ];
        let class = header("class")?;
        Some(Self {
            topic: header("topic")?.to_owned(),
            partition: header("partition")?.parse().ok()?,
            offset: header("offset")?.parse().ok()?,
            group: header("group")?.to_owned(),
            handler: header("handler")?.to_owned(),
            attempts: header("attempts")?.parse().ok()?,
            class: kinds.into_iter().find(|kind| is_called(*kind, class))?,
            error: header("error").unwrap_or_default().to_owned(),
            record,
        })
    }
}

fn is_called(kind: FailureKind, class: &str) -> bool {
    // A new kind does not compile until it is here, and is to be in the list above then.
    match kind {
        FailureKind::Decode
        | FailureKind::Permanent
        | FailureKind::Retryable
        | FailureKind::Unclassified
        | FailureKind::Panic
        | FailureKind::Timeout => kind.as_str() == class,
    }
}
