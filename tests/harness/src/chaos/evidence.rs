//! Everything that the checker looks at: what was written, what workers did, what was committed. Values only.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::clock::Nanos;
use super::ledger::{At, Line, Partition};
use super::sampler::Sample;
use super::worker::Kind;

/// What one scenario left behind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence {
    /// The topics' real names, for those who read.
    pub(crate) topics: Vec<String>,
    pub(crate) group: String,
    /// Records that counted, by offset: acknowledged, and in no aborted transaction.
    pub(crate) produced: BTreeMap<Partition, Vec<Produced>>,
    pub(crate) processes: Vec<Process>,
    /// In the order of time.
    pub(crate) samples: Vec<Sample>,
    /// What was committed after the last worker had ended.
    pub(crate) committed: BTreeMap<Partition, i64>,
    pub(crate) dead_letters: Vec<DeadLetter>,
    /// What lies in retry topics, handled from there or not.
    pub(crate) parked: Vec<ParkedCopy>,
    /// Each partition of a retry topic: what is committed of it at the end, and what it has.
    pub(crate) retry_topics: Vec<RetryTopic>,
    /// In the order of time.
    pub(crate) deletions: Vec<Deletion>,
    pub(crate) strikes: Vec<Strike>,
    /// How much later than it should a thread of the harness woke up at worst: how busy the machine was.
    pub(crate) lateness: Duration,
    pub(crate) limits: Limits,
}

/// A record that has to be handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Produced {
    pub(crate) offset: i64,
    pub(crate) key: Option<Arc<str>>,
    pub(crate) n: i64,
    pub(crate) kind: Kind,
    /// When the cluster acknowledged it.
    pub(crate) ns: Nanos,
    /// What is in it; kept for those that are to become dead letters.
    pub(crate) content: Option<Content>,
    /// Compaction or retention took it: it may have been handled or not.
    pub(crate) is_gone: bool,
}

/// A record of a retry topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ParkedCopy {
    /// Where it comes from.
    pub(crate) at: At,
    /// 1 for the topic of the shortest wait.
    pub(crate) stage: usize,
    /// Its own offset.
    pub(crate) offset: i64,
    /// When the broker had it, to the millisecond.
    pub(crate) ns: Nanos,
}

/// A partition of a retry topic at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RetryTopic {
    pub(crate) name: String,
    pub(crate) number: i32,
    pub(crate) committed: i64,
    pub(crate) end: i64,
}

/// Records that were deleted as retention does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Deletion {
    pub(crate) partition: Partition,
    /// The first offset that was left.
    pub(crate) before: i64,
    pub(crate) ns: Nanos,
}

/// The bytes of a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
}

/// A record of a dead letter topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeadLetter {
    /// The topic whose dead letter topic it is in.
    pub(crate) topic: usize,
    pub(crate) content: Content,
}

/// A worker's process, from its start to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) name: String,
    /// Which of the drawn lanes it is in.
    pub(crate) lane: usize,
    pub(crate) spawned: Nanos,
    pub(crate) ended: Nanos,
    pub(crate) end: End,
    /// From SIGSTOP to SIGCONT.
    pub(crate) suspensions: Vec<(Nanos, Nanos)>,
    pub(crate) lines: Vec<Line>,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// `kill -9`.
    Killed,
    /// SIGTERM, and it ended well.
    Terminated { told: Nanos },
    /// SIGTERM, and it did not end in all the time it was given.
    Hung { told: Nanos },
    /// Nobody told it to, or it ended with an error.
    ByItself(String),
}

/// A fault that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Strike {
    pub(crate) ns: Nanos,
    /// What, and to whom.
    pub(crate) what: String,
    pub(crate) kind: StrikeKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum StrikeKind {
    Kill,
    Terminate,
    Join,
    Suspend,
    Resume,
    /// From here on brokers or the way to them are not all there.
    Outage,
    /// From here on they are.
    Healed,
    /// From here on no dead letter can be written.
    Denied,
    /// From here on they can.
    Allowed,
    /// Records were deleted.
    Deleted,
}

