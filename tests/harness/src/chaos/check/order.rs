//! The records of one key come one at a time, in order, without a gap, and to the member they belong to.

use std::collections::{BTreeMap, HashMap};

use super::history::{Call, EpochEnd, History};
use super::{Findings, Known, Promise};
use crate::chaos::clock::{Nanos, between, millis};
use crate::chaos::evidence::{Evidence, Produced};
use crate::chaos::ledger::{At, Partition};

/// A call that a turn of a lane was about to start when its partition went may still begin: two cores are shared.
const SAME_TURN: Nanos = millis(250);

/// The key of a topic.
type Chain<'a> = (usize, &'a str);

/// Returns how many calls belonged to another member.
pub(super) fn check(evidence: &Evidence, history: &History, findings: &mut Findings) -> usize {
    in_order(evidence, history, findings);
    one_at_a_time(evidence, history, findings);
    own(evidence, history, findings)
}

/// Within one epoch: the calls of a key run through its records from the epoch's start on, each finished before the
/// next one begins. Records that were given up are finished by their dead letter; a handler never sees those that
/// cannot be decoded.
fn in_order(evidence: &Evidence, history: &History, findings: &mut Findings) {
    let chains = Chains::of(evidence);
    // By epoch and key: the last record, its attempt.
    let mut last: HashMap<(usize, &str), (usize, u32)> = HashMap::new();
    for call in &history.calls {
        let Some(epoch) = call.epoch else {
            continue; // told by `own`
        };
        let Some((key, index)) = chains.place(call.at) else {
            continue; // without a key there is no order; not written is told by `loss`
        };
        let records = &chains.records[&(call.at.partition, key)];
        let place = || {
            format!(
                "{} gave {} offset {} (key {key}, attempt {})",
                evidence.processes[call.process].name,
                evidence.name(call.at.partition),
                call.at.offset,
                call.attempt
            )
        };
        let start = history.epochs[epoch].start.unwrap_or(0);
        let before = last.insert((epoch, key), (index, call.attempt));
        let first = match before {
            Some((same, attempt)) if same == index => {
                let is_next = call.attempt == attempt + 1
                    || history.may_be_next(call.at, epoch, call.attempt);
                if !is_next {
                    findings.add(
                        Promise::Order,
                        format!("{} after attempt {attempt}", place()),
                    );
                }
                continue;
            }
            Some((other, _)) if other > index => {
                let text = format!("{} after offset {}", place(), records[other].offset);
                if history
                    .copies
                    .get(&call.at)
                    .is_some_and(|all| all.len() > 1)
                {
                    findings.add_known(Known::ParkedTwice, Promise::Order, text);
                } else {
                    findings.add(Promise::Order, text);
                }
                continue;
            }
            Some((other, _)) => other,
            // What is parked lies below the epoch's start, and comes first.
            None if !history.copies.is_empty() => 0,
            None => records.partition_point(|record| record.offset < start),
        };
        if call.attempt != 1 && !history.may_be_next(call.at, epoch, call.attempt) {
            findings.add(Promise::Order, format!("{} without the first one", place()));
        }
        for record in records.get(first..index).unwrap_or_default() {
            let at = At {
                partition: call.at.partition,
                offset: record.offset,
            };
            let finished = if record.offset < start {
                history.finished(at)
            } else {
                history.finished_in(at, epoch)
            };
            let declined = history.declined.get(&(at, epoch)).copied();
            let settled = finished.into_iter().chain(declined).min();
            if settled.is_some_and(|ns| ns <= call.begun) || record.is_gone {
                continue;
            }
            let text = format!("{} before offset {} was finished", place(), record.offset);
            findings.add(Promise::Order, text);
        }
    }
}

