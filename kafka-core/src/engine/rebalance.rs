//! Answers the group: partitions that are assigned, wanted back, taken back too late, or lost.
//!
//! The client only notes what the group says; the answers are given here, between two polls. A revoke is answered when
//! the calls of its partitions are over, while everything else goes on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::assignment::{StartAt, lanes_for, start_at};
use super::dispatch::Assigned;
use super::monitor::GroupState;
use super::partition::PartitionState;
use super::poll::{CANCEL_WAIT, COMMITTED_TIMEOUT, Engine};
use crate::client::Position;
use crate::error::ClientError;
use crate::handler::Start;
use crate::mutant::{self, Mutant};
use crate::observe::Event;
use crate::record::{Offset, TopicPartition};

/// Calls that were dropped at the end of a drain get this long to be gone.
const FENCE_WAIT: Duration = Duration::from_millis(250);

/// A revoke that waits for its answer.
pub(super) struct Revoking {
    pub(super) partitions: Vec<TopicPartition>,
    pub(super) since: Instant,
    pub(super) is_cancelled: bool,
    /// What was finished of those that were fenced: the group wants them back, so they were this member's all the time.
    pub(super) finished: Vec<(TopicPartition, Offset)>,
    /// When the calls that were left were told to end where they stand, and how many there were.
    pub(super) fenced: Option<(Instant, usize)>,
    /// Its retry topics are closed.
    pub(super) is_closed: bool,
}

/// Where a partition will be read from.
pub(super) struct Resolved {
    at: TopicPartition,
    position: Position,
    /// The group does not know this offset: it is stored at once.
    is_new: bool,
}

impl Engine {
    pub(super) fn assigned(&mut self, partitions: Vec<TopicPartition>) {
        let known = if mutant::is_active(Mutant::AnswerSuperseded) {
            Vec::new()
        } else {
            self.supersede_revoke()
        };
        let is_eager = self.consumer.is_eager();
        let assigning = self.assigning.get_or_insert_default();
        if is_eager {
            // The whole assignment each time: what was not answered yet is superseded.
            assigning.clear();
        }
        for partition in partitions {
            assigning.retain(|(at, _)| *at != partition);
            let offset = known
                .iter()
                .find(|(at, _)| *at == partition)
                .map(|(_, offset)| *offset);
            assigning.push((partition, offset));
        }
    }

    /// An assignment while a revoke waits: the group went on without our answer, which would come too late now.
    ///
    /// What is both taken and given back keeps the offset that we know; the rest is another member's already, so
    /// nothing of it is stored. See "Partitions added" in docs/ARCHITECTURE.md.
    fn supersede_revoke(&mut self) -> Vec<(TopicPartition, Offset)> {
        let Some(revoking) = self.revoking.take() else {
            return Vec::new();
        };
        let mut known = revoking.finished;
        self.close_retries(&revoking.partitions, false, revoking.since);
        for at in &revoking.partitions {
            let finished = self.retire(at).and_then(|state| state.committable());
            known.extend(finished.map(|offset| (at.clone(), offset)));
        }
        if !self.consumer.is_eager() {
            self.report(|consumer| consumer.unassign(&revoking.partitions));
        }
        self.group.observers.emit(&Event::Lost {
            group_id: &self.group.group_id,
            partitions: &revoking.partitions,
        });
        known
    }

    /// Answers an assignment: decides where to read from, and starts the lanes.
    pub(super) fn answer_assign(&mut self) {
        let Some(assigning) = self.assigning.take() else {
            return;
        };
        if self.stopping.is_some() {
            // Without an answer the group waits for us, and the client cannot leave it.
            return self.report(|consumer| consumer.assign(&[]));
        }
        let partitions: Vec<_> = assigning.iter().map(|(at, _)| at.clone()).collect();
        let positions = match self.positions(&assigning) {
            Ok(positions) => positions,
            Err(error) => {
                // The group's coordinator is away: keep the question, ask again in the next round.
                self.client_error(error);
                self.assigning = Some(assigning);
                return;
            }
        };
        let answer: Vec<_> = positions
            .iter()
            .map(|p| (p.at.clone(), p.position))
            .collect();
        if let Err(error) = self.consumer.assign(&answer) {
            return self.cannot_go_on("take over its partitions", &error);
        }
        self.monitor.clear_error();
        let _ = self.is_certain_about(&partitions);
        self.begin(positions, false);
        self.monitor.set_state(GroupState::Running);
    }

