//! Every record that was given up is in its dead letter topic, byte for byte, and nothing else is.

use std::collections::BTreeSet;

use super::history::History;
use super::{Findings, Promise};
use crate::chaos::evidence::{Content, DeadLetter, Evidence, Produced};
use crate::chaos::ledger::{At, Partition};
use crate::chaos::worker::Kind;

/// What the runtime's own headers begin with.
const PREFIX: &str = "kafka_runtime.dead_letter.";

pub(super) fn check(evidence: &Evidence, history: &History, findings: &mut Findings) {
    let mut there = BTreeSet::new();
    for letter in &evidence.dead_letters {
        match origin(evidence, letter) {
            Ok((at, record)) => {
                there.insert(at);
                for problem in differences(evidence, history, letter, at, record) {
                    let place = format!("of {} offset {}", evidence.name(at.partition), at.offset);
                    findings.add(
                        Promise::DeadLetter,
                        format!("the dead letter {place} {problem}"),
                    );
                }
            }
            Err(problem) => findings.add(Promise::DeadLetter, problem),
        }
    }
    for (partition, records) in &evidence.produced {
        for record in records {
            let at = At {
                partition: *partition,
                offset: record.offset,
            };
            if class(record.kind).is_some() && !record.is_gone && !there.contains(&at) {
                let name = evidence.name(*partition);
                let text = format!("{name} offset {} ({:?}) is missing", at.offset, record.kind);
                findings.add(Promise::DeadLetter, text);
            }
        }
    }
}

/// The class of the failure that makes a dead letter of a record; `None` if nothing does.
fn class(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Decode => Some("decode"),
        Kind::Permanent => Some("permanent"),
        Kind::Panic => Some("panic"),
        Kind::Ok | Kind::Transient { .. } | Kind::Skip | Kind::Tombstone => None,
    }
}

/// Finds the record that a dead letter says it was.
fn origin<'a>(evidence: &'a Evidence, letter: &DeadLetter) -> Result<(At, &'a Produced), String> {
    let topic = &evidence.topics[letter.topic];
    let number = |name| -> Option<i64> { text(&letter.content, name)?.parse().ok() };
    let told = text(&letter.content, "topic");
    if told.as_ref() != Some(topic) {
        return Err(format!(
            "a dead letter of {topic} says that it is of {told:?}"
        ));
    }
    let (Some(partition), Some(offset)) = (number("partition"), number("offset")) else {
        return Err(format!(
            "a dead letter of {topic} does not say where it is from"
        ));
    };
    let partition = Partition {
        topic: letter.topic,
        number: i32::try_from(partition).unwrap_or(-1),
    };
    let records = evidence
        .produced
        .get(&partition)
        .map_or(&[][..], Vec::as_slice);
    match records.binary_search_by_key(&offset, |record| record.offset) {
        Ok(index) => Ok((At { partition, offset }, &records[index])),
        Err(_) => Err(format!(
            "{topic}/{} offset {offset} was never written",
            partition.number
        )),
    }
}

fn differences(
    evidence: &Evidence,
    history: &History,
    letter: &DeadLetter,
    at: At,
    record: &Produced,
) -> Vec<String> {
    // One that was parked behind others of its key has its first attempts in the topic that they are in, and the later
    // it is, the fewer follow.
    let has_followed = matches!(record.kind, Kind::Transient { .. })
        && history.parked.get(&at).is_some_and(|all| all.contains(&0));
    // One that batches left undone is given up behind the one of its key that failed.
    let may_be_dead = has_followed || history.passed.iter().any(|(passed, ..)| *passed == at);
    let may_be = may_be_dead.then_some("retryable");
    let Some(class) = class(record.kind).or(may_be) else {
        return vec![format!("is one too many: its kind is {:?}", record.kind)];
    };
    let found = text(&letter.content, "class");
    let class = may_be
        .filter(|may_be| found.as_deref() == Some(*may_be))
        .unwrap_or(class);
    let mut problems = Vec::new();
    if let Some(source) = &record.content {
        if source.key != letter.content.key {
            problems.push("has another key".to_owned());
        }
        if source.value != letter.content.value {
            problems.push("has another value".to_owned());
        }
        if theirs(&source.headers) != theirs(&letter.content.headers) {
            problems.push("has other headers".to_owned());
        }
    }
    let wanted = [
        ("group", evidence.group.clone()),
        ("handler", evidence.topics[at.partition.topic].clone()),
        ("class", class.to_owned()),
    ];
    for (name, wanted) in wanted {
        let found = text(&letter.content, name);
        if found.as_ref() != Some(&wanted) {
            problems.push(format!("has {found:?} for its {name}, not {wanted:?}"));
        }
    }
    let ours: Vec<&str> = letter
        .content
        .headers
        .iter()
        .filter_map(|(name, _)| name.strip_prefix(PREFIX))
        .collect();
    if ours.iter().collect::<BTreeSet<_>>().len() != ours.len() {
        problems.push(format!("has a header twice: {ours:?}"));
    }
    problems
}

/// Headers that are not the runtime's own.
fn theirs(headers: &[(String, Option<Vec<u8>>)]) -> Vec<&(String, Option<Vec<u8>>)> {
    headers
        .iter()
        .filter(|(name, _)| !name.starts_with(PREFIX))
        .collect()
}

/// One of the runtime's own headers.
fn text(content: &Content, name: &str) -> Option<String> {
    let (_, value) = content
        .headers
        .iter()
        .rfind(|(key, _)| key.strip_prefix(PREFIX) == Some(name))?;
    String::from_utf8(value.clone()?).ok()
}
