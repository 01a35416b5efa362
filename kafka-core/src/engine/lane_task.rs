//! The two sides of a lane: what the poll thread hands it, and the task that drives it.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering as Atomic};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake};
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;

use super::lane::LaneDriver;
use super::partition::{Mode, PartitionState};
use super::route::{ActiveHandler, GroupServices};
use crate::error::RunError;
use crate::extract::LaneContext;
use crate::failure::retry_topic::Parking;
use crate::observe::Event;
use crate::record::{Offset, RecordBatch, TopicPartition};

/// What the poll thread and a lane share.
pub struct LaneShared {
    pub(crate) partition: Arc<PartitionState>,
    pub(crate) handler: Arc<ActiveHandler>,
    pub(crate) group: GroupServices,
    pub(crate) context: Arc<LaneContext>,
    /// Earlier assignments of this partition: their calls come first.
    pub(crate) after: Vec<Arc<PartitionState>>,
    /// Where its failed records are parked, if the handler has retry topics.
    pub(super) parking: Option<LaneParking>,
    pub(super) inbox: Mutex<VecDeque<Arc<RecordBatch>>>,
    pub(super) ready: Mutex<Vec<usize>>,
    pub(super) running: AtomicUsize,
    /// It has told its partition what it had started when the drain began.
    has_drained: AtomicBool,
    /// There are records that could start if the lane only got a turn.
    pub(super) is_behind: AtomicBool,
    /// The calls are to be looked at.
    is_inspected: AtomicBool,
    /// The call that is being polled, for whoever watches from outside.
    polling: Polling,
    watched: Mutex<Option<Watched>>,
    pub(super) task: AtomicWaker,
}

/// A lane's place among the retry topics of its partition.
#[derive(Clone, Debug)]
pub(crate) struct LaneParking {
    pub(crate) parking: Arc<Parking>,
    /// 0: the source; from 1: a retry topic.
    pub(crate) stage: usize,
}

/// Written by the lane, at each poll of a call.
#[derive(Default)]
struct Polling {
    /// Counts the polls; even while none goes on.
    count: AtomicU64,
    /// The sequence of the record.
    sequence: AtomicU64,
}

/// A poll that was going on when it was looked at.
struct Watched {
    count: u64,
    since: Instant,
    /// It is reported when it has taken this long.
    report_at: Duration,
}

impl LaneShared {
    pub(crate) fn new(
        partition: Arc<PartitionState>,
        handler: Arc<ActiveHandler>,
        group: GroupServices,
        after: Vec<Arc<PartitionState>>,
        parking: Option<LaneParking>,
    ) -> Self {
        partition.lane_started();
        let context = Arc::new(LaneContext {
            services: Arc::clone(&group.services),
            group_id: Arc::clone(&group.group_id),
            handler: Arc::clone(&handler.name),
            cancel: partition.cancel.clone(),
            // A record of a retry topic belongs to the assignment of its source.
            epoch: parking
                .as_ref()
                .map_or(partition.epoch.0, |lane| lane.parking.epoch),
        });
        Self {
            partition,
            handler,
            group,
            context,
            after,
            parking,
            inbox: Mutex::default(),
            ready: Mutex::default(),
            running: AtomicUsize::new(0),
            has_drained: AtomicBool::new(false),
            is_behind: AtomicBool::new(false),
            is_inspected: AtomicBool::new(false),
            polling: Polling::default(),
            watched: Mutex::default(),
            task: AtomicWaker::new(),
        }
    }

    /// Hands records over; one wake per batch.
    pub(crate) fn push(&self, batch: Arc<RecordBatch>) {
        lock(&self.inbox).push_back(batch);
        self.is_behind.store(true, Atomic::Relaxed);
        self.task.wake();
    }

    /// True while records wait for nothing but a turn of the lane: the processor is the limit, not the handler.
    pub(crate) fn is_behind(&self) -> bool {
        self.is_behind.load(Atomic::Relaxed)
    }

    /// Returns how many calls (and dead letter writes) were running after the last turn.
    pub(crate) fn running_calls(&self) -> usize {
        self.running.load(Atomic::Relaxed)
    }

    /// The lane polls a call.
    #[inline]
    pub(super) fn begins_poll(&self, sequence: u64) {
        self.polling.sequence.store(sequence, Atomic::Relaxed);
        self.count_poll();
    }

    /// It has come back from it.
    #[inline]
    pub(super) fn ends_poll(&self) {
        self.count_poll();
    }

