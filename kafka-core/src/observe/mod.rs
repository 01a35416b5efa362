//! What happened, told to whoever reads it: the engine calls observers and knows none of them.

mod tracing;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::outcome::Failure;
use crate::record::{Offset, Record, TopicPartition};
use crate::table::StartTable;

pub(crate) use self::tracing::TARGET;
pub use self::tracing::TracingObserver;

/// Reads what happens in a runtime. It cannot change it.
///
/// Called from the threads that do the work: an observer must be quick and must not block.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use kafka_core::{Event, Observer};
///
/// #[derive(Default)]
/// struct CountDeadLetters(AtomicU64);
///
/// impl Observer for CountDeadLetters {
///     fn observe(&self, event: &Event<'_>) {
///         if let Event::DeadLettered { .. } = event {
///             self.0.fetch_add(1, Ordering::Relaxed);
///         }
///     }
/// }
/// ```
pub trait Observer: Send + Sync + 'static {
    /// Takes note of an event.
    fn observe(&self, event: &Event<'_>);

    /// True if [`Event::Handled`] is wanted; it costs two readings of the clock for each record. Default: false.
    fn wants_handled(&self) -> bool {
        false
    }
}

/// The runtime has one, whoever reads its counts another.
impl<T: Observer + ?Sized> Observer for Arc<T> {
    fn observe(&self, event: &Event<'_>) {
        (**self).observe(event);
    }

    fn wants_handled(&self) -> bool {
        (**self).wants_handled()
    }
}

