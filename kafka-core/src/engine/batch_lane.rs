//! Calls a handler with many records of one partition at a time.
//!
//! A batch is filled from the inbox, in the order of the partition, and started when it is full or has lingered. Its
//! keys are busy while its call waits: their later records wait in their chains, other keys fill the next batch. A
//! record that failed leaves its batch for good: it is tried again alone, and its key stays busy until it is settled.
//!
//! ```text
//! inbox ─► wanted? ─ no ─► ack
//!             │ yes
//!          key busy? ─ yes ─► wait in the chain of the key ──────────────────────────────┐
//!             │ no                                                                       │
//!             ├─► batch ─ full, or lingered ─► decode ─► call ─► verdicts ─► ack ─► key free
//!             │                                  │                  └ failed             │
//!             │                                  └ undecodable ──────────┴─► alone:      │
//!             │                                backoff, call, … or given up ─► ack ──────┘
//! ```

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use super::attempt::{Next, Work, leave_batches};
use super::lane::{LaneDriver, TURN};
use super::lane_task::{LaneShared, lock};
use super::slots::{Admitted, Intake, Slots, Slotted, Stage, panicked};
use crate::batch::{Batch, BatchRecord, BatchResult, Verdicts};
use crate::decode_error::DecodeError;
use crate::extract::HandlerContext;
use crate::mutant::{self, Mutant};
use crate::observe::Event;
use crate::outcome::{Failure, Outcome};
use crate::record::{Record, RecordBatch};

/// What a slot has to do: a batch, or one record alone.
pub(super) struct Run {
    works: Vec<Work>,
    /// Records that the call is not given: each is the last of its key here, and its turn comes after the call.
    undecoded: Vec<(Work, Failure)>,
    /// Its one record has failed, or is parked, and is the one of its chain that may go on.
    is_alone: bool,
    /// Its keys are busy. Those of a call that ends well before it ever waits need not be.
    holds_keys: bool,
}

impl Run {
    /// Returns the highest sequence of its records.
    fn last(&self) -> Option<u64> {
        let undecoded = self.undecoded.last().map(|(work, _)| work);
        let last = self.works.last().into_iter().chain(undecoded);
        last.map(Work::sequence).max()
    }

    /// Has later records of its keys wait for it.
    fn hold_keys(&mut self, chains: &mut Chains) {
        if std::mem::replace(&mut self.holds_keys, true) {
            return;
        }
        for chain in self.works.iter().filter_map(|work| work.chain) {
            chains.entry(chain).or_default().busy += 1;
        }
    }
}

/// A call that has ended.
struct Ended {
    started: Option<Instant>,
    is_probe: bool,
    /// See [`Run`].
    is_alone: bool,
    holds_keys: bool,
}

impl Ended {
    #[inline]
    fn tell_handled(&self, work: &Work, lane: &LaneShared) {
        if let Some(started) = self.started {
            lane.group.observers.emit(&Event::Handled {
                record: &work.record(),
                handler: &lane.handler.name,
                attempt: work.attempt,
                duration: started.elapsed(),
            });
        }
    }
}

/// Records that wait for each other.
#[derive(Default)]
struct Chain {
    /// How many of its records are in a call, or have failed and are not settled. It is free at 0.
    busy: usize,
    /// One of those that failed has a slot; the others wait for it, each with what it does next.
    is_failing: bool,
    failed: VecDeque<(Work, Next)>,
    /// The last one that was settled had failed.
    has_failed: bool,
    /// Not started yet.
    waiting: VecDeque<(Arc<RecordBatch>, usize)>,
}

type Chains = HashMap<u64, Chain, foldhash::fast::RandomState>;

