//! A record on its way through a lane, and what becomes of it after an attempt: told to the observers, and decided by the
//! handler's options.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use super::lane_task::{LaneParking, LaneShared};
use super::slots::Stage;
use crate::clock::unix_ms;
use crate::decode_error::DecodeError;
use crate::error::RunError;
use crate::failure::backoff::jitter;
use crate::failure::dead_letter::DeadLetter;
use crate::failure::policy::{Decision, FailurePolicy, decide};
use crate::failure::retry_topic::{Copy, Following, Origin, Parking, Place};
use crate::handler::Ordering;
use crate::mutant::{self, Mutant};
use crate::observe::Event;
use crate::outcome::{Failure, FailureKind, Outcome};
use crate::record::{Record, RecordBatch};

/// Where no more may be parked, it is looked for room after this long.
const ROOM_WAIT: Duration = Duration::from_secs(1);

/// A record that waits or runs: its batch and its place there.
pub(super) struct Work {
    batch: Arc<RecordBatch>,
    index: usize,
    pub(super) chain: Option<u64>,
    /// From 1.
    pub(super) attempt: u32,
    /// The breaker is to be told of its next attempt: the first, wherever that was.
    counts: bool,
    has_failed: bool,
    /// The record before it that shares its key had failed.
    is_behind_failed: bool,
}

/// What the breaker is told of an attempt, besides how it ended.
#[derive(Clone, Copy)]
pub(super) struct Counted {
    pub(super) key_hash: u64,
    pub(super) is_behind_failed: bool,
}

/// What is next for a record that is not finished.
pub(super) enum Next {
    /// Another attempt.
    RetryAt(Instant),
    /// It has had its last attempt here: a retry topic, or the failure policy.
    GiveUp(Failure),
    /// To be parked behind a record of its key.
    Follow(Place, Arc<Parking>),
}

/// A write of a record that leaves its lane.
pub(super) type Write = Pin<Box<dyn Future<Output = Written> + Send>>;

/// What a write came to.
pub(super) enum Written {
    /// The broker has acknowledged it: the record may be acked.
    Settled,
    /// It cannot be parked: the failure policy has it.
    GivenUp(Failure),
    /// It cannot be parked, and was not tried: it waits for what it was to follow.
    Refused,
}

/// Copies records that wait out of their batches, which they then no longer keep in memory.
pub(super) fn leave_batches(waiting: &mut VecDeque<(Arc<RecordBatch>, usize)>) {
    for (batch, index) in waiting {
        leave_batch(batch, index);
    }
}

/// Copies one record out of its batch.
fn leave_batch(batch: &mut Arc<RecordBatch>, index: &mut usize) {
    let alone = batch.alone(*index);
    if !Arc::ptr_eq(&alone, batch) {
        (*batch, *index) = (alone, 0);
    }
}

impl Work {
    #[inline]
    pub(super) fn new(batch: Arc<RecordBatch>, index: usize, chain: Option<u64>) -> Self {
        let attempt = batch.attempts(index).saturating_add(1);
        Self {
            batch,
            index,
            chain,
            attempt,
            counts: attempt == 1,
            has_failed: false,
            is_behind_failed: false,
        }
    }

    /// It waited for a record that shares its chain, which had failed or not.
    pub(super) fn after(mut self, has_failed: bool, lane: &LaneShared) -> Self {
        self.is_behind_failed = has_failed && lane.handler.ordering == Ordering::Key;
        self
    }

    /// True if an attempt of it failed.
    pub(super) fn has_failed(&self) -> bool {
        self.has_failed
    }

    pub(super) fn record(&self) -> Record {
        self.batch.record(self.index)
    }

    pub(super) fn sequence(&self) -> u64 {
        self.batch.sequence(self.index)
    }

    pub(super) fn key_hash(&self) -> u64 {
        self.batch.key_hash(self.index)
    }

    /// Returns its batch and its place there, as it waits in a chain.
    pub(super) fn into_waiting(self) -> (Arc<RecordBatch>, usize) {
        (self.batch, self.index)
    }

    /// Copies it out of its batch, which it then no longer keeps in memory.
    pub(super) fn leave_batch(&mut self) {
        leave_batch(&mut self.batch, &mut self.index);
    }

    /// Returns once what the breaker is told: at the end of the attempt that it counts.
    pub(super) fn take_count(&mut self) -> Option<Counted> {
        std::mem::take(&mut self.counts).then(|| Counted {
            key_hash: self.key_hash(),
            is_behind_failed: self.is_behind_failed,
        })
    }

