//! What a group is doing, for whoever asks: `control.status()`, the state of a consumer, `Debug`.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::partition::{Mode, PartitionState};
use super::route::ActiveHandler;
use crate::error::{ClientError, RunError};
use crate::record::{Offset, TopicPartition};

/// Where a group's member is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum GroupState {
    /// It is joining the group.
    Joining,
    /// It has been assigned its partitions (perhaps none) and reads them.
    Running,
    /// It finishes what runs, then leaves.
    Stopping,
    /// It has left.
    Stopped,
}

/// What a group is doing right now.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GroupStatus {
    /// The consumer group.
    pub group_id: String,
    /// Where it is in its life.
    pub state: GroupState,
    /// The topics and patterns it subscribes to.
    pub topics: Vec<String>,
    /// The partitions it reads.
    pub partitions: Vec<PartitionStatus>,
    /// It has reason to think that its partitions are another member's, and reads nothing until the group has spoken
    /// ([`Event::Fenced`](crate::Event::Fenced)).
    pub is_fenced: bool,
    /// Handlers that are not fed, because nearly everything failed in them ([`Breaker`](crate::Breaker)).
    pub open_breakers: Vec<String>,
    /// The client's last error, while nothing has gone well since.
    pub last_error: Option<ClientError>,
}

impl GroupStatus {
    /// True if it does what it is there for: it is a member of its group, feeds every handler, and reads every partition
    /// that nobody paused. For a readiness probe; see [`Control::is_ready`](crate::Control::is_ready).
    pub fn is_ready(&self) -> bool {
        let mut partitions = self.partitions.iter();
        self.state == GroupState::Running
            && !self.is_fenced
            && self.open_breakers.is_empty()
            && !partitions.any(|p| p.is_quarantined)
    }

    /// Returns how many records were received and are not acked yet.
    pub fn in_flight(&self) -> usize {
        self.partitions.iter().map(|p| p.in_flight).sum()
    }

    /// Returns how many records of these partitions were acked without a call, because their handler does not want them.
    /// A partition that comes or goes changes it: to count for good, add up [`Event::Filtered`](crate::Event::Filtered).
    pub fn filtered(&self) -> u64 {
        self.partitions.iter().map(|p| p.filtered).sum()
    }
}

/// What happens to one partition right now.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PartitionStatus {
    /// The partition.
    pub partition: TopicPartition,
    /// Counts the assignments of this member; higher is later.
    pub epoch: u64,
    /// Received and not acked.
    pub in_flight: usize,
    /// Bytes held for the records in flight.
    pub held_bytes: usize,
    /// Records that were acked without a call since it was assigned, because its handler does not want them
    /// ([`Handler::operations`](crate::Handler::operations), [`Handler::changed`](crate::Handler::changed)).
    pub filtered: u64,
    /// The next offset to read, as the group has it; `None` before the first commit.
    pub committed: Option<Offset>,
    /// Paused, by the user or because too much waits.
    pub is_paused: bool,
    /// The group wants it back, or the runtime stops: what runs is finished, nothing new is started.
    pub is_draining: bool,
    /// Put aside: a batch of it or of its retry topics cannot be read ([`Event::Quarantined`](crate::Event::Quarantined)), or
    /// these lack the partition.
    pub is_quarantined: bool,
}

/// A partition, as the poll thread shows it.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) state: Arc<PartitionState>,
    pub(crate) handler: Arc<ActiveHandler>,
    pub(crate) is_paused: bool,
    pub(crate) is_quarantined: bool,
}

/// Written by the poll thread, read by anyone.
#[derive(Debug)]
pub(crate) struct Monitor {
    group_id: Arc<str>,
    state: watch::Sender<GroupState>,
    now: Mutex<Now>,
}

#[derive(Debug, Default)]
struct Now {
    ended: Option<Result<(), RunError>>,
    topics: Vec<String>,
    partitions: Vec<Shown>,
    is_fenced: bool,
    last_error: Option<ClientError>,
}

impl Monitor {
    pub(crate) fn new(group_id: Arc<str>) -> Self {
        Self {
            group_id,
            state: watch::Sender::new(GroupState::Joining),
            now: Mutex::default(),
        }
    }

    pub(crate) fn set_state(&self, state: GroupState) {
        self.state.send_if_modified(|current| {
            let is_later = state > *current;
            *current = (*current).max(state);
            is_later
        });
    }

    /// The engine's thread has ended, for this reason.
    pub(crate) fn end(&self, result: Result<(), RunError>) {
        self.now().ended = Some(result);
        self.set_state(GroupState::Stopped);
    }

    /// Returns why the engine's thread has ended; `None` while it runs.
    pub(crate) fn result(&self) -> Option<Result<(), RunError>> {
        self.now().ended.clone()
    }

    pub(crate) fn state(&self) -> GroupState {
        *self.state.borrow()
    }

    /// Waits until the group is in this state or a later one. Cancel-safe.
    pub(crate) async fn reached(&self, state: GroupState) {
        let mut watched = self.state.subscribe();
        // An error is impossible: `self` owns the sender.
        let _ = watched.wait_for(|current| *current >= state).await;
    }

    pub(crate) fn set_topics(&self, topics: Vec<String>) {
        self.now().topics = topics;
    }

    pub(crate) fn set_partitions(&self, partitions: Vec<Shown>, is_fenced: bool) {
        let mut now = self.now();
        now.partitions = partitions;
        now.is_fenced = is_fenced;
    }

    /// Starts nothing more of a topic, at once: the poll thread may be a moment from its next command.
    pub(crate) fn drain(&self, topic: &str) {
        for shown in &self.now().partitions {
            if *shown.state.at.topic == *topic {
                shown.state.drain(None);
            }
        }
    }

    pub(crate) fn set_error(&self, error: ClientError) {
        self.now().last_error = Some(error);
    }

    /// True if the last thing heard is that no broker answers.
    pub(crate) fn is_unreachable(&self) -> bool {
        matches!(self.now().last_error, Some(ClientError::Unreachable(_)))
    }

    /// Something went well again.
    pub(crate) fn clear_error(&self) {
        self.now().last_error = None;
    }

    pub(crate) fn status(&self) -> GroupStatus {
        let now = self.now();
        let handlers = now.partitions.iter().map(|shown| &shown.handler);
        let open = handlers.filter(|handler| handler.breaker.is_open());
        let open: BTreeSet<_> = open.map(|handler| handler.name.to_string()).collect();
        GroupStatus {
            open_breakers: open.into_iter().collect(),
            group_id: self.group_id.to_string(),
            state: self.state(),
            topics: now.topics.clone(),
            partitions: now.partitions.iter().map(status_of).collect(),
            is_fenced: now.is_fenced,
            last_error: now.last_error.clone(),
        }
    }

    fn now(&self) -> std::sync::MutexGuard<'_, Now> {
        // Held for a few assignments, which do not panic.
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn status_of(shown: &Shown) -> PartitionStatus {
    let state = &shown.state;
    PartitionStatus {
        partition: state.at.clone(),
        epoch: state.epoch.0,
        in_flight: state.in_flight(),
        held_bytes: state.held.get(),
        filtered: state.filtered(),
        committed: state.committed(),
        is_paused: shown.is_paused,
        is_draining: state.mode() == Mode::Draining,
        is_quarantined: shown.is_quarantined,
    }
}
