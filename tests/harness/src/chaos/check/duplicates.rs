//! What was handled more than once, and why.

use std::collections::BTreeMap;
use std::fmt;

use super::history::{Epoch, EpochEnd, Finish, Finished, History};
use super::{Expectation, Findings, Known, Promise};
use crate::chaos::clock::Nanos;
use crate::chaos::evidence::Evidence;
use crate::chaos::ledger::At;

/// From one moment to another.
type Span = (Nanos, Nanos);

/// Why a record was handled again: how the member ended that had handled it before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Cause {
    /// It was killed before it could commit.
    Kill,
    /// It lost the partition.
    Loss,
    /// Brokers were away, so that it could not commit.
    Outage,
    /// Its calls were dropped at the end of a drain.
    Drop,
    /// A record below was given up unfinished: it waited for another attempt when the partition went.
    Held,
    /// It stopped in order while the group rebalanced, and could not commit meanwhile.
    Rebalance,
    /// There is none.
    None,
}

impl Cause {
    /// Those that a stop or a rebalance in order should not have.
    fn known(self) -> Option<Known> {
        match self {
            Self::Rebalance => Some(Known::DuplicateAfterStopInRebalance),
            Self::Held => Some(Known::DuplicateAboveGivenUpRetry),
            Self::Kill | Self::Loss | Self::Outage | Self::Drop | Self::None => None,
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
            Self::Held => "held",
            Self::Rebalance => "stop in a rebalance",
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
    let (outages, rebalances) = (evidence.outages(), evidence.rebalances());
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
            let cause = cause(evidence, history, (&outages, &rebalances), *at, older);
            *causes.entry(cause).or_default() += 1;
            let is_allowed = !expectation.no_duplicates && cause != Cause::None;
            let known = cause
                .known()
                .filter(|known| is_allowed || *known == Known::DuplicateAfterStopInRebalance);
            if !is_allowed || known.is_some() {
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
                match known {
                    Some(known) => findings.add_known(known, Promise::Duplicate, text),
                    None => findings.add(Promise::Duplicate, text),
                }
            }
        }
    }
    causes
}

fn cause(
    evidence: &Evidence,
    history: &History,
    (outages, rebalances): (&[Span], &[Span]),
    at: At,
    finish: &Finish,
) -> Cause {
    let Some(index) = finish.epoch else {
        return Cause::Loss;
    };
    let epoch = &history.epochs[index];
    let lag = Nanos::try_from(evidence.limits.commit_lag.as_nanos()).unwrap_or(Nanos::MAX);
    let in_outage = || {
        outages
            .iter()
            // Whoever was away is found again some seconds after it is back.
            .any(|(from, until)| finish.ns <= until.saturating_add(4 * lag) && *from <= epoch.until)
    };
    // What had been finished before this could have been committed before the end.
    let due = epoch.until.saturating_sub(lag);
    // A member can commit nothing from its join until it has its new generation: first its commits queue behind the
    // join on the coordinator's connection, then they are refused.
    let in_rebalance = || {
        rebalances
            .iter()
            .any(|(from, until)| *from <= finish.ns + lag && epoch.until <= *until)
    };
    match epoch.end {
        EpochEnd::Lost => Cause::Loss,
        EpochEnd::Killed if finish.ns >= due => Cause::Kill,
        EpochEnd::Killed if is_held(evidence, history, index, epoch, at, due) => Cause::Kill,
        EpochEnd::Killed if in_rebalance() => Cause::Kill,
        EpochEnd::Revoked { dropped } if dropped > 0 => Cause::Drop,
        EpochEnd::Revoked { .. } | EpochEnd::Stopped
            if is_held(evidence, history, index, epoch, at, epoch.until) =>
        {
            Cause::Held
        }
        _ if in_outage() => Cause::Outage,
        EpochEnd::Stopped if in_rebalance() => Cause::Rebalance,
        _ => Cause::None,
    }
}

/// True if a record below this one was not finished in the epoch by then, so that nothing above could be committed.
fn is_held(
    evidence: &Evidence,
    history: &History,
    index: usize,
    epoch: &Epoch,
    at: At,
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
            was_there && history.finished_in(at, index).is_none_or(|ns| ns > by)
        })
}