    #[inline]
    fn count_poll(&self) {
        // One writer: no need for an atomic addition.
        let count = self.polling.count.load(Atomic::Relaxed);
        self.polling.count.store(count + 1, Atomic::Release);
    }

    /// Counts up whenever a call is polled.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn polls(&self) -> u64 {
        self.polling.count.load(Atomic::Acquire)
    }

    /// Makes the lane look at the age of its calls; looks itself for one that does not give its thread back.
    pub(crate) fn inspect(&self, now: Instant) {
        if self.running_calls() > 0 {
            self.is_inspected.store(true, Atomic::Release);
            self.wake();
        }
        let count = self.polling.count.load(Atomic::Acquire);
        let mut watched = lock(&self.watched);
        if count.is_multiple_of(2) {
            *watched = None;
            return;
        }
        let new = || Watched {
            count,
            since: now,
            report_at: self.group.max_call_age,
        };
        let watched = watched.get_or_insert_with(new);
        if watched.count != count {
            *watched = new();
        }
        let age = now.saturating_duration_since(watched.since);
        if age >= watched.report_at {
            watched.report_at = 2 * age;
            let sequence = self.polling.sequence.load(Atomic::Relaxed);
            if let Some(offset) = self.partition.offset_of(sequence) {
                self.report_age(&self.partition.at, offset, None, age, true);
            }
        }
    }

    pub(super) fn report_age(
        &self,
        partition: &TopicPartition,
        offset: Offset,
        key_hash: Option<u64>,
        age: Duration,
        is_blocking: bool,
    ) {
        self.group.observers.emit(&Event::CallHangs {
            group_id: &self.group.group_id,
            handler: &self.handler.name,
            partition,
            offset,
            key_hash,
            age,
            is_blocking,
        });
    }

    /// True, once, if the calls are to be looked at.
    pub(super) fn take_inspection(&self) -> bool {
        self.is_inspected.load(Atomic::Relaxed) && self.is_inspected.swap(false, Atomic::AcqRel)
    }

    /// Makes the lane look at its partition's mode.
    pub(crate) fn wake(&self) {
        self.task.wake();
    }

    /// Tells the partition what was started when the drain began, the first time.
    pub(super) fn drains(&self, started: u64) {
        if !self.has_drained.swap(true, Atomic::AcqRel) {
            self.partition.lane_drains(started);
        }
    }
}

impl std::fmt::Debug for LaneShared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LaneShared")
            .field("partition", &self.partition.at)
            .finish_non_exhaustive()
    }
}

/// Held for a push or a take, which do not panic.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The task that drives a lane until its partition is taken away.
pub(crate) struct LaneTask {
    driver: Box<dyn LaneDriver>,
    shared: Arc<LaneShared>,
    has_ended: bool,
}

impl LaneTask {
    pub(crate) fn new(shared: Arc<LaneShared>) -> Self {
        Self {
            driver: shared.handler.handler.lane_driver(),
            shared,
            has_ended: false,
        }
    }
}

impl Future for LaneTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let turn = this.driver.turn(&this.shared, cx);
        this.has_ended = turn.is_ready();
        turn
    }
}

impl Drop for LaneTask {
    /// However the task ends, its partition learns that no call of it runs any more: calls are dropped first.
    fn drop(&mut self) {
        let calls = std::mem::replace(&mut self.driver, Box::new(Ended));
        // A call's destructor may panic; the partition must be free for its next assignment all the same.
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(calls)));
        let is_early = !self.has_ended && self.shared.partition.mode() == Mode::Running;
        if is_early || dropped.is_err() {
            // Its keys would wait for ever, and nobody would know.
            self.shared.group.failed.set(RunError::Panicked {
                group_id: self.shared.group.group_id.to_string(),
                text: format!("the calls of {} ended early", self.shared.partition.at),
            });
        }
        self.shared.drains(0);
        self.shared.partition.lane_ended();
    }
}

/// What is left of a driver when its task is dropped.
struct Ended;

impl LaneDriver for Ended {
    fn turn(&mut self, _: &Arc<LaneShared>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

/// Wakes one slot of a lane.
pub(super) struct SlotWaker {
    pub(super) lane: Arc<LaneShared>,
    pub(super) slot: usize,
    pub(super) queued: AtomicBool,
}

impl Wake for SlotWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Atomic::AcqRel) {
            lock(&self.lane.ready).push(self.slot);
            self.lane.task.wake();
        }
    }
}
