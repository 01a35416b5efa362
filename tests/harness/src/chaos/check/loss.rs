//! Every record was finished, and nothing else was handled.

use super::history::History;
use super::{Findings, Promise};
use crate::chaos::evidence::{Evidence, Produced};
use crate::chaos::ledger::At;
use crate::chaos::worker::Kind;

pub(super) fn check(evidence: &Evidence, history: &History, findings: &mut Findings) {
    for (partition, records) in &evidence.produced {
        let committed = evidence.committed.get(partition).copied().unwrap_or(0);
        for record in records.iter().filter(|record| !record.is_gone) {
            let at = At {
                partition: *partition,
                offset: record.offset,
            };
            if history.finished(at).is_some() {
                continue;
            }
            let place = format!("{} offset {}", evidence.name(*partition), record.offset);
            if record.offset < committed {
                let text = format!("{place} was never finished, and {committed} is committed");
                findings.add(Promise::Lost, text);
            } else {
                let text = format!("{place} was not finished; {committed} is committed");
                findings.add(Promise::Unfinished, text);
            }
        }
    }
    for topic in &evidence.retry_topics {
        if topic.committed < topic.end {
            let text = format!(
                "{}/{}: {} of {} is committed",
                topic.name, topic.number, topic.committed, topic.end
            );
            findings.add(Promise::Unfinished, text);
        }
    }
    for call in &history.calls {
        let place = || {
            let process = &evidence.processes[call.process].name;
            let partition = evidence.name(call.at.partition);
            format!("{process} was given {partition} offset {}", call.at.offset)
        };
        match find(evidence, call.at) {
            None => findings.add(
                Promise::Phantom,
                format!("{}, which does not count", place()),
            ),
            // A tombstone has no value to say its number.
            Some(record) if record.kind != Kind::Tombstone && record.n != call.n => {
                let text = format!("{} as number {}, it is {}", place(), call.n, record.n);
                findings.add(Promise::Garbled, text);
            }
            Some(_) => {}
        }
    }
}

fn find(evidence: &Evidence, at: At) -> Option<&Produced> {
    let records = evidence.produced.get(&at.partition)?;
    let index = records.binary_search_by_key(&at.offset, |record| record.offset);
    records.get(index.ok()?)
}
