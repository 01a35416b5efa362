//! What was handled more than once, and why.

use std::collections::BTreeMap;
use std::fmt;

use super::history::{Epoch, EpochEnd, Finish, Finished, History};
use super::{Expectation, Findings, Known, Promise};
use crate::chaos::clock::{Nanos, seconds};
use crate::chaos::evidence::Evidence;
use crate::chaos::ledger::At;

/// From one moment to another.
type Span = (Nanos, Nanos);

/// When something was wrong that is a cause.
struct Spans {
    outages: Vec<Span>,
    rebalances: Vec<Span>,
    denials: Vec<Span>,
}

/// Why a record was handled again: how the member ended that had handled it before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Cause {
    /// It was killed before it could commit.
    Kill,
    /// It lost the partition.
    Loss,
    /// Brokers were away, so that it could not commit.
    Outage,
    /// Its calls were dropped at the end of a drain, or when it was out of time to stop.
    Drop,
    /// A record below held the commit: its dead letter could not be written, which was forbidden.
    Denied,
    /// It was out of time to stop while the group rebalanced, and its commit waited behind that.
    Rebalance,
    /// The record lies twice in a retry topic.
    ParkedTwice,
    /// It was finished in a retry topic, behind a record that the drain had no reason to wait for.
    ParkedBehind,
    /// A record below was given up unfinished, though the drain could have waited for it.
    Held,
    /// There is none.
    None,
}

impl Cause {
    /// Promised or owned up to in docs/DELIVERY.md.
    fn is_allowed(self) -> bool {
        self.known().is_none() && !matches!(self, Self::Held | Self::None)
    }

    /// A gap that docs/ARCHITECTURE.md owns up to.
    fn known(self) -> Option<Known> {
        match self {
            Self::ParkedTwice => Some(Known::ParkedTwice),
            Self::ParkedBehind => Some(Known::ParkedBehind),
            _ => None,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kill => "kill",
            Self::Loss => "loss",
            Self::Outage => "outage",
            Self::Drop => "drop",
            Self::Denied => "denied dead letter",
            Self::Rebalance => "stop that a rebalance outlasted",
            Self::ParkedTwice => "parked twice",
            Self::ParkedBehind => "parked behind another one",
            Self::Held => "held",
            Self::None => "no reason",
        })
    }
}

pub(super) fn check(
    evidence: &Evidence,
    history: &History,
    expectation: Expectation,
    findings: &mut Findings,
) -> BTreeMap<Cause, usize> {
    let spans = Spans {
        outages: evidence.outages(),
        rebalances: evidence.rebalances(),
        denials: evidence.denials(),
    };
    let mut causes = BTreeMap::new();
    let mut records: Vec<_> = history.finishes.iter().collect();
    records.sort_by_key(|(at, _)| **at);
    for (at, finishes) in records {
        let handled: Vec<&Finish> = finishes
            .iter()
            .filter(|finish| finish.how == Finished::Handled)
            .collect();
        for again in handled.windows(2) {
            // The one that had it first is to blame, even if it woke up and finished last.
            let began = |finish: &&Finish| finish.epoch.map(|epoch| history.epochs[epoch].from);
            let older = again.iter().copied().min_by_key(began).unwrap_or(again[0]);
            let cause = cause(evidence, history, &spans, *at, older);
            *causes.entry(cause).or_default() += 1;
            if expectation.no_duplicates || !cause.is_allowed() {
                let who = |finish: &Finish| match finish.epoch {
                    Some(epoch) => {
                        let epoch = &history.epochs[epoch];
                        let name = &evidence.processes[epoch.process].name;
                        format!("{name} (whose epoch ended: {:?})", epoch.end)
                    }
                    None => "a stranger".to_owned(),
                };
                let text = format!(
                    "{} offset {} was handled by {}, and again by {}: {cause}",
                    evidence.name(at.partition),
                    at.offset,
                    who(again[0]),
                    who(again[1])
                );
                match cause.known() {
                    Some(known) => findings.add_known(known, Promise::Duplicate, text),
                    None => findings.add(Promise::Duplicate, text),
                }
            }
        }
    }
    causes
}

