//! Calls a handler for the records of one lane: a share of one partition's keys.
//!
//! The whole inner loop is generic over the concrete handler, so erasing its type costs one virtual call per turn
//! ([`LaneDriver::turn`]). Each record's future is built in a reused slot and polled once in place; most handlers
//! finish right there. Only a call that is still running keeps its slot, its key's chain and a permit.
//!
//! ```text
//! inbox ─► intake ─► chain of the key busy? ─ yes ─► wait in the chain ───────────┐
//!             ▲                  │ no                                             │
//!             │           slot, first poll ─ ready ─► ack                         │
//!             │                  │ pending: keeps slot, chain and permit          │
//!             │           woken: poll again ─► ok ─► ack ─► next of the chain ◄───┘
//!             │                  └ failed ─► backoff (slot, chain; no permit) ─► again
//!             │                            └ given up ─► dead letter write ─► ack
//! ```

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering as Atomic};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep};

use super::lane_task::{LaneParking, LaneShared, SlotWaker, lock};
use super::partition::Mode;
use super::permit::Permits;
use crate::clock::unix_ms;
use crate::decode_error::DecodeError;
use crate::error::{RunError, panic_text};
use crate::extract::HandlerContext;
use crate::failure::backoff::jitter;
use crate::failure::breaker::{Admission, BreakerState, Change};
use crate::failure::dead_letter::DeadLetter;
use crate::failure::policy::{Decision, FailurePolicy, decide};
use crate::failure::retry_topic::{Origin, Parking, Place};
use crate::handler::Ordering;
use crate::mutant::{self, Mutant};
use crate::observe::Event;
use crate::outcome::{Failure, FailureKind, Outcome};
use crate::record::{Record, RecordBatch, RecordPlace, TopicPartition};

/// Records that a lane starts in one turn before other tasks get theirs.
const TURN: usize = 1024;

/// The handler of a lane, its type forgotten: what a registration constructs.
pub trait LaneDriver: Send {
    /// Polls what is ready, starts what may start, acks what finished. Ready: the lane has ended.
    fn turn(&mut self, lane: &Arc<LaneShared>, cx: &mut Context<'_>) -> Poll<()>;
}

/// A record that waits or runs: its batch and its place there.
struct Work {
    batch: Arc<RecordBatch>,
    index: usize,
    chain: Option<u64>,
    /// From 1.
    attempt: u32,
    /// When this attempt began, if somebody wants to know or it has to wait.
    started: Option<Instant>,
    /// It is reported when it has run for this long.
    report_at: Duration,
    /// How it ends decides whether the handler is fed again.
    is_probe: bool,
}

impl Work {
    fn new(batch: Arc<RecordBatch>, index: usize, chain: Option<u64>) -> Self {
        Self {
            attempt: 1 + batch.attempts(index),
            batch,
            index,
            chain,
            started: None,
            report_at: Duration::ZERO,
            is_probe: false,
        }
    }

    fn record(&self) -> Record {
        self.batch.record(self.index)
    }

    fn sequence(&self) -> u64 {
        self.batch.sequence(self.index)
    }

