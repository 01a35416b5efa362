//! While dead letters cannot be written, only the keys whose records wait for one stand still.

use std::collections::HashMap;

use super::history::History;
use super::{Findings, Promise};
use crate::chaos::clock::{Nanos, seconds};
use crate::chaos::evidence::Evidence;
use crate::chaos::ledger::At;
use crate::chaos::worker::Kind;

/// A record that has been there for so long is handled, if nothing keeps it. Long: two cores are shared.
const PATIENCE: Nanos = seconds(3);

/// Looks at each denial until the next thing is done to a member: its drain waits for dead letters, too.
pub(super) fn check(evidence: &Evidence, history: &History, findings: &mut Findings) {
    for (from, until) in evidence.denials() {
        let next = evidence.strikes.iter().map(|strike| strike.ns);
        let until = next.filter(|ns| *ns > from).min().unwrap_or(until);
        for (partition, records) in &evidence.produced {
            let (mut waited, mut finished) = (0, 0);
            // Of each key: whether a record waits for its dead letter.
            let mut waits: HashMap<&str, bool> = HashMap::new();
            for record in records {
                let at = At {
                    partition: *partition,
                    offset: record.offset,
                };
                let is_finished = history.finished(at).is_some_and(|ns| ns <= until);
                let is_dead = matches!(record.kind, Kind::Decode | Kind::Permanent | Kind::Panic);
                let key = record.key.as_deref();
                if key.is_some_and(|key| waits.get(key).copied().unwrap_or_default()) {
                    continue;
                }
                if is_dead {
                    if let (Some(key), false) = (key, is_finished) {
                        waits.insert(key, true);
                    }
                    continue;
                }
                if record.ns > from && record.ns + PATIENCE < until {
                    waited += 1;
                    finished += usize::from(is_finished);
                }
            }
            // A machine that is busy handles some of them later; one that waits for dead letters handles none.
            if waited >= ENOUGH && finished * 2 < waited {
                let text = format!(
                    "{}: of {waited} records of keys without a dead letter, {finished} were finished while dead \
                     letters could not be written",
                    evidence.name(*partition)
                );
                findings.add(Promise::Stall, text);
            }
        }
    }
}

/// Fewer say nothing.
const ENOUGH: usize = 10;
