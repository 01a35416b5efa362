//! It goes on: no partition stands still, faults are got over in time, stops take bounded time.

use std::collections::BTreeMap;
use std::time::Duration;

use super::history::History;
use super::{Findings, Promise};
use crate::chaos::clock::{Nanos, between, seconds};
use crate::chaos::evidence::{End, Evidence, Strike, StrikeKind};
use crate::chaos::ledger::{At, Partition};

/// Closing and exiting come on top of the grace.
const AFTER_GRACE: Duration = Duration::from_secs(2);

/// Returns how long it took to get over each fault.
pub(super) fn check(
    evidence: &Evidence,
    history: &History,
    findings: &mut Findings,
) -> Vec<(StrikeKind, Duration)> {
    ends(evidence, findings);
    let backlogs = backlogs(evidence, history);
    stalls(evidence, &backlogs, findings);
    recoveries(evidence, &backlogs, findings)
}

/// How long each stop took.
pub(super) fn stops(evidence: &Evidence) -> impl Iterator<Item = Duration> {
    evidence
        .processes
        .iter()
        .filter_map(|process| match process.end {
            End::Terminated { told } | End::Hung { told } => Some(between(told, process.ended)),
            End::Killed | End::ByItself(_) => None,
        })
}

fn ends(evidence: &Evidence, findings: &mut Findings) {
    let limit = evidence.limits.grace + AFTER_GRACE;
    for process in &evidence.processes {
        match &process.end {
            End::Terminated { told } | End::Hung { told } => {
                let took = between(*told, process.ended);
                if took > limit {
                    let text = format!("{} took {took:?} to end, not {limit:?}", process.name);
                    findings.add_late(Promise::Stop, (took, limit), evidence.lateness, text);
                }
            }
            End::ByItself(status) => {
                let text = format!("{} ended with {status}", process.name);
                findings.add(Promise::Death, text);
            }
            End::Killed => {}
        }
    }
}

/// A partition that finishes nothing for so long stands still; usually tens of records are finished in that time.
const STANDS: Nanos = seconds(1);

/// A rebalance has begun by then: a process has started, or what it did is over.
const SETTLES: Nanos = seconds(3);

/// When records of a partition were there and when they were first finished, each in the order of time.
struct Backlog {
    there: Vec<Nanos>,
    finished: Vec<Nanos>,
}

impl Backlog {
    /// True if there was something to do at this time.
    fn is_left(&self, ns: Nanos) -> bool {
        let there = self.there.partition_point(|at| *at <= ns);
        there > self.finished.partition_point(|at| *at <= ns)
    }

    /// When it went on after something that happened at this time: when something was finished next, or, if it stood still
    /// a moment later, after that.
    fn goes_on(&self, ns: Nanos) -> Option<Nanos> {
        let first = self.finished.partition_point(|at| *at <= ns);
        let mut goes_on = *self.finished.get(first)?;
        for pair in self.finished[first..].windows(2) {
            if pair[0] > ns + SETTLES {
                break;
            }
            if pair[1] - pair[0] > STANDS && self.is_left(pair[0]) {
                goes_on = pair[1];
            }
        }
        Some(goes_on)
    }
}

fn backlogs(evidence: &Evidence, history: &History) -> BTreeMap<Partition, Backlog> {
    let of = |(partition, records): (&Partition, &Vec<_>)| {
        let (mut there, mut finished) = (Vec::new(), Vec::new());
        for record in records {
            let record: &crate::chaos::evidence::Produced = record;
            let at = At {
                partition: *partition,
                offset: record.offset,
            };
            let ns = history.finished(at);
            if record.is_gone && ns.is_none() {
                continue;
            }
            // The report of a delivery may come after the record itself.
            there.push(ns.map_or(record.ns, |ns| ns.min(record.ns)));
            finished.extend(ns);
        }
        there.sort_unstable();
        finished.sort_unstable();
        (*partition, Backlog { there, finished })
    };
    evidence.produced.iter().map(of).collect()
}

/// No partition stands still for longer than the limit while something is left, brokers are there, and members run.
fn stalls(evidence: &Evidence, backlogs: &BTreeMap<Partition, Backlog>, findings: &mut Findings) {
    let Some(end) = evidence.processes.iter().map(|process| process.ended).max() else {
        return;
    };
    let excused = excused(evidence);
    for (partition, backlog) in backlogs {
        let mut times: Vec<Nanos> = backlog.finished.clone();
        times.extend(backlog.there.first());
        times.push(end);
        times.sort_unstable();
        for pair in times.windows(2) {
            // Nothing was there for a part of the time: it begins when there was.
            let from = if backlog.is_left(pair[0]) {
                pair[0]
            } else {
                let next = backlog.there.partition_point(|at| *at <= pair[0]);
                backlog.there.get(next).copied().unwrap_or(pair[1])
            };
            let stood = between(from, pair[1]).saturating_sub(overlap(&excused, from, pair[1]));
            if stood > evidence.limits.stall {
                let name = evidence.name(*partition);
                findings.add(Promise::Stall, format!("{name} stood still for {stood:?}"));
            }
        }
    }
}

