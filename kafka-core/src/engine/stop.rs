//! Ends a group: nothing new is started, what runs may finish, offsets are stored, the member leaves.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::dispatch::Assigned;
use super::monitor::GroupState;
use super::poll::{CANCEL_WAIT, Engine};
use super::retries::Retries;
use crate::mutant::{self, Mutant};
use crate::observe::Event;
use crate::record::{Offset, TopicPartition};

/// Producers get this long to send what handlers left with them.
const FLUSH_WAIT: Duration = Duration::from_millis(500);
/// A member gets this long to leave the group; then its thread is abandoned.
const CLOSE_WAIT: Duration = Duration::from_secs(1);
/// A stop lasts its grace and so long at most. All waits after the grace together are longer than that, so the last one is
/// cut; the rest of the two seconds that are promised is for the process to end.
const AFTER_GRACE: Duration = Duration::from_millis(1800);
/// The least that is left of it: what a broker that answers needs.
const LEAST_CLOSE_WAIT: Duration = Duration::from_millis(200);

/// What is still not committed is committed again after this long.
const COMMIT_AGAIN: Duration = Duration::from_millis(200);
/// How long the group is asked what it has. The member is not polled meanwhile.
const COMMITTED_WAIT: Duration = Duration::from_millis(200);
/// How long commits are waited for beyond the grace, or in all if no broker answers.
const UNREACHABLE_WAIT: Duration = Duration::from_millis(500);

/// A stop that is going on.
pub(super) struct Stopping {
    pub(super) since: Instant,
    pub(super) is_cancelled: bool,
    /// Everything is finished and stored; what is not known to be committed is waited for.
    pub(super) settling: Option<Settling>,
}

/// Offsets whose commit is on its way.
pub(super) struct Settling {
    since: Instant,
    asked_at: Option<Instant>,
    uncommitted: Vec<(TopicPartition, Offset)>,
}

impl Engine {
    /// Begins to stop: nothing new is started, what runs may finish.
    pub(super) fn stop(&mut self, now: Instant) {
        if self.stopping.is_some() {
            return;
        }
        self.monitor.set_state(GroupState::Stopping);
        self.stopping = Some(Stopping {
            since: now,
            is_cancelled: false,
            settling: None,
        });
        let until = now + self.config.shutdown_grace;
        let partitions = self.dispatch.places();
        for partition in self.all_partitions() {
            partition.state.drain(Some(until));
            partition.wake();
        }
        if !partitions.is_empty() {
            self.report(|consumer| consumer.pause(&partitions));
        }
    }

    /// Goes on with the stop; true once everything is stored and the client may be closed.
    pub(super) fn is_stopped(&mut self, now: Instant) -> bool {
        let Some(stopping) = &self.stopping else {
            return false;
        };
        let since = stopping.since;
        let is_cancelled = stopping.is_cancelled;
        let is_settling = stopping.settling.is_some();
        let waited = now.duration_since(since);
        let grace = self.config.shutdown_grace;
        let is_over = self.all_partitions().all(|p| p.state.is_over());
        let is_patient =
            waited < grace + CANCEL_WAIT || mutant::is_active(Mutant::StopWithoutLimit);
        if !is_settling && !is_over && is_patient && !mutant::is_active(Mutant::StopAtOnce) {
            // Lanes wait for what the others say of the drain.
            let must_cancel = !is_cancelled && waited >= grace;
            for partition in self.all_partitions() {
                partition.wake();
                if must_cancel {
                    partition.state.cancel.cancel();
                }
            }
            if let Some(stopping) = &mut self.stopping {
                stopping.is_cancelled |= must_cancel;
            }
            return false;
        }
        if !is_settling {
            self.settle(now);
        }
        if self.is_settling(now) {
            return false;
        }
        if self.assigning.take().is_some() {
            self.report(|consumer| consumer.assign(&[]));
        }
        // A revoke that waits loses its stored offsets if the client closes first (classic protocol).
        if let Some(revoking) = self.revoking.take() {
            self.report(|consumer| consumer.unassign(&revoking.partitions));
        }
        let unfinished = self
            .dispatch
            .partitions
            .iter()
            .map(|p| p.state.in_flight())
            .sum();
        self.dispatch.partitions.clear();
        self.publish();
        self.group.observers.emit(&Event::Stopped {
            group_id: &self.group.group_id,
            took: now.duration_since(since),
            unfinished,
        });
        true
    }
}

impl Engine {
    /// Ends what still runs, and commits what was finished.
    fn settle(&mut self, now: Instant) {
        self.fence_all();
        (self.flush)(FLUSH_WAIT);
        self.store();
        self.close_retries(&self.dispatch.places(), true, now);
        let stored = self.dispatch.partitions.iter().filter_map(|p| {
            let stored = p.state.stored()?;
            Some((p.state.at.clone(), stored))
        });
        let uncommitted = stored.collect();
        if let Some(stopping) = &mut self.stopping {
            stopping.settling = Some(Settling {
                since: now,
                asked_at: None,
                uncommitted,
            });
        }
    }