fn cause(evidence: &Evidence, history: &History, spans: &Spans, at: At, finish: &Finish) -> Cause {
    let Some(index) = finish.epoch else {
        return Cause::Loss;
    };
    let epoch = &history.epochs[index];
    let lag = Nanos::try_from(evidence.limits.commit_lag.as_nanos()).unwrap_or(Nanos::MAX);
    let free = free(evidence, history, (index, epoch), (at, finish.ns));
    let in_outage = || {
        spans
            .outages
            .iter()
            // Whoever was away is found again some seconds after it is back.
            .any(|(from, until)| free <= until.saturating_add(4 * lag) && *from <= epoch.until)
    };
    // What had been finished before this could have been committed before the end.
    let due = epoch.until.saturating_sub(lag);
    // A member can commit nothing from its join until it has its new generation: first its commits queue behind the
    // join on the coordinator's connection, then they are refused.
    let is_in = |spans: &[Span]| {
        spans
            .iter()
            .any(|(from, until)| *from <= free + lag && epoch.until <= *until)
    };
    let others = || evidence.rebalances_without(&evidence.processes[epoch.process].name);
    let holds = |whose, by| {
        is_held(
            evidence,
            history,
            (index, epoch),
            (at, finish.ns),
            whose,
            by,
        )
    };
    // What a member that is gone could not have committed.
    let is_held = |by| holds(Holder::Any, by);
    let is_twice = history.copies.get(&at).is_some_and(|all| all.len() > 1);
    match epoch.end {
        EpochEnd::Lost => {
            let due = isolated(evidence, spans, epoch).saturating_sub(lag);
            if finish.ns >= due || is_held(due) {
                Cause::Loss
            } else {
                Cause::None
            }
        }
        EpochEnd::Killed if finish.ns >= due || is_held(due) => Cause::Kill,
        EpochEnd::Killed if is_in(&spans.rebalances) => Cause::Kill,
        EpochEnd::Revoked { dropped } if dropped > 0 => Cause::Drop,
        EpochEnd::Revoked { .. } | EpochEnd::Stopped { .. }
            if is_denied(evidence, history, spans, index, at) =>
        {
            Cause::Denied
        }
        EpochEnd::Stopped {
            is_out_of_time: true,
        } if is_held(epoch.until) => Cause::Drop,
        EpochEnd::Revoked { .. } | EpochEnd::Stopped { .. }
            if holds(Holder::Begun, epoch.until) =>
        {
            Cause::Held
        }
        EpochEnd::Revoked { .. } | EpochEnd::Stopped { .. } if is_held(epoch.until) => {
            Cause::ParkedBehind
        }
        _ if in_outage() => Cause::Outage,
        EpochEnd::Stopped {
            is_out_of_time: true,
        } if is_in(&others()) => Cause::Rebalance,
        _ if is_twice => Cause::ParkedTwice,
        _ => Cause::None,
    }
}

/// From when on a record that was finished then could be committed: when all below it were settled.
fn free(
    evidence: &Evidence,
    history: &History,
    (index, epoch): (usize, &Epoch),
    (at, finished): (At, Nanos),
) -> Nanos {
    let records = evidence.produced.get(&at.partition).into_iter().flatten();
    let start = epoch.start.unwrap_or(0);
    let below = records.filter(|record| (start..at.offset).contains(&record.offset));
    let settled = below.filter_map(|record| {
        let (partition, offset) = (at.partition, record.offset);
        history.settled_in(At { partition, offset }, index)
    });
    settled.max().unwrap_or(finished).max(finished)
}

