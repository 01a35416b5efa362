//! Calls a handler for the records of one lane: a share of one partition's keys.
//!
//! The whole inner loop is generic over the concrete handler, so erasing its type costs one virtual call per turn
//! ([`LaneDriver::turn`]). Each record's future is built in a reused slot and polled once in place; most handlers
//! finish right there. Only a call that is still running keeps its slot, its key's chain and a permit.
//!
//! ```text
//! inbox ─► intake ─► wanted? ─ no ─► ack
//!             ▲                  │ yes
//!             │           chain of the key busy? ─ yes ─► wait in the chain ──────┐
//!             │                  │ no                                             │
//!             │           slot, first poll ─ ready ─► ack                         │
//!             │                  │ pending: keeps slot, chain and permit          │
//!             │           woken: poll again ─► ok ─► ack ─► next of the chain ◄───┘
//!             │                  └ failed ─► backoff (slot, chain; no permit) ─► again
//!             │                            └ given up ─► dead letter write ─► ack
//! ```

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::attempt::{Next, Work, leave_batches};
use super::lane_task::{LaneShared, lock};
use super::slots::{Admitted, Intake, Slots, Slotted, Stage, drop_call, panicked};
use crate::extract::HandlerContext;
use crate::mutant::{self, Mutant};
use crate::observe::Event;
use crate::outcome::{Failure, Outcome};
use crate::record::{Record, RecordBatch};

/// Records that a lane starts in one turn before other tasks get theirs.
pub(super) const TURN: usize = 1024;