    /// Starts the lanes of partitions. Those that the client reads already have to go to their position.
    pub(super) fn begin(&mut self, positions: Vec<Resolved>, must_seek: bool) {
        let lanes = lanes_for(
            self.dispatch.partitions.len() + positions.len(),
            self.config.cores,
        );
        let (mut started, mut commit, mut pause) = (Vec::new(), Vec::new(), Vec::new());
        for Resolved {
            at,
            position,
            is_new,
        } in positions
        {
            self.retire(&at);
            self.close_retries(std::slice::from_ref(&at), false, Instant::now());
            let Some(mut partition) = self.start_partition(&at, lanes) else {
                // Matched by the broker's view of a pattern, or its handler was just removed.
                pause.push(at);
                continue;
            };
            let offset = match position {
                Position::At(offset) => Some(offset),
                Position::Beginning => None,
            };
            if let Some(offset) = offset {
                if is_new {
                    commit.push((at.clone(), offset));
                } else {
                    partition.state.set_committed(offset);
                }
                partition.state.set_stored(offset);
            }
            partition.must_seek = must_seek.then_some(position);
            partition.next_offset = offset;
            if self.is_held_back(&at) {
                // An error that comes meanwhile is taken for that of the partition under trial.
                pause.push(at.clone());
            }
            if self.paused_topics.contains(&*at.topic) {
                partition.is_paused = true;
                pause.push(at.clone());
            }
            if let Some(parking) = partition.parking.clone() {
                self.open_retries(&at, offset, lanes, parking);
                pause.push(at.clone());
            }
            self.dispatch.partitions.push(partition);
            started.push((at, offset));
        }
        if !pause.is_empty() {
            self.report(|consumer| consumer.pause(&pause));
        }
        if !commit.is_empty() {
            self.report(|consumer| consumer.store(&commit));
        }
        self.group.observers.emit(&Event::Assigned {
            group_id: &self.group.group_id,
            partitions: &started,
        });
        self.publish();
    }

    pub(super) fn positions(
        &mut self,
        assigning: &[(TopicPartition, Option<Offset>)],
    ) -> Result<Vec<Resolved>, ClientError> {
        let unknown: Vec<_> = assigning
            .iter()
            .filter(|(_, known)| known.is_none())
            .map(|(at, _)| at.clone())
            .collect();
        let committed = if unknown.is_empty() {
            Vec::new()
        } else {
            self.consumer.committed(&unknown, COMMITTED_TIMEOUT)?
        };
        let mut committed = committed.into_iter();
        let until = Instant::now() + COMMITTED_TIMEOUT;
        let mut positions = Vec::with_capacity(assigning.len());
        for (at, known) in assigning {
            let committed = match known {
                Some(offset) => Some(*offset),
                None => committed.next().flatten(),
            };
            let start = self
                .routes
                .of_topic(&at.topic)
                .map_or_else(Default::default, |h| h.start);
            let left = until.saturating_duration_since(Instant::now());
            let range = match (committed, start) {
                // One partition that cannot be asked must not hold up the others: an offset that is out of range is
                // then told by the first fetch.
                (Some(_), _) if left.is_zero() => None,
                (Some(_), _) => self.consumer.watermarks(at, left).ok(),
                (None, Start::Latest) => Some(self.consumer.watermarks(at, COMMITTED_TIMEOUT)?),
                (None, Start::Earliest) => None,
            };
            let (position, is_new) = match start_at(
                committed,
                start,
                range,
                self.config.on_out_of_range,
            ) {
                StartAt::Committed(offset) => (Position::At(offset), known.is_some()),
                StartAt::Beginning => (Position::Beginning, false),
                StartAt::End(offset) => (Position::At(offset), true),
                StartAt::AfterRange {
                    committed,
                    oldest,
                    end,
                    go_on_at,
                } => {
                    let text = format!(
                        "{at}: committed offset {committed} is outside of what the broker has, {oldest} to {end}"
                    );
                    let Some(offset) = go_on_at else {
                        return Err(ClientError::OffsetOutOfRange(text));
                    };
                    self.client_warning(&ClientError::OffsetOutOfRange(format!(
                        "{text}; going on at {offset} by on_out_of_range"
                    )));
                    (Position::At(offset), true)
                }
            };
            positions.push(Resolved {
                at: at.clone(),
                position,
                is_new,
            });
        }
        Ok(positions)
    }

    pub(super) fn revoked(&mut self, partitions: Vec<TopicPartition>, now: Instant) {
        if let Some(assigning) = &mut self.assigning {
            assigning.retain(|(at, _)| !partitions.contains(at));
        }
        let fenced = self.is_certain_about(&partitions).into_iter();
        let finished: Vec<_> = fenced
            .filter_map(|(at, offset)| Some((at, offset?)))
            .collect();
        let until = now + self.config.drain_timeout;
        if let Some(retries) = &self.retries {
            for topic in retries.of_sources(&partitions) {
                topic.state.drain(Some(until));
                topic.wake();
            }
        }
        for at in &partitions {
            if let Some(partition) = self.dispatch.find(at) {
                partition.state.drain(Some(until));
                partition.wake();
            }
        }
        match &mut self.revoking {
            Some(revoking) => {
                revoking.partitions.extend(partitions);
                revoking.finished.extend(finished);
            }
            None => {
                self.revoking = Some(Revoking {
                    partitions,
                    since: now,
                    is_cancelled: false,
                    finished,
                    fenced: None,
                    is_closed: false,
                });
            }
        }
    }