    /// Refuses a value that is larger than the handler takes.
    pub(super) fn check_size(&self, lane: &LaneShared) -> Result<(), DecodeError> {
        let size = self.batch.value_len(self.index);
        match lane.handler.max_payload {
            Some(limit) if size > limit => Err(DecodeError::TooLarge { size, limit }),
            _ => Ok(()),
        }
    }

    /// Decides what becomes of the record after an attempt; `None`: it may be acked.
    pub(super) fn end(&mut self, outcome: Outcome, lane: &LaneShared) -> Option<Next> {
        let observers = &lane.group.observers;
        let handler = &*lane.handler.name;
        let failure = match outcome {
            Outcome::Ack => return None,
            Outcome::Skip { reason } => {
                observers.emit(&Event::Skipped {
                    record: &self.record(),
                    handler,
                    reason: Some(&reason),
                    failure: None,
                });
                return None;
            }
            Outcome::Fail(failure) => failure,
        };
        self.has_failed = true;
        let kind = failure.kind();
        let is_forgotten = match kind {
            FailureKind::Panic => mutant::is_active(Mutant::AckPanics),
            FailureKind::Decode => mutant::is_active(Mutant::AckUndecodable),
            _ => false,
        };
        if is_forgotten {
            return None;
        }
        if let Decision::RetryAfter(after) =
            decide(&lane.handler.retry, kind, self.attempt, self.jitter())
        {
            return Some(self.retry_after(after, &failure, lane));
        }
        Some(Next::GiveUp(failure))
    }

    /// Decides about a record of a call that failed as a whole: it is tried again alone.
    ///
    /// Such a failure says of no record that it was the cause. So it gives none of them up, even if it is permanent or
    /// `attempts` are spent, and the breaker does not count it: what counts is what becomes of the record alone.
    pub(super) fn retry_alone(&mut self, failure: &Failure, lane: &LaneShared) -> Next {
        let after = lane.handler.retry.delay(self.attempt, self.jitter());
        self.retry_after(after, failure, lane)
    }

    /// Differs between the records and attempts that fail together.
    fn jitter(&self) -> f64 {
        jitter(self.sequence() ^ (u64::from(self.attempt) << 48))
    }

    fn retry_after(&mut self, after: Duration, failure: &Failure, lane: &LaneShared) -> Next {
        lane.group.observers.emit(&Event::Retrying {
            record: &self.record(),
            handler: &lane.handler.name,
            attempt: self.attempt,
            failure,
            after,
        });
        self.attempt = self.attempt.saturating_add(1);
        Next::RetryAt(Instant::now() + after)
    }

    /// Begins with what is next: the stage of the record's slot; `None`: it may be acked.
    pub(super) fn begin(&mut self, next: Next, lane: &LaneShared) -> Option<Stage> {
        // It takes its time, for which its neighbours would stay in memory.
        self.leave_batch();
        match next {
            Next::RetryAt(at) => Some(Stage::Backoff(Box::pin(tokio::time::sleep_until(at)))),
            Next::GiveUp(failure) => {
                let parking = lane.parking.as_ref();
                match parking.filter(|_| failure.kind().is_retried()) {
                    Some(parking) => self.park(parking, failure, lane),
                    None => self.give_up(failure, lane),
                }
            }
            Next::Follow(place, parking) => {
                let write = self.write_parked(place, &parking, None, lane);
                Some(Stage::GivingUp(write))
            }
        }
    }

    /// Hands a record that has had its last attempt to the failure policy.
    pub(super) fn give_up(&self, failure: Failure, lane: &LaneShared) -> Option<Stage> {
        let record = self.record();
        match lane.handler.on_failure {
            FailurePolicy::DeadLetter => {
                let group_id = &lane.group.group_id;
                let topic = lane.handler.dead_letter_topic(group_id, record.topic());
                if *topic == *record.topic() {
                    return Some(stop(&record, &failure, lane));
                }
                let write = lane.group.dead_letters.write(DeadLetter {
                    record,
                    topic,
                    group_id: Arc::clone(group_id),
                    handler: Arc::clone(&lane.handler.name),
                    attempts: self.attempt,
                    failure,
                });
                let write = Box::pin(async move {
                    write.await;
                    Written::Settled
                });
                let write = hastily(write, Mutant::AckBeforeDeadLetter);
                Some(Stage::GivingUp(write))
            }
            FailurePolicy::Skip => {
                lane.group.observers.emit(&Event::Skipped {
                    record: &record,
                    handler: &lane.handler.name,
                    reason: None,
                    failure: Some(&failure),
                });
                None
            }
            FailurePolicy::Stop => Some(stop(&record, &failure, lane)),
        }
    }