/// The handler of a lane, its type forgotten: what a registration constructs.
pub trait LaneDriver: Send {
    /// Polls what is ready, starts what may start, acks what finished. Ready: the lane has ended.
    fn turn(&mut self, lane: &Arc<LaneShared>, cx: &mut Context<'_>) -> Poll<()>;
}

/// Drives the calls of one concrete handler.
pub struct Lane<F, Fut> {
    adapter: F,
    slots: Slots<Work, Fut>,
    /// Keys with a call that is not finished, and the records that wait for it.
    chains: HashMap<u64, VecDeque<(Arc<RecordBatch>, usize)>, foldhash::fast::RandomState>,
    /// The batch that is being started, and the next record of it.
    cursor: Option<(Arc<RecordBatch>, usize)>,
    /// The sequence of that record, if the handler wants it and it waits for a permit: the filter is asked once.
    wanted: Option<u64>,
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
            slots: Slots::new(),
            chains: HashMap::default(),
            cursor: None,
            wanted: None,
        }
    }

    /// Starts the records from the cursor on.
    fn take_in(
        &mut self,
        cursor: &mut Option<(Arc<RecordBatch>, usize)>,
        lane: &Arc<LaneShared>,
        cx: &mut Context<'_>,
    ) -> Intake {
        let is_plain = lane.parking.is_none()
            && lane.handler.max_payload.is_none()
            && lane.handler.timeout.is_none();
        for _ in 0..TURN {
            if !matches!(cursor, Some((batch, next)) if *next < batch.len()) {
                *cursor = lock(&lane.inbox).pop_front().map(|batch| (batch, 0));
            }
            let Some((batch, next)) = cursor else {
                return Intake::Dry;
            };
            let index = *next;
            let sequence = batch.sequence(index);
            if sequence >= self.slots.end {
                lock(&lane.inbox).clear();
                *cursor = None;
                return Intake::Dry;
            }
            if self.wanted != Some(sequence) && self.slots.filter(batch, index, lane) {
                *next += 1;
                continue;
            }
            let chain = lane.handler.chain_of(batch, index);
            if let Some(waiting) = chain.and_then(|chain| self.chains.get_mut(&chain)) {
                waiting.push_back((Arc::clone(batch), index));
                *next += 1;
                continue;
            }
            let admitted = match self.slots.admit(lane, cx) {
                Ok(admitted) => admitted,
                Err(lack) => {
                    self.wanted = Some(sequence);
                    return lack;
                }
            };
            *next += 1;
            if is_plain && !admitted.is_probe {
                self.call_at_once(batch, index, admitted, lane, cx);
            } else {
                let work = Work::new(Arc::clone(batch), index, chain);
                let slot = self.slots.occupy(work, lane);
                self.slots.give(slot, admitted);
                self.start(slot, lane, cx);
                self.keep_chain(slot, chain);
            }
        }
        Intake::MoreTurns
    }

    /// Makes the first call of a record, with nothing to ask before. Most calls end well before they ever wait: for such a
    /// one no slot is taken, it only lends its place and its waker.
    fn call_at_once(
        &mut self,
        batch: &Arc<RecordBatch>,
        index: usize,
        admitted: Admitted,
        lane: &Arc<LaneShared>,
        cx: &mut Context<'_>,
    ) {
        let sequence = batch.sequence(index);
        let slot = self.slots.next_free(lane);
        self.slots.note_started(sequence);
        let started = self.slots.timed.then(Instant::now);
        let at = &mut self.slots[slot];
        let mut slot_cx = Context::from_waker(&at.waker);
        let (adapter, call) = (&self.adapter, &mut at.call);
        lane.begins_poll(sequence);
        let polled = catch_unwind(AssertUnwindSafe(|| {
            let context = HandlerContext::new(&lane.context, 1);
            call.set(Some(adapter(batch.record(index), context)));
            let polled = match call.as_mut().as_pin_mut() {
                Some(call) => call.poll(&mut slot_cx),
                None => unreachable!("it was just set"),
            };
            if polled.is_ready() {
                call.set(None);
            }
            polled
        }));
        lane.ends_poll();
        if let Ok(Poll::Ready(Outcome::Ack)) = polled {
            if let Some(started) = started {
                handled(&batch.record(index), 1, started, lane);
            }
            let key_hash = batch.key_hash(index);
            self.slots.ack_at_once(sequence, key_hash, lane);
            self.slots.keep_permit(Some(admitted.permit));
            return;
        }
        let chain = lane.handler.chain_of(batch, index);
        let work = Work::new(Arc::clone(batch), index, chain);
        let slot = self.slots.occupy(work, lane);
        self.slots.give(slot, admitted);
        let at = self.slots.starts(slot, sequence, lane);
        match polled {
            Ok(Poll::Pending) => {
                at.stage = Stage::Calling(None);
                at.started = started.or_else(|| Some(Instant::now()));
            }
            Ok(Poll::Ready(outcome)) => self.finish(slot, outcome, lane, cx),
            Err(panic) => {
                let failure = panicked(&*panic);
                // The first panic is what is told, whatever its destructor does.
                drop_call(&mut at.call);
                self.finish(slot, Outcome::Fail(failure), lane, cx);
            }
        }
        self.keep_chain(slot, chain);
    }

    /// Has later records of a key wait for the one that was just started, if it is not finished.
    fn keep_chain(&mut self, slot: usize, chain: Option<u64>) {
        if let Some(chain) = chain.filter(|_| self.slots[slot].work.is_some()) {
            self.chains.entry(chain).or_default();
        }
    }

    /// Does what is next for a slot's record.
    fn go_on(&mut self, slot: usize, next: Next, lane: &Arc<LaneShared>, cx: &mut Context<'_>) {
        let at = &mut self.slots[slot];
        at.permit = None;
        let stage = at.work.as_mut().and_then(|work| work.begin(next, lane));
        match stage {
            Some(stage) => {
                at.stage = stage;
                self.poll_slot(slot, lane, cx);
            }
            None => self.settle(slot, lane),
        }
    }
}

