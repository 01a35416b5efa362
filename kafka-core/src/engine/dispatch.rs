//! Copies records out of the client and hands them to the lanes of their partition.

use std::sync::Arc;

use foldhash::fast::FixedState;
use std::hash::BuildHasher;

use super::backpressure::{Load, Share};
use super::lane_task::{LaneParking, LaneShared, LaneTask};
use super::partition::{Epoch, PartitionState};
use super::route::{ActiveHandler, GroupServices};
use super::spawn::Spawner;
use crate::client::{Position, RecordSink};
use crate::failure::retry_topic::Parking;
use crate::handler::Ordering;
use crate::record::{BatchBuilder, Offset, RawRecord, TopicPartition};

/// A poll ends when it has brought this much: whether a partition holds its share is looked at between polls, and 512 large
/// records would be far past it.
const MOST_BYTES: usize = 1 << 20;

/// A partition that the member reads, with its lanes.
pub(crate) struct Assigned {
    pub(crate) state: Arc<PartitionState>,
    pub(crate) handler: Arc<ActiveHandler>,
    pub(crate) lanes: Vec<Arc<LaneShared>>,
    /// One for each lane.
    builders: Vec<BatchBuilder>,
    next_sequence: u64,
    /// Offsets of this poll, as runs without a gap.
    received: Vec<(Offset, usize)>,
    /// Paused by us, because too much of it waits.
    pub(crate) is_full: bool,
    pub(crate) patience: Patience,
    /// Paused by the user.
    pub(crate) is_paused: bool,
    /// The client has to go back there before its records count.
    pub(crate) must_seek: Option<Position>,
    /// The offset after the last record that arrived; `None` before the first of a partition that is read from its
    /// beginning.
    pub(crate) next_offset: Option<Offset>,
    /// Put aside, because a batch of it cannot be read.
    pub(crate) is_quarantined: bool,
    /// Where its failed records are parked, if its handler has retry topics.
    pub(crate) parking: Option<Arc<Parking>>,
    /// The topic that its records are of, if it is a retry topic.
    pub(crate) source: Option<Arc<str>>,
}

/// Whether the poll thread waits for the lanes of a partition that holds a lot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    Waits,
    /// It has, in vain; until the partition holds less.
    IsOver,
}

/// A partition that is about to be read.
pub(crate) struct NewPartition<'a> {
    pub(crate) at: TopicPartition,
    pub(crate) epoch: Epoch,
    pub(crate) lanes: usize,
    pub(crate) handler: &'a Arc<ActiveHandler>,
    /// Earlier assignments of it whose calls may still run.
    pub(crate) after: &'a [Arc<PartitionState>],
    /// Its place among the retry topics, if there are any.
    pub(crate) parking: Option<&'a LaneParking>,
}

impl Assigned {
    /// Starts the lanes of a partition.
    pub(crate) fn start(new: NewPartition<'_>, group: &GroupServices, spawner: &Spawner) -> Self {
        let NewPartition {
            at,
            epoch,
            lanes,
            handler,
            after,
            parking,
        } = new;
        let state = Arc::new(PartitionState::new(at, epoch));
        // A batch is filled by one lane: shared out by their keys, records would make several small ones.
        let lanes = if handler.ordering == Ordering::Partition || handler.batch.is_some() {
            1
        } else {
            lanes
        };
        let lanes: Vec<_> = (0..lanes)
            .map(|_| {
                Arc::new(LaneShared::new(
                    Arc::clone(&state),
                    Arc::clone(handler),
                    group.clone(),
                    after.to_vec(),
                    parking.cloned(),
                ))
            })
            .collect();
        for lane in &lanes {
            spawner.spawn(LaneTask::new(Arc::clone(lane)));
        }
        Self {
            builders: lanes.iter().map(|_| BatchBuilder::new()).collect(),
            state,
            handler: Arc::clone(handler),
            lanes,
            next_sequence: 0,
            received: Vec::new(),
            is_full: false,
            patience: Patience::Waits,
            is_paused: false,
            must_seek: None,
            next_offset: None,
            is_quarantined: false,
            parking: parking.map(|parking| Arc::clone(&parking.parking)),
            source: None,
        }
    }

    /// Makes the lanes look at the partition's mode.
    pub(crate) fn wake(&self) {
        for lane in &self.lanes {
            lane.wake();
        }
    }

    /// Returns how many calls are running, as of the last turn of each lane.
    pub(crate) fn running_calls(&self) -> usize {
        self.lanes.iter().map(|lane| lane.running_calls()).sum()
    }

    /// True while its lanes are short of processor time, not of finished calls.
    pub(crate) fn is_behind(&self) -> bool {
        self.lanes.iter().any(|lane| lane.is_behind())
    }

    /// True while it holds a lot only because its lanes are short of processor time, and it is worth a wait.
    pub(crate) fn is_ahead(&self, share: Share) -> bool {
        let is_read = !self.is_full && self.patience == Patience::Waits;
        is_read && share.is_much(self.load()) && self.is_behind()
    }