    /// Parks a record that failed in the next retry topic; if there is none, it is given up.
    fn park(
        &self,
        LaneParking { parking, stage }: &LaneParking,
        failure: Failure,
        lane: &LaneShared,
    ) -> Option<Stage> {
        let Some((_, wait)) = parking.topics.get(*stage) else {
            return self.give_up(failure, lane);
        };
        if !parking.has_room(*stage) {
            // It waits here, and is to be parked again after its next attempt.
            let wait = tokio::time::sleep(lane.handler.retry.max.max(ROOM_WAIT));
            return Some(Stage::Backoff(Box::pin(wait)));
        }
        let wait = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
        let place = Place {
            stage: stage + 1,
            due_ms: unix_ms().saturating_add(wait),
        };
        parking.enter(self.chain, place);
        let write = self.write_parked(place, parking, Some(failure), lane);
        Some(Stage::GivingUp(write))
    }

    /// Decides before an attempt whether the record has to be parked, because its key has records in a retry topic, or it
    /// was there already.
    pub(super) fn follow(&self, lane: &LaneShared) -> Option<Next> {
        let LaneParking { parking, stage } = lane.parking.as_ref()?;
        let offset = self.batch.offset(self.index);
        let following = match parking.follow(self.chain, *stage) {
            Following::No if *stage == 0 => parking.park_again(self.chain, offset),
            following => following,
        };
        match following {
            Following::No => None,
            Following::Behind(place) => Some(Next::Follow(place, Arc::clone(parking))),
            // It waits here: in its chain, which the partition's share of the budget bounds.
            Following::Wait => Some(Next::RetryAt(Instant::now() + ROOM_WAIT)),
        }
    }

    /// True if it lies parked since an assignment before this one.
    pub(super) fn is_parked(&self, lane: &LaneShared) -> bool {
        let offset = self.batch.offset(self.index);
        lane.parking
            .as_ref()
            .is_some_and(|LaneParking { parking, .. }| parking.has_come_again(offset))
    }

    /// Decides again about a record that has failed, when those of its key that failed before it are settled: if they are
    /// parked, it is parked behind them.
    pub(super) fn behind(&self, next: Next, lane: &LaneShared) -> Next {
        match next {
            Next::GiveUp(failure) if failure.kind().is_retried() => Next::GiveUp(failure),
            next => self.follow(lane).unwrap_or(next),
        }
    }

    fn write_parked(
        &self,
        place: Place,
        parking: &Arc<Parking>,
        failure: Option<Failure>,
        lane: &LaneShared,
    ) -> Write {
        // A record that only follows was not tried.
        let attempts = self.attempt.saturating_sub(u32::from(failure.is_none()));
        let (topic, _) = &parking.topics[place.stage - 1];
        let record = self.record();
        let offset = record.offset();
        parking.expect(place.stage, offset, Copy::Writing);
        let origin = Origin {
            offset,
            timestamp: record.timestamp(),
            attempts,
            due_ms: place.due_ms,
            owner: parking.owner.clone(),
            takeover: parking.takeover(place.stage),
        };
        lane.group.observers.emit(&Event::Parked {
            record: &record,
            handler: &lane.handler.name,
            topic,
            attempts,
            failure: failure.as_ref(),
        });
        let handler = Arc::clone(&lane.handler.name);
        let topic = Arc::clone(topic);
        let write = lane.group.dead_letters.park(record, handler, topic, origin);
        let (parking, chain) = (Arc::clone(parking), self.chain);
        let write = Box::pin(async move {
            if let Ok(at) = write.await {
                parking.expect(place.stage, offset, at.map_or(Copy::Next, Copy::At));
                return Written::Settled;
            }
            parking.take(place.stage, offset);
            parking.leave(chain, place.stage);
            if let Some(failure) = failure {
                return Written::GivenUp(failure);
            }
            tokio::time::sleep(ROOM_WAIT).await;
            Written::Refused
        });
        hastily(write, Mutant::AckBeforeParked)
    }
}

/// Ends the runtime because of a record; it is never acked.
fn stop(record: &Record, failure: &Failure, lane: &LaneShared) -> Stage {
    lane.group.observers.emit(&Event::Stopping {
        record,
        handler: &lane.handler.name,
        failure,
    });
    lane.group.failed.set(RunError::RecordFailed {
        record: record.place(),
        handler: lane.handler.name.to_string(),
        class: failure.kind(),
        error: failure.text(),
    });
    Stage::Stopped
}

/// Under a mutant, a write that is taken for done as soon as it has begun.
fn hastily(mut write: Write, mutant: Mutant) -> Write {
    if !mutant::is_active(mutant) {
        return write;
    }
    Box::pin(std::future::poll_fn(move |cx| {
        let _ = write.as_mut().poll(cx);
        Poll::Ready(Written::Settled)
    }))
}
