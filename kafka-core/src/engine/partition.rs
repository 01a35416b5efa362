//! One assignment of one partition: its epoch, its offsets, and how its lanes are told to stop.
//!
//! A partition that is taken away and handed back is a new [`PartitionState`]: whatever still belongs to the old
//! one (acks, retries, pauses) has nowhere to land.

use std::ops::Range;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use super::watermark::PartitionOffsets;
use crate::extract::CancellationToken;
use crate::mutant::{self, Mutant};
use crate::record::{HeldBytes, Offset, TopicPartition};

/// Counts the assignments of an engine; higher is later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Epoch(pub(crate) u64);

/// What the lanes of a partition may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Start records as they come.
    Running = 0,
    /// Finish the calls that run, and what lies below a record that was started: it holds the commit back, and what
    /// finished above it would be handled again. Start nothing more. Retries that wait for longer than the drain are
    /// given up.
    Draining = 1,
    /// Drop every call; acks no longer count.
    Fenced = 2,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct PartitionState {
    pub(crate) at: TopicPartition,
    pub(crate) epoch: Epoch,
    pub(crate) held: Arc<HeldBytes>,
    /// Fires when the calls should come to an end.
    pub(crate) cancel: CancellationToken,
    mode: AtomicU8,
    /// Received and not acked.
    in_flight: AtomicUsize,
    /// Acked without a call, because the handler does not want them.
    filtered: AtomicU64,
    offsets: Mutex<PartitionOffsets>,
    /// The offset that was handed to the client last; -1 before the first.
    stored: AtomicI64,
    /// The offset that the group took note of last; -1 before the first.
    committed: AtomicI64,
    drain_until: Mutex<Option<Instant>>,
    lanes: AtomicUsize,
    lanes_ended: Notify,
    /// Lanes that have not said yet what they had started when the drain began.
    undrained_lanes: AtomicUsize,
    /// One past the highest sequence that was started before the drain.
    started: AtomicU64,
    /// The lowest sequence that was given up unfinished during the drain: nothing from there on can be committed.
    given_up: AtomicU64,
}

impl PartitionState {
    pub(crate) fn new(at: TopicPartition, epoch: Epoch) -> Self {
        Self {
            at,
            epoch,
            held: Arc::default(),
            cancel: CancellationToken::new(),
            mode: AtomicU8::new(Mode::Running as u8),
            in_flight: AtomicUsize::new(0),
            filtered: AtomicU64::new(0),
            offsets: Mutex::default(),
            stored: AtomicI64::new(-1),
            committed: AtomicI64::new(-1),
            drain_until: Mutex::default(),
            lanes: AtomicUsize::new(0),
            lanes_ended: Notify::new(),
            undrained_lanes: AtomicUsize::new(0),
            started: AtomicU64::new(0),
            given_up: AtomicU64::new(u64::MAX),
        }
    }

    /// Takes note of records with offsets from `first` on; they get the next sequences.
    pub(crate) fn received(&self, first: Offset, len: usize) {
        self.in_flight.fetch_add(len, Ordering::Relaxed);
        self.offsets().received(first, len as u64);
    }

    /// Finishes records: the runtime may commit past them. An ack after the fence changes nothing.
    pub(crate) fn ack(&self, sequences: &[Range<u64>]) {
        let mut offsets = self.offsets();
        // Read under the lock: `fence` takes it too, so no ack is between the fence and the last commit.
        if self.mode() == Mode::Fenced {
            return;
        }
        let mut count = 0;
        for range in sequences {
            count += range.end - range.start;
            offsets.ack(range.clone());
        }
        drop(offsets);
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        self.in_flight.fetch_sub(count, Ordering::Relaxed);
    }

    /// Returns the offset that may be committed.
    pub(crate) fn committable(&self) -> Option<Offset> {
        self.offsets().committable()
    }

    /// Returns the offset that may be committed, if it is past the one that was stored last.
    pub(crate) fn to_store(&self) -> Option<Offset> {
        if mutant::is_active(Mutant::CommitBack) && self.committable() == self.stored() {
            return self.stored().map(|offset| Offset(offset.0 - 1));
        }
        let too_far = i64::from(mutant::is_active(Mutant::CommitOneTooFar));
        self.committable()
            .map(|offset| Offset(offset.0 + too_far))
            .filter(|offset| offset.0 > self.stored.load(Ordering::Relaxed))
    }

    /// Takes note that the client has this offset now. A commit that fails leaves it with the client, which tries
    /// again.
    pub(crate) fn set_stored(&self, offset: Offset) {
        self.stored.store(offset.0, Ordering::Relaxed);
    }

    /// Returns the offset that was stored last.
    pub(crate) fn stored(&self) -> Option<Offset> {
        let stored = self.stored.load(Ordering::Relaxed);
        (stored >= 0).then_some(Offset(stored))
    }

    /// Takes note that the group has this offset.
    pub(crate) fn set_committed(&self, offset: Offset) {
        self.committed.store(offset.0, Ordering::Relaxed);
    }

