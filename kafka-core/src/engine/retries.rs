//! Reads the retry topics of the partitions that a member owns.
//!
//! A retry topic is no part of the subscription: whoever is assigned partition 3 of a source reads partition 3 of its
//! retry topics, with a client of its own that is no member of any group, and commits to `{group}.retry`. So the keys
//! that are parked are known where their later records arrive, and a partition moves with all that is parked of it.
//!
//! **Taking over.** Before the source is read, its retry topics are read through once, from the committed offset to their
//! end, to learn which keys are parked. Then they are read again, each record when it is due.
//!
//! **Which parked records count.** A write can land late or twice: its owner was taken for dead while it was on its way,
//! or died between two steps. So, of what lies there when a partition is taken over, a record counts if its source
//! offset is below the one the source is read from (the others come again from the source), and if it does not lie in a
//! later retry topic, too. Of what arrives afterwards, what this assignment wrote counts. Each counts once. Everything
//! else has been or will be handled on another way, and is finished without a call.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::dispatch::{Assigned, NewPartition, hash_of};
use super::lane_task::LaneParking;
use super::partition::Epoch;
use super::poll::{COMMITTED_TIMEOUT, Engine, MOST};
use crate::client::{Consumer, Polled, Position, RecordSink};
use crate::clock::unix_ms;
use crate::error::ClientError;
use crate::failure::retry_topic::{Copy, Origin, PREFIX, Parking, Place, Reading, Takeover};
use crate::mutant::{self, Mutant};
use crate::observe::TARGET;
use crate::record::{HeaderSource, Offset, RawRecord, TopicPartition, VisitHeader};

/// A question that nobody answered is asked again after this long.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// A retry topic that gives no record any more before the end that it had is taken to end there: offsets can have gaps.
const SILENCE: Duration = Duration::from_secs(5);
/// How long a revoke waits until what was finished in retry topics is known to be committed.
const COMMIT_WAIT: Duration = Duration::from_secs(1);

/// The retry topics of a group's member.
pub(super) struct Retries {
    consumer: Box<dyn Consumer>,
    topics: Topics,
    /// Sources whose retry topics could not be asked for yet.
    opening: Vec<Opening>,
    /// Closed, with offsets that are not known to be committed; and until when to wait for that.
    uncommitted: Vec<(TopicPartition, Offset)>,
    wait_until: Option<Instant>,
}

struct Opening {
    source: TopicPartition,
    start: Option<Offset>,
    lanes: usize,
    parking: Arc<Parking>,
    not_before: Instant,
}

/// One partition of one retry topic.
struct RetryTopic {
    assigned: Assigned,
    source: TopicPartition,
    stage: usize,
    wait: Duration,
    parking: Arc<Parking>,
    phase: Phase,
    /// Where it is read from, and what it ended at when it was taken over.
    from: Offset,
    end: Offset,
    /// Where the source is read from; `None`: from its beginning, so nothing that lies here counts.
    source_start: Option<Offset>,
    /// The first reading has seen everything up to there.
    is_complete: bool,
    /// What the first reading found.
    found: Vec<FoundRecord>,
    /// Sequences that are finished without a call.
    skipped: Vec<u64>,
    /// The same as soon as the source is finished past these offsets.
    held: Vec<(u64, Offset)>,
    last_news: Instant,
}

/// A parked record that the first reading found.
struct FoundRecord {
    at: Offset,
    chain: Option<u64>,
    source: Offset,
    due_ms: i64,
    takeover: Takeover,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Read through for the keys that are parked.
    Scanning,
    /// Read through; other topics of the source are not.
    Scanned,
    /// Read, each record when it is due.
    Feeding,
    /// The record at this offset is not due before that time.
    Waiting { at: Offset, due_ms: i64 },
    /// Whether this copy counts is not known before its write is acknowledged.
    Undecided { at: Offset, source: Offset },
}

/// What the first reading of a source's retry topics found: the places of each record, by chain and source offset.
#[derive(Default)]
struct Found(BTreeMap<ChainOffset, Vec<FoundCopy>>);