    /// True until its first attempt in this topic has ended.
    fn is_first_here(&self) -> bool {
        self.attempt == 1 + self.batch.attempts(self.index)
    }
}

enum Stage {
    Free,
    /// The call runs; the timer is its `timeout`.
    Calling(Option<Pin<Box<Sleep>>>),
    /// Waits before the next attempt.
    Backoff(Pin<Box<Sleep>>),
    /// Its next attempt waits for a permit.
    Due,
    /// Its dead letter is being written.
    GivingUp(Pin<Box<dyn Future<Output = ()> + Send>>),
    /// Given up under the policy `stop`: it keeps its chain, and is never acked.
    Stopped,
}

struct Slot<Fut> {
    call: Pin<Box<Option<Fut>>>,
    stage: Stage,
    work: Option<Work>,
    permit: Option<OwnedSemaphorePermit>,
    flag: Arc<SlotWaker>,
    waker: Waker,
}

/// Drives the calls of one concrete handler.
pub struct Lane<F, Fut> {
    adapter: F,
    slots: Vec<Slot<Fut>>,
    free: Vec<usize>,
    /// Keys with a call that is not finished, and the records that wait for it.
    chains: HashMap<u64, VecDeque<(Arc<RecordBatch>, usize)>, foldhash::fast::RandomState>,
    /// The batch that is being started, and the next record of it.
    cursor: Option<(Arc<RecordBatch>, usize)>,
    due: VecDeque<usize>,
    permits: Option<Permits>,
    acks: Vec<Range<u64>>,
    busy: usize,
    turn: Vec<usize>,
    after: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// Until the breaker may be asked again.
    held: Option<Pin<Box<Sleep>>>,
    /// First attempts of this turn that ended well.
    good: u32,
    is_open: bool,
    timed: bool,
    /// One past the highest sequence that was started.
    started: u64,
    /// Records from this sequence on are not started: no bound until the partition drains.
    end: u64,
}

impl<F, Fut> std::fmt::Debug for Lane<F, Fut> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lane").finish_non_exhaustive()
    }
}

