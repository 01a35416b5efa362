//! Longer waits: a record that failed is parked in a retry topic, and the later records of its key follow it.
//!
//! Each handler with retry topics has one for each wait, `{group}.{topic}.retry.{wait}`, with the partitions of the
//! source: what was parked from partition 3 lies in partition 3, and whoever owns the source reads it. A record that
//! fails there goes on to the next topic, and after the last one to the failure policy.
//!
//! **Order.** While a key has a record in a retry topic, [`Parking`] says so to every lane of the partition: a later
//! record of the key is not handled but written behind it, to the topic of the shortest wait that holds one. Its wait
//! ends with that of the record it follows.
//!
//! **What is believed.** A parked record says in its headers where it comes from, how often it was tried, when it is due,
//! and who wrote it. That is believed only on our own retry topics, and a wait is never longer than the topic's. See
//! `engine/retry_reader.rs` for which parked records count.

use std::collections::HashMap;
use std::fmt::{self, Display};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use crate::mutant::{self, Mutant};
use crate::producer::MessagePayload;
use crate::record::{Offset, RawRecord, Record, Timestamp, TopicPartition};

/// What the headers of a parked record begin with.
pub(crate) const PREFIX: &str = "kafka_runtime.retry.";

/// Records of one partition that may be parked at once. With more, the next one waits in its place, whether it has failed or
/// follows one that has; in the end that pauses the partition. It bounds what is remembered, about 100 bytes for each.
pub(crate) const MOST_PARKED: usize = 100_000;

/// A header may say no more than this: whoever counts on must not overflow.
const MOST_ATTEMPTS: i64 = u32::MAX as i64 / 2;

/// Returns the name of a retry topic.
pub(crate) fn topic_name(group_id: &str, topic: &str, wait: Duration) -> String {
    format!("{group_id}.{topic}.retry.{}", short(wait))
}

/// A wait as it is written in the attribute: the largest unit that takes it whole.
fn short(wait: Duration) -> String {
    let ms = wait.as_millis();
    let units = [
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "m"),
        (1000, "s"),
    ];
    let unit = units
        .iter()
        .find(|(size, _)| ms >= *size && ms.is_multiple_of(*size));
    match unit {
        Some((size, name)) => format!("{}{name}", ms / size),
        None => format!("{ms}ms"),
    }
}

/// Where a parked record comes from, and when it is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) offset: Offset,
    pub(crate) timestamp: Timestamp,
    /// Attempts that it has had.
    pub(crate) attempts: u32,
    /// Milliseconds since the Unix epoch.
    pub(crate) due_ms: i64,
    /// Who wrote it: one assignment of the source to one process.
    pub(crate) owner: String,
    pub(crate) takeover: Takeover,
}

/// When the writer of a parked record took the retry topic over; a later one is greater, since a topic only grows. A write
/// that lands behind a later takeover comes late: another owner has gone on, most likely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Takeover {
    /// What the topic ended at.
    pub(crate) end: Offset,
    /// Milliseconds since the Unix epoch: between two who found the same end.
    pub(crate) at_ms: i64,
}

impl Takeover {
    fn parse(text: &str) -> Option<Self> {
        let (end, at_ms) = text.split_once('@')?;
        Some(Self {
            end: Offset(end.parse().ok()?),
            at_ms: at_ms.parse().ok()?,
        })
    }
}

impl Display for Takeover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.end, self.at_ms)
    }
}

impl Origin {
    /// Reads the headers of a record in a retry topic of `source`; `None` if it is not one of ours. Nothing that they say is
    /// larger than it can be.
    pub(crate) fn of(record: &RawRecord<'_>, source: &TopicPartition) -> Option<Self> {
        let mut found: HashMap<&'static str, String> = HashMap::new();
        record.headers.each(&mut |name, value| {
            let name = name.strip_prefix(PREFIX.as_bytes());
            let known = NAMES.iter().find(|known| name == Some(known.as_bytes()));
            if let (Some(known), Some(value)) = (known, value)
                && let Ok(value) = std::str::from_utf8(value)
            {
                found.insert(known, value.to_owned());
            }
        });
        let number = |name| found.get(name)?.parse::<i64>().ok();
        let mut takeover = Takeover::parse(found.get("takeover")?)?;
        // That was before it was written.
        takeover.end = takeover.end.min(record.offset);
        let is_ours = found
            .get("topic")
            .is_some_and(|topic| **topic == *source.topic)
            && number("partition") == Some(source.partition.into());
        Some(Self {
            offset: Offset(number("offset").filter(|offset| is_ours && *offset >= 0)?),
            timestamp: Timestamp::CreateTime(number("timestamp")?),
            attempts: u32::try_from(number("attempts")?.clamp(0, MOST_ATTEMPTS)).ok()?,
            due_ms: number("due")?,
            takeover,
            owner: found.remove("owner")?,
        })
    }

