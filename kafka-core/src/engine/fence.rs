//! Doubts about the membership: the engine has reason to think that its partitions are another member's, and the group
//! has not said so yet. Until it does, nothing is handled and nothing is stored.
//!
//! If the group then says nothing, the member still owns what it had: it goes on where it had finished everything.

use std::time::{Duration, Instant};

use super::poll::Engine;
use crate::error::ClientError;
use crate::mutant::{self, Mutant};
use crate::observe::{Event, Suspicion};
use crate::record::{Offset, TopicPartition};

/// The wait until it is asked again where to go on.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// How long the coordinator is asked whether it is there. The member is not polled meanwhile.
const HEAR_WAIT: Duration = Duration::from_millis(200);

/// Partitions that are fenced until the group has spoken.
pub(super) struct Fenced {
    /// With the offset up to which everything was finished.
    partitions: Vec<(TopicPartition, Option<Offset>)>,
    /// When to go on if nothing is heard.
    until: Instant,
}

impl Engine {
    /// Fences everything that is assigned.
    pub(super) fn suspect(&mut self, why: Suspicion, now: Instant) {
        let partitions = self.dispatch.places();
        if partitions.is_empty() {
            return;
        }
        // A member that is still one hears so with its heartbeats; one whose commit was refused is none, and will be
        // told. Both waits only decide when to go on if nothing at all is said.
        let patience = match why {
            Suspicion::Suspended(_) => 2 * self.config.heartbeat_interval,
            Suspicion::CommitRefused | Suspicion::Silence(_) => self.config.session_timeout,
        };
        self.close_retries(&partitions, false, now);
        let revoking = self
            .revoking
            .as_ref()
            .map_or(&[][..], |r| &r.partitions)
            .to_vec();
        let mut finished = Vec::new();
        for at in &partitions {
            let state = self.retire(at);
            // What the group wants back is given back, whoever owns it.
            if !revoking.contains(at) {
                let offset = state.and_then(|state| state.committable().or(state.stored()));
                finished.push((at.clone(), offset));
            }
        }
        self.heard_at = None;
        self.report(|consumer| consumer.pause(&partitions));
        self.group.observers.emit(&Event::Fenced {
            group_id: &self.group.group_id,
            partitions: &partitions,
            why,
        });
        let fenced = self.fenced.get_or_insert_with(|| Fenced {
            partitions: Vec::new(),
            until: now,
        });
        fenced.partitions.extend(finished);
        fenced.until = now + patience;
        self.publish();
    }

    /// A commit was refused: this member is none any more.
    pub(super) fn commit_refused(&mut self, error: &ClientError, now: Instant) {
        self.client_warning(error);
        if !mutant::is_active(Mutant::IgnoreRefusedCommit) {
            self.suspect(Suspicion::CommitRefused, now);
        }
    }

    /// The group has spoken about these: there is nothing to wonder about any more. Returns those that were fenced, with the
    /// offset up to which everything was finished.
    pub(super) fn is_certain_about(
        &mut self,
        partitions: &[TopicPartition],
    ) -> Vec<(TopicPartition, Option<Offset>)> {
        let Some(fenced) = &mut self.fenced else {
            return Vec::new();
        };
        let is_one = |(at, _): &mut (TopicPartition, _)| partitions.contains(at);
        let theirs = fenced.partitions.extract_if(.., is_one).collect();
        if fenced.partitions.is_empty() {
            self.fenced = None;
        }
        theirs
    }

    /// Fences itself if the group has not been heard of for longer than a session lasts: its coordinator has not heard of
    /// this member either. A sign of the group is a commit that it took note of, what it says in a rebalance, or, while
    /// there is nothing to commit, an answer to a question.
    pub(super) fn look_for_group(&mut self, now: Instant) {
        let partitions = &self.dispatch.partitions;
        let is_behind = partitions
            .iter()
            .any(|p| p.state.stored() > p.state.committed());
        let has_reason = is_behind || (!self.config.is_told_of_silence && !partitions.is_empty());
        if !has_reason || self.stopping.is_some() {
            self.heard_at = None;
            return;
        }
        let session = self.config.session_timeout;
        // A commit waits behind a request to join, and the group waits for a member that died as long as a session lasts.
        // Nothing is wrong then; and if something is, the client says so by then.
        let longest = if self.config.is_told_of_silence {
            2 * session
        } else {
            session
        };
        let silence = now.saturating_duration_since(*self.heard_at.get_or_insert(now));
        let is_due = |asked_at| now.saturating_duration_since(asked_at) >= session / 6;
        if !is_behind && silence >= session / 3 && self.group_asked_at.is_none_or(is_due) {
            self.group_asked_at = Some(now);
            // Any one will do.
            let one = partitions.first().map(|p| p.state.at.clone());
            if self.consumer.committed(one.as_slice(), HEAR_WAIT).is_ok() {
                self.heard_at = Some(now);
                return;
            }
        }
        if silence > longest + self.config.commit_interval {
            self.suspect(Suspicion::Silence(silence), now);
        }
    }

    /// Begins again with what was fenced, if the group has not taken it away meanwhile.
    pub(super) fn trust_again(&mut self, now: Instant) {
        let is_quiet =
            self.revoking.is_none() && self.assigning.is_none() && self.stopping.is_none();
        let Some(fenced) = self
            .fenced
            .take_if(|fenced| is_quiet && now >= fenced.until)
        else {
            return;
        };
        let positions = if self.monitor.is_unreachable() {
            // Nobody to hear it from.
            None
        } else {
            match self.positions(&fenced.partitions) {
                Ok(positions) => Some(positions),
                Err(error) => {
                    self.client_error(error);
                    None
                }
            }
        };
        let Some(positions) = positions else {
            self.fenced = Some(Fenced {
                until: now + ASK_AGAIN,
                ..fenced
            });
            return;
        };
        self.begin(positions, true);
        for index in 0..self.dispatch.partitions.len() {
            self.seek(index);
        }
        self.resume_free(|at| fenced.partitions.iter().any(|(fenced, _)| fenced == at));
    }
}