/// Drives the calls of one concrete batch handler: `D` decodes a record, `F` calls the function.
pub struct BatchLane<D, T, F, Fut> {
    decode: D,
    adapter: F,
    payload: PhantomData<fn() -> T>,
    slots: Slots<Run, Fut>,
    /// Keys with a record that was started and is not settled, and keys with records that waited for one.
    chains: Chains,
    /// Chains that became free with records waiting: older than all that is in the inbox. One may be in here twice, or be
    /// busy again.
    freed: VecDeque<u64>,
    /// The batch of the inbox that is being taken apart, and the next record of it.
    cursor: Option<(Arc<RecordBatch>, usize)>,
    /// The batch that is being filled. Its records are not started: a drain may forget them.
    filling: Vec<Work>,
    /// One of them has waited in its chain.
    has_waited: bool,
    /// How long that waits for more.
    linger: Option<Pin<Box<Sleep>>>,
}

impl<D, T, F, Fut> std::fmt::Debug for BatchLane<D, T, F, Fut> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BatchLane").finish_non_exhaustive()
    }
}

impl<D, T, F, Fut> BatchLane<D, T, F, Fut>
where
    D: Fn(&Record) -> Result<T, DecodeError> + Send + 'static,
    T: Send + 'static,
    F: Fn(Batch<T>, HandlerContext) -> Fut + Send + 'static,
    Fut: Future<Output = BatchResult> + Send + 'static,
{
    /// Makes a lane of a decoder, and an adapter: a function that calls the handler with a batch, and gives its verdicts.
    pub fn new(decode: D, adapter: F) -> Self {
        Self {
            decode,
            adapter,
            payload: PhantomData,
            slots: Slots::new(),
            chains: HashMap::default(),
            freed: VecDeque::new(),
            cursor: None,
            filling: Vec::new(),
            has_waited: false,
            linger: None,
        }
    }

    /// Fills the batch with records that may start: of chains that became free, then of the inbox. Each that is looked at
    /// is a turn. False once there are none.
    fn fill(&mut self, max: usize, turns: &mut usize, lane: &LaneShared) -> bool {
        while *turns > 0 && self.filling.len() < max {
            let Some(work) = self.next_waiting(lane) else {
                break;
            };
            *turns -= 1;
            self.filling.push(work);
            self.has_waited = true;
        }
        while *turns > 0 && self.filling.len() < max {
            let Some((batch, next)) = &mut self.cursor else {
                let batch = lock(&lane.inbox).pop_front();
                if batch.is_none() {
                    return false;
                }
                self.cursor = batch.map(|batch| (batch, 0));
                continue;
            };
            let index = *next;
            if index >= batch.len() {
                self.cursor = None;
                continue;
            }
            if batch.sequence(index) >= self.slots.end {
                self.cursor = None;
                lock(&lane.inbox).clear();
                return false;
            }
            *turns -= 1;
            *next += 1;
            if self.slots.filter(batch, index, lane) {
                continue;
            }
            let chain = lane.handler.chain_of(batch, index);
            let batch = Arc::clone(batch);
            match chain.and_then(|chain| self.chains.get_mut(&chain)) {
                Some(chain) => chain.waiting.push_back((batch, index)),
                None => self.filling.push(Work::new(batch, index, chain)),
            }
        }
        true
    }

    /// Finds a record whose chain became free.
    fn next_waiting(&mut self, lane: &LaneShared) -> Option<Work> {
        while let Some(&key) = self.freed.front() {
            let free = self.chains.get_mut(&key).filter(|chain| chain.busy == 0);
            let Some(chain) = free else {
                self.freed.pop_front();
                continue;
            };
            let has_failed = chain.has_failed;
            let next = chain.waiting.pop_front();
            let next = next.filter(|(batch, index)| batch.sequence(*index) < self.slots.end);
            if next.is_none() || chain.waiting.is_empty() {
                self.chains.remove(&key);
                self.freed.pop_front();
            }
            if let Some((batch, index)) = next {
                let work = Work::new(batch, index, Some(key));
                return Some(work.after(has_failed, lane));
            }
        }
        None
    }

    /// True once an incomplete batch has waited long enough for more. A drain does not wait.
    fn has_lingered(&mut self, linger: Duration, cx: &mut Context<'_>) -> bool {
        if linger.is_zero() || self.slots.end != u64::MAX {
            return true;
        }
        let sleep = self
            .linger
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(linger)));
        sleep.as_mut().poll(cx).is_ready()
    }

    /// Starts the batch that was filled. While the breaker asks for one attempt, it is of one record.
    fn start_filled(&mut self, admitted: Admitted, lane: &Arc<LaneShared>, cx: &mut Context<'_>) {
        self.linger = None;
        let mut works = std::mem::take(&mut self.filling);
        let has_waited = std::mem::take(&mut self.has_waited);
        if has_waited {
            // It may stand behind newer ones of other keys.
            works.sort_by_key(Work::sequence);
        }
        if admitted.is_probe {
            self.filling = works.split_off(1);
            self.has_waited = has_waited;
        }
        let probed = works[0].chain;
        let mut run = Run {
            works,
            undecoded: Vec::new(),
            is_alone: false,
            holds_keys: false,
        };
        // Else nothing waits behind its records, and nothing asks for their keys before the call.
        if has_waited || admitted.is_probe || lane.parking.is_some() {
            run.hold_keys(&mut self.chains);
        }
        if admitted.is_probe && probed.is_some() {
            let is_behind = |work: &mut Work| work.chain == probed;
            let behind = self.filling.extract_if(.., is_behind).collect();
            self.put_back(behind);
        }
        let slot = self.slots.occupy(run, lane);
        self.slots.give(slot, admitted);
        self.start(slot, lane, cx);
        if let Some(run) = &mut self.slots[slot].work {
            run.hold_keys(&mut self.chains);
        }
    }

    /// Makes records that were not started wait for their keys, which are busy.
    fn put_back(&mut self, works: Vec<Work>) {
        for work in works.into_iter().rev() {
            let chain = work.chain.and_then(|chain| self.chains.get_mut(&chain));
            if let Some(chain) = chain {
                chain.waiting.push_front(work.into_waiting());
            }
        }
    }

    /// Decodes records up to the first that cannot be: whatever is wrong with it is its own failure, and not the batch's.
    fn decode(
        &self,
        works: &[Work],
        records: &mut Vec<BatchRecord<T>>,
        lane: &LaneShared,
    ) -> Result<(), Failure> {
        let decoded = catch_unwind(AssertUnwindSafe(|| {
            for work in works {
                work.check_size(lane)?;
                let record = work.record();
                lane.begins_poll(work.sequence());
                let payload = (self.decode)(&record);
                lane.ends_poll();
                records.push(BatchRecord::new(payload?, record, work.attempt));
            }
            Ok(())
        }));
        decoded.unwrap_or_else(|panic| {
            lane.ends_poll();
            Err(panicked(&*panic))
        })
    }

    /// Decides about the records of a batch that are not decoded, one by one: which of them are given to the call.
    fn sort_out(
        &mut self,
        slot: usize,
        records: &mut Vec<BatchRecord<T>>,
        mut failure: Option<Failure>,
        lane: &Arc<LaneShared>,
    ) {
        let Some(run) = &mut self.slots[slot].work else {
            unreachable!("a slot that starts has work");
        };
        run.hold_keys(&mut self.chains);
        let is_alone = run.is_alone;
        let mut decoded = std::mem::take(&mut run.works);
        let rest = decoded.split_off(records.len());
        let mut undecoded = Vec::new();
        // Keys of records that cannot be decoded, and what waits for these.
        let mut ended = HashSet::new();
        let mut behind: Vec<Work> = Vec::new();
        for work in rest {
            let is_of_its_key =
                |earlier: &Work| earlier.chain.is_some() && earlier.chain == work.chain;
            if work.chain.is_some_and(|chain| ended.contains(&chain))
                // What lies parked is not handled in this call, and those of its key before it are.
                || (work.is_parked(lane) && decoded.iter().any(is_of_its_key))
            {
                ended.extend(work.chain);
                behind.push(work);
                continue;
            }
            if let Some(next) = work.follow(lane) {
                if matches!(next, Next::RetryAt(_)) {
                    // It waits for room, and what is behind it in its chain for it.
                    ended.extend(work.chain);
                }
                self.set_aside(work, next, is_alone, lane);
                continue;
            }
            let failed = match failure.take() {
                None => self
                    .decode(std::slice::from_ref(&work), records, lane)
                    .err(),
                failed => failed,
            };
            match failed {
                None => decoded.push(work),
                Some(failure) => {
                    ended.extend(work.chain);
                    undecoded.push((work, failure));
                }
            }
        }
        for chain in behind.iter().filter_map(|work| work.chain) {
            if let Some(chain) = self.chains.get_mut(&chain) {
                chain.busy -= 1;
            }
        }
        self.put_back(behind);
        if let Some(run) = &mut self.slots[slot].work {
            run.works = decoded;
            run.undecoded = undecoded;
        }
    }

    /// Frees a slot whose call is over.
    fn take_run(&mut self, slot: usize) -> Run {
        let at = &mut self.slots[slot];
        let permit = at.permit.take();
        let Some(run) = at.work.take() else {
            unreachable!("a call that ends has work");
        };
        self.slots.vacate(slot);
        self.slots.keep_permit(permit);
        run
    }

    /// Deals with what an attempt came to for one record.
    fn conclude(&mut self, mut work: Work, outcome: Outcome, call: &Ended, lane: &Arc<LaneShared>) {
        let has_failed = matches!(outcome, Outcome::Fail(_));
        let counted = work.take_count();
        self.slots.count(counted, call.is_probe, has_failed, lane);
        if matches!(outcome, Outcome::Ack) {
            call.tell_handled(&work, lane);
        }
        match work.end(outcome, lane) {
            None => self.settle_one(&work, call.is_alone, lane),
            Some(next) => self.set_aside(work, next, call.is_alone, lane),
        }
    }

    /// Finishes the records of a call that handled them all.
    fn conclude_good(&mut self, mut works: Vec<Work>, call: &Ended, lane: &Arc<LaneShared>) {
        for work in &mut works {
            let counted = work.take_count();
            self.slots.count(counted, call.is_probe, false, lane);
            call.tell_handled(work, lane);
        }
        self.slots.ack_all(&works, lane);
        if call.holds_keys {
            for work in &works {
                self.release(work, call.is_alone, lane);
            }
        }
    }

    /// Does what is next for a record, as soon as those of its key that failed before it are settled.
    fn set_aside(&mut self, mut work: Work, next: Next, is_alone: bool, lane: &Arc<LaneShared>) {
        let chain = work.chain.and_then(|chain| self.chains.get_mut(&chain));
        if let Some(chain) = chain.filter(|chain| chain.is_failing && !is_alone) {
            work.leave_batch();
            return chain.failed.push_back((work, next));
        }
        match work.begin(next, lane) {
            Some(stage) => self.keep(work, stage, lane),
            None => self.settle_one(&work, is_alone, lane),
        }
    }

    /// Gives a record a slot of its own.
    fn keep(&mut self, work: Work, stage: Stage, lane: &Arc<LaneShared>) {
        if let Some(chain) = work.chain.and_then(|chain| self.chains.get_mut(&chain)) {
            chain.is_failing = true;
        }
        let run = Run {
            works: vec![work],
            undecoded: Vec::new(),
            is_alone: true,
            holds_keys: true,
        };
        let slot = self.slots.occupy(run, lane);
        let at = &mut self.slots[slot];
        at.stage = stage;
        // Polled in the next turn, not from here: a long chain of dead letters that are written at once must not recurse.
        at.wake();
    }

    /// Acks a record, and lets go on what waited for it.
    fn settle_one(&mut self, work: &Work, is_alone: bool, lane: &Arc<LaneShared>) {
        self.slots.ack(work, lane);
        self.release(work, is_alone, lane);
    }

    /// Lets go on what waited for a record that is finished.
    fn release(&mut self, work: &Work, is_alone: bool, lane: &Arc<LaneShared>) {
        let Some(key) = work.chain else {
            return;
        };
        let Entry::Occupied(mut at) = self.chains.entry(key) else {
            return;
        };
        let chain = at.get_mut();
        chain.busy -= 1;
        chain.has_failed = work.has_failed();
        if is_alone {
            chain.is_failing = false;
            while let Some((mut work, next)) = chain.failed.pop_front() {
                let next = work.behind(next, lane);
                if let Some(stage) = work.begin(next, lane) {
                    return self.keep(work, stage, lane);
                }
                self.slots.ack(&work, lane);
                chain.busy -= 1;
            }
        }
        if chain.busy > 0 {
            return;
        }
        if chain.waiting.is_empty() {
            at.remove();
        } else {
            self.freed.push_back(key);
        }
    }
}

