//! The ledgers of all workers put together: calls, epochs, and when each record was finished.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::chaos::clock::Nanos;
use crate::chaos::evidence::{End, Evidence, ParkedCopy, Process};
use crate::chaos::ledger::{At, Ending, Entry, Partition};

/// Everything that happened, by what it happened to.
#[derive(Debug, Default)]
pub(super) struct History {
    /// In the order of each ledger.
    pub(super) calls: Vec<Call>,
    pub(super) epochs: Vec<Epoch>,
    /// How often each record was finished, in the order of time.
    pub(super) finishes: HashMap<At, Vec<Finish>>,
    /// Which records a call began with, in which epoch.
    pub(super) begun: HashSet<(At, usize)>,
    /// When a call said that its record is to be skipped, in which epoch. In a batch, that counts at its end.
    pub(super) declined: HashMap<(At, usize), Nanos>,
    /// Which attempts of a record a batch was given and left undone, in which epoch.
    pub(super) passed: HashSet<(At, usize, u32)>,
    /// How many attempts a record had had when it was parked, each time.
    pub(super) parked: HashMap<At, Vec<u32>>,
    /// Where a record lies in retry topics, in the order of time.
    pub(super) copies: HashMap<At, Vec<ParkedCopy>>,
    /// Records whose dead letter could not be written, in which epoch.
    pub(super) delayed: HashSet<(At, usize)>,
    /// How often it was told that the next offset is not there any more, with those words.
    pub(super) out_of_range: Vec<String>,
    /// How often a member was given partitions.
    pub(super) assignments: usize,
}

/// A call of a handler.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) process: usize,
    /// `None` if the partition was not this member's.
    pub(super) epoch: Option<usize>,
    pub(super) at: At,
    pub(super) n: i64,
    pub(super) attempt: u32,
    pub(super) begun: Nanos,
    /// When it ended, or its process did.
    pub(super) ended: Nanos,
    /// `None` if the process ended first.
    pub(super) how: Option<Ending>,
}

/// A partition in the hands of a member.
#[derive(Clone, Debug)]
pub(super) struct Epoch {
    pub(super) process: usize,
    pub(super) partition: Partition,
    /// Where it was read from; `None` is the oldest record.
    pub(super) start: Option<i64>,
    pub(super) from: Nanos,
    pub(super) until: Nanos,
    pub(super) end: EpochEnd,
}

/// How a member's time with a partition ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EpochEnd {
    /// Given back; so many of its calls were dropped.
    Revoked {
        dropped: u64,
    },
    Lost,
    /// The process stopped in order.
    Stopped {
        /// It took all of its grace: calls that could not end, or a commit that waited.
        is_out_of_time: bool,
    },
    /// The process was killed, or ended with an error.
    Killed,
}

/// A record was finished.
#[derive(Clone, Copy, Debug)]
pub(super) struct Finish {
    pub(super) ns: Nanos,
    pub(super) epoch: Option<usize>,
    pub(super) how: Finished,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finished {
    Handled,
    DeadLettered,
    Skipped,
}

impl History {
    pub(super) fn of(evidence: &Evidence) -> Self {
        let mut this = Self::default();
        for (number, process) in evidence.processes.iter().enumerate() {
            this.read(number, process, evidence.limits.grace);
        }
        for finishes in this.finishes.values_mut() {
            finishes.sort_by_key(|finish| finish.ns);
        }
        for copy in &evidence.parked {
            this.copies.entry(copy.at).or_default().push(copy.clone());
        }
        for copies in this.copies.values_mut() {
            copies.sort_by_key(|copy| copy.ns);
        }
        this
    }

