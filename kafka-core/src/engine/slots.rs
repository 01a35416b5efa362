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
use tokio::time::Sleep;

use super::lane_task::{LaneShared, SlotWaker, lock};
use super::partition::Mode;
use super::permit::Permits;
use crate::error::panic_text;
use crate::outcome::{Failure, FailureKind};

pub(super) enum Stage {
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

/// A place for a call of `Work`: a record, or records.
pub(super) struct Slot<Work, Call> {
    pub(super) call: Pin<Box<Option<Call>>>,
    pub(super) stage: Stage,
    pub(super) work: Option<Work>,
    pub(super) permit: Option<OwnedSemaphorePermit>,
    flag: Arc<SlotWaker>,
    waker: Waker,
}

impl<Work, Call> Slot<Work, Call> {
    /// Has the slot polled in the lane's next turn.
    pub(super) fn wake(&self) {
        self.waker.wake_by_ref();
    }
}

/// The slots of a lane, with all that it keeps from turn to turn whatever its calls take.
pub(super) struct Slots<Work, Call> {
    all: Vec<Slot<Work, Call>>,
    free: Vec<usize>,
    busy: usize,
    /// Slots whose next attempt waits for a permit, oldest first.
    pub(super) due: VecDeque<usize>,
    woken: Vec<usize>,
    permits: Option<Permits>,
    acks: Vec<Range<u64>>,
    after: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// An observer wants to know how long calls take.
    pub(super) timed: bool,
    /// One past the highest sequence that was started.
    started: u64,
    /// Records from this sequence on are not started: no bound until the partition drains.
    pub(super) end: u64,
}

impl<Work, Call> Index<usize> for Slots<Work, Call> {
    type Output = Slot<Work, Call>;