struct FoundCopy {
    place: Place,
    at: Offset,
    /// It landed behind the takeover of somebody who came after its writer.
    is_late: bool,
}

/// A chain, and an offset in the source.
type ChainOffset = (Option<u64>, i64);

impl Found {
    fn add(&mut self, chain: Option<u64>, offset: Offset, copy: FoundCopy) {
        self.0.entry((chain, offset.0)).or_default().push(copy);
    }

    /// Decides where each record counts, and says so.
    ///
    /// One that lies in two topics was on its way to the later one, so it counts there. But not if an earlier record of
    /// its key is not as far: its owner was stopped before it had committed what it had done, and they go this way again
    /// in their order. Of several in one topic the last one counts, which was written with all that follows it; but not one
    /// that came late, unless there is no other: a commit of its owner can have come late, too.
    fn tell(self, parking: &Parking) {
        let (mut of_chain, mut furthest) = (None, usize::MAX);
        for ((chain, offset), copies) in self.0 {
            if chain.is_none() || of_chain != chain {
                (of_chain, furthest) = (chain, usize::MAX);
            }
            let allowed = copies.iter().filter(|copy| copy.place.stage <= furthest);
            let latest = allowed.max_by_key(|copy| (!copy.is_late, copy.place.stage, copy.at));
            let nearest = copies.iter().min_by_key(|copy| copy.place.stage);
            let Some(FoundCopy { place, at, .. }) = latest.or(nearest) else {
                continue;
            };
            furthest = furthest.min(place.stage);
            parking.expect(place.stage, Offset(offset), Copy::At(*at));
            parking.enter(chain, *place);
        }
    }
}

/// Takes the records of a poll.
#[derive(Default)]
struct Topics(Vec<RetryTopic>);

/// Headers without those of a parked record.
struct OwnHeaders<'a>(&'a dyn HeaderSource);

impl HeaderSource for OwnHeaders<'_> {
    fn each(&self, visit: &mut VisitHeader<'_>) {
        self.0.each(&mut |name, value| {
            if !name.starts_with(PREFIX.as_bytes()) {
                visit(name, value);
            }
        });
    }
}

impl RecordSink for Topics {
    fn record(&mut self, record: &RawRecord<'_>) {
        let is_it = |topic: &&mut RetryTopic| {
            let at = &topic.assigned.state.at;
            at.partition == record.partition && *at.topic == *record.topic
        };
        if let Some(topic) = self.0.iter_mut().find(is_it) {
            topic.take(record);
        }
    }
}

impl RetryTopic {
    fn take(&mut self, record: &RawRecord<'_>) {
        if self.assigned.must_seek.is_some() {
            return;
        }
        let origin = Origin::of(record, &self.source);
        match self.phase {
            Phase::Scanned | Phase::Waiting { .. } | Phase::Undecided { .. } => {}
            Phase::Scanning => {
                self.last_news = tokio::time::Instant::now().into_std();
                if let Some(origin) = origin.filter(|_| record.offset < self.end) {
                    self.found.push(FoundRecord {
                        at: record.offset,
                        chain: self.chain(record),
                        source: origin.offset,
                        due_ms: self.due(&origin),
                        takeover: origin.takeover,
                    });
                }
                if record.offset.next() >= self.end {
                    self.phase = Phase::Scanned;
                    self.is_complete = true;
                }
            }
            Phase::Feeding => self.feed(record, origin),
        }
    }

    /// The chain of a record, as the source's lanes have it.
    fn chain(&self, record: &RawRecord<'_>) -> Option<u64> {
        let key_hash = record.key.map(|key| hash_of(Some(key), 0));
        self.assigned.handler.chain(key_hash)
    }

    /// A wait is never longer than its topic's, whatever a header says.
    fn due(&self, origin: &Origin) -> i64 {
        let longest = i64::try_from(self.wait.as_millis()).unwrap_or(i64::MAX);
        origin.due_ms.min(unix_ms().saturating_add(longest))
    }

