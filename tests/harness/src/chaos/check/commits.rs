//! Commits never go past unfinished work, and never back.

use std::collections::BTreeMap;

use super::history::History;
use super::{Findings, Promise};
use crate::chaos::clock::{Nanos, between};
use crate::chaos::evidence::Evidence;
use crate::chaos::ledger::{At, Partition};

pub(super) fn check(evidence: &Evidence, history: &History, findings: &mut Findings) {
    let mut last: BTreeMap<Partition, i64> = BTreeMap::new();
    let at_the_end = evidence
        .committed
        .iter()
        .map(|(partition, offset)| (Nanos::MAX, partition, offset));
    let sampled = evidence.samples.iter().flat_map(|sample| {
        let answered = sample.answered;
        sample
            .committed
            .iter()
            .map(move |(partition, offset)| (answered, partition, offset))
    });
    for (answered, partition, offset) in sampled.chain(at_the_end) {
        let before = last.insert(*partition, *offset).unwrap_or(0);
        let name = || evidence.name(*partition);
        if *offset < before {
            let text = format!("{}: {offset} is committed after {before}", name());
            findings.add(Promise::Regress, text);
            continue;
        }
        // What is below the last one has been looked at, and it only gets more finished.
        for record in evidence.produced.get(partition).into_iter().flatten() {
            if record.offset < before || record.offset >= *offset || record.is_gone {
                continue;
            }
            let at = At {
                partition: *partition,
                offset: record.offset,
            };
            match history.finished(at) {
                Some(ns) if ns <= answered => {}
                _ if history.is_parked(at, answered) => {}
                // Told by `loss`.
                None if answered == Nanos::MAX => {}
                Some(ns) => {
                    let text = format!(
                        "{}: {offset} was committed {:?} before offset {} was finished",
                        name(),
                        between(answered, ns),
                        record.offset
                    );
                    findings.add(Promise::Past, text);
                }
                None => {
                    let text = format!(
                        "{}: {offset} was committed, offset {} was never finished",
                        name(),
                        record.offset
                    );
                    findings.add(Promise::Past, text);
                }
            }
        }
    }
}