impl<F, Fut> Lane<F, Fut>
where
    F: Fn(Record, HandlerContext) -> Fut + Send + 'static,
    Fut: Future<Output = Outcome> + Send + 'static,
{
    /// Makes a lane of an adapter: a function that decodes a record, calls the handler, and gives its outcome.
    pub fn new(adapter: F) -> Self {
        Self {
            adapter,
            slots: Vec::new(),
            free: Vec::new(),
            chains: HashMap::default(),
            cursor: None,
            due: VecDeque::new(),
            permits: None,
            acks: Vec::new(),
            busy: 0,
            turn: Vec::new(),
            after: None,
            held: None,
            good: 0,
            is_open: false,
            timed: false,
            started: 0,
            end: u64::MAX,
        }
    }

    /// Waits for the calls of the partition's earlier assignments.
    fn open(&mut self, lane: &Arc<LaneShared>, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_open {
            return Poll::Ready(());
        }
        if !lane.after.is_empty() && !mutant::is_active(Mutant::IgnoreEarlierCalls) {
            let after = self.after.get_or_insert_with(|| {
                let after = lane.after.clone();
                Box::pin(async move {
                    for earlier in after {
                        earlier.over().await;
                    }
                })
            });
            std::task::ready!(after.as_mut().poll(cx));
            self.after = None;
        }
        self.permits = Some(Permits::new(Arc::clone(&lane.handler.permits)));
        self.is_open = true;
        Poll::Ready(())
    }

    /// Polls the slots that were woken.
    fn poll_woken(&mut self, lane: &Arc<LaneShared>, cx: &mut Context<'_>) {
        let mut woken = std::mem::take(&mut self.turn);
        std::mem::swap(&mut woken, &mut lock(&lane.ready));
        for slot in woken.drain(..) {
            self.slots[slot].flag.queued.store(false, Atomic::Release);
            self.poll_slot(slot, lane, cx);
        }
        self.turn = woken;
    }

    /// Starts the attempts that wait for a permit, oldest first.
    fn start_due(&mut self, lane: &Arc<LaneShared>, cx: &mut Context<'_>) {
        while let Some(&slot) = self.due.front() {
            let Some(permit) = self.take_permit(cx) else {
                return;
            };
            let Some(is_probe) = self.admit(lane, cx) else {
                return self.keep_permit(permit);
            };
            self.due.pop_front();
            self.slots[slot].permit = Some(permit);
            if let Some(work) = &mut self.slots[slot].work {
                work.is_probe = is_probe;
            }
            self.start(slot, lane, cx);
        }
    }

    /// Starts new records; false if it stopped for lack of a permit or of turn.
    fn intake(&mut self, lane: &Arc<LaneShared>, cx: &mut Context<'_>) -> Intake {
        for _ in 0..TURN {
            let (batch, index) = match self.cursor.take() {
                Some((batch, index)) if index < batch.len() => (batch, index),
                _ => match lock(&lane.inbox).pop_front() {
                    Some(batch) => (batch, 0),
                    None => return Intake::Dry,
                },
            };
            if batch.sequence(index) >= self.end {
                lock(&lane.inbox).clear();
                return Intake::Dry;
            }
            let chain = chain_of(lane.handler.ordering, &batch, index);
            if let Some(waiting) = chain.and_then(|chain| self.chains.get_mut(&chain)) {
                waiting.push_back((Arc::clone(&batch), index));
                self.cursor = Some((batch, index + 1));
                continue;
            }
            let Some(permit) = self.take_permit(cx) else {
                self.cursor = Some((batch, index));
                return Intake::NoPermit;
            };
            let Some(is_probe) = self.admit(lane, cx) else {
                self.keep_permit(permit);
                self.cursor = Some((batch, index));
                return Intake::Held;
            };
            let slot = self.free_slot(lane);
            self.slots[slot].permit = Some(permit);
            self.slots[slot].work = Some(Work {
                is_probe,
                ..Work::new(Arc::clone(&batch), index, chain)
            });
            self.cursor = Some((batch, index + 1));
            self.busy += 1;
            self.start(slot, lane, cx);
            if let Some(chain) = chain.filter(|_| self.slots[slot].work.is_some()) {
                self.chains.entry(chain).or_default();
            }
        }
        Intake::MoreTurns
    }

    fn free_slot(&mut self, lane: &Arc<LaneShared>) -> usize {
        self.free.pop().unwrap_or_else(|| {
            let slot = self.slots.len();
            let flag = Arc::new(SlotWaker {
                lane: Arc::clone(lane),
                slot,
                queued: AtomicBool::new(false),
            });
            self.slots.push(Slot {
                call: Box::pin(None),
                stage: Stage::Free,
                work: None,
                permit: None,
                waker: Waker::from(Arc::clone(&flag)),
                flag,
            });
            slot
        })
    }

    /// Asks the handler's breaker for an attempt: whether it is the one that decides; `None` if not now.
    fn admit(&mut self, lane: &Arc<LaneShared>, cx: &mut Context<'_>) -> Option<bool> {
        let breaker = &lane.handler.breaker;
        if !breaker.is_open() || mutant::is_active(Mutant::NoBreaker) {
            return Some(false);
        }
        loop {
            let until = match breaker.admit(now(), cx.waker()) {
                Admission::Yes => return Some(false),
                Admission::Probe => return Some(true),
                Admission::NotBefore(until) => until.into(),
            };
            let held = self
                .held
                .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
            held.as_mut().reset(until);
            if held.as_mut().poll(cx).is_pending() {
                return None;
            }
        }
    }

    /// Tells the breaker how attempts ended, and everybody what that did.
    fn tell_breaker(
        lane: &LaneShared,
        tell: impl FnOnce(&BreakerState, std::time::Instant) -> Option<Change>,
    ) {
        let event = match tell(&lane.handler.breaker, now()) {
            None => return,
            Some(Change::Opened { failed, of, wait }) => Event::BreakerOpened {
                group_id: &lane.group.group_id,
                handler: &lane.handler.name,
                failed,
                of,
                wait,
            },
            Some(Change::Closed) => Event::BreakerClosed {
                group_id: &lane.group.group_id,
                handler: &lane.handler.name,
            },
        };
        lane.group.observers.emit(&event);
    }

    fn keep_permit(&mut self, permit: OwnedSemaphorePermit) {
        if let Some(permits) = &mut self.permits {
            permits.keep(permit);
        }
    }

    fn take_permit(&mut self, cx: &mut Context<'_>) -> Option<OwnedSemaphorePermit> {
        self.permits.as_mut()?.take(cx)
    }

    /// Starts the attempt of a slot that has its work and its permit.
    fn start(&mut self, slot: usize, lane: &Arc<LaneShared>, cx: &mut Context<'_>) {
        if let Some(parking) = &lane.parking
            && self.follow(slot, parking, lane, cx)
        {
            return;
        }
        let at = &mut self.slots[slot];
        let Some(work) = &mut at.work else {
            unreachable!("a slot that starts has work");
        };
        self.started = self.started.max(work.sequence() + 1);
        work.started = self.timed.then(Instant::now);
        work.report_at = lane.group.max_call_age;
        if let Some(limit) = lane.handler.max_payload {
            let size = work.batch.value_len(work.index);
            if size > limit {
                let failure = Failure::from(DecodeError::TooLarge { size, limit });
                self.finish(slot, Outcome::Fail(failure), lane, cx);
                return;
            }
        }
        let cx_of_call = HandlerContext::new(&lane.context, work.attempt);
        lane.begins_poll(work.sequence());
        let call = catch_unwind(AssertUnwindSafe(|| {
            (self.adapter)(work.record(), cx_of_call)
        }));
        lane.ends_poll();
        match call {
            Ok(call) => {
                at.call.set(Some(call));
                at.stage = Stage::Calling(None);
                self.poll_slot(slot, lane, cx);
            }
            Err(panic) => {
                let outcome = panicked(&*panic);
                self.finish(slot, outcome, lane, cx);
            }
        }
    }

    fn poll_slot(&mut self, slot: usize, lane: &Arc<LaneShared>, cx: &mut Context<'_>) {
        let at = &mut self.slots[slot];
        let mut slot_cx = Context::from_waker(&at.waker);
        match &mut at.stage {
            Stage::Free | Stage::Due | Stage::Stopped => {}
            Stage::Calling(timer) => {
                lane.begins_poll(at.work.as_ref().map_or(0, Work::sequence));
                let polled =
                    catch_unwind(AssertUnwindSafe(|| match at.call.as_mut().as_pin_mut() {
                        Some(call) => call.poll(&mut slot_cx),
                        None => unreachable!("a slot that is calling has a call"),
                    }));
                lane.ends_poll();
                let outcome = match polled {
                    Ok(Poll::Ready(outcome)) => outcome,
                    Err(panic) => panicked(&*panic),
                    Ok(Poll::Pending) => {
                        if let Some(work) = &mut at.work {
                            work.started.get_or_insert_with(Instant::now);
                        }
                        let Some(timeout) = lane.handler.timeout else {
                            return;
                        };
                        let timer =
                            timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
                        if timer.as_mut().poll(&mut slot_cx).is_pending() {
                            return;
                        }
                        Outcome::Fail(Failure::new(
                            FailureKind::Timeout,
                            format!("no result after {timeout:?}"),
                        ))
                    }
                };
                let outcome = drop_call(&mut at.call).unwrap_or(outcome);
                self.finish(slot, outcome, lane, cx);
            }
            Stage::Backoff(sleep) => {
                if sleep.as_mut().poll(&mut slot_cx).is_ready() {
                    at.stage = Stage::Due;
                    self.due.push_back(slot);
                }
            }
            Stage::GivingUp(write) => {
                if write.as_mut().poll(&mut slot_cx).is_ready() {
                    self.settle(slot, lane);
                }
            }
        }
    }

    /// Takes note of how an attempt ended, for the breaker.
    fn count(&mut self, slot: usize, has_failed: bool, lane: &LaneShared) {
        let Some(work) = &mut self.slots[slot].work else {
            return;
        };
        if std::mem::take(&mut work.is_probe) {
            Self::tell_breaker(lane, |breaker, now| breaker.probed(!has_failed, now));
        } else if work.attempt == 1 && has_failed {
            let good = std::mem::take(&mut self.good);
            Self::tell_breaker(lane, |breaker, now| breaker.count(good, 1, now));
        } else if work.attempt == 1 {
            self.good += 1;
        }
    }

    /// Deals with the outcome of an attempt.
    fn finish(
        &mut self,
        slot: usize,
        outcome: Outcome,
        lane: &Arc<LaneShared>,
        cx: &mut Context<'_>,
    ) {
        let observers = &lane.group.observers;
        let handler = &*lane.handler.name;
        let has_failed = matches!(outcome, Outcome::Fail(_));
        self.count(slot, has_failed, lane);
        let at = &mut self.slots[slot];
        let Some(work) = &mut at.work else {
            unreachable!("a call that ends has work");
        };
        let failure = match outcome {
            Outcome::Ack => {
                if let Some(started) = work.started.filter(|_| self.timed) {
                    observers.emit(&Event::Handled {
                        record: &work.record(),
                        handler,
                        attempt: work.attempt,
                        duration: started.elapsed(),
                    });
                }
                return self.settle(slot, lane);
            }
            Outcome::Skip { reason } => {
                observers.emit(&Event::Skipped {
                    record: &work.record(),
                    handler,
                    reason: Some(&reason),
                    failure: None,
                });
                return self.settle(slot, lane);
            }
            Outcome::Fail(failure) => failure,
        };
        let is_forgotten = match failure.kind() {
            FailureKind::Panic => mutant::is_active(Mutant::AckPanics),
            FailureKind::Decode => mutant::is_active(Mutant::AckUndecodable),
            _ => false,
        };
        if is_forgotten {
            return self.settle(slot, lane);
        }
        if mutant::is_active(Mutant::LeakPermits)
            && let Some(permit) = at.permit.take()
        {
            permit.forget();
        }
        let record = work.record();
        let seed = work.sequence() ^ (u64::from(work.attempt) << 48);
        if let Decision::RetryAfter(after) = decide(
            &lane.handler.retry,
            failure.kind(),
            work.attempt,
            jitter(seed),
        ) {
            observers.emit(&Event::Retrying {
                record: &record,
                handler,
                attempt: work.attempt,
                failure: &failure,
                after,
            });
            work.attempt += 1;
            at.permit = None;
            at.stage = Stage::Backoff(Box::pin(tokio::time::sleep(after)));
            return self.poll_slot(slot, lane, cx);
        }
        self.give_up(slot, record, failure, lane, cx);
    }

    /// Deals with a record that has had its last attempt here.
    fn give_up(
        &mut self,
        slot: usize,
        record: Record,
        failure: Failure,
        lane: &Arc<LaneShared>,
        cx: &mut Context<'_>,
    ) {
        let observers = &lane.group.observers;
        let handler = &*lane.handler.name;
        let at = &mut self.slots[slot];
        at.permit = None;
        if let Some(parking) = lane
            .parking
            .as_ref()
            .filter(|_| failure.kind().is_retried())
            && self.park(slot, parking, &failure, lane, cx)
        {
            return;
        }
        let at = &mut self.slots[slot];
        let Some(work) = &mut at.work else {
            unreachable!("a record that is given up has its slot");
        };
        match lane.handler.on_failure {
            FailurePolicy::DeadLetter => {
                let topic = lane
                    .handler
                    .dead_letter_topic(&lane.group.group_id, record.topic());
                if *topic == *record.topic() {
                    return self.stop(slot, &failure, lane);
                }
                at.stage = Stage::GivingUp(lane.group.dead_letters.write(DeadLetter {
                    record,
                    topic,
                    group_id: Arc::clone(&lane.group.group_id),
                    handler: Arc::clone(&lane.handler.name),
                    attempts: work.attempt,
                    failure,
                }));
                self.poll_slot(slot, lane, cx);
                let at = &self.slots[slot];
                if mutant::is_active(Mutant::AckBeforeDeadLetter)
                    && matches!(at.stage, Stage::GivingUp(_))
                {
                    self.settle(slot, lane);
                }
            }
            FailurePolicy::Skip => {
                observers.emit(&Event::Skipped {
                    record: &record,
                    handler,
                    reason: None,
                    failure: Some(&failure),
                });
                self.settle(slot, lane);
            }
            FailurePolicy::Stop => self.stop(slot, &failure, lane),
        }
    }

    /// Parks a record whose key has records in a retry topic behind these; false if there is none, or it was tried
    /// here before.
    fn follow(
        &mut self,
        slot: usize,
        LaneParking { parking, stage }: &LaneParking,
        lane: &Arc<LaneShared>,
        cx: &mut Context<'_>,
    ) -> bool {
        let at = &mut self.slots[slot];
        let Some(work) = at.work.as_ref().filter(|work| work.is_first_here()) else {
            return false;
        };
        let Some(place) = parking.follow(work.chain, *stage) else {
            return false;
        };
        at.permit = None;
        self.write_parked(slot, place, parking, None, lane, cx);
        true
    }

    /// Parks a record that failed in the next retry topic; false if there is none.
    fn park(
        &mut self,
        slot: usize,
        LaneParking { parking, stage }: &LaneParking,
        failure: &Failure,
        lane: &Arc<LaneShared>,
        cx: &mut Context<'_>,
    ) -> bool {
        let Some((_, wait)) = parking.topics.get(*stage) else {
            return false;
        };
        let at = &mut self.slots[slot];
        if parking.is_full() {
            // It waits here, and tries to be parked again after its next attempt.
            at.stage = Stage::Backoff(Box::pin(tokio::time::sleep(lane.handler.retry.max)));
            self.poll_slot(slot, lane, cx);
            return true;
        }
        let place = Place {
            stage: stage + 1,
            due_ms: unix_ms().saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)),
        };
        let chain = at.work.as_ref().and_then(|work| work.chain);
        parking.enter(chain, place);
        self.write_parked(slot, place, parking, Some(failure), lane, cx);
        true
    }

    fn write_parked(
        &mut self,
        slot: usize,
        place: Place,
        parking: &Arc<Parking>,
        failure: Option<&Failure>,
        lane: &Arc<LaneShared>,
        cx: &mut Context<'_>,
    ) {
        let at = &mut self.slots[slot];
        let Some(work) = &at.work else {
            unreachable!("a record that is parked has its slot");
        };
        // A record that only follows was not tried.
        let attempts = work.attempt - u32::from(failure.is_none());
        let (topic, _) = &parking.topics[place.stage - 1];
        let record = work.record();
        parking.expect(place.stage, record.offset(), None);
        let origin = Origin {
            offset: record.offset(),
            timestamp: record.timestamp(),
            attempts,
            due_ms: place.due_ms,
            owner: parking.owner.clone(),
        };
        lane.group.observers.emit(&Event::Parked {
            record: &record,
            handler: &lane.handler.name,
            topic,
            attempts,
            failure,
        });
        let handler = Arc::clone(&lane.handler.name);
        let write = lane
            .group
            .dead_letters
            .park(record, handler, Arc::clone(topic), origin);
        at.stage = Stage::GivingUp(write);
        self.poll_slot(slot, lane, cx);
        let at = &self.slots[slot];
        if mutant::is_active(Mutant::AckBeforeParked) && matches!(at.stage, Stage::GivingUp(_)) {
            self.settle(slot, lane);
        }
    }

    /// Ends the runtime because of a record; it is never acked.
    fn stop(&mut self, slot: usize, failure: &Failure, lane: &Arc<LaneShared>) {
        let at = &mut self.slots[slot];
        at.stage = Stage::Stopped;
        if let Some(work) = &at.work {
            let record = work.record();
            lane.group.observers.emit(&Event::Stopping {
                record: &record,
                handler: &lane.handler.name,
                failure,
            });
            lane.group.failed.set(RunError::RecordFailed {
                record: RecordPlace::of(&record),
                handler: lane.handler.name.to_string(),
                class: failure.kind(),
                error: failure.error().to_string(),
            });
        }
    }

    /// Acks a slot's record, then goes on with the next record of its chain, or frees the slot.
    fn settle(&mut self, slot: usize, lane: &LaneShared) {
        let at = &mut self.slots[slot];
        let Some(work) = at.work.take() else {
            unreachable!("a slot that settles has work");
        };
        if let Some(LaneParking {
            parking,
            stage: stage @ 1..,
        }) = &lane.parking
        {
            parking.leave(work.chain, *stage);
        }
        let sequence = work.sequence();
        match self.acks.last_mut() {
            Some(last) if last.end == sequence => last.end += 1,
            _ => self.acks.push(sequence..sequence + 1),
        }
        at.stage = Stage::Free;
        let permit = at.permit.take();
        let next = work.chain.and_then(|chain| {
            let next = self.chains.get_mut(&chain)?.pop_front();
            let next = next.filter(|(batch, index)| batch.sequence(*index) < self.end);
            if next.is_none() {
                self.chains.remove(&chain);
            }
            next
        });
        if let Some((batch, index)) = next {
            at.work = Some(Work::new(batch, index, work.chain));
            // Started from `start_due`, not from here: a long chain of calls that finish at once must not recurse.
            at.stage = Stage::Due;
            self.due.push_front(slot);
        } else {
            self.busy -= 1;
            self.free.push(slot);
        }
        if let (Some(permits), Some(permit)) = (&mut self.permits, permit) {
            permits.keep(permit);
        }
    }

    /// Forgets retries that wait and records from the drain's end on: whoever owns the partition next has them again.
    /// False until that end is known.
    fn drain(&mut self, lane: &Arc<LaneShared>) -> bool {
        // What the breaker holds back waits like a retry.
        let is_held = lane.handler.breaker.is_open();
        let until = lane.partition.drain_until();
        self.forget(lane, |slot, _| match &slot.stage {
            Stage::Backoff(sleep) => {
                is_held || until.is_none_or(|until| sleep.deadline().into_std() > until)
            }
            Stage::Stopped => true,
            Stage::Due => is_held,
            _ => false,
        });
        lane.drains(self.started);
        let Some(end) = lane.partition.drain_end() else {
            return false;
        };
        self.end = end;
        self.forget(lane, |slot, sequence| {
            matches!(slot.stage, Stage::Due) && sequence >= end
        });
        self.due.retain(|slot| self.slots[*slot].work.is_some());
        true
    }

    /// Reports the calls that have been running for too long.
    fn inspect(&mut self, lane: &Arc<LaneShared>) {
        let now = Instant::now();
        for slot in &mut self.slots {
            let (Stage::Calling(_), Some(work)) = (&slot.stage, &mut slot.work) else {
                continue;
            };
            let age = work.started.map_or(Duration::ZERO, |at| now - at);
            if age >= work.report_at {
                work.report_at = 2 * age;
                let record = work.record();
                let key_hash = Some(work.batch.key_hash(work.index));
                // Not where it is parked, if it is.
                let at = TopicPartition::new(record.topic_arc(), record.partition());
                lane.report_age(&at, record.offset(), key_hash, age, false);
            }
        }
    }

    /// Frees the slots of records that are not finished, with all that waits behind them.
    fn forget(&mut self, lane: &Arc<LaneShared>, which: impl Fn(&Slot<Fut>, u64) -> bool) {
        for (index, slot) in self.slots.iter_mut().enumerate() {
            let Some(work) = &slot.work else {
                continue;
            };
            let sequence = work.sequence();
            if !which(slot, sequence) {
                continue;
            }
            lane.partition.give_up(sequence);
            if let Some(chain) = slot.work.take().and_then(|work| work.chain) {
                self.chains.remove(&chain);
            }
            slot.stage = Stage::Free;
            slot.permit = None;
            self.busy -= 1;
            self.free.push(index);
        }
    }

    /// Gives up the records that were not started: whoever owns the partition next has them again.
    fn give_up_waiting(&mut self, lane: &Arc<LaneShared>) {
        if let Some((batch, index)) = self.cursor.take() {
            lane.partition.give_up(batch.sequence(index));
        }
        lock(&lane.inbox).clear();
        self.end = self.end.min(lane.partition.drain_end().unwrap_or(0));
        lane.wake();
    }

    fn flush_acks(&mut self, lane: &Arc<LaneShared>) {
        if !self.acks.is_empty() {
            lane.partition.ack(&self.acks);
            self.acks.clear();
        }
    }
}