    /// Makes the parked record.
    pub(crate) fn payload(&self, record: &Record) -> MessagePayload {
        let mut payload =
            MessagePayload::of_bytes(record.key(), record.value()).partition(record.partition());
        for (name, value) in record.headers().iter() {
            if !name.starts_with(PREFIX.as_bytes()) {
                payload = payload.header_bytes(name, value);
            }
        }
        let values = [
            record.topic().to_owned(),
            record.partition().to_string(),
            self.offset.to_string(),
            self.timestamp.millis().unwrap_or(-1).to_string(),
            self.attempts.to_string(),
            self.due_ms.to_string(),
            self.owner.clone(),
            self.takeover.to_string(),
        ];
        for (name, value) in NAMES.iter().zip(values) {
            payload = payload.header(format!("{PREFIX}{name}"), value);
        }
        payload
    }
}

const NAMES: [&str; 8] = [
    "topic",
    "partition",
    "offset",
    "timestamp",
    "attempts",
    "due",
    "owner",
    "takeover",
];

/// The keys of one source partition that have records in its retry topics, for one assignment of it.
#[derive(Debug)]
pub(crate) struct Parking {
    /// The retry topics, shortest wait first. Stage 1 is the first of them, stage 0 the source itself.
    pub(crate) topics: Vec<(Arc<str>, Duration)>,
    /// Counts the assignments of this member.
    pub(crate) epoch: u64,
    /// This assignment, in the headers of what it parks.
    pub(crate) owner: String,
    /// So many records may be parked at once.
    most: usize,
    /// Of each retry topic; known before the source is read.
    takeovers: OnceLock<Vec<Takeover>>,
    keys: Mutex<HashMap<u64, Vec<Parked>, foldhash::fast::RandomState>>,
    /// Stage and source offset of what lies in the retry topics and was not taken out yet. A write that was tried again can
    /// lie there twice.
    expected: Mutex<HashMap<(usize, i64), Copy, foldhash::fast::RandomState>>,
    /// By source offset: what the source brings again, and an earlier assignment had parked; and where.
    again: Mutex<HashMap<i64, Place>>,
    parked: AtomicUsize,
    /// How many come again: zero nearly always.
    coming: AtomicUsize,
}

/// What a record has to do before its attempt because of others that are parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Following {
    /// Nothing.
    No,
    /// It has to be parked there, and was counted there.
    Behind(Place),
    /// The same as soon as there is room.
    Wait,
}

/// Which copy of a parked record counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Copy {
    /// It is not known yet: its write is not acknowledged.
    Writing,
    /// The one at this offset.
    At(Offset),
    /// The next one, since the broker did not say where it is.
    Next,
}

/// What a record that lies in a retry topic is to the one who reads it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// It counts.
    Expected,
    /// That will be known in a moment.
    Undecided,
    /// Another copy counts, or none.
    Stale,
}

/// What one key has in one stage.
#[derive(Clone, Copy, Debug, Default)]
struct Parked {
    records: u32,
    due_ms: i64,
}

/// A stage that a record is parked in, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) stage: usize,
    pub(crate) due_ms: i64,
}

impl Parking {
    pub(crate) fn new(
        topics: Vec<(Arc<str>, Duration)>,
        epoch: u64,
        owner: String,
        most: usize,
    ) -> Self {
        Self {
            topics,
            epoch,
            owner,
            most,
            takeovers: OnceLock::new(),
            keys: Mutex::default(),
            expected: Mutex::default(),
            again: Mutex::default(),
            parked: AtomicUsize::new(0),
            coming: AtomicUsize::new(0),
        }
    }

    /// Takes note of where the retry topics ended when they were taken over.
    pub(crate) fn take_over(&self, takeovers: Vec<Takeover>) {
        // The first time counts: an assignment takes over once.
        let _: Result<(), Vec<Takeover>> = self.takeovers.set(takeovers);
    }

