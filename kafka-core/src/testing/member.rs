//! One group of a test's runtime: its engine, driven by the test, and its member at the in-memory broker.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::clients::Brokers;
use crate::client::Polled;
use crate::client::memory::{MemberId, MemberView};
use crate::engine::monitor::GroupState;
use crate::engine::poll::{Command, Engine};
use crate::engine::route::{FirstError, Routes};
use crate::error::{ClientError, RunError};
use crate::record::{Offset, TopicPartition};
use crate::runtime::group::{GroupHandle, GroupParts, Shared};
use crate::start::GroupPlan;

type Offsets = Vec<(TopicPartition, Option<Offset>)>;

pub(super) struct Member {
    pub(super) group_id: Arc<str>,
    pub(super) routes: Routes,
    pub(super) handle: GroupHandle,
    /// `None` once it has ended.
    engine: Option<Engine>,
    failed: Arc<FirstError>,
    brokers: Brokers,
    id: MemberId,
    /// Partitions that were assigned once: from then on the test decides.
    known: BTreeSet<TopicPartition>,
    /// The group wants these back, and may still wait for them.
    revoking: BTreeSet<TopicPartition>,
    /// What the last commit was about, and when that was.
    committed: Option<(Offsets, Instant)>,
    commit_interval: Duration,
}

/// What changes while something happens.
#[derive(PartialEq)]
pub(super) struct Trace {
    state: GroupState,
    has_heard: bool,
    busy: usize,
    polls: u64,
    in_flight: usize,
    partitions: Vec<PartitionTrace>,
}

#[derive(PartialEq)]
struct PartitionTrace {
    at: TopicPartition,
    /// Next to read.
    position: Option<Offset>,
    /// Finished and not committed.
    stored: Option<Offset>,
    committed: Option<Offset>,
    is_paused: bool,
}

impl Member {
    /// Makes a group's engine, which joins with its first round.
    pub(super) fn join(
        shared: &Shared,
        plan: &GroupPlan,
        brokers: &Brokers,
    ) -> Result<Self, RunError> {
        let GroupParts {
            engine,
            handle,
            failed,
        } = GroupHandle::engine(shared, &plan.group_id, plan.routes.clone())?;
        let Some(id) = brokers.member_of(&plan.group_id) else {
            unreachable!("the engine has made its client");
        };
        let mut member = Self {
            group_id: Arc::clone(&plan.group_id),
            routes: plan.routes.clone(),
            handle,
            engine: Some(engine),
            failed,
            brokers: brokers.clone(),
            id,
            known: BTreeSet::new(),
            revoking: BTreeSet::new(),
            committed: None,
            commit_interval: shared.config.commit_interval,
        };
        let partitions = member.new_partitions();
        // Even if there are none: it is a member from then on.
        member.view().tell(Polled::Assigned(partitions));
        Ok(member)
    }