    /// Returns what waits or runs, in records and bytes.
    pub(crate) fn load(&self) -> Load {
        Load {
            records: self.state.in_flight(),
            bytes: self.state.held.get(),
        }
    }

    /// Takes a record that lies at `at`: in a retry topic, another place than that of the record of the source that it is.
    pub(super) fn take(&mut self, at: Offset, record: &RawRecord<'_>, attempts: u32) {
        // A record without a key goes to the lane of its sequence.
        let key_hash = hash_of(record.key, self.next_sequence);
        let lane = lane_of(key_hash, self.lanes.len());
        if !self.builders[lane].has_room(record) {
            self.flush();
        }
        let sequence = self.count(at);
        self.builders[lane].push(record, sequence, key_hash);
        if attempts > 0 {
            self.builders[lane].set_attempts(attempts);
        }
    }

    /// Gives a record the next sequence.
    pub(super) fn count(&mut self, offset: Offset) -> u64 {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        match self.received.last_mut() {
            Some((first, len)) if first.0 + i64::try_from(*len).unwrap_or(i64::MAX) == offset.0 => {
                *len += 1;
            }
            _ => self.received.push((offset, 1)),
        }
        sequence
    }

    /// Hands the records that were taken to the lanes.
    pub(super) fn flush(&mut self) {
        if self.received.is_empty() {
            return;
        }
        // Before any lane can ack them.
        for (first, len) in self.received.drain(..) {
            self.next_offset = Some(Offset(first.0 + i64::try_from(len).unwrap_or(i64::MAX)));
            self.state.received(first, len);
        }
        for (builder, lane) in self.builders.iter_mut().zip(&self.lanes) {
            if !builder.is_empty() {
                // The records of a retry topic are those of its source.
                let topic = Arc::clone(self.source.as_ref().unwrap_or(&self.state.at.topic));
                let held = Some(Arc::clone(&self.state.held));
                lane.push(builder.finish(topic, self.state.at.partition, held));
            }
        }
    }
}

/// Hashes a key: the same in every process. Records without a key spread like keys that are all different.
pub(super) fn hash_of(key: Option<&[u8]>, sequence: u64) -> u64 {
    match key {
        Some(key) => FixedState::default().hash_one(key),
        None => FixedState::default().hash_one(sequence),
    }
}

/// Picks a lane by the upper bits of the hash: chains use all of it.
fn lane_of(key_hash: u64, lanes: usize) -> usize {
    let wide = (u128::from(key_hash) * lanes as u128) >> 64;
    usize::try_from(wide).unwrap_or_else(|_| unreachable!("below the number of lanes"))
}

/// The partitions of a member, and the records of the poll that is going on.
#[derive(Default)]
pub(crate) struct Dispatch {
    pub(crate) partitions: Vec<Assigned>,
    /// Where the last record went: most records follow one of the same partition.
    last: usize,
    /// Bytes of this poll's keys and values.
    taken: usize,
}

impl Dispatch {
    pub(crate) fn find(&mut self, at: &TopicPartition) -> Option<&mut Assigned> {
        self.partitions.iter_mut().find(|p| p.state.at == *at)
    }

    /// Returns what the member reads.
    pub(crate) fn places(&self) -> Vec<TopicPartition> {
        self.partitions.iter().map(|p| p.state.at.clone()).collect()
    }

    pub(crate) fn remove(&mut self, at: &TopicPartition) -> Option<Assigned> {
        let index = self.partitions.iter().position(|p| p.state.at == *at)?;
        self.last = 0;
        Some(self.partitions.swap_remove(index))
    }

    /// Hands everything of this poll to the lanes.
    pub(crate) fn flush(&mut self) {
        self.taken = 0;
        for partition in &mut self.partitions {
            partition.flush();
        }
    }

    fn index_of(&mut self, topic: &str, partition: i32) -> Option<usize> {
        let is_it = |p: &Assigned| p.state.at.partition == partition && *p.state.at.topic == *topic;
        if self.partitions.get(self.last).is_some_and(is_it) {
            return Some(self.last);
        }
        self.last = self.partitions.iter().position(is_it)?;
        Some(self.last)
    }
}

impl RecordSink for Dispatch {
    fn record(&mut self, record: &RawRecord<'_>) {
        // A record of a partition that is not ours any more has nowhere to land.
        let Some(index) = self.index_of(record.topic, record.partition) else {
            return;
        };
        let partition = &mut self.partitions[index];
        if partition.must_seek.is_some() {
            return;
        }
        partition.take(record.offset, record, 0);
        let bytes = |part: Option<&[u8]>| part.map_or(0, <[u8]>::len);
        self.taken += bytes(record.key) + bytes(record.value);
    }

    fn is_full(&self) -> bool {
        self.taken >= MOST_BYTES
    }
}