    /// Returns when the topic of a stage was taken over.
    pub(crate) fn takeover(&self, stage: usize) -> Takeover {
        let known = self.takeovers.get().and_then(|all| all.get(stage - 1));
        known.copied().unwrap_or(Takeover {
            end: Offset(0),
            at_ms: 0,
        })
    }

    /// Says where a record of `stage` has to go because its key has records in a later one, and counts it there.
    pub(crate) fn follow(&self, chain: Option<u64>, stage: usize) -> Following {
        // Relaxed: a key's records are handled one after the other, each sees what the one before it did.
        if self.parked.load(Ordering::Relaxed) == 0 || mutant::is_active(Mutant::PassParkedKeys) {
            return Following::No;
        }
        let mut keys = self.keys();
        let Some(stages) = chain.and_then(|chain| keys.get_mut(&chain)) else {
            return Following::No;
        };
        let mut later = stages.iter_mut().enumerate().skip(stage);
        let Some((index, parked)) = later.find(|(_, parked)| parked.records > 0) else {
            return Following::No;
        };
        if !self.has_room(stage) && !mutant::is_active(Mutant::ForgetFollowersBound) {
            return Following::Wait;
        }
        parked.records += 1;
        self.parked.fetch_add(1, Ordering::Relaxed);
        Following::Behind(Place {
            stage: index + 1,
            due_ms: parked.due_ms,
        })
    }

    /// Counts a record in a stage.
    pub(crate) fn enter(&self, chain: Option<u64>, place: Place) {
        self.parked.fetch_add(1, Ordering::Relaxed);
        let Some(chain) = chain else {
            return;
        };
        let mut keys = self.keys();
        let stages = keys
            .entry(chain)
            .or_insert_with(|| vec![Parked::default(); self.topics.len()]);
        let parked = &mut stages[place.stage - 1];
        parked.records += 1;
        parked.due_ms = parked.due_ms.max(place.due_ms);
    }

    /// A record of a stage is finished there: handled, given up, or parked in a later one.
    pub(crate) fn leave(&self, chain: Option<u64>, stage: usize) {
        self.parked.fetch_sub(1, Ordering::Relaxed);
        let mut keys = self.keys();
        let Some((chain, stages)) = chain.and_then(|chain| Some((chain, keys.get_mut(&chain)?)))
        else {
            return;
        };
        let parked = &mut stages[stage - 1];
        parked.records = parked.records.saturating_sub(1);
        if parked.records == 0 {
            *parked = Parked::default();
            if stages.iter().all(|parked| parked.records == 0) {
                keys.remove(&chain);
            }
        }
    }

    /// A record of this source offset lies in a stage, or is about to: which copy of it counts.
    pub(crate) fn expect(&self, stage: usize, offset: Offset, copy: Copy) {
        self.expected().insert((stage, offset.0), copy);
    }

    /// Says what a copy in a stage is.
    pub(crate) fn reading(&self, stage: usize, offset: Offset, at: Offset) -> Reading {
        match self.expected().get(&(stage, offset.0)) {
            Some(Copy::At(known)) if *known == at => Reading::Expected,
            Some(Copy::Next) => Reading::Expected,
            Some(Copy::Writing) => Reading::Undecided,
            Some(Copy::At(_)) | None => Reading::Stale,
        }
    }

    /// Keeps in mind that the source is going to bring a record again that lies parked already.
    pub(crate) fn comes_again(&self, offset: Offset, place: Place) {
        let mut again = self.again();
        again.insert(offset.0, place);
        self.coming.store(again.len(), Ordering::Relaxed);
    }

    /// True of a record of the source that lies parked since an assignment before this one.
    pub(crate) fn has_come_again(&self, offset: Offset) -> bool {
        self.coming.load(Ordering::Relaxed) > 0 && self.again().contains_key(&offset.0)
    }

    /// Says where a record of the source has to go because it lies parked since an assignment before this one, and counts
    /// it there. It is parked once more: what it leaves behind is then the earlier copy of two, wherever it is read. Were
    /// it handled, a later owner could not know that the copy is stale.
    pub(crate) fn park_again(&self, chain: Option<u64>, offset: Offset) -> Following {
        if !self.has_come_again(offset) {
            return Following::No;
        }
        if !self.has_room(0) {
            return Following::Wait;
        }
        let mut again = self.again();
        let Some(place) = again.remove(&offset.0) else {
            return Following::No;
        };
        self.coming.store(again.len(), Ordering::Relaxed);
        drop(again);
        self.enter(chain, place);
        Following::Behind(place)
    }

