//! What happened in a test: an observer that keeps everything.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::record::TestRecord;
use crate::error::ClientError;
use crate::observe::{Event, Observer, Suspicion};
use crate::outcome::{Failure, FailureKind};
use crate::producer::ProduceError;
use crate::record::TopicPartition;

/// A call that ended well.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Handled {
    /// The record.
    pub record: TestRecord,
    /// The handler's name.
    pub handler: String,
    /// From 1.
    pub attempt: u32,
}

/// An attempt that failed, with another one to follow.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Retried {
    /// The record.
    pub record: TestRecord,
    /// The handler's name.
    pub handler: String,
    /// The attempt that failed, from 1.
    pub attempt: u32,
    /// Why.
    pub class: FailureKind,
    /// The error's text.
    pub error: String,
    /// The wait before the next attempt.
    pub after: Duration,
}

/// A record that was parked in a retry topic, or follows an earlier one of its key there.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Parked {
    /// The record, as it lies in its source.
    pub record: TestRecord,
    /// The handler's name.
    pub handler: String,
    /// The retry topic.
    pub topic: String,
    /// How many attempts it has had.
    pub attempts: u32,
    /// Why it failed; `None` if it only follows.
    pub class: Option<FailureKind>,
}

/// A record that was skipped, by its handler or by the policy `skip`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Skipped {
    /// The record.
    pub record: TestRecord,
    /// The handler's name.
    pub handler: String,
    /// The handler's reason; `None` if the policy did it.
    pub reason: Option<String>,
    /// Why it failed, if it did, and the error's text.
    pub failure: Option<(FailureKind, String)>,
}

/// Something that happened in a test's runtime.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TestEvent {
    /// The group's member reads these partitions from now on.
    Assigned {
        /// The consumer group.
        group: String,
        /// The partitions.
        partitions: Vec<TopicPartition>,
    },
    /// Partitions were given back.
    Revoked {
        /// The consumer group.
        group: String,
        /// The partitions.
        partitions: Vec<TopicPartition>,
        /// Calls that did not finish within `drain_timeout`, and were dropped.
        dropped: usize,
    },
    /// Partitions were taken away without notice.
    Lost {
        /// The consumer group.
        group: String,
        /// The partitions.
        partitions: Vec<TopicPartition>,
    },
    /// Partitions may be another member's: nothing of them is handled until the group has spoken.
    Fenced {
        /// The consumer group.
        group: String,
        /// The partitions.
        partitions: Vec<TopicPartition>,
        /// The reason.
        why: Suspicion,
    },
    /// A call ended well.
    Handled(Handled),
    /// An attempt failed, and another one follows.
    Retried(Retried),
    /// A record was skipped.
    Skipped(Skipped),
    /// Records were acked without a call, because their handler does not want them.
    Filtered {
        /// The handler's name.
        handler: String,
        /// Their partition.
        partition: TopicPartition,
        /// How many; not those of earlier events.
        records: u64,
    },
    /// A record was parked in a retry topic, or follows an earlier one of its key there.
    Parked(Parked),
    /// A batch cannot be read: its partition is put aside.
    Quarantined {
        /// The partition.
        partition: TopicPartition,
        /// The first offset that cannot be read.
        from: i64,
    },
    /// A record was written to its dead letter topic.
    DeadLettered {
        /// The record.
        record: TestRecord,
        /// The handler's name.
        handler: String,
        /// The dead letter topic.
        topic: String,
        /// How many attempts it had.
        attempts: u32,
        /// Why it was given up.
        class: FailureKind,
        /// The error's text.
        error: String,
    },
    /// A dead letter could not be written, and is tried again.
    DeadLetterDelayed {
        /// The record.
        record: TestRecord,
        /// The dead letter topic.
        topic: String,
        /// What the producer said.
        error: ProduceError,
        /// The wait before the next attempt.
        after: Duration,
    },
    /// A record failed for good under the policy `stop`: the runtime ends.
    Stopping {
        /// The record.
        record: TestRecord,
        /// The handler's name.
        handler: String,
        /// Why.
        class: FailureKind,
        /// The error's text.
        error: String,
    },
    /// Fetching from a partition is paused because too much of it waits.
    Paused {
        /// The partition.
        partition: TopicPartition,
    },
    /// Fetching goes on.
    Resumed {
        /// The partition.
        partition: TopicPartition,
    },
    /// A call has been running for longer than `max_call_age`.
    CallHangs {
        /// The handler's name.
        handler: String,
        /// The partition of its record.
        partition: TopicPartition,
        /// The offset of its record.
        offset: i64,
        /// How long it has been running.
        age: Duration,
    },
    /// Nearly everything fails: the handler is not fed until an attempt succeeds.
    BreakerOpened {
        /// The handler's name.
        handler: String,
        /// After this long one attempt is let through.
        wait: Duration,
    },
    /// The handler is fed again.
    BreakerClosed {
        /// The handler's name.
        handler: String,
    },
    /// The client reported an error.
    ClientError {
        /// The consumer group.
        group: String,
        /// What it said.
        error: ClientError,
    },
    /// A group's member has left.
    Stopped {
        /// The consumer group.
        group: String,
        /// Records that were received and not finished.
        unfinished: usize,
    },
}