    fn feed(&mut self, record: &RawRecord<'_>, origin: Option<Origin>) {
        let Some(origin) = origin else {
            // Somebody else wrote it: there is nothing that it belongs to.
            tracing::warn!(
                target: TARGET,
                topic = record.topic,
                partition = record.partition,
                offset = record.offset.0,
                "not a parked record: skipped"
            );
            let sequence = self.assigned.count(record.offset);
            return self.skipped.push(sequence);
        };
        let was_there = record.offset < self.end;
        let reading = self
            .parking
            .reading(self.stage, origin.offset, record.offset);
        if reading == Reading::Undecided && !mutant::is_active(Mutant::HandleStaleParked) {
            return self.wait(Phase::Undecided {
                at: record.offset,
                source: origin.offset,
            });
        }
        let is_expected = reading == Reading::Expected;
        if !self.counts(record.offset, &origin) {
            // The source brings it, or has brought it. Whoever owns the partition next may not be given it again, so it
            // is finished here when it is there.
            let sequence = self.assigned.count(record.offset);
            return self.held.push((sequence, origin.offset));
        }
        // A scan that came to the end knows all that lies here: what it did not expect lies in a later topic, or twice.
        let is_unknown = was_there && !self.is_complete;
        if !is_expected && !is_unknown && !mutant::is_active(Mutant::HandleStaleParked) {
            let sequence = self.assigned.count(record.offset);
            return self.skipped.push(sequence);
        }
        let due_ms = self.due(&origin);
        if due_ms > unix_ms() {
            return self.wait(Phase::Waiting {
                at: record.offset,
                due_ms,
            });
        }
        if !self.parking.take(self.stage, origin.offset) {
            let chain = self.chain(record);
            let stage = self.stage;
            self.parking.enter(chain, Place { stage, due_ms });
        }
        if self.assigned.is_batch_full() {
            self.assigned.flush();
        }
        let own = RawRecord {
            topic: &self.source.topic,
            partition: record.partition,
            offset: origin.offset,
            timestamp: origin.timestamp,
            key: record.key,
            value: record.value,
            headers: &OwnHeaders(record.headers),
        };
        self.assigned
            .take_parked(record.offset, &own, origin.attempts);
    }

    /// Reads on from a record when that phase is over.
    fn wait(&mut self, phase: Phase) {
        self.phase = phase;
        self.assigned.must_seek = Some(self.position());
    }

    /// True if a record that was waited for may be read.
    fn is_over(&self) -> bool {
        match self.phase {
            Phase::Waiting { due_ms, .. } => due_ms <= unix_ms(),
            Phase::Undecided { at, source } => {
                self.parking.reading(self.stage, source, at) != Reading::Undecided
            }
            Phase::Scanning | Phase::Scanned | Phase::Feeding => false,
        }
    }

    /// True if a record is still to be handled here.
    fn counts(&self, at: Offset, origin: &Origin) -> bool {
        if mutant::is_active(Mutant::HandleStaleParked) {
            return true;
        }
        if at >= self.end {
            return origin.owner == self.parking.owner;
        }
        self.was_parked(origin.offset)
    }

    /// True of what lay here before the source was taken over, if the source does not bring it again.
    fn was_parked(&self, source: Offset) -> bool {
        self.source_start.is_some_and(|start| source < start)
    }

    /// Tells what the first reading found.
    fn tell_found(&mut self, all: &mut Found) {
        let found = std::mem::take(&mut self.found);
        let takeovers: BTreeSet<_> = found.iter().map(|record| record.takeover).collect();
        for record in found {
            let place = Place {
                stage: self.stage,
                due_ms: record.due_ms,
            };
            if !self.was_parked(record.source) {
                // The last one found: the longest wait, the latest there.
                self.parking.comes_again(record.source, place);
                continue;
            }
            let mut later = takeovers.range((Bound::Excluded(record.takeover), Bound::Unbounded));
            let copy = FoundCopy {
                place,
                at: record.at,
                is_late: later.any(|later| record.at >= later.end),
            };
            all.add(record.chain, record.source, copy);
        }
    }