    /// True while a commit is waited for. During a rebalance it can be refused, or wait behind the answer to a request to
    /// join; a member that left meanwhile would lose it.
    fn is_settling(&mut self, now: Instant) -> bool {
        let is_committing = self.is_committing_retries(now);
        let is_unreachable = self.monitor.is_unreachable();
        let grace = self.config.shutdown_grace;
        let Some(Stopping {
            since,
            settling: Some(settling),
            ..
        }) = &mut self.stopping
        else {
            return false;
        };
        let dispatch = &self.dispatch;
        settling.uncommitted.retain(|(at, offset)| {
            // What was given back or lost meanwhile was committed with that, or is another member's.
            let partition = dispatch.partitions.iter().find(|p| p.state.at == *at);
            partition.is_some_and(|p| p.state.committed() < Some(*offset))
        });
        let until = if is_unreachable {
            settling.since + UNREACHABLE_WAIT
        } else {
            (*since + grace).max(settling.since) + UNREACHABLE_WAIT
        };
        if now >= until {
            return false;
        }
        if settling.uncommitted.is_empty() {
            return is_committing;
        }
        let is_due = |asked_at| now.saturating_duration_since(asked_at) >= COMMIT_AGAIN;
        if settling.asked_at.is_none_or(is_due) {
            settling.asked_at = Some(now);
            let places: Vec<_> = settling
                .uncommitted
                .iter()
                .map(|(at, _)| at.clone())
                .collect();
            self.report(|consumer| consumer.commit());
            // A broker answers a connection's requests in order. What goes wrong here, time tells.
            if let Ok(committed) = self.consumer.committed(&places, COMMITTED_WAIT) {
                for (at, offset) in places.iter().zip(committed) {
                    if let (Some(partition), Some(offset)) = (self.dispatch.find(at), offset) {
                        partition.state.set_committed(offset);
                    }
                }
                return self.is_settling(now);
            }
        }
        true
    }

    /// Leaves the group, for as long as the client takes. However the engine ended: no call of it goes on, and nothing
    /// of it is committed from here on.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn leave(self) {
        self.fence_all();
        self.consumer.close();
        if let Some(retries) = self.retries {
            retries.close();
        }
    }

    pub(super) fn fence_all(&self) {
        for partition in self.all_partitions() {
            partition.state.fence();
            partition.wake();
        }
    }

    /// What is read: assigned partitions, and their retry topics.
    pub(super) fn all_partitions(&self) -> impl Iterator<Item = &Assigned> {
        let parked = self.retries.iter().flat_map(Retries::all);
        self.dispatch.partitions.iter().chain(parked)
    }
}

/// Closes an engine's client, and drops the rest of it, on a thread of its own, which is abandoned if the brokers do not
/// let it end in time.
pub(super) fn close(engine: Engine) {
    engine.fence_all();
    let wait = engine.stopping.as_ref().map_or(CLOSE_WAIT, |stopping| {
        close_wait(stopping.since.elapsed(), engine.config.shutdown_grace)
    });
    let (send, closed) = channel::<()>();
    let thread = std::thread::Builder::new().name("kafka-close".into());
    let spawned = thread.spawn(move || {
        let Engine {
            consumer,
            retries,
            flush,
            ..
        } = engine;
        // First: the group waits for this member to leave, and the next owner reads what is committed here.
        if let Some(retries) = retries {
            retries.close();
        }
        consumer.close();
        // The last handle of a producer may be in it.
        drop(flush);
        drop(send);
    });
    if spawned.is_ok() {
        // Disconnected: it has closed.
        let _: Result<(), RecvTimeoutError> = closed.recv_timeout(wait);
    }
}

/// How long a member may take to leave, when its stop has taken so long already.
fn close_wait(took: Duration, grace: Duration) -> Duration {
    let left = (grace + AFTER_GRACE).saturating_sub(took);
    left.clamp(LEAST_CLOSE_WAIT, CLOSE_WAIT)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{AFTER_GRACE, CLOSE_WAIT, close_wait};

    #[test]
    fn a_stop_that_has_used_its_time_up_leaves_faster() {
        let (grace, ms) = (Duration::from_secs(5), Duration::from_millis);

        assert_eq!(close_wait(ms(300), grace), CLOSE_WAIT);
        // Cancelled, flushed, and in vain waited for a commit.
        for took in [6000, 6200, 6500] {
            assert!(ms(took) + close_wait(ms(took), grace) <= grace + AFTER_GRACE);
        }
        assert_eq!(close_wait(ms(9000), grace), ms(200));
    }
}
