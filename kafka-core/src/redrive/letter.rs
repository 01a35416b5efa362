//! What our headers on a dead letter say, and the record that is put back.
//!
//! Nothing is guessed: a header that is not there, is there twice, or is no such value is a reason to refuse the
//! record, never a default.

use std::sync::Arc;

use super::refusal::Refusal;
use crate::failure::dead_letter::PREFIX;
use crate::outcome::FailureKind;
use crate::producer::MessagePayload;
use crate::record::{Headers, Record};

/// What the headers begin with that say that a record was put back.
const REDRIVE_PREFIX: &str = "kafka_runtime.redrive.";

/// How often a record was put back: a header with a decimal number.
pub const COUNT_HEADER: &str = "kafka_runtime.redrive.count";

/// A group id or a handler's name is shorter than this; Kafka's own limit for topics is 249.
const NAME_LENGTH: usize = 255;

/// Where a record was when it was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    pub(super) group: String,
}

/// What a dead letter says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Letter {
    pub(super) origin: Result<Origin, Refusal>,
    /// How often it was put back before.
    pub(super) count: Result<u32, Refusal>,
    /// `None` if it is not said, or is no word of ours: it only fills reports and filters.
    pub(super) class: Option<FailureKind>,
    pub(super) handler: Option<Arc<str>>,
}

impl Letter {
    pub(super) fn read(record: &Record) -> Self {
        let headers = record.headers();
        let dead_letter = |name: &'static str| text(&headers, PREFIX, name);
        let optional = |name| dead_letter(name).ok().flatten();
        Self {
            origin: origin(dead_letter),
            count: match text(&headers, REDRIVE_PREFIX, "count") {
                Ok(None) => Ok(0),
                Ok(Some(count)) => decimal(count).ok_or(Refusal::Count),
                Err(()) => Err(Refusal::Count),
            },
            class: optional("class").and_then(|word| word.parse().ok()),
            handler: optional("handler").map(Arc::from),
        }
    }
}

fn origin<'a>(
    dead_letter: impl Fn(&'static str) -> Result<Option<&'a str>, ()>,
) -> Result<Origin, Refusal> {
    let required = |name, header| match dead_letter(name) {
        Ok(Some(text)) => Ok(text),
        _ => Err(Refusal::Header(header)),
    };
    let topic = required("topic", "kafka_runtime.dead_letter.topic")?;
    let partition = required("partition", "kafka_runtime.dead_letter.partition")?;
    let group = required("group", "kafka_runtime.dead_letter.group")?;
    if !crate::start::is_topic_name(topic) {
        return Err(Refusal::Header("kafka_runtime.dead_letter.topic"));
    }
    Ok(Origin {
        topic: topic.into(),
        partition: decimal(partition)
            .ok_or(Refusal::Header("kafka_runtime.dead_letter.partition"))?,
        group: group.to_owned(),
    })
}

/// Reads one of our headers; an error if it is there twice, or is nothing that we would write.
fn text<'a>(headers: &'a Headers, prefix: &str, name: &str) -> Result<Option<&'a str>, ()> {
    let mut found = headers.iter().filter(|(header, _)| {
        header
            .strip_prefix(prefix.as_bytes())
            .is_some_and(|rest| rest == name.as_bytes())
    });
    let Some((_, value)) = found.next() else {
        return Ok(None);
    };
    let text = value.and_then(|value| std::str::from_utf8(value).ok());
    match (text, found.next()) {
        // It is shown in reports: no control characters, which a terminal would obey.
        (Some(text), None)
            if (1..=NAME_LENGTH).contains(&text.len()) && !text.contains(char::is_control) =>
        {
            Ok(Some(text))
        }
        _ => Err(()),
    }
}

/// Digits only: `parse` also takes a sign.
fn decimal<T: std::str::FromStr>(text: &str) -> Option<T> {
    let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit());
    is_decimal.then(|| text.parse().ok()).flatten()
}

/// Returns the record that is put back: key, value and headers as they were, without what the dead letter added.
pub(super) fn to_payload(record: &Record, count: u32, partition: Option<i32>) -> MessagePayload {
    let mut payload = MessagePayload::of_bytes(record.key(), record.value());
    payload.partition = partition;
    for (name, value) in record.headers().iter() {
        let is_ours = [PREFIX, REDRIVE_PREFIX]
            .iter()
            .any(|prefix| name.starts_with(prefix.as_bytes()));
        if !is_ours {
            payload = payload.header_bytes(name, value);
        }
    }
    payload.header(COUNT_HEADER, count.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(headers: &[(&str, &[u8])]) -> Letter {
        Letter::read(&Record::for_test("dead", None, None).with_headers(headers))
    }

    type Header = (&'static str, &'static [u8]);

    const TOPIC: Header = ("kafka_runtime.dead_letter.topic", b"orders");
    const PARTITION: Header = ("kafka_runtime.dead_letter.partition", b"3");
    const GROUP: Header = ("kafka_runtime.dead_letter.group", b"billing");

    #[test]
    fn a_dead_letter_says_where_it_was() {
        let letter = letter(&[TOPIC, PARTITION, GROUP]);

        let origin = letter.origin.unwrap();
        assert_eq!((&*origin.topic, origin.partition), ("orders", 3));
        assert_eq!((origin.group.as_str(), letter.count), ("billing", Ok(0)));
    }

    #[test]
    fn a_header_that_is_missing_twice_or_wrong_is_named() {
        let wrong: &[(&[Header], &str)] = &[
            (&[PARTITION, GROUP], TOPIC.0),
            (&[TOPIC, GROUP], PARTITION.0),
            (&[TOPIC, PARTITION], GROUP.0),
            (&[TOPIC, TOPIC, PARTITION, GROUP], TOPIC.0),
            (&[(TOPIC.0, b"a/b"), PARTITION, GROUP], TOPIC.0),
            (&[(TOPIC.0, b"\xff"), PARTITION, GROUP], TOPIC.0),
            (&[TOPIC, (PARTITION.0, b"-1"), GROUP], PARTITION.0),
            (&[TOPIC, (PARTITION.0, b"+1"), GROUP], PARTITION.0),
            (&[TOPIC, (PARTITION.0, b"99999999999"), GROUP], PARTITION.0),
            (&[TOPIC, PARTITION, (GROUP.0, b"\x1b[2J")], GROUP.0),
        ];

        for (headers, name) in wrong {
            assert_eq!(letter(headers).origin.unwrap_err(), Refusal::Header(name));
        }
    }

    #[test]
    fn a_count_that_is_no_number_is_not_taken_for_none() {
        for count in [&b"many"[..], b"", b"-1", b"4294967296"] {
            let letter = letter(&[(COUNT_HEADER, count)]);

            assert_eq!(letter.count, Err(Refusal::Count));
        }
        assert_eq!(letter(&[(COUNT_HEADER, b"2")]).count, Ok(2));
    }

    #[test]
    fn our_headers_are_replaced_and_the_others_kept() {
        let record = Record::for_test("dead", Some(b"k"), None).with_headers(&[
            ("a", b"1"),
            TOPIC,
            (COUNT_HEADER, b"1"),
            ("kafka_runtime.redrive.forged", b"x"),
            ("a", b"2"),
        ]);

        let payload = to_payload(&record, 2, Some(3));

        let expected = MessagePayload::default()
            .key("k")
            .partition(3)
            .header("a", "1")
            .header("a", "2")
            .header(COUNT_HEADER, "2");
        assert!(payload == expected);
    }
}
