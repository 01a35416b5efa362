//! What is true in a simulated run, whatever the engine believes: the records that were written, what became of each,
//! which calls run. Every rule of delivery is checked against it as things happen.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use super::setup::Setup;
use crate::DEAD_LETTER_HEADER_PREFIX;
use crate::client::memory::{Commit, MemberId, MemoryBroker, Stored};
use crate::failure::breaker::Breaker;
use crate::failure::retry_topic::{PREFIX as RETRY_HEADER_PREFIX, topic_name};
use crate::handler::Ordering;
use crate::record::{Offset, TopicPartition};

pub(super) const GROUP: &str = "g";
pub(super) const RETRY_GROUP: &str = "g.retry";
pub(super) const TOPIC: &str = "t";
pub(super) const DEAD: &str = "g.t.dlq";
/// In every key, value and header: it must appear nowhere else.
pub(super) const SECRET: &str = "s3cr3t";
/// The same, where a parser would quote it.
pub(super) const SECRET_NUMBER: &str = "7205759403";
/// A header of every record that a handler fails for.
const MARK: &str = "mark";

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The check that saw it.
    pub check: Check,
    /// What happened.
    pub text: String,
    /// In which step of the run.
    pub step: usize,
}

/// What is checked, and the promise it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Check {
    /// P1, P2: everything below a committed offset is settled.
    Commit,
    /// P2: a committed offset does not go back.
    Regress,
    /// P3: a record is started when all earlier ones of its key are settled.
    Order,
    /// P3: one call at a time for a key.
    Exclusive,
    /// P4: nothing is handled twice without a reason.
    Duplicates,
    /// P5: what could start does.
    Starvation,
    /// P1, P5: in the end everything is settled and committed.
    Stall,
    /// Only the owner of a partition handles its records.
    Foreign,
    /// Attempts count from 1, one by one, up to the limit; at most `concurrency` run.
    Attempts,
    /// P1: a dead letter has the record's bytes and our headers once.
    DeadLetter,
    /// P6: a call that hangs is reported.
    Watchdog,
    /// P7: what waits in memory is bounded.
    Memory,
    /// P8: a stop takes no longer than it may.
    Stop,
    /// P9: no bytes of a record in an event.
    Secrets,
    /// A handler that fails for all is not fed.
    Breaker,
    /// The engine does not panic.
    Panic,
}

/// What a handler does with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Good,
    /// Waits so many times until the scheduler lets it go on.
    Gated(u8),
    Sleeps(Duration),
    /// Fails so many times.
    Transient(u32),
    Permanent,
    Panics,
    PanicsAtTheCall,
    Undecodable,
    /// Comes to no end before the last phase, unless it is cancelled.
    Hangs,
    /// The same, and does not listen.
    HangsDeaf,
}

impl Kind {
    pub(super) fn is_hanging(self) -> bool {
        matches!(self, Self::Hangs | Self::HangsDeaf)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Open,
    Handled,
    DeadLettered,
    Skipped,
}

#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a thing that happened to it or did not"
)]
struct Entry {
    offset: Offset,
    key: Option<u8>,
    kind: Kind,
    fate: Fate,
    handled: u32,
    letters: u32,
    /// It may be handled again: something happened that no clean end excludes.
    is_excused: bool,
    /// The last attempt of somebody failed.
    has_failed: bool,
    /// It may lie in a retry topic twice.
    is_doubled: bool,
    /// It was parked in a retry topic.
    was_parked: bool,
}

/// An attempt to handle a record, as a handler is told of it.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) at: TopicPartition,
    pub(super) offset: i64,
    /// From 1.
    pub(super) number: u32,
    pub(super) epoch: u64,
}

/// An attempt that goes on.
#[derive(Clone, Debug)]
struct Call {
    member: MemberId,
    epoch: u64,
    /// Attempts that one call of the handler makes share it.
    batch: u64,
    at: TopicPartition,
    index: usize,
    /// The turn that it belongs to.
    turn: u64,
    /// It is not the only one of its batch.
    is_together: bool,
    since: Instant,
    is_reported: bool,
}

/// One assignment of a partition to a member.
#[derive(Clone, Debug, Default)]
struct Turn {
    id: u64,
    /// The first record that it reads.
    start: usize,
    fates: BTreeMap<usize, TurnFate>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TurnFate {
    Started,
    /// It may wait for its next attempt, or for its dead letter.
    Failed,
    /// The same, in a batch with others: they are tried again one by one, so one of its key may be before it.
    FailedTogether,
    /// It waits in a retry topic.
    Parked,
    Over,
}

impl TurnFate {
    fn has_failed(self) -> bool {
        matches!(self, Self::Failed | Self::FailedTogether)
    }
}

#[derive(Default)]
struct Gate {
    open: u32,
    waker: Option<Waker>,
}

macro_rules! counts {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// What happened in a run, so that a check that had nothing to check is known.
        #[derive(Clone, Copy, Debug, Default)]
        pub struct Counts {
            $($(#[doc = $doc])* pub $name: usize,)*
        }

        impl Counts {
            /// Adds those of another run.
            pub fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }

            /// Returns what never happened.
            pub fn unseen(&self) -> Vec<&'static str> {
                let mut unseen = Vec::new();
                $(if self.$name == 0 {
                    unseen.push(stringify!($name));
                })*
                unseen
            }
        }
    };
}