    /// Answers a revoke once its calls are over or out of time.
    pub(super) fn answer_revoke(&mut self, now: Instant) {
        let Some(mut revoking) = self.revoking.take() else {
            return;
        };
        let waited = now.duration_since(revoking.since);
        let of_revoke = |p: &&Assigned| revoking.partitions.contains(&p.state.at);
        let is_over = self
            .dispatch
            .partitions
            .iter()
            .filter(of_revoke)
            .all(|p| p.state.is_over());
        let parked = self.retries.as_ref();
        let is_over =
            is_over && !parked.is_some_and(|retries| retries.are_running(&revoking.partitions));
        let is_patient = !mutant::is_active(Mutant::RevokeAtOnce);
        if !is_over && waited < self.config.drain_timeout && is_patient {
            // Lanes wait for what the others say of the drain.
            self.dispatch
                .partitions
                .iter()
                .filter(of_revoke)
                .for_each(Assigned::wake);
            let parked = self
                .retries
                .iter()
                .flat_map(|retries| retries.of_sources(&revoking.partitions));
            parked.for_each(Assigned::wake);
            // Near the end, calls are told to hurry.
            if !revoking.is_cancelled && waited + CANCEL_WAIT >= self.config.drain_timeout {
                self.dispatch
                    .partitions
                    .iter()
                    .filter(of_revoke)
                    .for_each(|p| p.state.cancel.cancel());
                revoking.is_cancelled = true;
            }
            self.revoking = Some(revoking);
            return;
        }
        if !is_over && is_patient {
            // They end where they stand, before the next owner begins; one that does not give its thread back cannot
            // be waited for.
            let (since, _) = *revoking.fenced.get_or_insert_with(|| {
                let parked = self
                    .retries
                    .iter()
                    .flat_map(|retries| retries.of_sources(&revoking.partitions));
                let late = self
                    .dispatch
                    .partitions
                    .iter()
                    .filter(of_revoke)
                    .chain(parked);
                let late: Vec<_> = late.filter(|p| !p.state.is_over()).collect();
                for partition in &late {
                    partition.state.fence();
                    partition.wake();
                }
                (now, late.iter().map(|p| p.running_calls()).sum())
            });
            if now.saturating_duration_since(since) < FENCE_WAIT {
                self.revoking = Some(revoking);
                return;
            }
        }
        if !std::mem::replace(&mut revoking.is_closed, true) {
            self.close_retries(&revoking.partitions, true, now);
        }
        if self.is_committing_retries(now) {
            self.revoking = Some(revoking);
            return;
        }
        let mut store = std::mem::take(&mut revoking.finished);
        for at in &revoking.partitions {
            let finished = self.retire(at).and_then(|state| state.to_store());
            store.extend(finished.map(|offset| (at.clone(), offset)));
        }
        if !mutant::is_active(Mutant::RevokeWithoutStore) {
            self.report(|consumer| consumer.store(&store));
        }
        if let Err(error) = self.consumer.unassign(&revoking.partitions) {
            self.cannot_go_on("give its partitions back", &error);
        }
        self.group.observers.emit(&Event::Revoked {
            group_id: &self.group.group_id,
            partitions: &revoking.partitions,
            drained_in: waited,
            dropped: revoking.fenced.map_or(0, |(_, dropped)| dropped),
        });
        self.publish();
    }

    /// Ends the epoch of a partition: its calls are dropped, no ack of them counts any more. Returns what it was.
    pub(super) fn retire(&mut self, at: &TopicPartition) -> Option<Arc<PartitionState>> {
        let partition = self.dispatch.remove(at)?;
        partition.state.fence();
        partition.wake();
        self.retired.push(Arc::clone(&partition.state));
        Some(partition.state)
    }

    /// An answer that the client refuses: the group waits for it for ever, and nothing else would say so.
    pub(super) fn cannot_go_on(&mut self, what: &str, error: &ClientError) {
        self.client_error(ClientError::Fatal(format!("it cannot {what}: {error}")));
    }

    /// Partitions that are somebody else's: nothing of them is stored, their calls are dropped.
    pub(super) fn lost(&mut self, partitions: &[TopicPartition]) {
        self.assigning = None;
        let _ = self.is_certain_about(partitions);
        if let Some(revoking) = &mut self.revoking {
            revoking.partitions.retain(|at| !partitions.contains(at));
            revoking.finished.retain(|(at, _)| !partitions.contains(at));
            if revoking.partitions.is_empty() {
                self.revoking = None;
            }
        }
        self.close_retries(partitions, false, Instant::now());
        for at in partitions {
            self.retire(at);
        }
        self.report(|consumer| consumer.unassign(partitions));
        self.group.observers.emit(&Event::Lost {
            group_id: &self.group.group_id,
            partitions,
        });
        self.publish();
    }
}
