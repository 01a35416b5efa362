//! The slots of a lane, and its turns: what is the same whether a call takes one record or many.
//!
//! A slot is a place for a call: its future, built and polled in place, its timer, its permit, and what wakes it. It is
//! used again and again. What a call is made of is the lane's affair ([`Slotted`]).

use std::any::Any;
use std::collections::VecDeque;
use std::ops::{Index, IndexMut, Range};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering as Atomic};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep};

use super::attempt::{Counted, Work, Write, Written};
use super::lane_task::{LaneParking, LaneShared, SlotWaker, lock};
use super::partition::Mode;
use super::permit::Permits;
use crate::error::panic_text;
use crate::failure::breaker::{Admission, BreakerState, Change};
use crate::mutant::{self, Mutant};
use crate::observe::Event;
use crate::outcome::{Failure, FailureKind};
use crate::record::{RecordBatch, TopicPartition};

/// What waits for a call of this age is copied out of its batch: a batch stays in memory as a whole, and counts as a whole.
const SLOW: Duration = Duration::from_millis(250);

pub(super) enum Stage {
    Free,
    /// The call runs; the timer is its `timeout`.
    Calling(Option<Pin<Box<Sleep>>>),
    /// Waits before the next attempt.
    Backoff(Pin<Box<Sleep>>),
    /// Its next attempt waits for a permit.
    Due,
    /// Its dead letter, or its copy in a retry topic, is being written.
    GivingUp(Write),
    /// Given up under the policy `stop`: it keeps its chain, and is never acked.
    Stopped,
}

/// A place for a call of `Load`: a record, or records.
pub(super) struct Slot<Load, Call> {
    pub(super) call: Pin<Box<Option<Call>>>,
    pub(super) stage: Stage,
    pub(super) work: Option<Load>,
    pub(super) permit: Option<OwnedSemaphorePermit>,
    /// When the call began, if somebody wants to know or it has to wait.
    pub(super) started: Option<Instant>,
    /// It is reported when it has run for this long.
    report_at: Duration,
    /// How it ends decides whether the handler is fed again.
    pub(super) is_probe: bool,
    flag: Arc<SlotWaker>,
    pub(super) waker: Waker,
}

impl<Load, Call> Slot<Load, Call> {
    /// Has the slot polled in the lane's next turn.
    pub(super) fn wake(&self) {
        self.waker.wake_by_ref();
    }
}

/// The slots of a lane, with all that it keeps from turn to turn whatever its calls take.
pub(super) struct Slots<Load, Call> {
    all: Vec<Slot<Load, Call>>,
    free: Vec<usize>,
    busy: usize,
    /// Slots whose next attempt waits for a permit, oldest first.
    pub(super) due: VecDeque<usize>,
    woken: Vec<usize>,
    permits: Option<Permits>,
    acks: Vec<Range<u64>>,
    /// How many of them the handler does not want.
    filtered: u64,
    after: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// Until the breaker may be asked again.
    held: Option<Pin<Box<Sleep>>>,
    /// First attempts of this turn that ended well.
    good: u32,
    /// An observer wants to know how long calls take.
    pub(super) timed: bool,
    /// One past the highest sequence that was started.
    started: u64,
    /// Records from this sequence on are not started: no bound until the partition drains.
    pub(super) end: u64,
}

impl<Load, Call> Index<usize> for Slots<Load, Call> {
    type Output = Slot<Load, Call>;

    fn index(&self, slot: usize) -> &Self::Output {
        &self.all[slot]
    }
}

impl<Load, Call> IndexMut<usize> for Slots<Load, Call> {
    fn index_mut(&mut self, slot: usize) -> &mut Self::Output {
        &mut self.all[slot]
    }
}

/// What a call needs before it may start.
pub(super) struct Admitted {
    pub(super) permit: OwnedSemaphorePermit,
    pub(super) is_probe: bool,
}

impl<Load, Call> Slots<Load, Call> {
    pub(super) fn new() -> Self {
        Self {
            all: Vec::new(),
            free: Vec::new(),
            busy: 0,
            due: VecDeque::new(),
            woken: Vec::new(),
            permits: None,
            acks: Vec::new(),
            filtered: 0,
            after: None,
            held: None,
            good: 0,
            timed: false,
            started: 0,
            end: u64::MAX,
        }
    }