impl TestEvent {
    /// `None` for what no test asks about.
    #[expect(
        clippy::too_many_lines,
        reason = "one arm for each event, each a copy of its fields"
    )]
    fn of(event: &Event<'_>) -> Option<Self> {
        let owned = |name: &&str| (*name).to_owned();
        Some(match event {
            Event::Assigned {
                group_id,
                partitions,
            } => Self::Assigned {
                group: owned(group_id),
                partitions: partitions.iter().map(|(at, _)| at.clone()).collect(),
            },
            Event::Revoked {
                group_id,
                partitions,
                dropped,
                ..
            } => Self::Revoked {
                group: owned(group_id),
                partitions: partitions.to_vec(),
                dropped: *dropped,
            },
            Event::Lost {
                group_id,
                partitions,
            } => Self::Lost {
                group: owned(group_id),
                partitions: partitions.to_vec(),
            },
            Event::Fenced {
                group_id,
                partitions,
                why,
            } => Self::Fenced {
                group: owned(group_id),
                partitions: partitions.to_vec(),
                why: *why,
            },
            Event::Handled {
                record,
                handler,
                attempt,
                ..
            } => Self::Handled(Handled {
                record: TestRecord::of(record),
                handler: owned(handler),
                attempt: *attempt,
            }),
            Event::Retrying {
                record,
                handler,
                attempt,
                failure,
                after,
            } => Self::Retried(Retried {
                record: TestRecord::of(record),
                handler: owned(handler),
                attempt: *attempt,
                class: failure.kind(),
                error: error_text(failure),
                after: *after,
            }),
            Event::Skipped {
                record,
                handler,
                reason,
                failure,
            } => Self::Skipped(Skipped {
                record: TestRecord::of(record),
                handler: owned(handler),
                reason: reason.as_ref().map(owned),
                failure: failure.map(|failure| (failure.kind(), error_text(failure))),
            }),
            Event::Parked {
                record,
                handler,
                topic,
                attempts,
                failure,
            } => Self::Parked(Parked {
                record: TestRecord::of(record),
                handler: owned(handler),
                topic: owned(topic),
                attempts: *attempts,
                class: failure.map(Failure::kind),
            }),
            Event::Quarantined {
                partition, from, ..
            } => Self::Quarantined {
                partition: (*partition).clone(),
                from: from.0,
            },
            Event::DeadLettered {
                record,
                handler,
                topic,
                attempts,
                failure,
            } => Self::DeadLettered {
                record: TestRecord::of(record),
                handler: owned(handler),
                topic: owned(topic),
                attempts: *attempts,
                class: failure.kind(),
                error: error_text(failure),
            },
            Event::DeadLetterDelayed {
                record,
                topic,
                error,
                after,
                ..
            } => Self::DeadLetterDelayed {
                record: TestRecord::of(record),
                topic: owned(topic),
                error: (*error).clone(),
                after: *after,
            },
            Event::Stopping {
                record,
                handler,
                failure,
            } => Self::Stopping {
                record: TestRecord::of(record),
                handler: owned(handler),
                class: failure.kind(),
                error: error_text(failure),
            },
            Event::Filtered {
                handler,
                partition,
                records,
                ..
            } => Self::Filtered {
                handler: owned(handler),
                partition: (*partition).clone(),
                records: *records,
            },
            Event::Paused { partition, .. } => Self::Paused {
                partition: (*partition).clone(),
            },
            Event::Resumed { partition } => Self::Resumed {
                partition: (*partition).clone(),
            },
            Event::CallHangs {
                handler,
                partition,
                offset,
                age,
                ..
            } => Self::CallHangs {
                handler: owned(handler),
                partition: (*partition).clone(),
                offset: offset.0,
                age: *age,
            },
            Event::BreakerOpened { handler, wait, .. } => Self::BreakerOpened {
                handler: owned(handler),
                wait: *wait,
            },
            Event::BreakerClosed { handler, .. } => Self::BreakerClosed {
                handler: owned(handler),
            },
            Event::ClientError { group_id, error } => Self::ClientError {
                group: owned(group_id),
                error: (*error).clone(),
            },
            Event::Stopped {
                group_id,
                unfinished,
                ..
            } => Self::Stopped {
                group: owned(group_id),
                unfinished: *unfinished,
            },
            // The kit shows the handlers itself, and makes no headers that cannot be read.
            Event::Starting { .. } | Event::HeadersUnreadable { .. } | Event::NotParked { .. } => {
                return None;
            }
        })
    }

    /// Returns the record that it is about.
    pub fn record(&self) -> Option<&TestRecord> {
        match self {
            Self::Handled(Handled { record, .. })
            | Self::Retried(Retried { record, .. })
            | Self::Skipped(Skipped { record, .. })
            | Self::DeadLettered { record, .. }
            | Self::DeadLetterDelayed { record, .. }
            | Self::Stopping { record, .. } => Some(record),
            _ => None,
        }
    }
}