    /// Returns the offset that the group has.
    pub(crate) fn committed(&self) -> Option<Offset> {
        let committed = self.committed.load(Ordering::Relaxed);
        (committed >= 0).then_some(Offset(committed))
    }

    /// Returns the offset of a record that is not acked.
    pub(crate) fn offset_of(&self, sequence: u64) -> Option<Offset> {
        self.offsets().offset_of(sequence)
    }

    /// Returns how many records were received and are not acked.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Counts records that the handler does not want.
    pub(crate) fn count_filtered(&self, records: u64) {
        self.filtered.fetch_add(records, Ordering::Relaxed);
    }

    /// Returns how many there were.
    pub(crate) fn filtered(&self) -> u64 {
        self.filtered.load(Ordering::Relaxed)
    }

    pub(crate) fn mode(&self) -> Mode {
        match self.mode.load(Ordering::Acquire) {
            0 => Mode::Running,
            1 => Mode::Draining,
            _ => Mode::Fenced,
        }
    }

    /// Stops new records; the lanes must be woken to see it. Retries that are due until then are waited for: what finished
    /// above them would be handled again.
    pub(crate) fn drain(&self, until: Option<Instant>) {
        if let Some(until) = until {
            let mut known = self
                .drain_until
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            known.get_or_insert(until);
        }
        self.mode.fetch_max(Mode::Draining as u8, Ordering::AcqRel);
    }

    /// Returns until when a drain waits for retries.
    pub(crate) fn drain_until(&self) -> Option<Instant> {
        *self
            .drain_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the epoch: cancellation fires, and no ack counts from here on. The lanes must be woken to see it.
    pub(crate) fn fence(&self) {
        if mutant::is_active(Mutant::IgnoreFence) {
            return;
        }
        {
            let _offsets = self.offsets();
            self.mode.store(Mode::Fenced as u8, Ordering::Release);
        }
        self.cancel.cancel();
    }

    pub(crate) fn lane_started(&self) {
        self.lanes.fetch_add(1, Ordering::AcqRel);
        self.undrained_lanes.fetch_add(1, Ordering::AcqRel);
    }

    /// Takes note of what a lane had started when it saw the drain, once for each lane.
    pub(crate) fn lane_drains(&self, started: u64) {
        self.started.fetch_max(started, Ordering::AcqRel);
        self.undrained_lanes.fetch_sub(1, Ordering::AcqRel);
    }

    /// Takes note of a record that stays unfinished.
    pub(crate) fn give_up(&self, sequence: u64) {
        self.given_up.fetch_min(sequence, Ordering::AcqRel);
    }

    /// Returns the sequence that the drain ends at; `None` until every lane has said what it had started.
    pub(crate) fn drain_end(&self) -> Option<u64> {
        let is_known = self.undrained_lanes.load(Ordering::Acquire) == 0;
        let end = || {
            let started = self.started.load(Ordering::Acquire);
            started.min(self.given_up.load(Ordering::Acquire))
        };
        is_known.then(end)
    }

    pub(crate) fn lane_ended(&self) {
        if self.lanes.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.lanes_ended.notify_waiters();
        }
    }

    /// True once no call of this epoch can run any more.
    pub(crate) fn is_over(&self) -> bool {
        self.lanes.load(Ordering::Acquire) == 0
    }

    /// Waits until no call of this epoch can run any more. Cancel-safe.
    pub(crate) async fn over(&self) {
        loop {
            let ended = self.lanes_ended.notified();
            if self.is_over() {
                return;
            }
            ended.await;
        }
    }

    fn offsets(&self) -> std::sync::MutexGuard<'_, PartitionOffsets> {
        // Held for a few instructions that do not panic.
        self.offsets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition() -> PartitionState {
        PartitionState::new(TopicPartition::new("t", 0), Epoch(1))
    }

    #[test]
    fn a_late_ack_of_a_fenced_partition_is_ignored() {
        let partition = partition();
        partition.received(Offset(5), 2);
        partition.ack(std::slice::from_ref(&(0..1)));

        partition.fence();
        partition.ack(std::slice::from_ref(&(1..2)));

        assert_eq!(partition.committable(), Some(Offset(6)));
        assert!(partition.cancel.is_cancelled());
    }

    #[test]
    fn draining_does_not_undo_a_fence() {
        let partition = partition();

        partition.fence();
        partition.drain(None);

        assert_eq!(partition.mode(), Mode::Fenced);
    }

    #[tokio::test]
    async fn it_is_over_when_the_last_lane_ends() {
        let partition = Arc::new(partition());
        partition.lane_started();
        partition.lane_started();
        let waiting = tokio::spawn({
            let partition = Arc::clone(&partition);
            async move { partition.over().await }
        });

        partition.lane_ended();
        assert!(!partition.is_over());
        partition.lane_ended();

        waiting.await.unwrap();
    }
}