    /// Waits for the calls of the partition's earlier assignments.
    fn open(&mut self, lane: &Arc<LaneShared>, cx: &mut Context<'_>) -> Poll<()> {
        if self.permits.is_some() {
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
        Poll::Ready(())
    }

    /// Returns the slot that is free next.
    pub(super) fn next_free(&mut self, lane: &Arc<LaneShared>) -> usize {
        if let Some(slot) = self.free.last() {
            return *slot;
        }
        let slot = self.all.len();
        let flag = Arc::new(SlotWaker {
            lane: Arc::clone(lane),
            slot,
            queued: AtomicBool::new(false),
        });
        self.all.push(Slot {
            call: Box::pin(None),
            stage: Stage::Free,
            work: None,
            permit: None,
            started: None,
            report_at: Duration::ZERO,
            is_probe: false,
            waker: Waker::from(Arc::clone(&flag)),
            flag,
        });
        self.free.push(slot);
        slot
    }

    /// Gives work the slot that is free next.
    pub(super) fn occupy(&mut self, work: Load, lane: &Arc<LaneShared>) -> usize {
        let slot = self.next_free(lane);
        self.free.pop();
        self.all[slot].work = Some(work);
        self.busy += 1;
        slot
    }

    /// Gives an attempt that may start what it needs.
    pub(super) fn give(&mut self, slot: usize, admitted: Admitted) {
        let at = &mut self.all[slot];
        at.permit = Some(admitted.permit);
        at.is_probe = admitted.is_probe;
    }

    /// Takes note that a call starts, and of the highest sequence that it is given.
    pub(super) fn starts(
        &mut self,
        slot: usize,
        last: u64,
        lane: &LaneShared,
    ) -> &mut Slot<Load, Call> {
        self.note_started(last);
        let at = &mut self.all[slot];
        at.started = self.timed.then(Instant::now);
        at.report_at = lane.group.max_call_age;
        at
    }

    /// Takes note that a call was given records up to this one.
    pub(super) fn note_started(&mut self, last: u64) {
        self.started = self.started.max(last + 1);
    }

    /// Finishes a record whose first call has ended well before it ever waited.
    pub(super) fn ack_at_once(&mut self, sequence: u64, key_hash: u64, lane: &LaneShared) {
        lane.handler.breaker.note(key_hash, false, false);
        self.good += 1;
        self.ack_sequence(sequence);
    }

    /// Takes note that a slot has no work any more.
    pub(super) fn vacate(&mut self, slot: usize) {
        self.all[slot].stage = Stage::Free;
        self.busy -= 1;
        self.free.push(slot);
    }

    /// Takes a permit, and asks the handler's breaker for an attempt; else returns what there was none of.
    pub(super) fn admit(
        &mut self,
        lane: &LaneShared,
        cx: &mut Context<'_>,
    ) -> Result<Admitted, Intake> {
        let permit = self.permits.as_mut().and_then(|permits| permits.take(cx));
        let permit = permit.ok_or(Intake::NoPermit)?;
        let Some(is_probe) = self.ask_breaker(lane, cx) else {
            self.keep_permit(Some(permit));
            return Err(Intake::Held);
        };
        Ok(Admitted { permit, is_probe })
    }

    /// Asks the handler's breaker for an attempt: whether it is the one that decides; `None` if not now.
    fn ask_breaker(&mut self, lane: &LaneShared, cx: &mut Context<'_>) -> Option<bool> {
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

    /// Gives back what the breaker let through: the record only follows one that is parked.
    pub(super) fn makes_no_attempt(&mut self, slot: usize, lane: &LaneShared) {
        if std::mem::take(&mut self[slot].is_probe) {
            lane.handler.breaker.unused(now());
        }
    }

    /// Takes note of how an attempt ended for a record, for the breaker.
    #[inline]
    pub(super) fn count(
        &mut self,
        counted: Option<Counted>,
        is_probe: bool,
        has_failed: bool,
        lane: &LaneShared,
    ) {
        if let Some(counted) = counted {
            let breaker = &lane.handler.breaker;
            breaker.note(counted.key_hash, has_failed, counted.is_behind_failed);
        }
        if is_probe {
            tell_breaker(lane, |breaker, now| breaker.probed(!has_failed, now));
        } else if counted.is_some() && has_failed {
            let good = std::mem::take(&mut self.good);
            tell_breaker(lane, |breaker, now| breaker.count(good, 1, now));
        } else if counted.is_some() {
            self.good += 1;
        }
    }

    /// Keeps the permit of a call that ended, for the next call of this turn.
    pub(super) fn keep_permit(&mut self, permit: Option<OwnedSemaphorePermit>) {
        if let (Some(permits), Some(permit)) = (&mut self.permits, permit) {
            permits.keep(permit);
        }
    }

    /// Finishes records, which are in order: nearly always a range without a gap.
    pub(super) fn ack_all(&mut self, works: &[Work], lane: &LaneShared) {
        if let ([first, .., last], None) = (works, &lane.parking) {
            let range = first.sequence()..last.sequence() + 1;
            if range.end - range.start == works.len() as u64 {
                return self.acks.push(range);
            }
        }
        for work in works {
            self.ack(work, lane);
        }
    }

    /// Finishes a record: the partition is told at the end of the turn.
    pub(super) fn ack(&mut self, work: &Work, lane: &LaneShared) {
        if let Some(LaneParking {
            parking,
            stage: stage @ 1..,
        }) = &lane.parking
        {
            parking.leave(work.chain, *stage);
        }
        self.ack_sequence(work.sequence());
    }

    /// Finishes a new record that the handler does not want, in its place: it waits for nothing, and nothing for it.
    ///
    /// What lies parked was wanted, when it was.
    #[inline]
    pub(super) fn filter(&mut self, batch: &RecordBatch, index: usize, lane: &LaneShared) -> bool {
        let Some(filter) = &lane.handler.filter else {
            return false;
        };
        let is_parked = lane
            .parking
            .as_ref()
            .is_some_and(|lane| lane.stage > 0 || lane.parking.has_come_again(batch.offset(index)));
        if is_parked || filter.takes(batch.value(index)) {
            return false;
        }
        self.ack_sequence(batch.sequence(index));
        self.filtered += 1;
        true
    }

    fn ack_sequence(&mut self, sequence: u64) {
        match self.acks.last_mut() {
            Some(last) if last.end == sequence => last.end += 1,
            _ => self.acks.push(sequence..sequence + 1),
        }
    }

    fn flush_acks(&mut self, lane: &LaneShared) {
        if !self.acks.is_empty() {
            lane.partition.ack(&self.acks);
            self.acks.clear();
        }
        let records = std::mem::take(&mut self.filtered);
        if records > 0 {
            lane.partition.count_filtered(records);
            lane.group.observers.emit(&Event::Filtered {
                group_id: &lane.group.group_id,
                handler: &lane.handler.name,
                partition: &lane.partition.at,
                records,
            });
        }
    }
}

/// Why no more records were started.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Intake {
    Dry,
    NoPermit,
    /// The breaker is open.
    Held,
    MoreTurns,
}

/// A lane, as its turns see it.
pub(super) trait Slotted: Sized {
    /// The records of a call.
    type Load;
    type Call: Future;