impl<D, T, F, Fut> Slotted for BatchLane<D, T, F, Fut>
where
    D: Fn(&Record) -> Result<T, DecodeError> + Send + 'static,
    T: Send + 'static,
    F: Fn(Batch<T>, HandlerContext) -> Fut + Send + 'static,
    Fut: Future<Output = BatchResult> + Send + 'static,
{
    type Load = Run;
    type Call = Fut;

    fn slots(&mut self) -> &mut Slots<Run, Fut> {
        &mut self.slots
    }

    fn first(run: &Run) -> Option<&Work> {
        run.works.first()
    }

    fn failed(failure: Failure) -> BatchResult {
        Err(failure)
    }

    fn intake(&mut self, lane: &Arc<LaneShared>, cx: &mut Context<'_>) -> Intake {
        let options = lane.handler.batch.unwrap_or_default();
        let end = self.slots.end;
        if end != u64::MAX {
            self.filling.retain(|work| work.sequence() < end);
        }
        let mut turns = TURN;
        while turns > 0 {
            let is_dry = !self.fill(options.max, &mut turns, lane);
            if self.filling.len() < options.max {
                if !is_dry {
                    break;
                }
                if self.filling.is_empty() || !self.has_lingered(options.linger, cx) {
                    return Intake::Dry;
                }
            }
            match self.slots.admit(lane, cx) {
                Ok(admitted) => self.start_filled(admitted, lane, cx),
                Err(lack) => return lack,
            }
            // So is a start.
            turns = turns.saturating_sub(1);
        }
        Intake::MoreTurns
    }

    fn start(&mut self, slot: usize, lane: &Arc<LaneShared>, cx: &mut Context<'_>) {
        let Some(run) = &self.slots[slot].work else {
            unreachable!("a slot that starts has work");
        };
        let attempt = run.works.first().map_or(1, |work| work.attempt);
        let mut records = Vec::with_capacity(run.works.len());
        let decoded = match lane.parking {
            None => self.decode(&run.works, &mut records, lane),
            Some(_) => Ok(()),
        };
        if records.len() < run.works.len() {
            self.sort_out(slot, &mut records, decoded.err(), lane);
        }
        if let Some(last) = self.slots[slot].work.as_ref().and_then(Run::last) {
            self.slots.starts(slot, last, lane);
        }
        if records.is_empty() {
            let run = &self.slots[slot].work;
            if run.as_ref().is_none_or(|run| run.undecoded.is_empty()) {
                self.slots.makes_no_attempt(slot, lane);
            }
            return self.finish(slot, Ok(Verdicts::default()), lane, cx);
        }

        let batch = Batch::new(records, Arc::clone(&lane.context.group_id));
        let cx_of_call = HandlerContext::new(&lane.context, attempt);
        let at = &mut self.slots[slot];
        let first = at.work.as_ref().and_then(Self::first);
        lane.begins_poll(first.map_or(0, Work::sequence));
        let call = catch_unwind(AssertUnwindSafe(|| (self.adapter)(batch, cx_of_call)));
        lane.ends_poll();
        match call {
            Ok(call) => {
                at.call.set(Some(call));
                at.stage = Stage::Calling(None);
                self.poll_slot(slot, lane, cx);
            }
            Err(panic) => self.finish(slot, Err(panicked(&*panic)), lane, cx),
        }
    }

    fn finish(
        &mut self,
        slot: usize,
        result: BatchResult,
        lane: &Arc<LaneShared>,
        _: &mut Context<'_>,
    ) {
        let at = &self.slots[slot];
        let (started, is_probe) = (at.started.filter(|_| self.slots.timed), at.is_probe);
        let mut run = self.take_run(slot);
        let result = result.and_then(|verdicts| verdicts.of_batch(run.works.len()));
        let are_all_good =
            matches!(&result, Ok(verdicts) if verdicts.are_all_good(run.works.len()));
        if !are_all_good {
            run.hold_keys(&mut self.chains);
        }
        let Run {
            mut works,
            undecoded,
            is_alone,
            holds_keys,
        } = run;
        let call = Ended {
            started,
            is_probe,
            is_alone,
            holds_keys,
        };
        match result {
            Ok(_) if are_all_good => self.conclude_good(works, &call, lane),
            Ok(mut verdicts) => {
                let len = works.len();
                for (index, work) in works.into_iter().enumerate() {
                    let shift = usize::from(mutant::is_active(Mutant::ShiftVerdicts));
                    let mut verdict = verdicts.take((index + shift) % len);
                    if mutant::is_active(Mutant::AckWholeBatch) && index + 1 < len {
                        verdict = Outcome::Ack;
                    }
                    self.conclude(work, verdict, &call, lane);
                }
            }
            Err(failure) => match works.pop() {
                Some(work) if works.is_empty() => {
                    self.conclude(work, Outcome::Fail(failure), &call, lane);
                }
                last => {
                    for mut work in works.into_iter().chain(last) {
                        let next = work.retry_alone(&failure, lane);
                        self.set_aside(work, next, false, lane);
                    }
                }
            },
        }
        for (work, failure) in undecoded {
            self.conclude(work, Outcome::Fail(failure), &call, lane);
        }
    }

    fn settle(&mut self, slot: usize, lane: &Arc<LaneShared>) {
        let run = self.take_run(slot);
        for work in &run.works {
            self.settle_one(work, run.is_alone, lane);
        }
    }

    fn slim_chains(&mut self, slot: usize) {
        let works = self.slots[slot].work.iter().flat_map(|run| &run.works);
        for key in works.filter_map(|work| work.chain) {
            if let Some(chain) = self.chains.get_mut(&key) {
                leave_batches(&mut chain.waiting);
            }
        }
    }

    fn give_up_waiting(&mut self, lane: &Arc<LaneShared>) {
        let freed = self.freed.iter().filter_map(|key| self.chains.get(key));
        let freed = freed.filter(|chain| chain.busy == 0);
        let waiting = freed.filter_map(|chain| chain.waiting.front());
        let cursor = self
            .cursor
            .iter()
            .filter(|(batch, index)| *index < batch.len());
        let waiting = waiting
            .chain(cursor)
            .map(|(batch, index)| batch.sequence(*index));
        for sequence in waiting.chain(self.filling.iter().map(Work::sequence)) {
            lane.partition.give_up(sequence);
        }
        self.cursor = None;
        lock(&lane.inbox).clear();
    }

    fn forget_behind(&mut self, run: Run, lane: &Arc<LaneShared>) {
        let chains = run.works.iter().filter_map(|work| work.chain);
        for chain in chains.filter_map(|chain| self.chains.remove(&chain)) {
            for (work, _) in chain.failed {
                lane.partition.give_up(work.sequence());
            }
        }
    }
}

impl<D, T, F, Fut> LaneDriver for BatchLane<D, T, F, Fut>
where
    D: Fn(&Record) -> Result<T, DecodeError> + Send + 'static,
    T: Send + 'static,
    F: Fn(Batch<T>, HandlerContext) -> Fut + Send + 'static,
    Fut: Future<Output = BatchResult> + Send + 'static,
{
    fn turn(&mut self, lane: &Arc<LaneShared>, cx: &mut Context<'_>) -> Poll<()> {
        Slotted::turn(self, lane, cx)
    }
}

#[cfg(test)]
mod failure_tests;
#[cfg(test)]
mod tests;
