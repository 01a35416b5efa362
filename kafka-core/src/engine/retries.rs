//! Reads the retry topics of the partitions that a member owns.
//!
//! A retry topic is no part of the subscription: whoever is assigned partition 3 of a source reads partition 3 of its
//! retry topics, with a client of its own that is no member of any group, and commits to `{group}.retry`. So the keys
//! that are parked are known where their later records arrive, and a partition moves with all that is parked of it.
//!
//! Before the source is read, its retry topics are taken over: see `engine/takeover.rs`.

use std::time::{Duration, Instant};

use super::backpressure::Load;
use super::dispatch::Assigned;
use super::poll::{Engine, MOST};
use super::questions::Questions;
use super::retry_damage::Damage;
use super::retry_partitions::Making;
use super::retry_reader::{Held, Phase, RetryTopic, Topics};
use super::takeover::Opening;
use crate::client::{Consumer, Polled, Position};
use crate::error::ClientError;
use crate::mutant::{self, Mutant};
use crate::observe::Event;
use crate::record::{Offset, TopicPartition};

/// What failed is tried again after this long.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// What is committed is committed again after this long, even if nothing has moved. `{group}.retry` has no members, so a
/// broker forgets each of its offsets `offsets.retention.minutes` (7 days by default) after the last commit of it.
const COMMIT_AGAIN: Duration = Duration::from_hours(1);
/// How long a revoke waits until what was finished in retry topics is known to be committed.
const COMMIT_WAIT: Duration = Duration::from_secs(1);

/// The retry topics of a group's member.
pub(super) struct Retries {
    pub(super) consumer: Box<dyn Consumer>,
    pub(super) topics: Topics,
    /// Sources whose retry topics are not taken over yet.
    pub(super) opening: Vec<Opening>,
    /// Closed, with offsets that are not known to be committed; and until when to wait for that.
    uncommitted: Vec<(TopicPartition, Offset)>,
    wait_until: Option<Instant>,
    pub(super) damage: Damage,
    /// Retry topics that are being made.
    pub(super) making: Option<Making>,
    /// See [`COMMIT_AGAIN`].
    commit_again_at: Option<Instant>,
    /// When it was last asked how far sources go.
    doubted_at: Option<Instant>,
    /// A next offset that the broker does not have, to be looked at again.
    pub(super) out_of_range: Option<(String, Instant)>,
}

impl Retries {
    pub(super) fn new(consumer: Box<dyn Consumer>) -> Self {
        Self {
            consumer,
            topics: Topics::default(),
            opening: Vec::new(),
            uncommitted: Vec::new(),
            wait_until: None,
            damage: Damage::default(),
            making: None,
            commit_again_at: None,
            doubted_at: None,
            out_of_range: None,
        }
    }

    /// True if a source must not be read: it is not known which of its keys are parked, or some of that cannot be read.
    pub(super) fn hold_back(&self, source: &TopicPartition) -> bool {
        self.is_scanning(source) || self.damage.is_aside(source)
    }

    fn is_scanning(&self, source: &TopicPartition) -> bool {
        self.opening.iter().any(|opening| opening.source == *source)
            || self.of(source).any(|topic| !topic.is_fed())
    }