    fn slots(&mut self) -> &mut Slots<Self::Load, Self::Call>;

    /// Returns the first record of a call; the only one, if it waits or was given up.
    fn first(load: &Self::Load) -> Option<&Work>;

    /// The result of a call that panicked or took too long.
    fn failed(failure: Failure) -> <Self::Call as Future>::Output;

    /// Starts new records.
    fn intake(&mut self, lane: &Arc<LaneShared>, cx: &mut Context<'_>) -> Intake;

    /// Starts the attempt of a slot that has its work and its permit.
    fn start(&mut self, slot: usize, lane: &Arc<LaneShared>, cx: &mut Context<'_>);

    /// Deals with the result of a call.
    fn finish(
        &mut self,
        slot: usize,
        result: <Self::Call as Future>::Output,
        lane: &Arc<LaneShared>,
        cx: &mut Context<'_>,
    );

    /// Acks a slot's record, then goes on with what waited for it, or frees the slot.
    fn settle(&mut self, slot: usize, lane: &Arc<LaneShared>);

    /// Forgets all that waits behind a record that stays unfinished.
    fn forget_behind(&mut self, load: Self::Load, lane: &Arc<LaneShared>);

    /// Takes note that a slot has held up its chains for a while: what waits there may do so for long, and keeps no more
    /// than itself in memory from then on.
    fn slim_chains(&mut self, slot: usize);

    /// Gives up the records that were not started: whoever owns the partition next has them again.
    fn give_up_waiting(&mut self, lane: &Arc<LaneShared>);

    /// See [`LaneDriver::turn`](super::lane::LaneDriver::turn).
    fn turn(&mut self, lane: &Arc<LaneShared>, cx: &mut Context<'_>) -> Poll<()> {
        lane.task.register(cx.waker());
        if lane.partition.mode() == Mode::Fenced {
            return Poll::Ready(());
        }
        if lane.group.pulse.is_late() {
            // Its partition may be another member's. The poll thread looks, and says so.
            return Poll::Pending;
        }
        if self.slots().open(lane, cx).is_pending() {
            // Nothing of it has started: it may simply end.
            return if lane.partition.mode() == Mode::Running {
                Poll::Pending
            } else {
                Poll::Ready(())
            };
        }
        self.slots().timed = lane.group.observers.wants_handled();
        self.poll_woken(lane, cx);
        if lane.take_inspection() {
            self.inspect(lane);
        }
        if let Some(permits) = &mut self.slots().permits {
            // Other lanes may have waited for them while these calls ran: first come, first served.
            permits.share();
        }
        let mut again = false;
        let is_running = lane.partition.mode() == Mode::Running;
        let may_start = is_running || self.drain(lane);
        let mut is_dry = false;
        let mut is_wanted = false;
        if may_start {
            self.start_due(lane, cx);
            let intake = if self.slots().due.is_empty() {
                self.intake(lane, cx)
            } else {
                Intake::NoPermit
            };
            if intake == Intake::Held && !is_running {
                // It would hold up the drain for as long as everything fails.
                self.give_up_waiting(lane);
                let slots = self.slots();
                slots.end = slots.end.min(lane.partition.drain_end().unwrap_or(0));
                lane.wake();
            }
            is_dry = intake == Intake::Dry;
            is_wanted = intake == Intake::NoPermit;
            // A record of the intake may have ended with others behind it.
            again = intake == Intake::MoreTurns || (is_dry && !self.slots().due.is_empty());
        }
        let slots = self.slots();
        if let Some(permits) = &mut slots.permits {
            permits.give_back(is_wanted);
        }
        slots.flush_acks(lane);
        if slots.good > 0 {
            let good = std::mem::take(&mut slots.good);
            tell_breaker(lane, |breaker, now| breaker.count(good, 0, now));
        }
        // A push between the intake and here is seen by the next turn, which it has woken.
        lane.is_behind.store(again, Atomic::Relaxed);
        lane.running.store(slots.busy, Atomic::Relaxed);
        if !is_running && is_dry && slots.busy == 0 {
            return Poll::Ready(());
        }
        if again {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Polls the slots that were woken.
    fn poll_woken(&mut self, lane: &Arc<LaneShared>, cx: &mut Context<'_>) {
        let mut woken = std::mem::take(&mut self.slots().woken);
        std::mem::swap(&mut woken, &mut lock(&lane.ready));
        for slot in woken.drain(..) {
            self.slots()[slot].flag.queued.store(false, Atomic::Release);
            self.poll_slot(slot, lane, cx);
        }
        self.slots().woken = woken;
    }

    /// Starts the attempts that wait for a permit, oldest first.
    fn start_due(&mut self, lane: &Arc<LaneShared>, cx: &mut Context<'_>) {
        while let Some(&slot) = self.slots().due.front() {
            let Ok(admitted) = self.slots().admit(lane, cx) else {
                return;
            };
            self.slots().due.pop_front();
            self.slots().give(slot, admitted);
            self.start(slot, lane, cx);
        }
    }

    fn poll_slot(&mut self, slot: usize, lane: &Arc<LaneShared>, cx: &mut Context<'_>) {
        let slots = self.slots();
        let at = &mut slots.all[slot];
        let mut slot_cx = Context::from_waker(&at.waker);
        match &mut at.stage {
            Stage::Free | Stage::Due | Stage::Stopped => {}
            Stage::Calling(timer) => {
                let first = at.work.as_ref().and_then(Self::first);
                lane.begins_poll(first.map_or(0, Work::sequence));
                let polled =
                    catch_unwind(AssertUnwindSafe(|| match at.call.as_mut().as_pin_mut() {
                        Some(call) => call.poll(&mut slot_cx),
                        None => unreachable!("a slot that is calling has a call"),
                    }));
                lane.ends_poll();
                let result = match polled {
                    Ok(Poll::Ready(result)) => result,
                    Err(panic) => Self::failed(panicked(&*panic)),
                    Ok(Poll::Pending) => {
                        at.started.get_or_insert_with(Instant::now);
                        let Some(timeout) = lane.handler.timeout else {
                            return;
                        };
                        let timer =
                            timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
                        if timer.as_mut().poll(&mut slot_cx).is_pending() {
                            return;
                        }
                        Self::failed(Failure::new(
                            FailureKind::Timeout,
                            format!("no result after {timeout:?}"),
                        ))
                    }
                };
                let result = drop_call(&mut at.call).map_or(result, Self::failed);
                self.finish(slot, result, lane, cx);
            }
            Stage::Backoff(sleep) => {
                if sleep.as_mut().poll(&mut slot_cx).is_ready() {
                    at.stage = Stage::Due;
                    slots.due.push_back(slot);
                }
            }
            Stage::GivingUp(write) => {
                let Poll::Ready(written) = write.as_mut().poll(&mut slot_cx) else {
                    return;
                };
                match written {
                    Written::Settled => self.settle(slot, lane),
                    Written::Refused => {
                        at.stage = Stage::Due;
                        slots.due.push_back(slot);
                    }
                    Written::GivenUp(failure) => {
                        let work = at.work.as_ref().and_then(Self::first);
                        match work.and_then(|work| work.give_up(failure, lane)) {
                            Some(stage) => {
                                at.stage = stage;
                                self.poll_slot(slot, lane, cx);
                            }
                            None => self.settle(slot, lane),
                        }
                    }
                }
            }
        }
    }

    /// Forgets retries that wait and records from the drain's end on: whoever owns the partition next has them again.
    /// False until that end is known.
    fn drain(&mut self, lane: &Arc<LaneShared>) -> bool {
        // What the breaker holds back waits like a retry.
        let is_held = lane.handler.breaker.is_open();
        let until = lane.partition.drain_until();
        self.forget(lane, |stage, _| match stage {
            Stage::Backoff(sleep) => {
                is_held || until.is_none_or(|until| sleep.deadline().into_std() > until)
            }
            Stage::Stopped => true,
            Stage::Due => is_held,
            _ => false,
        });
        lane.drains(self.slots().started);
        let Some(end) = lane.partition.drain_end() else {
            return false;
        };
        self.slots().end = end;
        self.forget(lane, |stage, sequence| {
            matches!(stage, Stage::Due) && sequence >= end
        });
        let Slots { due, all, .. } = self.slots();
        due.retain(|slot| all[*slot].work.is_some());
        true
    }

    /// Reports the calls that have been running for too long, and sees to what waits for slow ones.
    fn inspect(&mut self, lane: &Arc<LaneShared>) {
        let now = Instant::now();
        for slot in 0..self.slots().all.len() {
            let at = &self.slots()[slot];
            let is_slow = match at.stage {
                Stage::Free => false,
                Stage::Calling(_) => at.started.is_some_and(|at| now - at >= SLOW),
                _ => true,
            };
            if is_slow {
                self.slim_chains(slot);
            }
        }
        for slot in &mut self.slots().all {
            let first = slot.work.as_ref().and_then(Self::first);
            let (Stage::Calling(_), Some(work)) = (&slot.stage, first) else {
                continue;
            };
            let age = slot.started.map_or(Duration::ZERO, |at| now - at);
            if age >= slot.report_at {
                slot.report_at = 2 * age;
                let record = work.record();
                // Not where it is parked, if it is.
                let at = TopicPartition::new(record.topic_arc(), record.partition());
                let key_hash = Some(work.key_hash());
                lane.report_age(&at, record.offset(), key_hash, age, false);
            }
        }
    }

    /// Frees the slots of records that are not finished, with all that waits behind them.
    fn forget(&mut self, lane: &Arc<LaneShared>, which: impl Fn(&Stage, u64) -> bool) {
        for slot in 0..self.slots().all.len() {
            let at = &mut self.slots()[slot];
            let is_it = |load: &mut Self::Load| {
                let first = Self::first(load);
                first.is_some_and(|work| which(&at.stage, work.sequence()))
            };
            let Some(load) = at.work.take_if(is_it) else {
                continue;
            };
            at.permit = None;
            self.slots().vacate(slot);
            if let Some(work) = Self::first(&load) {
                lane.partition.give_up(work.sequence());
            }
            self.forget_behind(load, lane);
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

/// Tokio's clock, which tests pause.
fn now() -> std::time::Instant {
    Instant::now().into_std()
}

/// Drops a call where it stands; a panic of a destructor is the call's, like any other.
pub(super) fn drop_call<Call>(call: &mut Pin<Box<Option<Call>>>) -> Option<Failure> {
    catch_unwind(AssertUnwindSafe(|| call.set(None)))
        .err()
        .map(|panic| panicked(&*panic))
}

/// A panic as a failure; its text is kept if it is one.
pub(super) fn panicked(panic: &(dyn Any + Send)) -> Failure {
    let text = panic_text(panic).unwrap_or_else(|| "the handler panicked".to_owned());
    Failure::new(FailureKind::Panic, text)
}