counts! {
    /// Records written.
    records,
    /// Calls started.
    calls,
    /// Calls that failed.
    failed,
    /// Calls with more than one record.
    batches,
    /// Those that failed as a whole.
    batches_failed,
    /// Records handled more than once.
    duplicates,
    /// Dead letters.
    dead_letters,
    /// Records that were parked in retry topics because they failed.
    parked,
    /// Records that were parked behind others of their key.
    followed,
    /// Commits.
    commits,
    /// Revokes that were answered in order.
    revokes,
    /// Revokes that the group did not wait for.
    superseded,
    /// Losses.
    losses,
    /// Members that were killed.
    kills,
    /// Members that were suspended for longer than the session timeout.
    suspends,
    /// Members that were stopped.
    stops,
    /// Members whose commits were refused for a while.
    refused_commits,
    /// Writes that were refused, or whose answer was lost.
    refused_writes,
    /// Calls that were reported for hanging.
    reported,
    /// Records that could not be read for a while.
    damaged,
    /// Records in retry topics that nobody parked.
    foreign,
    /// Retry topics that could not be read or asked for a while.
    cut_off,
    /// Times that a breaker opened.
    breaks,
    /// Times that a partition was paused for what waits.
    pauses,
}

pub(super) struct World {
    pub(super) setup: Setup,
    pub(super) broker: MemoryBroker,
    pub(super) step: usize,
    pub(super) violation: Option<Violation>,
    pub(super) counts: Counts,
    logs: BTreeMap<TopicPartition, Vec<Entry>>,
    calls: BTreeMap<u64, Call>,
    gates: BTreeMap<u64, Gate>,
    /// Records that a handler of batches failed untried, behind one of their key that failed.
    left: HashSet<(TopicPartition, usize)>,
    next_call: u64,
    attempts: HashMap<(MemberId, u64, TopicPartition, usize), u32>,
    epochs: HashMap<(MemberId, TopicPartition), u64>,
    /// Their partition is another member's, and they do not know it yet.
    zombies: HashSet<(MemberId, TopicPartition)>,
    /// The same until a moment ago.
    former_zombies: HashSet<(MemberId, TopicPartition)>,
    /// Calls of it were dropped since it was assigned.
    dropped: HashSet<(MemberId, TopicPartition)>,
    /// What became of the records that a member received in its latest assignment of a partition.
    turns: HashMap<(MemberId, TopicPartition), Turn>,
    last_round: HashMap<MemberId, Instant>,
    /// Members that said that nearly everything fails: nothing is started until then, but for one attempt.
    broken: HashMap<MemberId, Instant>,
    /// When they said that it is over.
    mended: HashMap<MemberId, Instant>,
    /// Partitions that a member has given back, lost, or put aside until it knows better.
    fenced: HashSet<(MemberId, TopicPartition)>,
    committed: BTreeMap<TopicPartition, Offset>,
    /// How far the dead letters have been read, by partition.
    letters_read: BTreeMap<TopicPartition, Offset>,
    /// Nothing hangs any more, nothing waits.
    is_released: bool,
    /// What happened, if somebody wants to read it.
    pub(super) trace: Option<Vec<String>>,
}

/// The world, for whoever changes it; clones are the same.
#[derive(Clone)]
pub(super) struct SharedWorld(Arc<Mutex<World>>);