    /// True while a lane of these may still run a call.
    pub(super) fn are_running(&self, sources: &[TopicPartition]) -> bool {
        let theirs = self
            .topics
            .0
            .iter()
            .filter(|topic| sources.contains(&topic.source));
        theirs
            .into_iter()
            .any(|topic| !topic.assigned.state.is_over())
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Assigned> {
        self.topics.0.iter().map(|topic| &topic.assigned)
    }

    pub(super) fn loads(&self) -> impl Iterator<Item = Load> {
        self.topics.0.iter().map(RetryTopic::load)
    }

    pub(super) fn of_sources(&self, sources: &[TopicPartition]) -> impl Iterator<Item = &Assigned> {
        let theirs = self
            .topics
            .0
            .iter()
            .filter(|topic| sources.contains(&topic.source));
        theirs.map(|topic| &topic.assigned)
    }

    pub(super) fn of(&self, source: &TopicPartition) -> impl Iterator<Item = &RetryTopic> {
        self.topics
            .0
            .iter()
            .filter(move |topic| topic.source == *source)
    }

    /// Gives the client everything that is to be read, each from where it is.
    fn assign(&mut self) -> Result<(), ClientError> {
        for topic in &mut self.topics.0 {
            topic.assigned.must_seek = None;
            // An assignment resets pauses.
            topic.is_fetched = true;
        }
        let all: Vec<_> = self
            .topics
            .0
            .iter()
            .map(|topic| (topic.assigned.state.at.clone(), topic.position()))
            .collect();
        self.consumer.assign(&all)?;
        self.steer()
    }

    /// Fetches what is to be fetched now, and nothing else.
    pub(super) fn steer(&mut self) -> Result<(), ClientError> {
        let damage = &self.damage;
        // Whether there is more to come of these is only known if nothing else is on its way.
        let is_listening = self.topics.0.iter().any(RetryTopic::is_listened_to);
        let is_wanted = |topic: &RetryTopic| {
            topic.is_wanted()
                && !damage.holds_back(topic)
                && (!is_listening || topic.is_listened_to())
        };
        let (mut pause, mut resume) = (Vec::new(), Vec::new());
        for topic in &self.topics.0 {
            match (topic.is_fetched, is_wanted(topic)) {
                (true, false) => pause.push(topic.assigned.state.at.clone()),
                (false, true) => resume.push(topic.assigned.state.at.clone()),
                _ => {}
            }
        }
        if !pause.is_empty() {
            self.consumer.pause(&pause)?;
        }
        if !resume.is_empty() {
            self.consumer.resume(&resume)?;
        }
        for topic in &mut self.topics.0 {
            topic.is_fetched = is_wanted(topic);
        }
        Ok(())
    }

    /// Hands over what was finished; remembers it if it has to be known to be committed.
    fn store(
        &mut self,
        of: impl Fn(&RetryTopic) -> bool,
    ) -> Result<Vec<(TopicPartition, Offset)>, ClientError> {
        let finished = self
            .topics
            .0
            .iter()
            .filter(|topic| of(topic))
            .filter_map(|topic| {
                let state = &topic.assigned.state;
                Some((state.at.clone(), state.to_store()?))
            });
        let finished: Vec<_> = finished.collect();
        if !finished.is_empty() {
            self.consumer.store(&finished)?;
        }
        for (at, offset) in &finished {
            if let Some(topic) = self
                .topics
                .0
                .iter()
                .find(|topic| topic.assigned.state.at == *at)
            {
                topic.assigned.state.set_stored(*offset);
            }
        }
        Ok(finished)
    }

    /// Returns what was finished in a retry topic that was closed, if the group is not known to have it yet.
    pub(super) fn known(&self, at: &TopicPartition) -> Option<Offset> {
        let known = self.uncommitted.iter().filter(|(known, _)| known == at);
        known.map(|(_, offset)| *offset).max()
    }

    /// Hands over again what was handed over before.
    fn store_again(&mut self, of: impl Fn(&RetryTopic) -> bool) -> Result<(), ClientError> {
        let theirs = self.topics.0.iter().filter(|topic| of(topic));
        let stored: Vec<_> = theirs
            .filter_map(|topic| {
                let state = &topic.assigned.state;
                Some((state.at.clone(), state.stored()?))
            })
            .collect();
        self.consumer.store(&stored)
    }

    pub(super) fn close(self) {
        self.consumer.close();
    }
}

impl Engine {
    /// Makes the client that reads retry topics, once a handler has some.
    pub(super) fn need_retries(&mut self) {
        if self.retries.is_some() || !self.routes.have_retry_topics() {
            return;
        }
        match (self.retry_consumer)() {
            Ok(consumer) => self.retries = Some(Retries::new(consumer)),
            Err(error) => self.client_error(ClientError::Fatal(format!(
                "no client for retry topics: {error}"
            ))),
        }
    }

    /// Polls the retry topics, and does what is due.
    pub(super) fn poll_retries(&mut self, now: Instant) {
        let Some(mut retries) = self.retries.take() else {
            return;
        };
        let polled = retries
            .consumer
            .poll(Duration::ZERO, MOST, &mut retries.topics);
        for topic in &mut retries.topics.0 {
            topic.assigned.flush();
        }
        self.retries = Some(retries);
        self.release();
        match polled {
            Polled::Committed(offsets) => self.retries_committed(&offsets),
            Polled::Error(error @ ClientError::Corrupt(_)) => self.parked_unreadable(error, now),
            Polled::Error(ClientError::OffsetOutOfRange(text)) => {
                self.parked_out_of_range(text, now);
            }
            Polled::Error(error) | Polled::Fenced(error) => self.client_error(error),
            // It is no member of any group.
            Polled::Records | Polled::Assigned(_) | Polled::Revoked(_) | Polled::Lost(_) => {}
        }
    }