/// Something that happened. Records are given for where they are; their bytes do not belong in a log.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The runtime is about to start these handlers.
    Starting {
        /// A row for each handler and topic.
        table: &'a StartTable,
    },
    /// The group's member reads these partitions from now on.
    Assigned {
        /// The consumer group.
        group_id: &'a str,
        /// Each partition and the offset it starts at; `None` is the oldest record.
        partitions: &'a [(TopicPartition, Option<Offset>)],
    },
    /// Partitions were given up after their running calls had finished.
    Revoked {
        /// The consumer group.
        group_id: &'a str,
        /// The partitions.
        partitions: &'a [TopicPartition],
        /// How long the running calls took.
        drained_in: Duration,
        /// Calls that did not finish in time and were dropped; their records are handled again elsewhere.
        dropped: usize,
    },
    /// Partitions were taken away without notice: what is not committed is handled again elsewhere.
    Lost {
        /// The consumer group.
        group_id: &'a str,
        /// The partitions.
        partitions: &'a [TopicPartition],
    },
    /// There is reason to think that these partitions are another member's, and the group has not said so yet: nothing
    /// of them is handled or stored until it does.
    Fenced {
        /// The consumer group.
        group_id: &'a str,
        /// The partitions.
        partitions: &'a [TopicPartition],
        /// The reason.
        why: Suspicion,
    },
    /// A batch of records cannot be read, and not for want of trying: its partition is put aside. It is tried again
    /// every minute; nothing past the batch is committed.
    Quarantined {
        /// The consumer group.
        group_id: &'a str,
        /// The partition.
        partition: &'a TopicPartition,
        /// The first offset that cannot be read.
        from: Offset,
        /// One past the newest record: at most so much waits behind the batch. `None` if no broker said so.
        end: Option<Offset>,
        /// What the client said.
        error: &'a crate::ClientError,
    },
    /// A record in a retry topic that this group did not park: it is finished without a call.
    NotParked {
        /// The consumer group.
        group_id: &'a str,
        /// The partition of the retry topic.
        partition: &'a TopicPartition,
        /// The record's offset there.
        offset: Offset,
        /// How that is known.
        why: &'static str,
    },
    /// A call has been running for longer than `max_call_age`. Told again each time that its age has doubled.
    CallHangs {
        /// The consumer group.
        group_id: &'a str,
        /// The handler's name.
        handler: &'a str,
        /// The partition of its record.
        partition: &'a TopicPartition,
        /// The offset of its record.
        offset: Offset,
        /// Tells the records of one key apart from others without showing the key; `None` if the call cannot be asked.
        key_hash: Option<u64>,
        /// How long it has been running.
        age: Duration,
        /// It does not give its thread back: other records of the partition wait for it, whatever their key.
        is_blocking: bool,
    },
    /// Nearly everything fails: the handler is not fed until an attempt succeeds.
    BreakerOpened {
        /// The consumer group.
        group_id: &'a str,
        /// The handler's name.
        handler: &'a str,
        /// First attempts that failed,
        failed: u32,
        /// of so many.
        of: u32,
        /// After this long one attempt is let through.
        wait: Duration,
    },
    /// An attempt succeeded: the handler is fed again.
    BreakerClosed {
        /// The consumer group.
        group_id: &'a str,
        /// The handler's name.
        handler: &'a str,
    },
    /// A record was handled. Of a batch, each record is told by itself.
    Handled {
        /// The record.
        record: &'a Record,
        /// The handler's name.
        handler: &'a str,
        /// From 1.
        attempt: u32,
        /// From the start of this attempt, decoding included; of a batch, the time of the whole call.
        duration: Duration,
    },
    /// An attempt failed and another one follows.
    Retrying {
        /// The record.
        record: &'a Record,
        /// The handler's name.
        handler: &'a str,
        /// The attempt that failed, from 1.
        attempt: u32,
        /// Why.
        failure: &'a Failure,
        /// The wait before the next attempt.
        after: Duration,
    },
    /// A record failed and is parked in a retry topic, or follows an earlier record of its key there.
    Parked {
        /// The record.
        record: &'a Record,
        /// The handler's name.
        handler: &'a str,
        /// The retry topic.
        topic: &'a str,
        /// How many attempts it has had.
        attempts: u32,
        /// Why it failed; `None` if it only follows.
        failure: Option<&'a Failure>,
    },
    /// A record was written to its dead letter topic, acknowledged by the broker.
    DeadLettered {
        /// The record.
        record: &'a Record,
        /// The handler's name.
        handler: &'a str,
        /// The dead letter topic.
        topic: &'a str,
        /// How many attempts it had.
        attempts: u32,
        /// Why it was given up.
        failure: &'a Failure,
    },
    /// A dead letter, or a record that is parked, could not be written; it is tried again, and the source is not committed past it.
    DeadLetterDelayed {
        /// The record.
        record: &'a Record,
        /// The handler's name.
        handler: &'a str,
        /// The dead letter topic, or the retry topic.
        topic: &'a str,
        /// What the client said.
        error: &'a crate::ProduceError,
        /// The wait before the next attempt.
        after: Duration,
    },
    /// A record was skipped, by its handler or by the policy `skip`.
    Skipped {
        /// The record.
        record: &'a Record,
        /// The handler's name.
        handler: &'a str,
        /// The handler's reason, or `None` if the policy did it.
        reason: Option<&'a str>,
        /// Why it failed, if it did.
        failure: Option<&'a Failure>,
    },
    /// Records were acked without a call, because their handler does not want them
    /// ([`Handler::operations`](crate::Handler::operations), [`Handler::changed`](crate::Handler::changed)). Told at the
    /// end of a lane's turn, for all of that turn.
    Filtered {
        /// The consumer group.
        group_id: &'a str,
        /// The handler's name.
        handler: &'a str,
        /// Their partition.
        partition: &'a TopicPartition,
        /// How many; not those of earlier events.
        records: u64,
    },
    /// A record failed for good under the policy `stop`: the runtime ends.
    Stopping {
        /// The record.
        record: &'a Record,
        /// The handler's name.
        handler: &'a str,
        /// Why.
        failure: &'a Failure,
    },
    /// Fetching from a partition is paused because too much of it waits in memory.
    Paused {
        /// The partition.
        partition: &'a TopicPartition,
        /// Records that wait or run.
        in_flight: usize,
        /// Bytes that are held for them.
        bytes: usize,
    },
    /// Fetching goes on.
    Resumed {
        /// The partition.
        partition: &'a TopicPartition,
    },
    /// The client reported an error that it deals with itself: a broker is away, a commit is tried again.
    ClientError {
        /// The consumer group.
        group_id: &'a str,
        /// What the client said.
        error: &'a crate::ClientError,
    },
    /// Headers of a record could not be read (their names are not UTF-8) and are missing.
    HeadersUnreadable {
        /// The partition.
        partition: &'a TopicPartition,
        /// The record's offset.
        offset: Offset,
        /// How many.
        count: usize,
    },
    /// A group's member has left.
    Stopped {
        /// The consumer group.
        group_id: &'a str,
        /// How long it took.
        took: Duration,
        /// Records that were received and not finished: they are handled again after the next start.
        unfinished: usize,
    },
}

/// Why a member thinks that its partitions may be another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Suspicion {
    /// The process did not look at the group for this long, which is more than the session timeout: it was suspended.
    Suspended(Duration),
    /// The group refused a commit of this member.
    CommitRefused,
    /// The group took note of no commit, and answered no question, for this long, which is more than two session timeouts
    /// (one with `group.protocol=consumer`, which the client does not watch by itself).
    Silence(Duration),
}

impl fmt::Display for Suspicion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Suspended(gap) => write!(f, "the process was suspended for {gap:.1?}"),
            Self::CommitRefused => f.write_str("the group refused a commit"),
            Self::Silence(gap) => write!(f, "the group has not been heard of for {gap:.1?}"),
        }
    }
}

/// Every observer of a runtime.
#[derive(Clone, Default)]
pub(crate) struct Observers(Arc<[Arc<dyn Observer>]>);

impl Observers {
    pub(crate) fn new(observers: Vec<Arc<dyn Observer>>) -> Self {
        Self(observers.into())
    }

    pub(crate) fn emit(&self, event: &Event<'_>) {
        for observer in &*self.0 {
            // It is somebody else's code, on the threads that keep the promises: a panic of it has been printed.
            let _ = catch_unwind(AssertUnwindSafe(|| observer.observe(event)));
        }
    }

    pub(crate) fn wants_handled(&self) -> bool {
        self.0.iter().any(Observer::wants_handled)
    }
}

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Observers({})", self.0.len())
    }
}