    fn is_scanned(&self) -> bool {
        self.phase != Phase::Scanning
    }

    fn position(&self) -> Position {
        match self.phase {
            Phase::Waiting { at, .. } | Phase::Undecided { at, .. } => Position::At(at),
            Phase::Scanning | Phase::Scanned | Phase::Feeding => {
                Position::At(self.assigned.next_offset.unwrap_or(self.from))
            }
        }
    }
}

impl Retries {
    pub(super) fn new(consumer: Box<dyn Consumer>) -> Self {
        Self {
            consumer,
            topics: Topics::default(),
            opening: Vec::new(),
            uncommitted: Vec::new(),
            wait_until: None,
        }
    }

    /// True while it is not known which keys of a partition are parked.
    pub(super) fn is_scanning(&self, source: &TopicPartition) -> bool {
        self.opening.iter().any(|opening| opening.source == *source)
            || self.of(source).any(|topic| !topic.is_scanned())
            || self.of(source).any(|topic| topic.phase == Phase::Scanned)
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

    pub(super) fn of_sources(&self, sources: &[TopicPartition]) -> impl Iterator<Item = &Assigned> {
        let theirs = self
            .topics
            .0
            .iter()
            .filter(|topic| sources.contains(&topic.source));
        theirs.map(|topic| &topic.assigned)
    }

    fn of(&self, source: &TopicPartition) -> impl Iterator<Item = &RetryTopic> {
        self.topics
            .0
            .iter()
            .filter(move |topic| topic.source == *source)
    }

    /// Gives the client everything that is to be read, each from where it is.
    fn assign(&mut self) -> Result<(), ClientError> {
        for topic in &mut self.topics.0 {
            if topic.phase == Phase::Scanning {
                // Read again from the start.
                topic.found.clear();
            }
        }
        let all: Vec<_> = self
            .topics
            .0
            .iter()
            .map(|topic| (topic.assigned.state.at.clone(), topic.position()))
            .collect();
        self.consumer.assign(&all)?;
        let is_idle = |topic: &&RetryTopic| {
            !matches!(topic.phase, Phase::Scanning | Phase::Feeding) || topic.assigned.is_full
        };
        let idle: Vec<_> = self
            .topics
            .0
            .iter()
            .filter(is_idle)
            .map(|topic| topic.assigned.state.at.clone())
            .collect();
        self.consumer.pause(&idle)
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

    /// Makes the parking of a source that is about to be read, if its handler has retry topics.
    pub(super) fn parking_of(&self, at: &TopicPartition, epoch: Epoch) -> Option<Arc<Parking>> {
        let topics = self
            .routes
            .of_topic(&at.topic)?
            .retry_topics(&self.group.group_id, &at.topic);
        let is_needed = !topics.is_empty() && self.retries.is_some();
        is_needed.then(|| {
            Arc::new(Parking::new(
                topics,
                epoch.0,
                format!("{}.{}", self.instance, epoch.0),
            ))
        })
    }

    /// Takes the retry topics of a source over; it is not read before that is done.
    pub(super) fn open_retries(
        &mut self,
        source: &TopicPartition,
        start: Option<Offset>,
        lanes: usize,
        parking: Arc<Parking>,
    ) {
        let Some(retries) = &mut self.retries else {
            return;
        };
        retries.opening.push(Opening {
            source: source.clone(),
            start,
            lanes,
            parking,
            not_before: tokio::time::Instant::now().into_std(),
        });
    }

    /// Polls the retry topics, and does what is due.
    pub(super) fn poll_retries(&mut self) {
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
        for topic in &mut retries.topics.0 {
            let source = self
                .dispatch
                .partitions
                .iter()
                .find(|p| p.state.at == topic.source);
            let committable = source.and_then(|source| source.state.committable());
            let finished = committable.or(topic.source_start);
            let is_over = |(_, offset): &mut (u64, Offset)| {
                finished.is_some_and(|finished| *offset < finished)
            };
            let released = topic
                .held
                .extract_if(.., is_over)
                .map(|(sequence, _)| sequence);
            let over: Vec<_> = topic
                .skipped
                .drain(..)
                .chain(released)
                .map(|sequence| sequence..sequence + 1)
                .collect();
            if !over.is_empty() {
                topic.assigned.state.ack(&over);
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
        let Some(retries) = &mut self.retries else {
            return;
        };
        let is_due = |opening: &mut Opening| opening.not_before <= now;
        let opening: Vec<_> = retries.opening.extract_if(.., is_due).collect();
        for opening in opening {
            self.open(opening, now);
        }
        self.end_scans(now);
        let Some(retries) = &mut self.retries else {
            return;
        };
        // Back to the record that was not due, or whose scan is over.
        let mut resume = Vec::new();
        let mut pause = Vec::new();
        for topic in &mut retries.topics.0 {
            let at = topic.assigned.state.at.clone();
            if let Some(Position::At(offset)) = topic.assigned.must_seek
                && retries.consumer.seek(&at, offset).is_ok()
            {
                topic.assigned.must_seek = None;
                if topic.phase != Phase::Feeding {
                    pause.push(at.clone());
                }
            }
            if topic.is_over() && topic.assigned.must_seek.is_none() {
                topic.phase = Phase::Feeding;
                if !topic.assigned.is_full {
                    resume.push(at);
                }
            }
        }
        let paused = retries.consumer.pause(&pause);
        let resumed = retries.consumer.resume(&resume);
        for result in [paused, resumed] {
            if let Err(error) = result {
                self.client_error(error);
            }
        }
        self.balance_retries();
    }

    /// Pauses retry topics that hold their share of the budget, resumes those that are relieved.
    fn balance_retries(&mut self) {
        let Some(retries) = &mut self.retries else {
            return;
        };
        let share = self
            .config
            .budget
            .share(self.dispatch.partitions.len() + retries.topics.0.len());
        let (mut pause, mut resume) = (Vec::new(), Vec::new());
        for topic in &mut retries.topics.0 {
            let load = topic.assigned.load();
            let at = || topic.assigned.state.at.clone();
            if !topic.assigned.is_full && share.is_reached(load) {
                pause.push(at());
                topic.assigned.is_full = true;
            } else if topic.assigned.is_full && share.is_relieved(load) {
                if topic.phase == Phase::Feeding {
                    resume.push(at());
                }
                topic.assigned.is_full = false;
            }
        }
        let paused = retries.consumer.pause(&pause);
        let resumed = retries.consumer.resume(&resume);
        for result in [paused, resumed] {
            if let Err(error) = result {
                self.client_error(error);
            }
        }
    }

    /// Asks where the retry topics of a source are read from, and begins to.
    fn open(&mut self, opening: Opening, now: Instant) {
        let partitions: Vec<_> = opening
            .parking
            .topics
            .iter()
            .map(|(topic, _)| TopicPartition::new(Arc::clone(topic), opening.source.partition))
            .collect();
        let asked = self.ranges(&partitions);
        let ranges = match asked {
            Ok(ranges) => ranges,
            Err(error) => {
                self.client_error(error);
                let not_before = now + ASK_AGAIN;
                if let Some(retries) = &mut self.retries {
                    retries.opening.push(Opening {
                        not_before,
                        ..opening
                    });
                }
                return;
            }
        };
        let Some(handler) = self.routes.of_topic(&opening.source.topic).map(Arc::clone) else {
            return;
        };
        let at_ms = unix_ms();
        let takeovers = ranges.iter().map(|(_, end)| Takeover { end: *end, at_ms });
        opening.parking.take_over(takeovers.collect());
        let after = self.earlier(&opening.source, Some(&opening.parking));
        for (stage, (at, (from, end))) in (1..).zip(partitions.into_iter().zip(ranges)) {
            self.epoch += 1;
            let parking = LaneParking {
                parking: Arc::clone(&opening.parking),
                stage,
            };
            let new = NewPartition {
                at,
                epoch: Epoch(self.epoch),
                lanes: opening.lanes,
                handler: &handler,
                after: &after,
                parking: Some(&parking),
            };
            let mut assigned = Assigned::start(new, &self.group, &self.spawner);
            assigned.source = Some(Arc::clone(&opening.source.topic));
            assigned.state.set_stored(from);
            assigned.state.set_committed(from);
            let is_scanned = from >= end || mutant::is_active(Mutant::ForgetParkedKeys);
            let Some(retries) = &mut self.retries else {
                return;
            };
            retries.topics.0.push(RetryTopic {
                assigned,
                source: opening.source.clone(),
                stage,
                wait: opening.parking.topics[stage - 1].1,
                parking: Arc::clone(&opening.parking),
                phase: if is_scanned {
                    Phase::Scanned
                } else {
                    Phase::Scanning
                },
                from,
                end,
                source_start: opening.start,
                is_complete: from >= end,
                found: Vec::new(),
                skipped: Vec::new(),
                held: Vec::new(),
                last_news: now,
            });
        }
        self.assign_retries();
    }

    fn assign_retries(&mut self) {
        let assigned = self.retries.as_mut().map_or(Ok(()), Retries::assign);
        if let Err(error) = assigned {
            self.client_error(ClientError::Fatal(format!(
                "it cannot read its retry topics: {error}"
            )));
        }
    }

    /// Returns where each is read from, and its end.
    fn ranges(
        &mut self,
        partitions: &[TopicPartition],
    ) -> Result<Vec<(Offset, Offset)>, ClientError> {
        let Some(retries) = &mut self.retries else {
            return Ok(Vec::new());
        };
        let committed = retries.consumer.committed(partitions, COMMITTED_TIMEOUT)?;
        partitions
            .iter()
            .zip(committed)
            .map(|(at, committed)| {
                let (oldest, end) = retries.consumer.watermarks(at, COMMITTED_TIMEOUT)?;
                Ok((committed.unwrap_or(oldest).max(oldest).min(end), end))
            })
            .collect()
    }

    /// Sources whose retry topics are read through: from here on it is known which keys are parked.
    fn end_scans(&mut self, now: Instant) {
        let Some(retries) = &mut self.retries else {
            return;
        };
        for topic in &mut retries.topics.0 {
            let is_silent = now.saturating_duration_since(topic.last_news) > SILENCE;
            if topic.phase == Phase::Scanning && is_silent {
                topic.phase = Phase::Scanned;
            }
        }
        let waiting = retries
            .topics
            .0
            .iter()
            .filter(|topic| topic.phase == Phase::Scanned);
        let mut sources: Vec<_> = waiting.map(|topic| topic.source.clone()).collect();
        sources.dedup();
        sources.retain(|source| retries.of(source).all(RetryTopic::is_scanned));
        for source in &sources {
            let mut theirs: Vec<_> = retries
                .topics
                .0
                .iter_mut()
                .filter(|topic| topic.source == *source)
                .collect();
            let mut found = Found::default();
            for topic in &mut theirs {
                topic.tell_found(&mut found);
            }
            if let Some(topic) = theirs.first() {
                found.tell(&topic.parking);
            }
            for topic in theirs {
                topic.phase = Phase::Feeding;
                topic.assigned.must_seek = Some(Position::At(topic.from));
            }
        }
        if sources.is_empty() {
            return;
        }
        let Some(retries) = &mut self.retries else {
            return;
        };
        // Those that had nothing to scan were never fetched.
        let fed = retries
            .topics
            .0
            .iter()
            .filter(|topic| sources.contains(&topic.source));
        let fed: Vec<_> = fed.map(|topic| topic.assigned.state.at.clone()).collect();
        if let Err(error) = retries.consumer.resume(&fed) {
            self.client_error(error);
        }
        self.resume_free(|at| sources.contains(at));
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