    fn read(&mut self, number: usize, process: &Process, grace: Duration) {
        let mut open: HashMap<Partition, usize> = HashMap::new();
        let mut running: HashMap<u64, usize> = HashMap::new();
        let first_epoch = self.epochs.len();
        for line in &process.lines {
            match &line.entry {
                Entry::Begun {
                    call,
                    at,
                    n,
                    attempt,
                } => {
                    running.insert(*call, self.calls.len());
                    let epoch = open.get(&at.partition).copied();
                    self.begun.extend(epoch.map(|epoch| (*at, epoch)));
                    self.calls.push(Call {
                        process: number,
                        epoch,
                        at: *at,
                        n: *n,
                        attempt: *attempt,
                        begun: line.ns,
                        ended: process.ended,
                        how: None,
                    });
                }
                Entry::Ended { call, how } => {
                    if let Some(index) = running.remove(call) {
                        self.end_call(index, *how, line.ns);
                    }
                }
                Entry::Assigned(partitions) => {
                    self.assignments += usize::from(!partitions.is_empty());
                    for (partition, start) in partitions {
                        let epoch = Epoch {
                            process: number,
                            partition: *partition,
                            start: *start,
                            from: line.ns,
                            until: process.ended,
                            end: EpochEnd::Killed,
                        };
                        open.insert(*partition, self.epochs.len());
                        self.epochs.push(epoch);
                    }
                }
                Entry::Revoked {
                    partitions,
                    dropped,
                    ..
                } => {
                    let end = EpochEnd::Revoked { dropped: *dropped };
                    self.close(&mut open, partitions, line.ns, end);
                }
                Entry::Lost(partitions) => {
                    self.close(&mut open, partitions, line.ns, EpochEnd::Lost);
                }
                Entry::Stopped { took_ms, .. } => {
                    let all: Vec<Partition> = open.keys().copied().collect();
                    let is_out_of_time = Duration::from_millis(*took_ms) >= grace;
                    let end = EpochEnd::Stopped { is_out_of_time };
                    self.close(&mut open, &all, line.ns, end);
                }
                Entry::DeadLettered { at, .. } => {
                    let epoch = open.get(&at.partition).copied();
                    self.finish(*at, line.ns, epoch, Finished::DeadLettered);
                }
                Entry::Skipped { at } => {
                    let epoch = open.get(&at.partition).copied();
                    self.finish(*at, line.ns, epoch, Finished::Skipped);
                }
                Entry::Passed { at, attempt } => {
                    let epoch = open.get(&at.partition).copied();
                    self.passed
                        .extend(epoch.map(|epoch| (*at, epoch, *attempt)));
                }
                Entry::Parked { at, attempts } => {
                    self.parked.entry(*at).or_default().push(*attempts);
                }
                Entry::Delayed { at } => {
                    let epoch = open.get(&at.partition).copied();
                    self.delayed.extend(epoch.map(|epoch| (*at, epoch)));
                }
                Entry::OutOfRange(text) => self.out_of_range.push(text.clone()),
                Entry::Started { .. } | Entry::Complained(_) | Entry::Exited(_) => {}
            }
        }
        if matches!(process.end, End::Terminated { .. }) {
            for epoch in &mut self.epochs[first_epoch..] {
                if epoch.until == process.ended {
                    epoch.end = EpochEnd::Stopped {
                        is_out_of_time: false,
                    };
                }
            }
        }
    }

    fn end_call(&mut self, index: usize, how: Ending, ns: Nanos) {
        let call = &mut self.calls[index];
        (call.ended, call.how) = (ns, Some(how));
        let (at, epoch) = (call.at, call.epoch);
        match how {
            Ending::Ok => self.finish(at, ns, epoch, Finished::Handled),
            Ending::Skip => self.declined.extend(epoch.map(|epoch| ((at, epoch), ns))),
            Ending::Failed | Ending::Panicked | Ending::Dropped => {}
        }
    }

    fn close(
        &mut self,
        open: &mut HashMap<Partition, usize>,
        partitions: &[Partition],
        ns: Nanos,
        end: EpochEnd,
    ) {
        for partition in partitions {
            if let Some(index) = open.remove(partition) {
                let epoch = &mut self.epochs[index];
                (epoch.until, epoch.end) = (ns, end);
            }
        }
    }

    fn finish(&mut self, at: At, ns: Nanos, epoch: Option<usize>, how: Finished) {
        let finish = Finish { ns, epoch, how };
        self.finishes.entry(at).or_default().push(finish);
    }

    /// When a record was first finished.
    pub(super) fn finished(&self, at: At) -> Option<Nanos> {
        self.finishes.get(&at)?.first().map(|finish| finish.ns)
    }

    /// When a record was first finished in an epoch.
    pub(super) fn finished_in(&self, at: At, epoch: usize) -> Option<Nanos> {
        let finishes = self.finishes.get(&at)?;
        let finish = finishes.iter().find(|finish| finish.epoch == Some(epoch))?;
        Some(finish.ns)
    }

    /// True if a record lay in a retry topic by then: from there on its source may be committed past it.
    pub(super) fn is_parked(&self, at: At, by: Nanos) -> bool {
        let copies = self.copies.get(&at).and_then(|copies| copies.first());
        copies.is_some_and(|copy| copy.ns <= by)
    }

    /// When a record was finished in an epoch, or lay in a retry topic.
    pub(super) fn settled_in(&self, at: At, epoch: usize) -> Option<Nanos> {
        let copies = self.copies.get(&at).and_then(|copies| copies.first());
        let parked = copies.map(|copy| copy.ns);
        self.finished_in(at, epoch).into_iter().chain(parked).min()
    }

    /// True if it was by then.
    pub(super) fn is_settled(&self, at: At, epoch: usize, by: Nanos) -> bool {
        self.settled_in(at, epoch).is_some_and(|ns| ns <= by)
    }

    /// True if an attempt may be the first one that the handler sees of a record in an epoch, or follow an earlier one
    /// that is not the one before it: those between were passed over in batches, or the record was parked meanwhile.
    pub(super) fn may_be_next(&self, at: At, epoch: usize, attempt: u32) -> bool {
        let before = attempt.saturating_sub(1);
        let is_parked = |parked: &Vec<u32>| parked.contains(&before);
        self.passed.contains(&(at, epoch, before)) || self.parked.get(&at).is_some_and(is_parked)
    }

    /// How many processes were killed while a call of theirs ran.
    pub(super) fn killed_in_flight(&self, evidence: &Evidence) -> usize {
        let mut processes: Vec<usize> = self
            .calls
            .iter()
            .filter(|call| call.how.is_none())
            .map(|call| call.process)
            .filter(|process| evidence.processes[*process].end == End::Killed)
            .collect();
        processes.dedup();
        processes.len()
    }
}