/// As the dead letter headers have it.
fn error_text(failure: &Failure) -> String {
    failure.error().to_string()
}

impl fmt::Display for TestEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Paused { partition } => write!(f, "{partition} is full: fetching pauses"),
            Self::Resumed { partition } => write!(f, "{partition}: fetching goes on"),
            Self::CallHangs {
                handler,
                partition,
                offset,
                age,
            } => write!(f, "{partition}@{offset} runs in {handler} since {age:.0?}"),
            Self::BreakerOpened { handler, wait } => {
                write!(
                    f,
                    "{handler} fails with nearly everything: not fed for {wait:.0?}"
                )
            }
            Self::BreakerClosed { handler } => write!(f, "{handler} is fed again"),
            Self::Filtered {
                handler,
                partition,
                records,
            } => write!(f, "{partition}: {records} records filtered by {handler}"),
            event if event.record().is_some() => event.of_record(f),
            event => event.of_group(f),
        }
    }
}

impl TestEvent {
    fn of_record(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handled(Handled {
                record,
                handler,
                attempt,
            }) => write!(f, "{record} handled by {handler}, attempt {attempt}"),
            Self::Retried(Retried {
                record,
                handler,
                attempt,
                class,
                error,
                after,
            }) => write!(
                f,
                "{record} failed in {handler}, attempt {attempt} ({class}): {error}; again after {after:.0?}"
            ),
            Self::Skipped(Skipped {
                record,
                handler,
                reason,
                failure,
            }) => {
                let by_policy = failure
                    .as_ref()
                    .map(|(class, error)| format!("{class}: {error}"));
                let why = reason.clone().or(by_policy).unwrap_or_default();
                write!(f, "{record} skipped by {handler} ({why})")
            }
            Self::DeadLettered {
                record,
                handler,
                topic,
                attempts,
                class,
                error,
            } => write!(
                f,
                "{record} given up by {handler} after {attempts} attempts ({class}): {error}; written to {topic}"
            ),
            Self::DeadLetterDelayed {
                record,
                topic,
                error,
                after,
            } => write!(
                f,
                "{record} could not be written to {topic}: {error}; again after {after:.0?}"
            ),
            Self::Stopping {
                record,
                handler,
                class,
                error,
            } => write!(
                f,
                "{record} stops the runtime, by {handler} ({class}): {error}"
            ),
            _ => Ok(()),
        }
    }

    fn of_group(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Assigned { group, partitions } => {
                write!(f, "group {group} was assigned {}", list(partitions))
            }
            Self::Revoked {
                group,
                partitions,
                dropped,
            } => {
                let partitions = list(partitions);
                write!(
                    f,
                    "group {group} gave back {partitions}, {dropped} calls dropped"
                )
            }
            Self::Lost { group, partitions } => {
                write!(f, "group {group} lost {}", list(partitions))
            }
            Self::Fenced {
                group,
                partitions,
                why,
            } => write!(
                f,
                "group {group} doubts that it has {}: {why}",
                list(partitions)
            ),
            Self::ClientError { group, error } => write!(f, "group {group}: {error}"),
            Self::Stopped { group, unfinished } => {
                write!(f, "group {group} left, {unfinished} records unfinished")
            }
            _ => Ok(()),
        }
    }
}