    pub(super) fn view(&self) -> MemberView<'_> {
        self.brokers.memory().member(self.id)
    }

    pub(super) fn is_over(&self) -> bool {
        self.engine.is_none()
    }

    pub(super) fn has(&self, at: &TopicPartition) -> bool {
        self.view().assigned().contains(at)
    }

    pub(super) fn reads(&self, topic: &str) -> bool {
        self.routes.of_topic(topic).is_some()
    }

    /// Takes note of partitions that nobody was told of.
    fn new_partitions(&mut self) -> Vec<TopicPartition> {
        let mut new = Vec::new();
        for topic in self.brokers.topics() {
            if self.reads(&topic) {
                let partitions = self.brokers.memory().partitions_of(&topic);
                new.extend(partitions.into_iter().filter(|at| !self.known.contains(at)));
            }
        }
        self.known.extend(new.iter().cloned());
        new
    }

    /// Assigns what was created since: topics that match a pattern, partitions that were added.
    pub(super) fn assign_new(&mut self) {
        let assigned = self.view().assigned();
        self.revoking.retain(|at| assigned.contains(at));
        if !self.revoking.is_empty() {
            // It would tell the engine that the group did not wait for its answer.
            return;
        }
        let new = self.new_partitions();
        if !new.is_empty() && !self.is_over() {
            self.view().tell(Polled::Assigned(new));
        }
    }

    /// The group wants a partition back.
    pub(super) fn revoke(&mut self, at: &TopicPartition) {
        self.revoking.insert(at.clone());
        self.view().tell(Polled::Revoked(vec![at.clone()]));
    }

    /// First half of a round.
    pub(super) fn poll(&mut self, now: Instant) {
        if let Some(engine) = &mut self.engine {
            engine.poll(now);
        }
    }

    /// Second half of a round. Returns how the group ended, if it just did.
    pub(super) fn advance(&mut self, now: Instant) -> Option<Result<(), RunError>> {
        let mut engine = self.engine.take()?;
        engine.make_store_due();
        if !engine.advance(now) {
            self.engine = Some(engine);
            return None;
        }
        // As the poll thread does: leave, then say how it ended.
        engine.leave();
        let result = self.failed.take().map_or(Ok(()), Err);
        self.handle.end(result.clone());
        Some(result)
    }

    /// Commits what is finished, as the client does: what was refused is tried again after the commit interval.
    pub(super) fn commit(&mut self, now: Instant) {
        // Its client for retry topics, if a handler has some.
        let retries = format!("{}.retry", self.handle.status().group_id);
        if let Some(id) = self.brokers.member_of(&retries) {
            self.brokers.memory().member(id).commit();
        }
        if self.is_over() || !self.view().has_stored() {
            return;
        }
        let view = self.view();
        let stored = |at: TopicPartition| (at.clone(), view.stored(&at));
        let stored: Offsets = view.assigned().into_iter().map(stored).collect();
        let is_the_same = |(before, at): &(Offsets, Instant)| {
            *before == stored && now.saturating_duration_since(*at) < self.commit_interval
        };
        if !self.committed.as_ref().is_some_and(is_the_same) {
            view.commit();
            self.committed = Some((stored, now));
        }
    }

    /// Returns how many calls run, retries and dead letters that wait included.
    pub(super) fn busy_calls(&self) -> usize {
        self.engine.as_ref().map_or(0, Engine::busy_calls)
    }

    pub(super) fn trace(&self) -> Trace {
        let view = self.view();
        let status = self.handle.status();
        let assigned = view.assigned().into_iter();
        Trace {
            state: status.state,
            has_heard: view.has_heard(),
            busy: self.busy_calls(),
            polls: self.engine.as_ref().map_or(0, Engine::polls),
            in_flight: status.in_flight(),
            partitions: assigned
                .map(|at| PartitionTrace {
                    position: view.position(&at),
                    stored: view.stored(&at),
                    committed: self.brokers.memory().committed(&self.group_id, &at),
                    is_paused: view.is_paused(&at),
                    at,
                })
                .collect(),
        }
    }

    /// Makes its commits fail with this, or succeed again; cut off from the brokers they fail all the same.
    pub(super) fn set_faults(&self, refused: Option<&ClientError>) {
        let is_cut_off = !self.brokers.is_reachable();
        let unreachable = is_cut_off.then(unreachable);
        let commits = refused.cloned().or_else(|| unreachable.clone());
        self.view().set_faults(|faults| {
            faults.is_cut_off = is_cut_off;
            faults.questions = unreachable;
            faults.commits = commits;
        });
    }

    /// Tells it what the client says when its last connection is gone.
    pub(super) fn tell_unreachable(&self) {
        self.view().tell(Polled::Error(unreachable()));
    }

    pub(super) fn stop(&self) {
        self.handle.tell(Command::Stop);
    }

    /// Ends it as `kill -9` does.
    pub(super) fn kill(&mut self) {
        if let Some(engine) = self.engine.take() {
            engine.kill();
        }
    }
}

fn unreachable() -> ClientError {
    ClientError::Unreachable("the test has disconnected the brokers".to_owned())
}

impl Drop for Member {
    /// No call of it goes on after the test.
    fn drop(&mut self) {
        self.kill();
    }
}
