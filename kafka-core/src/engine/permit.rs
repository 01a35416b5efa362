//! A lane's way to the `concurrency` of its handler.

use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::PollSemaphore;

/// Takes permits for calls, and keeps at most one at hand within a turn.
pub(super) struct Permits {
    semaphore: PollSemaphore,
    spare: Option<OwnedSemaphorePermit>,
    /// A place in the semaphore's queue is taken: its permit would be lost on a lane that wants none.
    is_queued: bool,
}

impl Permits {
    pub(super) fn new(semaphore: Arc<Semaphore>) -> Self {
        Self {
            semaphore: PollSemaphore::new(semaphore),
            spare: None,
            is_queued: false,
        }
    }

    /// Takes a permit; without one, the lane is woken when there is.
    pub(super) fn take(&mut self, cx: &mut Context<'_>) -> Option<OwnedSemaphorePermit> {
        if let Some(permit) = self.spare.take() {
            return Some(permit);
        }
        match self.semaphore.poll_acquire(cx) {
            Poll::Ready(permit) => {
                self.is_queued = false;
                permit
            }
            Poll::Pending => {
                self.is_queued = true;
                None
            }
        }
    }

    /// Keeps the permit of a call that ended, for the next call of this turn.
    pub(super) fn keep(&mut self, permit: OwnedSemaphorePermit) {
        self.spare.get_or_insert(permit);
    }

    /// Lets the longest waiter have what was kept.
    pub(super) fn share(&mut self) {
        self.spare = None;
    }

    /// Gives back what this turn did not use, and the place in the queue if nothing waits for it.
    pub(super) fn give_back(&mut self, is_wanted: bool) {
        self.spare = None;
        if self.is_queued && !is_wanted {
            self.semaphore = PollSemaphore::new(self.semaphore.clone_inner());
            self.is_queued = false;
        }
    }
}