    /// Takes a record out of a stage; false if it was not expected there.
    pub(crate) fn take(&self, stage: usize, offset: Offset) -> bool {
        self.expected().remove(&(stage, offset.0)).is_some()
    }

    fn expected(&self) -> MutexGuard<'_, HashMap<(usize, i64), Copy, foldhash::fast::RandomState>> {
        // Held for a few instructions that do not panic.
        self.expected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn again(&self) -> MutexGuard<'_, HashMap<i64, Place>> {
        self.again.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True if a record of a stage may be parked. One that is parked already only goes from one topic to the next.
    pub(crate) fn has_room(&self, stage: usize) -> bool {
        stage > 0 || self.parked.load(Ordering::Relaxed) < self.most
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<u64, Vec<Parked>, foldhash::fast::RandomState>> {
        // Held for a few instructions that do not panic.
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parking() -> Parking {
        let topics = ["1m", "10m"].map(|name| (Arc::from(name), Duration::from_mins(1)));
        Parking::new(topics.to_vec(), 1, "me".into(), 5)
    }

    fn place(stage: usize, due_ms: i64) -> Place {
        Place { stage, due_ms }
    }

    #[test]
    fn names_have_the_wait_as_it_is_written() {
        let name = |seconds| topic_name("g", "t", Duration::from_secs(seconds));

        assert_eq!(name(60), "g.t.retry.1m");
        assert_eq!(name(90), "g.t.retry.90s");
        assert_eq!(name(7200), "g.t.retry.2h");
        assert_eq!(
            topic_name("g", "t", Duration::from_millis(1500)),
            "g.t.retry.1500ms"
        );
    }

    #[test]
    fn a_later_record_of_a_key_follows_and_others_do_not() {
        let parking = parking();
        parking.enter(Some(7), place(1, 100));

        assert_eq!(parking.follow(Some(8), 0), Following::No);
        assert_eq!(parking.follow(None, 0), Following::No);
        assert_eq!(parking.follow(Some(7), 0), Following::Behind(place(1, 100)));

        parking.leave(Some(7), 1);
        assert_eq!(parking.follow(Some(7), 0), Following::Behind(place(1, 100)));
        parking.leave(Some(7), 1);
        parking.leave(Some(7), 1);
        assert_eq!(parking.follow(Some(7), 0), Following::No);
    }

    #[test]
    fn it_goes_behind_the_last_one() {
        let parking = parking();
        // The first has moved on, the second has not yet.
        parking.enter(Some(7), place(1, 100));
        parking.enter(Some(7), place(2, 900));

        assert_eq!(parking.follow(Some(7), 0), Following::Behind(place(1, 100)));
        assert_eq!(parking.follow(Some(7), 1), Following::Behind(place(2, 900)));
    }

    #[test]
    fn what_follows_waits_where_there_is_no_room() {
        let parking = parking();
        for _ in 0..3 {
            parking.enter(Some(7), place(1, 100));
        }
        parking.enter(Some(7), place(2, 900));
        assert_eq!(parking.follow(Some(7), 0), Following::Behind(place(1, 100)));

        assert_eq!(parking.follow(Some(7), 0), Following::Wait);
        assert_eq!(parking.follow(Some(8), 0), Following::No);
        // What is parked already goes on.
        assert_eq!(parking.follow(Some(7), 1), Following::Behind(place(2, 900)));
        parking.leave(Some(7), 1);
        parking.leave(Some(7), 1);
        assert_eq!(parking.follow(Some(7), 0), Following::Behind(place(1, 100)));
    }

    #[test]
    fn what_comes_again_waits_where_there_is_no_room() {
        let parking = parking();
        parking.comes_again(Offset(3), place(1, 100));
        for _ in 0..5 {
            parking.enter(Some(7), place(1, 100));
        }

        assert_eq!(parking.park_again(Some(8), Offset(3)), Following::Wait);
        parking.leave(Some(7), 1);
        assert_eq!(
            parking.park_again(Some(8), Offset(3)),
            Following::Behind(place(1, 100))
        );
    }
}