/// Times when nobody could go on: without brokers and a while after, and without members.
fn excused(evidence: &Evidence) -> Vec<(Nanos, Nanos)> {
    let mut excused = evidence.outages();
    let mut changes: Vec<(Nanos, i32)> = Vec::new();
    for process in &evidence.processes {
        changes.extend([(process.spawned, 1), (process.ended, -1)]);
        for (from, until) in &process.suspensions {
            changes.extend([(*from, -1), (*until, 1)]);
        }
    }
    changes.sort_unstable();
    let (mut running, mut since) = (0, Some(0));
    for (ns, change) in changes {
        running += change;
        match (running, since) {
            (0, None) => since = Some(ns),
            (0, Some(_)) | (_, None) => {}
            (_, Some(from)) => {
                excused.push((from, ns));
                since = None;
            }
        }
    }
    excused.sort_unstable();
    excused
}

/// How much of a time is excused.
fn overlap(excused: &[(Nanos, Nanos)], from: Nanos, until: Nanos) -> Duration {
    let (mut total, mut reached) = (Duration::ZERO, from);
    for (since, to) in excused {
        let (since, to) = ((*since).max(reached), (*to).min(until));
        if since < to {
            total += between(since, to);
            reached = to;
        }
    }
    total
}

/// After each fault: when every partition that had something to do has got on with it.
fn recoveries(
    evidence: &Evidence,
    backlogs: &BTreeMap<Partition, Backlog>,
    findings: &mut Findings,
) -> Vec<(StrikeKind, Duration)> {
    let outages = evidence.outages();
    let mut recoveries = Vec::new();
    for (index, strike) in evidence.strikes.iter().enumerate() {
        let Some(limit) = limit(evidence, strike) else {
            continue;
        };
        let waiting = backlogs
            .values()
            .filter(|backlog| backlog.is_left(strike.ns));
        let next: Option<Vec<Nanos>> = waiting.map(|backlog| backlog.goes_on(strike.ns)).collect();
        let Some(next) = next else {
            continue; // never: told by `loss`
        };
        let Some(recovered) = next.into_iter().max() else {
            continue; // there was nothing to do
        };
        let took = between(strike.ns, recovered);
        // The next fault begins a time of its own. But nobody who joins makes the group wait less for a dead member.
        let is_of_it =
            |other: &Strike| strike.kind == StrikeKind::Kill && other.kind == StrikeKind::Join;
        let mut others = evidence.strikes[index + 1..].iter();
        let is_alone = !others.any(|other| other.ns < recovered && !is_of_it(other));
        let is_out = outages
            .iter()
            .any(|(from, until)| *from < recovered && strike.ns < *until);
        // The group waits for a member that was killed, whoever comes or goes meanwhile.
        let is_after_kill = evidence.strikes[..index].iter().any(|earlier| {
            matches!(earlier.kind, StrikeKind::Kill | StrikeKind::Suspend)
                && between(earlier.ns, strike.ns) < evidence.limits.kill_recovery
        });
        // A time with two faults in it is no measure of either.
        if !is_alone || is_after_kill || is_out {
            continue;
        }
        recoveries.push((strike.kind, took));
        if took > limit {
            let text = format!("{took:?} after \"{}\", not {limit:?}", strike.what);
            findings.add_late(Promise::Stall, (took, limit), evidence.lateness, text);
        }
    }
    recoveries
}

fn limit(evidence: &Evidence, strike: &Strike) -> Option<Duration> {
    match strike.kind {
        StrikeKind::Kill | StrikeKind::Suspend | StrikeKind::Resume => {
            Some(evidence.limits.kill_recovery)
        }
        // It leaves the group when it has finished what runs, or its grace is over.
        StrikeKind::Terminate => Some(evidence.limits.grace + evidence.limits.rebalance_recovery),
        StrikeKind::Join => Some(evidence.limits.rebalance_recovery),
        StrikeKind::Healed => Some(evidence.limits.broker_recovery),
        StrikeKind::Outage | StrikeKind::Denied | StrikeKind::Allowed | StrikeKind::Deleted => None,
    }
}