/// The records of each key of a partition, in order.
struct Chains<'a> {
    records: HashMap<(Partition, &'a str), Vec<&'a Produced>>,
    places: HashMap<At, (&'a str, usize)>,
}

impl<'a> Chains<'a> {
    fn of(evidence: &'a Evidence) -> Self {
        let mut this = Self {
            records: HashMap::new(),
            places: HashMap::new(),
        };
        for (partition, records) in &evidence.produced {
            for record in records {
                let Some(key) = record.key.as_deref() else {
                    continue;
                };
                let chain = this.records.entry((*partition, key)).or_default();
                let at = At {
                    partition: *partition,
                    offset: record.offset,
                };
                this.places.insert(at, (key, chain.len()));
                chain.push(record);
            }
        }
        this
    }

    fn place(&self, at: At) -> Option<(&'a str, usize)> {
        self.places.get(&at).copied()
    }
}

/// Over all workers: no two calls of a key at the same time, unless the older one's process was suspended or had lost
/// the partition, so that nothing could tell it to stop.
fn one_at_a_time(evidence: &Evidence, history: &History, findings: &mut Findings) {
    let chains = Chains::of(evidence);
    let mut by_key: BTreeMap<Chain<'_>, Vec<&Call>> = BTreeMap::new();
    for call in &history.calls {
        if let Some((key, _)) = chains.place(call.at) {
            by_key
                .entry((call.at.partition.topic, key))
                .or_default()
                .push(call);
        }
    }
    for ((_, key), mut calls) in by_key {
        calls.sort_by_key(|call| call.begun);
        let mut longest: Option<&Call> = None;
        for call in calls {
            if let Some(older) = longest
                && call.begun < older.ended
                && !is_fenced(evidence, history, older)
                && !is_fenced(evidence, history, call)
            {
                let text = format!(
                    "key {key}: {} at offset {} began {:?} before {} was over with offset {}",
                    evidence.processes[call.process].name,
                    call.at.offset,
                    between(call.begun, older.ended),
                    evidence.processes[older.process].name,
                    older.at.offset
                );
                findings.add(Promise::Overlap, text);
            }
            if longest.is_none_or(|older| older.ended < call.ended) {
                longest = Some(call);
            }
        }
    }
}

/// True if a call's process slept through the loss of its partition, or was told of it too late.
fn is_fenced(evidence: &Evidence, history: &History, call: &Call) -> bool {
    let process = &evidence.processes[call.process];
    let slept = process
        .suspensions
        .iter()
        .any(|(from, until)| call.begun <= *until + SAME_TURN && *from <= call.ended);
    let lost = call
        .epoch
        .is_some_and(|epoch| history.epochs[epoch].end == EpochEnd::Lost);
    slept || lost
}

/// Every call begins while its partition is its member's, and no other member has it.
fn own(evidence: &Evidence, history: &History, findings: &mut Findings) -> usize {
    let mut by_partition: HashMap<Partition, Vec<usize>> = HashMap::new();
    for (index, epoch) in history.epochs.iter().enumerate() {
        by_partition.entry(epoch.partition).or_default().push(index);
    }
    let mut foreign = 0;
    for call in &history.calls {
        let process = &evidence.processes[call.process];
        let place = || {
            let partition = evidence.name(call.at.partition);
            format!(
                "{} began {partition} offset {}",
                process.name, call.at.offset
            )
        };
        let Some(own) = call.epoch else {
            // The last epoch of this partition in this process.
            let last = history.epochs.iter().rfind(|epoch| {
                epoch.process == call.process
                    && epoch.partition == call.at.partition
                    && epoch.until <= call.begun
            });
            if last.is_none_or(|epoch| call.begun > epoch.until + SAME_TURN) {
                foreign += 1;
                findings.add(
                    Promise::Foreign,
                    format!("{}, which was not its own", place()),
                );
            }
            continue;
        };
        let from = history.epochs[own].from;
        let others = by_partition.get(&call.at.partition).into_iter().flatten();
        let other = others.map(|index| &history.epochs[*index]).find(|epoch| {
            epoch.process != call.process
                && epoch.from > from
                && epoch.from + SAME_TURN < call.begun
        });
        if let Some(other) = other {
            foreign += 1;
            let since = between(other.from, call.begun);
            let other = &evidence.processes[other.process].name;
            // A turn that was interrupted goes on when the process wakes up, before anybody can look.
            let goes_on = |(_, until): &(Nanos, Nanos)| {
                from < *until && (*until..*until + SAME_TURN).contains(&call.begun)
            };
            if process.suspensions.iter().any(goes_on) {
                continue;
            }
            let text = format!("{} when it had been {other}'s for {since:?}", place());
            findings.add(Promise::Foreign, text);
        }
    }
    foreign
}