    /// Finishes what is to be finished without a call.
    fn release(&mut self) {
        let Some(retries) = &mut self.retries else {
            return;
        };
        // Sources whose retry topics are not finished as far as they were when they were taken over.
        let unfinished: Vec<_> = retries
            .topics
            .0
            .iter()
            .filter(|topic| !topic.is_inherited_finished())
            .map(|topic| topic.source.clone())
            .collect();
        for topic in &mut retries.topics.0 {
            let source = self
                .dispatch
                .partitions
                .iter()
                .find(|p| p.state.at == topic.source);
            let committable = source.and_then(|source| source.state.committable());
            let finished = committable.or(topic.source_start);
            // Of what lay parked at the takeover: a copy that an earlier owner wrote late can be the only one that is left, if
            // that owner also committed past ours. So it stays until ours is finished.
            let start = topic.source_start;
            let has_ours = unfinished.contains(&topic.source);
            let is_over = |held: &mut Held| {
                let was_parked = start.is_some_and(|start| held.source < start);
                finished.is_some_and(|finished| held.source < finished) && !(was_parked && has_ours)
            };
            let released = topic.held.extract_if(.., is_over).map(|held| held.sequence);
            let over: Vec<_> = topic
                .skipped
                .drain(..)
                .chain(released)
                .map(|sequence| sequence..sequence + 1)
                .collect();
            if !over.is_empty() {
                topic.assigned.state.ack(&over);
            }
            for (offset, why) in topic.foreign.drain(..) {
                self.group.observers.emit(&Event::NotParked {
                    group_id: &self.group.group_id,
                    partition: &topic.assigned.state.at,
                    offset,
                    why,
                });
            }
        }
    }

    /// Asks how far sources go from which there are records that they have not brought: such a record would be waited for,
    /// and read again by everyone, for as long as it says.
    fn doubt_held(&mut self, now: Instant) {
        let Some(retries) = &mut self.retries else {
            return;
        };
        if self.stopping.is_some()
            || mutant::is_active(Mutant::TrustParkedHeaders)
            || retries.doubted_at.is_some_and(|at| now < at + TRY_AGAIN)
        {
            return;
        }
        let questions = Questions::begin();
        for topic in &mut retries.topics.0 {
            let mut sources = self.dispatch.partitions.iter();
            let source = sources.find(|source| source.state.at == topic.source);
            let read = source.and_then(|source| source.next_offset);
            let is_beyond = |held: &Held| read.is_none_or(|read| held.source >= read);
            if !topic.held.iter().any(is_beyond) {
                continue;
            }
            retries.doubted_at = Some(now);
            let Some(time) = questions.next(1) else {
                break;
            };
            // Without an answer it is asked again.
            if let Ok((_, end)) = retries.consumer.watermarks(&topic.source, time) {
                topic.disbelieve(end);
            }
        }
    }

    fn retries_committed(&mut self, offsets: &[(TopicPartition, Offset)]) {
        if let Some(retries) = &mut self.retries {
            let is_known = |at: &TopicPartition, offset: Offset| {
                offsets
                    .iter()
                    .any(|(known, to)| known == at && *to >= offset)
            };
            retries
                .uncommitted
                .retain(|(at, offset)| !is_known(at, *offset));
            for (at, offset) in offsets {
                if let Some(topic) = retries
                    .topics
                    .0
                    .iter()
                    .find(|topic| topic.assigned.state.at == *at)
                {
                    topic.assigned.state.set_committed(*offset);
                }
            }
        }
    }

    /// Goes on with the retry topics: opens them, ends scans, wakes what is due, stores what is finished.
    pub(super) fn advance_retries(&mut self, now: Instant) {
        self.look_for_retry_topics(now);
        self.open_due(now);
        self.look_for_parked_range(now);
        self.end_scans(now);
        self.doubt_held(now);
        self.keep_retries_committed(now);
        let Some(retries) = &mut self.retries else {
            return;
        };
        for topic in &mut retries.topics.0 {
            // Back to the record that was not due, or whose scan is over.
            if let Some(Position::At(offset)) = topic.assigned.must_seek
                && retries
                    .consumer
                    .seek(&topic.assigned.state.at, offset)
                    .is_ok()
            {
                topic.assigned.must_seek = None;
            }
            if topic.is_over() && topic.assigned.must_seek.is_none() {
                topic.phase = Phase::Feeding;
            }
        }
        self.try_parked_suspects(now);
        self.balance_retries();
        self.steer_retries();
    }