impl SharedWorld {
    pub(super) fn new(setup: Setup, broker: MemoryBroker) -> Self {
        let logs = (0..setup.partitions).map(|p| (TopicPartition::new(TOPIC, p), Vec::new()));
        Self(Arc::new(Mutex::new(World {
            setup,
            broker,
            step: 0,
            violation: None,
            counts: Counts::default(),
            logs: logs.collect(),
            calls: BTreeMap::new(),
            gates: BTreeMap::new(),
            left: HashSet::new(),
            next_call: 0,
            attempts: HashMap::new(),
            epochs: HashMap::new(),
            zombies: HashSet::new(),
            former_zombies: HashSet::new(),
            dropped: HashSet::new(),
            turns: HashMap::new(),
            last_round: HashMap::new(),
            broken: HashMap::new(),
            mended: HashMap::new(),
            fenced: HashSet::new(),
            committed: BTreeMap::new(),
            letters_read: BTreeMap::new(),
            is_released: false,
            trace: None,
        })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl World {
    pub(super) fn violate(&mut self, check: Check, text: impl Into<String>) {
        let step = self.step;
        self.violation.get_or_insert(Violation {
            check,
            text: text.into(),
            step,
        });
    }

    /// Notes what happens, if somebody wants to read it.
    pub(super) fn note(&mut self, text: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>4} {}", self.step, text()));
        }
    }

    // ---- records

    pub(super) fn write(&mut self, at: &TopicPartition, key: Option<u8>, kind: Kind) {
        let mut payload = match kind {
            // No JSON, or not what the handler takes.
            Kind::Undecodable if self.counts.records.is_multiple_of(2) => {
                crate::MessagePayload::new(format!("{SECRET} is no JSON"))
            }
            Kind::Undecodable => crate::MessagePayload::new(SECRET_NUMBER),
            _ => crate::MessagePayload::new(format!("\"{SECRET}\"")),
        };
        if let Some(key) = key {
            payload = payload.key(format!("{SECRET}-{key}"));
        }
        payload = payload
            .header(MARK, SECRET)
            .header(format!("{DEAD_LETTER_HEADER_PREFIX}offset"), "-7")
            .header(format!("{RETRY_HEADER_PREFIX}attempts"), "99");
        let offset = self.broker.append(at, payload);
        self.note(|| format!("written {at}@{offset} key {key:?} {kind:?}"));
        self.counts.records += 1;
        if let Some(log) = self.logs.get_mut(at) {
            log.push(Entry {
                offset,
                key,
                kind,
                fate: Fate::Open,
                handled: 0,
                letters: 0,
                is_excused: false,
                has_failed: false,
                is_doubled: false,
                was_parked: false,
            });
        }
    }

    /// Somebody else writes to a retry topic.
    pub(super) fn forge(&mut self, place: &TopicPartition, offset: Option<i64>) {
        let mut payload = crate::MessagePayload::new("foreign").key("foreign");
        if let Some(offset) = offset {
            let headers = [
                ("topic", TOPIC.to_owned()),
                ("partition", place.partition.to_string()),
                ("offset", offset.to_string()),
                ("timestamp", "0".into()),
                ("attempts", u32::MAX.to_string()),
                ("due", i64::MAX.to_string()),
                ("owner", "somebody".into()),
                ("takeover", format!("{}@{}", i64::MAX, i64::MAX)),
            ];
            for (name, value) in headers {
                payload = payload.header(format!("{RETRY_HEADER_PREFIX}{name}"), value);
            }
        }
        let at = self.broker.append(place, payload);
        self.note(|| format!("a foreign record {place}@{at}, of {offset:?} as it says"));
        self.counts.foreign += 1;
    }

    pub(super) fn written(&self) -> usize {
        self.counts.records
    }

    fn index_of(&self, at: &TopicPartition, offset: i64) -> usize {
        self.logs[at].partition_point(|entry| entry.offset.0 < offset)
    }

    /// Entries that wait for each other share one.
    fn shares_chain(&self, a: &Entry, b: &Entry) -> bool {
        match self.setup.ordering {
            Ordering::Key => a.key.is_some() && a.key == b.key,
            Ordering::Partition => true,
            Ordering::None => false,
        }
    }

    // ---- calls

    /// A handler was called with these. Returns the number of each, and what the handler is to do with it.
    pub(super) fn start(&mut self, member: MemberId, attempts: Vec<Attempt>) -> Vec<(u64, Kind)> {
        self.read_dead_letters();
        self.counts.calls += 1;
        self.counts.batches += usize::from(attempts.len() > 1);
        let most = self.setup.batch.map_or(1, |batch| batch.max);
        if attempts.len() > most {
            let text = format!("a call of {} records, not {most}", attempts.len());
            self.violate(Check::Memory, text);
        }
        if attempts.len() > 1 && self.broken.contains_key(&member) {
            let text = format!(
                "{} are tried although nearly everything fails",
                attempts.len()
            );
            self.violate(Check::Breaker, text);
        }
        let batch = self.next_call;
        let is_together = attempts.len() > 1;
        attempts
            .into_iter()
            .map(|attempt| self.start_one(member, attempt, batch, is_together))
            .collect()
    }

    fn start_one(
        &mut self,
        member: MemberId,
        attempt: Attempt,
        batch: u64,
        is_together: bool,
    ) -> (u64, Kind) {
        let Attempt { at, offset, .. } = &attempt;
        let epoch = attempt.epoch;
        let index = self.index_of(at, *offset);
        let entry = self.logs[at][index].clone();
        let what = format!("{at}@{offset} by member {} in epoch {epoch}", member.0);
        self.note(|| {
            format!(
                "call {what}, attempt {}, key {:?}, {:?}, batch {batch}",
                attempt.number, entry.key, entry.kind
            )
        });

        self.check_order(member, at, index, &entry, batch, &what);
        self.set_turn(member, at, index, TurnFate::Started);
        self.check_overlap(member, at, index, &entry, batch, &what);
        self.check_owner(member, epoch, at, &what);
        self.check_attempt(member, index, &attempt, batch, &what);
        let Attempt { at, number, .. } = attempt;
        let turn = self
            .turns
            .get(&(member, at.clone()))
            .map_or(0, |turn| turn.id);
        let id = self.next_call;
        self.next_call += 1;
        self.calls.insert(
            id,
            Call {
                member,
                epoch,
                batch,
                at,
                index,
                turn,
                is_together,
                since: now(),
                is_reported: false,
            },
        );
        let kind = match entry.kind {
            // One by one, as the breaker lets them, would take for ever.
            _ if self.is_released && self.setup.breaker != Breaker::OFF => Kind::Good,
            Kind::Transient(times) if number > times => Kind::Good,
            kind if kind.is_hanging() && (self.is_released || number > 1) => Kind::Good,
            kind => kind,
        };
        (id, kind)
    }

    /// Nothing of a key is passed by what is behind it.
    fn check_order(
        &mut self,
        member: MemberId,
        at: &TopicPartition,
        index: usize,
        entry: &Entry,
        batch: u64,
        what: &str,
    ) {
        let is_with_it = |index| {
            let mut calls = self.calls.values();
            calls.any(|call| call.batch == batch && call.index == index)
        };
        let earlier = self.logs[at][..index].iter().enumerate();
        let open = earlier
            .filter(|(_, e)| e.fate == Fate::Open && self.shares_chain(e, entry))
            .find(|(index, _)| !is_with_it(*index))
            .map(|(_, e)| e);
        if let Some(open) = open {
            let text = format!(
                "{what}: started before offset {} of its key was settled",
                open.offset
            );
            self.violate(Check::Order, text);
        }
        if let Some(turn) = self.turns.get(&(member, at.clone())) {
            let mut later = turn.fates.range(index + 1..);
            let passed = later.find(|(later, fate)| {
                !matches!(fate, TurnFate::Parked | TurnFate::FailedTogether)
                    && self.shares_chain(&self.logs[at][**later], entry)
            });
            if let Some((later, _)) = passed {
                let text = format!(
                    "{what}: a step back from offset {}",
                    self.logs[at][*later].offset
                );
                self.violate(Check::Order, text);
            }
        }
    }

    /// One call at a time for a key.
    fn check_overlap(
        &mut self,
        member: MemberId,
        at: &TopicPartition,
        index: usize,
        entry: &Entry,
        batch: u64,
        what: &str,
    ) {
        let overlapping = self.calls.values().find(|call| {
            let other = &self.logs[&call.at][call.index];
            call.at == *at
                && call.batch != batch
                && (call.index == index || self.shares_chain(other, entry))
                && (call.member == member
                    || !self.zombies.contains(&(call.member, at.clone()))
                        && !self.zombies.contains(&(member, at.clone()))
                        // It is never polled again, only dropped: `touch` sees to that.
                        && !self.fenced.contains(&(call.member, at.clone())))
        });
        if let Some(other) = overlapping {
            let text = format!(
                "{what}: a call by member {} of epoch {} still runs",
                other.member.0, other.epoch
            );
            self.violate(Check::Exclusive, text);
        }
    }

    /// Attempts count one by one up to the limit, as many calls run as may, and none if nearly everything fails.
    fn check_attempt(
        &mut self,
        member: MemberId,
        index: usize,
        attempt: &Attempt,
        batch: u64,
        what: &str,
    ) {
        if self.broken.get(&member).is_some_and(|until| now() < *until) {
            self.violate(
                Check::Breaker,
                format!("{what}: although nearly everything fails"),
            );
        }
        let attempts = self
            .attempts
            .entry((member, attempt.epoch, attempt.at.clone(), index))
            .or_default();
        *attempts += 1;
        let (counted, attempt) = (*attempts, attempt.number);
        let stages = u32::try_from(self.setup.retry_waits.len()).unwrap_or(0);
        let is_miscounted = counted != attempt && stages == 0;
        // A batch that fails as a whole gives nothing up: there is one more attempt, alone.
        let alone = self.setup.batch.map_or(0, |_| 1 + stages);
        if is_miscounted || attempt > self.setup.attempts + stages + alone {
            self.violate(
                Check::Attempts,
                format!(
                    "{what}: attempt {attempt} is the {counted}. of {}",
                    self.setup.attempts
                ),
            );
        }
        let others = self.running(member);
        let running = 1 + others.iter().filter(|other| **other != batch).count();
        if running > self.setup.concurrency {
            self.violate(
                Check::Attempts,
                format!("{what}: {running} calls run at once"),
            );
        }
    }

    /// The calls of a member that go on.
    fn running(&self, member: MemberId) -> BTreeSet<u64> {
        let theirs = self.calls.values().filter(|call| call.member == member);
        theirs.map(|call| call.batch).collect()
    }

    fn check_owner(&mut self, member: MemberId, epoch: u64, at: &TopicPartition, what: &str) {
        let highest = self.epochs.entry((member, at.clone())).or_default();
        *highest = epoch.max(*highest);
        if epoch < *highest {
            let text = format!("{what}: epoch {highest} has begun");
            self.violate(Check::Foreign, text);
        }
        if self.fenced.contains(&(member, at.clone())) {
            self.violate(
                Check::Foreign,
                format!("{what}: it was given back, lost, or put aside"),
            );
        }
        if self.broker.member(member).is_refused() {
            self.violate(Check::Foreign, format!("{what}: its commit was refused"));
        }
        let silent = self.last_round.get(&member).map(|at| now() - *at);
        if silent.is_some_and(|silent| silent > self.setup.session_timeout) {
            self.violate(
                Check::Foreign,
                format!("{what}: after a suspend of {silent:?}, before it has looked at the group"),
            );
        }
    }

    /// A call that waited was polled again.
    fn touch(&mut self, id: u64) {
        if let Some(call) = self.calls.get(&id).cloned() {
            let what = format!(
                "{}, a call of member {} that goes on",
                call.at, call.member.0
            );
            self.check_owner(call.member, call.epoch, &call.at, &what);
        }
    }

    fn set_turn(&mut self, member: MemberId, at: &TopicPartition, index: usize, fate: TurnFate) {
        let turn = self.turns.entry((member, at.clone())).or_default();
        turn.fates.insert(index, fate);
    }

    /// A member has given a partition back, lost it, or is not sure that it is its own any more.
    pub(super) fn fenced(&mut self, member: MemberId, at: &TopicPartition) {
        self.fenced.insert((member, at.clone()));
    }

    /// A breaker opened, or closed.
    pub(super) fn broke(&mut self, member: MemberId, wait: Option<Duration>) {
        if let Some(wait) = wait {
            self.counts.breaks += 1;
            self.broken.insert(member, now() + wait);
        } else {
            self.broken.remove(&member);
            self.mended.insert(member, now());
        }
    }

    /// What a breaker holds back is given up by a drain that begins meanwhile.
    fn is_broken(&self, member: MemberId) -> bool {
        let longest = self.setup.drain_timeout.max(self.setup.shutdown_grace);
        let mended = self.mended.get(&member);
        self.broken.contains_key(&member) || mended.is_some_and(|at| now() - *at <= longest)
    }

    /// A member begins to read a partition.
    pub(super) fn assigned(&mut self, member: MemberId, at: &TopicPartition, from: Option<Offset>) {
        let start = self.index_of(at, from.unwrap_or_default().0);
        let turn = Turn {
            id: self.next_call,
            start,
            fates: BTreeMap::new(),
        };
        self.next_call += 1;
        self.fenced.remove(&(member, at.clone()));
        self.turns.insert((member, at.clone()), turn);
        self.dropped.remove(&(member, at.clone()));
    }

    /// Waits at a call's gate.
    pub(super) fn poll_gate(&mut self, id: u64, waker: &Waker) -> Poll<()> {
        self.touch(id);
        let is_released = self.is_released;
        let gate = self.gates.entry(id).or_default();
        if gate.open > 0 || is_released {
            gate.open = gate.open.saturating_sub(1);
            return Poll::Ready(());
        }
        gate.waker = Some(waker.clone());
        Poll::Pending
    }

    /// Returns the calls that wait at their gate and are to go on some time.
    pub(super) fn waiting(&self) -> Vec<u64> {
        let waits = |id: &&u64| {
            let call = self.calls.get(*id);
            call.is_some_and(|call| !self.logs[&call.at][call.index].kind.is_hanging())
        };
        self.gates.keys().filter(waits).copied().collect()
    }

    pub(super) fn open_gate(&mut self, id: u64) -> Option<Waker> {
        let gate = self.gates.get_mut(&id)?;
        gate.open += 1;
        gate.waker.take()
    }

    /// True of two attempts of one batch if the later waits for the earlier.
    pub(super) fn is_behind(&self, earlier: u64, later: u64) -> bool {
        let entry = |id| {
            self.calls
                .get(id)
                .map(|call| &self.logs[&call.at][call.index])
        };
        let both = entry(&earlier).zip(entry(&later));
        both.is_some_and(|(a, b)| self.shares_chain(a, b))
    }

    /// A handler of batches fails a record untried.
    pub(super) fn left(&mut self, id: u64) {
        let Some(call) = self.calls.get(&id) else {
            return;
        };
        self.left.insert((call.at.clone(), call.index));
    }

    /// From now on nothing hangs and nothing waits.
    pub(super) fn release(&mut self) -> Vec<Waker> {
        self.is_released = true;
        self.gates
            .values_mut()
            .filter_map(|gate| gate.waker.take())
            .collect()
    }

    /// A call has ended: well, badly, or dropped where it stood.
    pub(super) fn finish(&mut self, id: u64, end: End) {
        self.gates.remove(&id);
        let Some(call) = self.calls.remove(&id) else {
            return;
        };
        self.note(|| {
            format!(
                "end of {}#{} by member {}: {end:?}",
                call.at, call.index, call.member.0
            )
        });
        let place = (call.member, call.at.clone());
        let is_zombie = self.zombies.contains(&place);
        if self
            .turns
            .get(&place)
            .is_some_and(|turn| turn.id == call.turn)
        {
            let fate = match end {
                End::Good => TurnFate::Over,
                // A call that took too long is dropped, too.
                End::Failed | End::Dropped if call.is_together => TurnFate::FailedTogether,
                End::Failed | End::Dropped => TurnFate::Failed,
            };
            self.set_turn(call.member, &call.at, call.index, fate);
        }
        let Some(entry) = self
            .logs
            .get_mut(&call.at)
            .and_then(|log| log.get_mut(call.index))
        else {
            return;
        };
        match end {
            End::Dropped => {
                self.dropped.insert(place);
            }
            End::Failed => {
                entry.has_failed = true;
                self.counts.failed += 1;
            }
            End::Good => {
                entry.handled += 1;
                let is_again = entry.handled + entry.letters > 1;
                let is_excused = entry.is_excused || is_zombie || entry.is_doubled;
                entry.is_excused = is_zombie;
                entry.fate = Fate::Handled;
                let offset = entry.offset;
                if is_again {
                    self.counts.duplicates += 1;
                    if !is_excused {
                        let text = format!(
                            "{}@{offset} was handled again by member {} without a reason",
                            call.at, call.member.0
                        );
                        self.violate(Check::Duplicates, text);
                    }
                }
            }
        }
    }

    // ---- what the group does

    /// What a partition had finished and not committed may be handled again.
    pub(super) fn excuse(&mut self, at: &TopicPartition) {
        let committed = self.broker.committed(GROUP, at).unwrap_or(Offset(0));
        let parked = self.parked_offsets(at);
        let may_come_again =
            |entry: &&mut Entry| entry.offset >= committed || parked.contains(&entry.offset.0);
        if let Some(log) = self.logs.get_mut(at) {
            for entry in log.iter_mut().filter(may_come_again) {
                entry.is_excused = true;
            }
        }
    }

    /// The same after an end in order, if something stood in its way: a record that failed and waits, a call that was
    /// dropped.
    pub(super) fn excuse_if_hindered(
        &mut self,
        member: MemberId,
        at: &TopicPartition,
        is_late: bool,
    ) {
        let place = (member, at.clone());
        let waits =
            |e: &Entry| e.fate == Fate::Open && (e.has_failed || e.kind == Kind::Undecodable);
        let turn = self.turns.get(&place);
        let is_hindered = is_late
            || turn.is_some_and(|turn| turn.fates.values().any(|fate| fate.has_failed()))
            || self.is_broken(member)
            || self.dropped.remove(&place)
            || self.broker.member(member).cannot_commit()
            || self
                .calls
                .values()
                .any(|call| call.member == member && call.at == *at)
            || self.comes_again(at)
            // What finds no room in the retry topics.
            || self.setup.most_parked < usize::MAX && !self.parked_offsets(at).is_empty()
            || self.logs.get(at).is_some_and(|log| log.iter().any(waits));
        self.note(|| {
            format!(
                "member {} gives {at} back, hindered: {is_hindered}",
                member.0
            )
        });
        if is_hindered {
            self.excuse(at);
        }
    }

    /// True if a retry topic has what its source brings again: that holds back the position there until it has.
    fn comes_again(&self, at: &TopicPartition) -> bool {
        let committed = self.broker.committed(GROUP, at).unwrap_or_default();
        let parked = self.parked_offsets(at);
        parked.iter().any(|offset| *offset >= committed.0)
    }

    pub(super) fn set_zombie(&mut self, member: MemberId, at: &TopicPartition) {
        self.excuse(at);
        self.zombies.insert((member, at.clone()));
    }

    /// A member has learnt what it is.
    pub(super) fn end_zombie(&mut self, member: MemberId, at: &TopicPartition) {
        if self.zombies.remove(&(member, at.clone())) {
            self.former_zombies.insert((member, at.clone()));
        }
        self.dropped.remove(&(member, at.clone()));
    }

    pub(super) fn is_zombie(&self, member: MemberId) -> bool {
        self.zombies.iter().any(|(zombie, _)| *zombie == member)
    }

    pub(super) fn had_round(&mut self, member: MemberId) {
        self.last_round.insert(member, now());
    }

    /// A record was skipped by the policy.
    pub(super) fn skipped(&mut self, member: MemberId, at: &TopicPartition, offset: Offset) {
        let index = self.index_of(at, offset.0);
        if let Some(entry) = self.logs.get_mut(at).and_then(|log| log.get_mut(index)) {
            entry.fate = Fate::Skipped;
        }
        self.set_turn(member, at, index, TurnFate::Over);
    }

    /// A record was parked in a retry topic.
    pub(super) fn parked(
        &mut self,
        member: MemberId,
        at: &TopicPartition,
        offset: Offset,
        has_failed: bool,
    ) {
        let index = self.index_of(at, offset.0);
        if has_failed {
            self.counts.parked += 1;
        } else {
            self.counts.followed += 1;
        }
        self.set_turn(member, at, index, TurnFate::Parked);
        if let Some(entry) = self.logs.get_mut(at).and_then(|log| log.get_mut(index)) {
            entry.was_parked = true;
        }
        let Some(turn) = self.turns.get(&(member, at.clone())) else {
            return;
        };
        let is_open = |index: &usize| self.logs[at][*index].fate == Fate::Open;
        let parked = turn
            .fates
            .iter()
            .filter(|(_, fate)| **fate == TurnFate::Parked);
        let parked = parked.filter(|(index, _)| is_open(index)).count();
        if parked > self.setup.most_parked {
            let text = format!(
                "{at}: {parked} records are parked, not {}",
                self.setup.most_parked
            );
            self.violate(Check::Memory, text);
        }
    }

    /// The answer to the write of a record to a retry topic was lost: it is written again.
    pub(super) fn doubled(&mut self, topic: &str, headers: &[(String, Option<Vec<u8>>)]) {
        let text = |name: &str| {
            let name = format!("{RETRY_HEADER_PREFIX}{name}");
            let (_, value) = headers.iter().find(|(header, _)| *header == name)?;
            std::str::from_utf8(value.as_deref()?)
                .ok()?
                .parse::<i64>()
                .ok()
        };
        if let (true, Some(partition), Some(offset)) =
            (topic != DEAD, text("partition"), text("offset"))
        {
            let at = TopicPartition::new(TOPIC, i32::try_from(partition).unwrap_or(0));
            let index = self.index_of(&at, offset);
            if let Some(entry) = self.logs.get_mut(&at).and_then(|log| log.get_mut(index)) {
                entry.is_doubled = true;
            }
        }
    }

    /// Returns the source offsets of what lies in the retry topics of a partition, from where they are committed on.
    fn parked_offsets(&self, at: &TopicPartition) -> HashSet<i64> {
        let mut offsets = HashSet::new();
        for wait in &self.setup.retry_waits {
            let topic = topic_name(GROUP, TOPIC, *wait);
            let place = TopicPartition::new(topic, at.partition);
            let from = self
                .broker
                .committed(RETRY_GROUP, &place)
                .unwrap_or_default();
            offsets.extend(
                self.broker
                    .records(&place, from)
                    .iter()
                    .filter_map(source_offset),
            );
        }
        offsets
    }

    /// Checks that what a retry topic was committed past is settled, lies in a later one, or comes again.
    fn check_retry_commit(&mut self, place: &TopicPartition, to: Offset) {
        let at = TopicPartition::new(TOPIC, place.partition);
        let committed = self.broker.committed(GROUP, &at).unwrap_or_default();
        let parked = self.parked_offsets(&at);
        let records = self.broker.records(place, Offset(0));
        let below = records.iter().take_while(|record| record.offset < to);
        let open = below.filter_map(source_offset).find(|offset| {
            let Some(entry) = self.logs[&at].get(self.index_of(&at, *offset)) else {
                // A foreign one.
                return false;
            };
            entry.fate == Fate::Open && *offset < committed.0 && !parked.contains(offset)
        });
        if let Some(offset) = open {
            self.violate(
                Check::Commit,
                format!(
                    "{place}: committed {to}, and {at}@{offset}, which was parked there, is open"
                ),
            );
        }
    }

    /// A member knows that the dead letter of a record was written.
    pub(super) fn dead_lettered(&mut self, member: MemberId, at: &TopicPartition, offset: Offset) {
        let index = self.index_of(at, offset.0);
        self.set_turn(member, at, index, TurnFate::Over);
    }

    // ---- commits and dead letters

    /// Checks the commits that the broker has accepted.
    pub(super) fn check_commits(&mut self, commits: Vec<Commit>) {
        if !commits.is_empty() {
            self.read_dead_letters();
        }
        self.check_each_commit(commits);
        self.former_zombies.clear();
    }

    fn check_each_commit(&mut self, commits: Vec<Commit>) {
        for Commit { member, at, offset } in commits {
            self.counts.commits += 1;
            if *at.topic != *TOPIC {
                self.note(|| format!("committed {at} {offset} by client {}", member.0));
                self.check_retry_commit(&at, offset);
                let highest = self.committed.entry(at).or_default();
                *highest = offset.max(*highest);
                continue;
            }
            self.note(|| format!("committed {at} {offset} by member {}", member.0));
            let place = (member, at.clone());
            // A member that the group did not wait for commits once more when it learns that: nothing is lost by it,
            // and the owner goes back to where it is.
            let is_late = [&self.zombies, &self.former_zombies, &self.fenced]
                .iter()
                .any(|late| late.contains(&place));
            let before = self.committed.get(&at).copied().unwrap_or(Offset(0));
            if !is_late {
                self.committed.insert(at.clone(), offset);
            }
            if offset < before && !is_late {
                self.violate(
                    Check::Regress,
                    format!("{at}: committed {offset} after {before}"),
                );
            }
            let log = self.logs.get(&at).map_or(&[][..], Vec::as_slice);
            let mut open = log
                .iter()
                .filter(|e| e.offset < offset && e.fate == Fate::Open)
                .peekable();
            let parked = open
                .peek()
                .map(|_| self.parked_offsets(&at))
                .unwrap_or_default();
            let open = open.find(|entry| !parked.contains(&entry.offset.0));
            let open = open.map(|entry| (entry.offset, entry.kind));
            if let Some((open, kind)) = open {
                self.violate(
                    Check::Commit,
                    format!("{at}: committed {offset}, and {open} ({kind:?}) is open"),
                );
            }
        }
    }

    /// Reads the dead letters that were written since the last time.
    fn read_dead_letters(&mut self) {
        let broker = self.broker.clone();
        for at in broker.partitions_of(DEAD) {
            let from = self.letters_read.get(&at).copied().unwrap_or(Offset(0));
            for letter in broker.records(&at, from) {
                self.letters_read.insert(at.clone(), letter.offset.next());
                self.counts.dead_letters += 1;
                self.check_letter(&letter);
            }
        }
    }

    fn check_letter(&mut self, letter: &Stored) {
        let header = |name: &str| {
            let name = format!("{DEAD_LETTER_HEADER_PREFIX}{name}");
            let mut found = letter.headers.iter().filter(|(n, _)| *n == name);
            let value = found.next().and_then(|(_, value)| value.as_deref());
            let text = value.and_then(|value| std::str::from_utf8(value).ok());
            text.filter(|_| found.next().is_none()).map(str::to_owned)
        };
        let place = header("partition")
            .and_then(|p| p.parse().ok())
            .zip(header("offset").and_then(|o| o.parse::<i64>().ok()));
        let Some((partition, offset)) = place else {
            return self.violate(
                Check::DeadLetter,
                "a dead letter without its place, or with two",
            );
        };
        let at = TopicPartition::new(TOPIC, partition);
        let index = self.index_of(&at, offset);
        let source = self.broker.records(&at, Offset(offset)).into_iter().next();
        let ours = [DEAD_LETTER_HEADER_PREFIX, RETRY_HEADER_PREFIX];
        let foreign =
            |(name, _): &&(String, _)| !ours.iter().any(|prefix| name.starts_with(prefix));
        let is_exact = source.is_some_and(|source| {
            source.offset.0 == offset
                && source.key == letter.key
                && source.value == letter.value
                && source
                    .headers
                    .iter()
                    .filter(foreign)
                    .eq(letter.headers.iter().filter(foreign))
        });
        let size: usize = letter
            .headers
            .iter()
            .filter(|h| !foreign(h))
            .map(|(n, v)| n.len() + v.as_ref().map_or(0, Vec::len))
            .sum();
        if !is_exact || size > 4096 || header("topic").as_deref() != Some(TOPIC) {
            self.violate(
                Check::DeadLetter,
                format!("the dead letter of {at}@{offset} is not exact"),
            );
        }
        let may_be_given_up = |kind| !matches!(kind, Kind::Good | Kind::Gated(_) | Kind::Sleeps(_));
        let Some(entry) = self.logs.get_mut(&at).and_then(|log| log.get_mut(index)) else {
            return;
        };
        let was_left = self.left.contains(&(at.clone(), index));
        entry.letters += 1;
        entry.fate = Fate::DeadLettered;
        let (kind, has_timeout) = (entry.kind, self.setup.timeout.is_some());
        if !may_be_given_up(kind) && !has_timeout && !was_left {
            self.violate(
                Check::DeadLetter,
                format!("{at}@{offset} ({kind:?}) was given up"),
            );
        }
    }

    // ---- what must hold when nothing moves

    /// Nothing of this member can move by itself: whatever could start must have.
    pub(super) fn check_idle(&mut self, member: MemberId, fed: &BTreeSet<TopicPartition>) {
        // A record whose parking is not acknowledged yet may have been handled from there all the same.
        if !self.setup.retry_waits.is_empty() && self.broker.held_writes() > 0 {
            return;
        }
        self.read_dead_letters();
        let running: Vec<_> = self
            .calls
            .values()
            .filter(|call| call.member == member)
            .cloned()
            .collect();
        let lingers = self
            .setup
            .batch
            .is_some_and(|batch| !batch.linger.is_zero());
        if self.running(member).len() >= self.setup.concurrency
            || self.broken.contains_key(&member)
            || lingers
        {
            return;
        }
        let view = self.broker.member(member);
        let is_bounded = self.setup.most_parked < usize::MAX;
        for at in fed {
            let Some(position) = view.position(at) else {
                continue;
            };
            let epoch = self.epochs.get(&(member, at.clone())).copied().unwrap_or(0);
            if self.fenced.contains(&(member, at.clone()))
                || self.zombies.contains(&(member, at.clone()))
                || running
                    .iter()
                    .any(|call| call.at == *at && call.epoch < epoch)
            {
                continue;
            }
            let Some(turn) = self.turns.get(&(member, at.clone())) else {
                continue;
            };
            let log = &self.logs[at];
            let end = log.partition_point(|entry| entry.offset < position);
            let is_over = |index: usize| turn.fates.get(&index) == Some(&TurnFate::Over);
            for index in turn.start..end {
                let entry = &log[index];
                let fate = turn.fates.get(&index);
                let has_failed =
                    fate.is_some_and(|fate| *fate == TurnFate::Parked || fate.has_failed());
                if is_over(index) || has_failed || entry.kind == Kind::Undecodable {
                    continue;
                }
                // The answer to a parked record's write is lost: it may have been handled, and its key waits all the same.
                let waits = (turn.start..index).any(|i| {
                    (!is_over(i) || log[i].is_doubled) && self.shares_chain(&log[i], entry)
                });
                // It waits for room in the retry topics, and looks for it from time to time.
                let waits = waits
                    || is_bounded
                        && log[..=index].iter().any(|e| {
                            e.was_parked
                                && (e.offset == entry.offset || self.shares_chain(e, entry))
                        });
                let runs = running
                    .iter()
                    .any(|call| call.at == *at && call.index == index);
                if !waits && !runs {
                    let text = format!("{at}@{} waits for nothing, and does not run", entry.offset);
                    return self.violate(Check::Starvation, text);
                }
            }
        }
    }

    /// Everything must be settled and committed.
    pub(super) fn check_end(&mut self) {
        self.read_dead_letters();
        let mut found = None;
        for (at, log) in &self.logs {
            if let Some(open) = log.iter().find(|entry| entry.fate == Fate::Open) {
                found = Some(format!(
                    "{at}@{} ({:?}) was never settled",
                    open.offset, open.kind
                ));
            } else if let Some(last) = log.last()
                && self.broker.committed(GROUP, at) != Some(last.offset.next())
            {
                found = Some(format!(
                    "{at}: {:?} is committed, the last record is {}",
                    self.broker.committed(GROUP, at),
                    last.offset
                ));
            }
        }
        for (place, records) in self.retry_topics() {
            let end = records.last().map(|record| record.offset.next());
            // A member that was expelled and does not know it may have gone back since: this group fences nobody.
            let committed = self.committed.get(&place).copied();
            if end.is_some() && committed < end {
                found = Some(format!(
                    "{place}: {committed:?} is committed, and not {end:?}"
                ));
            }
        }
        if let Some(text) = found {
            self.violate(Check::Stall, text);
        }
    }

    /// The partitions of retry topics, with their records.
    fn retry_topics(&self) -> Vec<(TopicPartition, Vec<Stored>)> {
        let waits = self.setup.retry_waits.iter();
        let places =
            waits.flat_map(|wait| self.broker.partitions_of(&topic_name(GROUP, TOPIC, *wait)));
        places
            .map(|place| {
                let records = self.broker.records(&place, Offset(0));
                (place, records)
            })
            .collect()
    }

    /// Calls of a member that have run for longer than `limit` and were not reported.
    pub(super) fn check_watchdog(&mut self, member: MemberId, limit: Duration) {
        let late = self
            .calls
            .values()
            .find(|call| call.member == member && !call.is_reported && now() - call.since > limit);
        if let Some(call) = late {
            let text = format!(
                "a call of {} has run for {:?}, and nobody was told",
                call.at,
                now() - call.since
            );
            self.violate(Check::Watchdog, text);
        }
    }

    /// A call was reported for how long it runs.
    pub(super) fn reported(&mut self, member: MemberId, at: &TopicPartition, offset: Offset) {
        let index = self.index_of(at, offset.0);
        self.counts.reported += 1;
        let mut calls = self.calls.values();
        let call =
            calls.find(|call| call.member == member && call.at == *at && call.index == index);
        let Some(batch) = call.map(|call| call.batch) else {
            let text = format!("{at}@{offset} was reported, and does not run");
            return self.violate(Check::Watchdog, text);
        };
        let calls = self.calls.values_mut();
        for call in calls.filter(|call| call.batch == batch) {
            call.is_reported = true;
        }
    }
}

/// Returns where a parked record comes from.
fn source_offset(parked: &Stored) -> Option<i64> {
    let name = format!("{RETRY_HEADER_PREFIX}offset");
    let (_, value) = parked.headers.iter().find(|(header, _)| *header == name)?;
    std::str::from_utf8(value.as_deref()?).ok()?.parse().ok()
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Good,
    Failed,
    Dropped,
}