fn list(partitions: &[TopicPartition]) -> String {
    if partitions.is_empty() {
        return "nothing".to_owned();
    }
    let names: Vec<_> = partitions.iter().map(ToString::to_string).collect();
    names.join(", ")
}

/// Everything that happened so far; clones are the same.
#[derive(Clone)]
pub(super) struct Journal(Arc<Mutex<Entries>>);

struct Entries {
    since: Instant,
    list: Vec<(Duration, TestEvent)>,
    /// How many of them are progress: an error that is told in each round is none.
    progress: usize,
}

impl Journal {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Entries {
            since: Instant::now(),
            list: Vec::new(),
            progress: 0,
        })))
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn progress(&self) -> usize {
        self.entries().progress
    }

    pub(super) fn all(&self) -> Vec<TestEvent> {
        let entries = self.entries();
        entries.list.iter().map(|(_, e)| e.clone()).collect()
    }

    /// Picks events in the order in which they happened.
    pub(super) fn pick<T>(&self, pick: impl Fn(&TestEvent) -> Option<T>) -> Vec<T> {
        let entries = self.entries();
        entries.list.iter().filter_map(|(_, e)| pick(e)).collect()
    }

    /// Returns how many records wait for time to pass: their retry, or the next write of their dead letter.
    pub(super) fn waiting_for_time(&self) -> usize {
        let entries = self.entries();
        let mut due = BTreeMap::new();
        for (at, event) in &entries.list {
            match event {
                TestEvent::Retried(Retried { record, after, .. })
                | TestEvent::DeadLetterDelayed { record, after, .. } => {
                    let place = (&*record.topic, record.partition, record.offset);
                    due.insert(place, *at + *after);
                }
                // What waited was forgotten when the partition was taken away.
                TestEvent::Assigned { partitions, .. } => {
                    due.retain(|(topic, partition, _), _| {
                        let is_of = |at: &TopicPartition| {
                            *at.topic == **topic && at.partition == *partition
                        };
                        !partitions.iter().any(is_of)
                    });
                }
                _ => {}
            }
        }
        let now = entries.since.elapsed();
        due.values().filter(|at| **at > now).count()
    }

    /// The last of it, a line each.
    pub(super) fn report(&self, f: &mut impl fmt::Write, most: usize) -> fmt::Result {
        let entries = self.entries();
        let skipped = entries.list.len().saturating_sub(most);
        if skipped > 0 {
            writeln!(f, "  ({skipped} earlier events)")?;
        }
        for (at, event) in &entries.list[skipped..] {
            writeln!(f, "  {:>9.3} s  {event}", at.as_secs_f64())?;
        }
        if entries.list.is_empty() {
            writeln!(f, "  nothing")?;
        }
        Ok(())
    }
}

impl Observer for Journal {
    fn observe(&self, event: &Event<'_>) {
        let Some(event) = TestEvent::of(event) else {
            return;
        };
        let mut entries = self.entries();
        let at = entries.since.elapsed();
        if !matches!(event, TestEvent::ClientError { .. }) {
            entries.progress += 1;
        }
        entries.list.push((at, event));
    }

    fn wants_handled(&self) -> bool {
        true
    }
}