/// What is allowed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// `shutdown_grace` of the workers.
    pub(crate) grace: Duration,
    /// Finished work is committed this long after, if nothing holds it up.
    pub(crate) commit_lag: Duration,
    /// From a member's death until the group goes on without it: its session, and a moment.
    pub(crate) member_expiry: Duration,
    /// A rebalance in which nobody is missing: members hear of it with a heartbeat (a twelfth of the session), and drain for
    /// up to 5 s before the second round.
    pub(crate) rebalance: Duration,
    /// Without any progress of a partition, while records are left and brokers are there.
    pub(crate) stall: Duration,
    /// After brokers are back.
    pub(crate) broker_recovery: Duration,
    /// After a worker was killed: its session, then a rebalance.
    pub(crate) kill_recovery: Duration,
    /// After a worker has joined or left in order: a process starts (a second or two), a drain lasts up to 5 s, a
    /// cooperative rebalance has two rounds with a heartbeat each.
    pub(crate) rebalance_recovery: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(5),
            commit_lag: Duration::from_millis(2500),
            member_expiry: Duration::from_secs(9),
            rebalance: Duration::from_secs(8),
            stall: Duration::from_secs(30),
            broker_recovery: Duration::from_secs(30),
            kill_recovery: Duration::from_secs(16),
            rebalance_recovery: Duration::from_secs(10),
        }
    }
}

impl Evidence {
    /// The times during which brokers, or the way to them, were not all there.
    pub(crate) fn outages(&self) -> Vec<(Nanos, Nanos)> {
        self.between(StrikeKind::Outage, StrikeKind::Healed)
    }

    /// The times during which no dead letter could be written.
    pub(crate) fn denials(&self) -> Vec<(Nanos, Nanos)> {
        self.between(StrikeKind::Denied, StrikeKind::Allowed)
    }

    fn between(&self, begin: StrikeKind, end: StrikeKind) -> Vec<(Nanos, Nanos)> {
        let mut spans = Vec::new();
        let mut since = None;
        for strike in &self.strikes {
            if strike.kind == begin {
                since = since.or(Some(strike.ns));
            } else if strike.kind == end {
                spans.extend(since.take().map(|since| (since, strike.ns)));
            }
        }
        spans.extend(since.map(|since| (since, Nanos::MAX)));
        spans
    }

    /// The times during which members may have waited for each other: from a fault of a member until the group has got
    /// over it. Overlapping times are one.
    pub(crate) fn rebalances(&self) -> Vec<(Nanos, Nanos)> {
        self.spans(|strike| match strike.kind {
            StrikeKind::Kill | StrikeKind::Suspend => Some(self.limits.member_expiry),
            StrikeKind::Denied | StrikeKind::Allowed | StrikeKind::Deleted => None,
            _ => Some(self.limits.rebalance),
        })
    }

    /// The times during which the group rebalanced because of others than this process. Overlapping times are one.
    pub(crate) fn rebalances_without(&self, process: &str) -> Vec<(Nanos, Nanos)> {
        self.spans(|strike| match strike.kind {
            _ if strike.what.split(' ').any(|word| word == process) => None,
            StrikeKind::Kill | StrikeKind::Suspend => Some(self.limits.member_expiry),
            StrikeKind::Terminate | StrikeKind::Join => Some(self.limits.rebalance),
            _ => None,
        })
    }

    /// From each strike of a kind that lasts, for as long as it does.
    fn spans(&self, lasts: impl Fn(&Strike) -> Option<Duration>) -> Vec<(Nanos, Nanos)> {
        let mut spans: Vec<(Nanos, Nanos)> = Vec::new();
        for strike in &self.strikes {
            let Some(lasts) = lasts(strike) else {
                continue;
            };
            let until = strike.ns + u64::try_from(lasts.as_nanos()).unwrap_or(Nanos::MAX);
            match spans.last_mut() {
                Some(last) if strike.ns <= last.1 => last.1 = last.1.max(until),
                _ => spans.push((strike.ns, until)),
            }
        }
        spans
    }

    /// A partition as people know it.
    pub(crate) fn name(&self, partition: Partition) -> String {
        let topic = self.topics.get(partition.topic);
        let topic = topic.map_or("(a topic that nobody asked for)", String::as_str);
        format!("{topic}/{}", partition.number)
    }
}
