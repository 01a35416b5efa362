//! Reads one retry topic of one partition: which of the records that lie there count, and when they are due.
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

use super::backpressure::Load;
use super::dispatch::{Assigned, hash_of};
use crate::client::{Position, RecordSink};
use crate::clock::unix_ms;
use crate::failure::retry_topic::{Copy, Origin, PREFIX, Parking, Place, Reading, Takeover};
use crate::mutant::{self, Mutant};
use crate::record::{HeaderSource, Offset, RawRecord, TopicPartition, VisitHeader};

/// One partition of one retry topic.
pub(super) struct RetryTopic {
    pub(super) assigned: Assigned,
    pub(super) source: TopicPartition,
    pub(super) stage: usize,
    pub(super) wait: Duration,
    pub(super) parking: Arc<Parking>,
    pub(super) phase: Phase,
    /// Where it is read from, and what it ended at when it was taken over.
    pub(super) from: Offset,
    pub(super) end: Offset,
    /// Where the source is read from.
    pub(super) source_start: Option<Offset>,
    /// The first reading has seen everything up to there.
    pub(super) is_complete: bool,
    /// The first reading goes on there.
    pub(super) scanned: Offset,
    /// How many records have arrived.
    pub(super) seen: u64,
    /// The client was told to fetch it.
    pub(super) is_fetched: bool,
    /// What the first reading found.
    pub(super) found: Vec<FoundRecord>,
    /// Sequences that are finished without a call.
    pub(super) skipped: Vec<u64>,
    /// The same as soon as the source is finished past these offsets.
    pub(super) held: Vec<Held>,
    /// What nobody of this group wrote: skipped, and still to be told.
    pub(super) foreign: Vec<(Offset, &'static str)>,
    pub(super) last_news: Instant,
    /// When its leader answered a question, if there was no news since.
    pub(super) asked_at: Option<Instant>,
}

/// A record that the source brings, too.
pub(super) struct Held {
    pub(super) at: Offset,
    pub(super) sequence: u64,
    /// Where it comes from, as it says.
    pub(super) source: Offset,
}

/// A parked record that the first reading found.
pub(super) struct FoundRecord {
    at: Offset,
    chain: Option<u64>,
    source: Offset,
    due_ms: i64,
    takeover: Takeover,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
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
pub(super) struct Found(BTreeMap<ChainOffset, Vec<FoundCopy>>);

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
    pub(super) fn tell(self, parking: &Parking) {
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
pub(super) struct Topics(pub(super) Vec<RetryTopic>);

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
    /// Returns what waits or runs; not what waits for the source, which may wait for room here: of its bytes nothing is
    /// kept.
    pub(super) fn load(&self) -> Load {
        let load = self.assigned.load();
        Load {
            records: load.records.saturating_sub(self.held.len()),
            ..load
        }
    }

    fn take(&mut self, record: &RawRecord<'_>) {
        if self.assigned.must_seek.is_some() {
            return;
        }
        self.seen += 1;
        let origin = Origin::of(record, &self.source);
        match self.phase {
            Phase::Scanned | Phase::Waiting { .. } | Phase::Undecided { .. } => {}
            Phase::Scanning if record.offset < self.scanned => {}
            Phase::Scanning => {
                self.has_news(tokio::time::Instant::now().into_std());
                if let Some(origin) = origin.filter(|_| record.offset < self.end) {
                    self.found.push(FoundRecord {
                        at: record.offset,
                        chain: self.chain(record),
                        source: origin.offset,
                        due_ms: self.due(&origin),
                        takeover: origin.takeover,
                    });
                }
                self.scanned = record.offset.next();
                if self.scanned >= self.end {
                    self.phase = Phase::Scanned;
                    self.is_complete = true;
                }
            }
            Phase::Feeding => self.feed(record, origin),
        }
    }

    /// From now on its silence counts.
    pub(super) fn has_news(&mut self, now: Instant) {
        (self.last_news, self.asked_at) = (now, None);
    }

    /// True while it is looked whether its silence is the end.
    pub(super) fn is_listened_to(&self) -> bool {
        self.asked_at.is_some() && self.is_wanted()
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
            self.foreign.push((
                record.offset,
                "its headers are not those of a parked record",
            ));
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
            return self.held.push(Held {
                at: record.offset,
                sequence,
                source: origin.offset,
            });
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
        let own = RawRecord {
            topic: &self.source.topic,
            partition: record.partition,
            offset: origin.offset,
            timestamp: origin.timestamp,
            key: record.key,
            value: record.value,
            headers: &OwnHeaders(record.headers),
        };
        self.assigned.take(record.offset, &own, origin.attempts);
    }

    /// Reads on from a record when that phase is over.
    fn wait(&mut self, phase: Phase) {
        self.phase = phase;
        self.assigned.must_seek = Some(self.position());
    }

    /// True if a record that was waited for may be read.
    pub(super) fn is_over(&self) -> bool {
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

    /// True once everything is finished that lay here when it was taken over.
    pub(super) fn is_inherited_finished(&self) -> bool {
        let state = &self.assigned.state;
        state.committable().or(state.stored()) >= Some(self.end)
    }

    /// Skips what says that it comes from where its source has no record. The source's end is known from later than that was
    /// read: what is parked was read from the source before.
    pub(super) fn disbelieve(&mut self, source_end: Offset) {
        for held in self.held.extract_if(.., |held| held.source >= source_end) {
            self.skipped.push(held.sequence);
            self.foreign
                .push((held.at, "its source has no record of that offset"));
        }
    }

    /// True of what lay here before the source was taken over, if the source does not bring it again.
    pub(super) fn was_parked(&self, source: Offset) -> bool {
        self.source_start.is_some_and(|start| source < start)
    }

    /// Tells what the first reading found.
    pub(super) fn tell_found(&mut self, all: &mut Found) {
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

    /// True if its next records are to be fetched.
    pub(super) fn is_wanted(&self) -> bool {
        self.is_reading() && !self.assigned.is_full
    }

    /// True unless it waits for something else than room.
    pub(super) fn is_reading(&self) -> bool {
        matches!(self.phase, Phase::Scanning | Phase::Feeding)
    }

    /// True once it is known which keys are parked in the retry topics of its source.
    pub(super) fn is_fed(&self) -> bool {
        !matches!(self.phase, Phase::Scanning | Phase::Scanned)
    }

    pub(super) fn is_scanned(&self) -> bool {
        self.phase != Phase::Scanning
    }

    /// Where it is to be read on.
    pub(super) fn position(&self) -> Position {
        Position::At(self.next())
    }

    /// Returns the next offset to read.
    pub(super) fn next(&self) -> Offset {
        match self.phase {
            Phase::Waiting { at, .. } | Phase::Undecided { at, .. } => at,
            Phase::Scanning => self.scanned,
            Phase::Scanned | Phase::Feeding => self.assigned.next_offset.unwrap_or(self.from),
        }
    }
}