    fn index(&self, slot: usize) -> &Self::Output {
        &self.all[slot]
    }
}

impl<Work, Call> IndexMut<usize> for Slots<Work, Call> {
    fn index_mut(&mut self, slot: usize) -> &mut Self::Output {
        &mut self.all[slot]
    }
}

impl<Work, Call> Slots<Work, Call> {
    pub(super) fn new() -> Self {
        Self {
            all: Vec::new(),
            free: Vec::new(),
            busy: 0,
            due: VecDeque::new(),
            woken: Vec::new(),
            permits: None,
            acks: Vec::new(),
            after: None,
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
        if !lane.after.is_empty() {
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

    /// Gives work a slot.
    pub(super) fn occupy(&mut self, work: Work, lane: &Arc<LaneShared>) -> usize {
        let slot = self.free.pop().unwrap_or_else(|| {
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
                waker: Waker::from(Arc::clone(&flag)),
                flag,
            });
            slot
        });
        self.all[slot].work = Some(work);
        self.busy += 1;
        slot
    }

    /// Returns a slot, and one past the highest sequence that was started.
    pub(super) fn starting(&mut self, slot: usize) -> (&mut Slot<Work, Call>, &mut u64) {
        (&mut self.all[slot], &mut self.started)
    }

    /// Takes note that a slot has no work any more.
    pub(super) fn vacate(&mut self, slot: usize) {
        self.all[slot].stage = Stage::Free;
        self.busy -= 1;
        self.free.push(slot);
    }

    pub(super) fn take_permit(&mut self, cx: &mut Context<'_>) -> Option<OwnedSemaphorePermit> {
        self.permits.as_mut()?.take(cx)
    }

    /// Keeps the permit of a call that ended, for the next call of this turn.
    pub(super) fn keep_permit(&mut self, permit: Option<OwnedSemaphorePermit>) {
        if let (Some(permits), Some(permit)) = (&mut self.permits, permit) {
            permits.keep(permit);
        }
    }

    /// Finishes a record: the partition is told at the end of the turn.
    pub(super) fn ack(&mut self, sequence: u64) {
        match self.acks.last_mut() {
            Some(last) if last.end == sequence => last.end += 1,
            _ => self.acks.push(sequence..sequence + 1),
        }
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
pub(super) enum Intake {
    Dry,
    NoPermit,
    MoreTurns,
}

/// A lane, as its turns see it.
pub(super) trait Slotted: Sized {
    type Work;
    type Call: Future;

    fn slots(&mut self) -> &mut Slots<Self::Work, Self::Call>;

    /// Returns the sequence of work that waits or was given up: of one record.
    fn sequence(work: &Self::Work) -> u64;

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

    /// Forgets all that waits behind work that stays unfinished.
    fn forget_behind(&mut self, work: Self::Work, lane: &Arc<LaneShared>);

    /// See [`LaneDriver::turn`](super::lane::LaneDriver::turn).
    fn turn(&mut self, lane: &Arc<LaneShared>, cx: &mut Context<'_>) -> Poll<()> {
        lane.task.register(cx.waker());
        if lane.partition.mode() == Mode::Fenced {
            return Poll::Ready(());
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
            let Some(permit) = self.slots().take_permit(cx) else {
                return;
            };
            self.slots().due.pop_front();
            self.slots()[slot].permit = Some(permit);
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
                let timeout = lane.handler.timeout;
                let polled = poll_call(&mut at.call, timer, timeout, &mut slot_cx, Self::failed);
                if let Poll::Ready(result) = polled {
                    self.finish(slot, result, lane, cx);
                }
            }
            Stage::Backoff(sleep) => {
                if sleep.as_mut().poll(&mut slot_cx).is_ready() {
                    at.stage = Stage::Due;
                    slots.due.push_back(slot);
                }
            }
            Stage::GivingUp(write) => {
                if write.as_mut().poll(&mut slot_cx).is_ready() {
                    self.settle(slot, lane);
                }
            }
        }
    }

    /// Forgets retries that wait and records from the drain's end on: whoever owns the partition next has them again.
    /// False until that end is known.
    fn drain(&mut self, lane: &Arc<LaneShared>) -> bool {
        self.forget(lane, |stage, _| {
            matches!(stage, Stage::Backoff(_) | Stage::Stopped)
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

    /// Frees the slots of records that are not finished, with all that waits behind them.
    fn forget(&mut self, lane: &Arc<LaneShared>, which: impl Fn(&Stage, u64) -> bool) {
        for slot in 0..self.slots().all.len() {
            let at = &mut self.slots()[slot];
            let is_it = |work: &mut Self::Work| which(&at.stage, Self::sequence(work));
            let Some(work) = at.work.take_if(is_it) else {
                continue;
            };
            at.permit = None;
            self.slots().vacate(slot);
            lane.partition.give_up(Self::sequence(&work));
            self.forget_behind(work, lane);
        }
    }
}

/// Polls a call in place; a panic and a timeout are failures of it. Ready: the call was dropped.
#[inline]
fn poll_call<Call: Future>(
    call: &mut Pin<Box<Option<Call>>>,
    timer: &mut Option<Pin<Box<Sleep>>>,
    timeout: Option<Duration>,
    cx: &mut Context<'_>,
    failed: impl Fn(Failure) -> Call::Output,
) -> Poll<Call::Output> {
    let polled = catch_unwind(AssertUnwindSafe(|| match call.as_mut().as_pin_mut() {
        Some(call) => call.poll(cx),
        None => unreachable!("a slot that is calling has a call"),
    }));
    let result = match polled {
        Ok(Poll::Ready(result)) => result,
        Err(panic) => failed(panicked(&*panic)),
        Ok(Poll::Pending) => {
            let Some(timeout) = timeout else {
                return Poll::Pending;
            };
            let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
            std::task::ready!(timer.as_mut().poll(cx));
            failed(Failure::new(
                FailureKind::Timeout,
                format!("no result after {timeout:?}"),
            ))
        }
    };
    // Dropped where it stands; a panic of a destructor is the call's, like any other.
    let dropped = catch_unwind(AssertUnwindSafe(|| call.set(None)));
    Poll::Ready(match dropped {
        Ok(()) => result,
        Err(panic) => failed(panicked(&*panic)),
    })
}

/// A panic as a failure; its text is kept if it is one.
pub(super) fn panicked(panic: &(dyn Any + Send)) -> Failure {
    let text = panic_text(panic).unwrap_or_else(|| "the handler panicked".to_owned());
    Failure::new(FailureKind::Panic, text)
}