/// From when on a member that lost its partition may not have reached the group: it slept, brokers were away, or the
/// group rebalanced without it.
fn isolated(evidence: &Evidence, spans: &Spans, epoch: &Epoch) -> Nanos {
    let sleeps = &evidence.processes[epoch.process].suspensions;
    let all = sleeps.iter().chain(&spans.outages).chain(&spans.rebalances);
    let during = all.filter(|(from, until)| *from <= epoch.until && epoch.from <= *until);
    let first = during.map(|(from, _)| *from).min();
    first.unwrap_or(epoch.until).max(epoch.from)
}

/// True if a record below this one, whose dead letter could not be written when that was forbidden, held the commit.
fn is_denied(evidence: &Evidence, history: &History, spans: &Spans, index: usize, at: At) -> bool {
    let epoch = &history.epochs[index];
    let is_in_time = |(from, until): &Span| *from <= epoch.until && epoch.from <= *until;
    let holds = |(other, of): &&(At, usize)| {
        *of == index
            && other.partition == at.partition
            && other.offset < at.offset
            && !history.is_settled(*other, index, epoch.until)
    };
    // A wait between two attempts to write is at most 30 s long, and no longer than all before it.
    spans.denials.iter().any(|(from, until)| {
        let wait = until.saturating_sub(*from).min(WRITE_RETRY);
        is_in_time(&(*from, until.saturating_add(wait)))
    }) && history.delayed.iter().any(|delayed| holds(&delayed))
        && evidence.produced.contains_key(&at.partition)
}

/// The longest wait between two attempts to write a dead letter.
const WRITE_RETRY: Nanos = seconds(30);

/// Which records of a retry topic are asked about. A drain waits only for what is below one that it has begun.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holder {
    Begun,
    /// Those, and those that nobody had begun.
    Any,
}

/// True if a record below this one was not finished in the epoch by then, so that nothing above could be committed.
fn is_held(
    evidence: &Evidence,
    history: &History,
    (index, epoch): (usize, &Epoch),
    (at, finished): (At, Nanos),
    whose: Holder,
    by: Nanos,
) -> bool {
    let records = evidence
        .produced
        .get(&at.partition)
        .map_or(&[][..], Vec::as_slice);
    let from = records.partition_point(|record| record.offset < epoch.start.unwrap_or(0));
    let until = records.partition_point(|record| record.offset < at.offset);
    records
        .get(from..until)
        .unwrap_or_default()
        .iter()
        .any(|record| {
            let at = At {
                partition: at.partition,
                offset: record.offset,
            };
            // What compaction took may have been there in time.
            let was_there = !record.is_gone || history.begun.contains(&(at, index));
            was_there && !history.is_settled(at, index, by)
        })
        || is_held_in_retry_topic(evidence, history, index, (at, finished), whose, by)
}

/// The same of a record that was finished from a retry topic: one below it there held that commit.
fn is_held_in_retry_topic(
    evidence: &Evidence,
    history: &History,
    index: usize,
    (at, finished): (At, Nanos),
    whose: Holder,
    by: Nanos,
) -> bool {
    let copies = history.copies.get(&at).map_or(&[][..], Vec::as_slice);
    // One that came later is another owner's.
    let mut copies = copies.iter().filter(|copy| copy.ns <= finished);
    let from = history.epochs[index].from;
    copies.any(|copy| {
        evidence.parked.iter().any(|other| {
            let is_below = other.at.partition == copy.at.partition
                && other.stage == copy.stage
                && other.offset < copy.offset;
            let has_moved = || {
                let all = history.copies.get(&other.at).into_iter().flatten();
                let mut later = all.filter(|one| one.stage > other.stage);
                later.any(|one| one.ns <= by)
            };
            let before = |ns| ns <= by;
            // Not what an owner before had done with: it was committed. What this one began again was not.
            let is_its = || {
                let all = history.finishes.get(&other.at).into_iter().flatten();
                let is_new = !all.into_iter().any(|finish| finish.ns <= from);
                (whose == Holder::Any && is_new) || history.begun.contains(&(other.at, index))
            };
            is_below
                && is_its()
                && !history.finished_in(other.at, index).is_some_and(before)
                && !has_moved()
        })
    })
}