impl<F, Fut> Slotted for Lane<F, Fut>
where
    F: Fn(Record, HandlerContext) -> Fut + Send + 'static,
    Fut: Future<Output = Outcome> + Send + 'static,
{
    type Load = Work;
    type Call = Fut;

    fn slots(&mut self) -> &mut Slots<Work, Fut> {
        &mut self.slots
    }

    fn first(work: &Work) -> Option<&Work> {
        Some(work)
    }

    fn failed(failure: Failure) -> Outcome {
        Outcome::Fail(failure)
    }

    fn intake(&mut self, lane: &Arc<LaneShared>, cx: &mut Context<'_>) -> Intake {
        let mut cursor = self.cursor.take();
        let intake = self.take_in(&mut cursor, lane, cx);
        self.cursor = cursor;
        intake
    }

    fn start(&mut self, slot: usize, lane: &Arc<LaneShared>, cx: &mut Context<'_>) {
        let at = &mut self.slots[slot];
        let Some(work) = &at.work else {
            unreachable!("a slot that starts has work");
        };
        if let Some(next) = work.follow(lane) {
            self.slots.makes_no_attempt(slot, lane);
            return self.go_on(slot, next, lane, cx);
        }
        let sequence = work.sequence();
        let at = self.slots.starts(slot, sequence, lane);
        let Some(work) = &at.work else {
            unreachable!("a slot that starts has work");
        };
        if let Err(error) = work.check_size(lane) {
            let outcome = Outcome::Fail(Failure::from(error));
            return self.finish(slot, outcome, lane, cx);
        }
        let cx_of_call = HandlerContext::new(&lane.context, work.attempt);
        lane.begins_poll(sequence);
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
                let outcome = Outcome::Fail(panicked(&*panic));
                self.finish(slot, outcome, lane, cx);
            }
        }
    }

    fn finish(
        &mut self,
        slot: usize,
        outcome: Outcome,
        lane: &Arc<LaneShared>,
        cx: &mut Context<'_>,
    ) {
        let at = &mut self.slots[slot];
        let counted = at.work.as_mut().and_then(Work::take_count);
        let is_probe = std::mem::take(&mut at.is_probe);
        let has_failed = matches!(outcome, Outcome::Fail(_));
        self.slots.count(counted, is_probe, has_failed, lane);
        let timed = self.slots.timed;
        let at = &mut self.slots[slot];
        let Some(work) = &mut at.work else {
            unreachable!("a call that ends has work");
        };
        if let (Outcome::Ack, Some(started)) = (&outcome, at.started.filter(|_| timed)) {
            handled(&work.record(), work.attempt, started, lane);
        }
        let Some(next) = work.end(outcome, lane) else {
            return self.settle(slot, lane);
        };
        let permit = at.permit.take();
        if mutant::is_active(Mutant::LeakPermits) {
            permit.into_iter().for_each(OwnedSemaphorePermit::forget);
        }
        self.go_on(slot, next, lane, cx);
    }

    fn settle(&mut self, slot: usize, lane: &Arc<LaneShared>) {
        let at = &mut self.slots[slot];
        let Some(work) = at.work.take() else {
            unreachable!("a slot that settles has work");
        };
        let permit = at.permit.take();
        self.slots.ack(&work, lane);
        let next = work.chain.and_then(|chain| {
            let next = self.chains.get_mut(&chain)?.pop_front();
            let next = next.filter(|(batch, index)| batch.sequence(*index) < self.slots.end);
            if next.is_none() {
                self.chains.remove(&chain);
            }
            next
        });
        if let Some((batch, index)) = next {
            let at = &mut self.slots[slot];
            let next = Work::new(batch, index, work.chain);
            at.work = Some(next.after(work.has_failed(), lane));
            // Started from `start_due`, not from here: a long chain of calls that finish at once must not recurse.
            at.stage = Stage::Due;
            self.slots.due.push_front(slot);
        } else {
            self.slots.vacate(slot);
        }
        self.slots.keep_permit(permit);
    }

    fn forget_behind(&mut self, work: Work, _: &Arc<LaneShared>) {
        if let Some(chain) = work.chain {
            self.chains.remove(&chain);
        }
    }

    fn slim_chains(&mut self, slot: usize) {
        let chain = self.slots[slot].work.as_ref().and_then(|work| work.chain);
        if let Some(waiting) = chain.and_then(|chain| self.chains.get_mut(&chain)) {
            leave_batches(waiting);
        }
    }

    fn give_up_waiting(&mut self, lane: &Arc<LaneShared>) {
        if let Some((batch, index)) = self.cursor.take() {
            lane.partition.give_up(batch.sequence(index));
        }
        lock(&lane.inbox).clear();
    }
}

fn handled(record: &Record, attempt: u32, started: Instant, lane: &LaneShared) {
    lane.group.observers.emit(&Event::Handled {
        record,
        handler: &lane.handler.name,
        attempt,
        duration: started.elapsed(),
    });
}

impl<F, Fut> LaneDriver for Lane<F, Fut>
where
    F: Fn(Record, HandlerContext) -> Fut + Send + 'static,
    Fut: Future<Output = Outcome> + Send + 'static,
{
    fn turn(&mut self, lane: &Arc<LaneShared>, cx: &mut Context<'_>) -> Poll<()> {
        Slotted::turn(self, lane, cx)
    }
}