    /// Commits everything again from time to time.
    fn keep_retries_committed(&mut self, now: Instant) {
        let Some(retries) = &mut self.retries else {
            return;
        };
        let at = *retries.commit_again_at.get_or_insert(now + COMMIT_AGAIN);
        let is_taking_over = retries.topics.0.iter().any(|topic| !topic.is_fed());
        if now < at || is_taking_over {
            return;
        }
        retries.commit_again_at = None;
        // The client commits nothing that it has committed already, until it is given its partitions anew.
        self.assign_retries();
        self.commit_retries_again(|_| true);
    }

    pub(super) fn commit_retries_again(&mut self, of: impl Fn(&RetryTopic) -> bool) {
        let stored = self.retries.as_mut().map(|retries| retries.store_again(of));
        if let Some(Err(error)) = stored {
            self.client_error(error);
        }
    }

    /// Pauses retry topics that hold their share of the budget, resumes those that are relieved.
    fn balance_retries(&mut self) {
        let share = self.share();
        let Some(retries) = &mut self.retries else {
            return;
        };
        for topic in &mut retries.topics.0 {
            let load = topic.load();
            let is_full = topic.assigned.is_full;
            topic.assigned.is_full = if is_full {
                !share.is_relieved(load)
            } else {
                share.is_reached(load)
            };
        }
    }

    /// Fetches what is to be fetched now, and nothing else.
    pub(super) fn steer_retries(&mut self) {
        if let Some(Err(error)) = self.retries.as_mut().map(Retries::steer) {
            self.client_error(error);
        }
    }

    pub(super) fn assign_retries(&mut self) {
        let assigned = self.retries.as_mut().map_or(Ok(()), Retries::assign);
        if let Err(error) = assigned {
            self.client_error(ClientError::Fatal(format!(
                "it cannot read its retry topics: {error}"
            )));
        }
    }

    /// Hands over what was finished in retry topics.
    pub(super) fn store_retries(&mut self) {
        if let Some(retries) = &mut self.retries
            && let Err(error) = retries.store(|_| true)
        {
            self.client_error(error);
        }
    }

    /// Ends the retry topics of these sources, whose calls are over or dropped. `is_clean`: what was finished is to be
    /// committed before somebody else reads on.
    pub(super) fn close_retries(
        &mut self,
        sources: &[TopicPartition],
        is_clean: bool,
        now: Instant,
    ) {
        self.release();
        let Some(retries) = &mut self.retries else {
            return;
        };
        retries
            .opening
            .retain(|opening| !sources.contains(&opening.source));
        let is_theirs = |topic: &RetryTopic| sources.contains(&topic.source);
        if !retries.topics.0.iter().any(is_theirs) {
            return;
        }
        for topic in retries.topics.0.iter().filter(|topic| is_theirs(topic)) {
            topic.assigned.state.fence();
            topic.assigned.wake();
        }
        let stored = if is_clean {
            retries.store(is_theirs)
        } else {
            Ok(Vec::new())
        };
        let closed = retries
            .topics
            .0
            .extract_if(.., |topic| sources.contains(&topic.source));
        let closed: Vec<_> = closed.collect();
        retries.damage.forget(sources, &retries.topics.0);
        let mut states = Vec::new();
        for topic in closed {
            let state = topic.assigned.state;
            if is_clean && state.stored() > state.committed() {
                let offset = state.stored().unwrap_or_default();
                retries.uncommitted.push((state.at.clone(), offset));
            }
            states.push(state);
        }
        if !retries.uncommitted.is_empty() {
            retries.wait_until.get_or_insert(now + COMMIT_WAIT);
        }
        self.retired.extend(states);
        if let Err(error) = stored {
            self.client_error(error);
        }
        // What is left out is committed, as far as it was stored.
        self.assign_retries();
    }

    /// True while a revoke or a stop should wait because a commit for a retry topic is on its way.
    pub(super) fn is_committing_retries(&mut self, now: Instant) -> bool {
        let Some(retries) = &mut self.retries else {
            return false;
        };
        let is_waiting =
            !retries.uncommitted.is_empty() && retries.wait_until.is_some_and(|until| now < until);
        if !is_waiting {
            retries.uncommitted.clear();
            retries.wait_until = None;
        }
        is_waiting
    }
}