/// Why no more records were started.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Intake {
    Dry,
    NoPermit,
    /// The breaker is open.
    Held,
    MoreTurns,
}

impl<F, Fut> LaneDriver for Lane<F, Fut>
where
    F: Fn(Record, HandlerContext) -> Fut + Send + 'static,
    Fut: Future<Output = Outcome> + Send + 'static,
{
    fn turn(&mut self, lane: &Arc<LaneShared>, cx: &mut Context<'_>) -> Poll<()> {
        lane.task.register(cx.waker());
        if lane.partition.mode() == Mode::Fenced {
            return Poll::Ready(());
        }
        if lane.group.pulse.is_late() {
            // Its partition may be another member's. The poll thread looks, and says so.
            return Poll::Pending;
        }
        if self.open(lane, cx).is_pending() {
            // Nothing of it has started: it may simply end.
            return if lane.partition.mode() == Mode::Running {
                Poll::Pending
            } else {
                Poll::Ready(())
            };
        }
        self.timed = lane.group.observers.wants_handled();
        self.poll_woken(lane, cx);
        if lane.take_inspection() {
            self.inspect(lane);
        }
        if let Some(permits) = &mut self.permits {
            // Other lanes may have waited for them while these calls ran: first come, first served.
            permits.share();
        }
        let mut again = false;
        let is_running = lane.partition.mode() == Mode::Running;
        let may_start = is_running || self.drain(lane);
        let mut is_dry = false;
        if may_start {
            self.start_due(lane, cx);
            let intake = if self.due.is_empty() {
                self.intake(lane, cx)
            } else {
                Intake::NoPermit
            };
            if intake == Intake::Held && !is_running {
                // It would hold up the drain for as long as everything fails.
                self.give_up_waiting(lane);
            }
            is_dry = intake == Intake::Dry;
            // A record of the intake may have ended with others behind it.
            again = intake == Intake::MoreTurns || (is_dry && !self.due.is_empty());
            if let Some(permits) = &mut self.permits {
                permits.give_back(intake == Intake::NoPermit);
            }
        } else if let Some(permits) = &mut self.permits {
            permits.give_back(false);
        }
        self.flush_acks(lane);
        if self.good > 0 {
            let good = std::mem::take(&mut self.good);
            Self::tell_breaker(lane, |breaker, now| breaker.count(good, 0, now));
        }
        // A push between the intake and here is seen by the next turn, which it has woken.
        lane.is_behind.store(again, Atomic::Relaxed);
        lane.running.store(self.busy, Atomic::Relaxed);
        if !is_running && is_dry && self.busy == 0 {
            return Poll::Ready(());
        }
        if again {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

/// Tokio's clock, which tests pause.
fn now() -> std::time::Instant {
    Instant::now().into_std()
}

/// The chain of a record, by the hash of its key.
pub(super) fn parking_chain(ordering: Ordering, key_hash: Option<u64>) -> Option<u64> {
    match ordering {
        Ordering::Key => key_hash,
        Ordering::None => None,
        Ordering::Partition => Some(0),
    }
}

/// Which records a record waits for: those of the same chain.
fn chain_of(ordering: Ordering, batch: &RecordBatch, index: usize) -> Option<u64> {
    if mutant::is_active(Mutant::DropKeyChain) {
        return None;
    }
    if mutant::is_active(Mutant::ChainWholePartition) {
        return Some(0);
    }
    let key_hash = batch.has_key(index).then(|| batch.key_hash(index));
    parking_chain(
        ordering,
        key_hash.or(mutant::is_active(Mutant::ChainNullKeys).then_some(0)),
    )
}

/// Drops a call where it stands; a panic of a destructor is the record's, like any other.
fn drop_call<Fut>(call: &mut Pin<Box<Option<Fut>>>) -> Option<Outcome> {
    catch_unwind(AssertUnwindSafe(|| call.set(None)))
        .err()
        .map(|panic| panicked(&*panic))
}

/// A panic as a failure; its text is kept if it is one.
fn panicked(panic: &(dyn Any + Send)) -> Outcome {
    let text = panic_text(panic).unwrap_or_else(|| "the handler panicked".to_owned());
    Outcome::Fail(Failure::new(FailureKind::Panic, text))
}
