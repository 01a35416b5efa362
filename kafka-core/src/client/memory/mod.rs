//! A broker in memory: the logs of topics, the committed offsets of groups, and the members that read them.
//!
//! It is as passive as a test wants it: who is assigned what, which write is acknowledged and which commit is refused
//! is said from outside, so that whoever says it (a test, the test kit, the simulation) decides the order of events.

mod member;
mod writes;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Cluster, Consumer, Polled};
use crate::error::ClientError;
use crate::producer::{MessagePayload, ProduceError};
use crate::record::{Offset, TopicPartition};

use self::member::Member;
use self::writes::Writes;

pub(crate) type Bytes = Option<Vec<u8>>;
pub(crate) type Header = (String, Bytes);

/// A record as it lies in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) offset: Offset,
    pub(crate) key: Bytes,
    pub(crate) value: Bytes,
    pub(crate) headers: Vec<Header>,
    pub(crate) timestamp_ms: i64,
}

/// One partition.
#[derive(Default)]
struct Log {
    records: Vec<Stored>,
    /// The oldest offset that is kept.
    start: Offset,
    /// The offset of the next record.
    end: Offset,
    /// A record that cannot be read, so many times more.
    damaged: Option<(Offset, u32)>,
}

impl Log {
    fn append(&mut self, payload: MessagePayload) -> Offset {
        let offset = self.end;
        self.end = offset.next();
        self.records.push(Stored {
            offset,
            key: payload.key,
            value: payload.value,
            headers: payload.headers,
            timestamp_ms: payload.timestamp_ms.unwrap_or(0),
        });
        offset
    }
}

/// Names a member of the broker's groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct MemberId(pub(crate) usize);

/// What the broker and the client know of a member.
#[derive(Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, told and untold by a test"
)]
struct MemberState {
    group_id: String,
    subscription: Vec<String>,
    is_eager: bool,
    /// Assigned, and the next offset to read.
    positions: BTreeMap<TopicPartition, Offset>,
    paused: BTreeSet<TopicPartition>,
    /// Handed over to be committed.
    stored: BTreeMap<TopicPartition, Offset>,
    events: VecDeque<Polled>,
    unassigned: Vec<TopicPartition>,
    /// What each assignment was answered with.
    answers: Vec<Vec<TopicPartition>>,
    faults: Faults,
    /// It was told that its partitions are lost, and has not answered: nothing of it is committed, as in librdkafka.
    is_lost: bool,
    /// It knows that a commit of it was refused, and has heard nothing of the group since.
    is_refused: bool,
    is_closed: bool,
}

/// What goes wrong for a member until it is said otherwise.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    /// Commits are refused with this.
    pub(crate) commits: Option<ClientError>,
    /// Questions for committed offsets and watermarks fail with this.
    pub(crate) questions: Option<ClientError>,
    pub(crate) seeks: bool,
    /// No broker answers: nothing is fetched.
    pub(crate) is_cut_off: bool,
    /// So few records come with a poll.
    pub(crate) most: Option<usize>,
}

#[derive(Default)]
struct State {
    logs: BTreeMap<TopicPartition, Log>,
    committed: BTreeMap<(String, TopicPartition), Offset>,
    members: Vec<MemberState>,
    writes: Writes,
    /// Each commit that was accepted, until somebody takes them.
    commits: Vec<Commit>,
    /// How many questions members have asked.
    questions: usize,
    /// The settings that topics were created with.
    settings: BTreeMap<String, Vec<(String, String)>>,
    /// No topic may be created or changed.
    is_refusing_changes: bool,
}

/// A commit that the broker accepted.
#[derive(Clone, Debug)]
pub(crate) struct Commit {
    pub(crate) member: MemberId,
    pub(crate) at: TopicPartition,
    pub(crate) offset: Offset,
}

impl State {
    /// Commits what a member stored, of these partitions, and tells the member.
    fn commit(
        &mut self,
        member: MemberId,
        of: impl Fn(&TopicPartition) -> bool,
    ) -> Result<(), ClientError> {
        let committed = self.commit_untold(member, of)?;
        if !committed.is_empty() {
            let events = &mut self.members[member.0].events;
            events.push_back(Polled::Committed(committed));
        }
        Ok(())
    }

    /// Commits what a member stored, of these partitions; returns it.
    fn commit_untold(
        &mut self,
        member: MemberId,
        of: impl Fn(&TopicPartition) -> bool,
    ) -> Result<Vec<(TopicPartition, Offset)>, ClientError> {
        let state = &mut self.members[member.0];
        if state.is_lost {
            return Ok(Vec::new());
        }
        if let Some(refusal) = &state.faults.commits {
            return Err(refusal.clone());
        }
        let stored = std::mem::take(&mut state.stored);
        let (commit, keep) = stored.into_iter().partition(|(at, _)| of(at));
        state.stored = keep;
        let group_id = state.group_id.clone();
        let commit: BTreeMap<_, _> = commit;
        for (at, offset) in &commit {
            self.commits.push(Commit {
                member,
                at: at.clone(),
                offset: *offset,
            });
            self.committed
                .insert((group_id.clone(), at.clone()), *offset);
        }
        Ok(commit.into_iter().collect())
    }

    fn partitions_of(&self, topic: &str) -> usize {
        self.logs.keys().filter(|at| *at.topic == *topic).count()
    }

    /// Appends where the payload or its key says; partition 0 is made if the topic is not there.
    fn append(&mut self, topic: &str, payload: MessagePayload) -> (i32, Offset) {
        use std::hash::BuildHasher;
        let partitions = self.partitions_of(topic).max(1) as u64;
        let hash = payload
            .key
            .as_deref()
            .map(|key| foldhash::fast::FixedState::default().hash_one(key));
        let by_key = || i32::try_from(hash.unwrap_or(0) % partitions).unwrap_or(0);
        let partition = payload.partition.unwrap_or_else(by_key);
        let log = self
            .logs
            .entry(TopicPartition::new(topic, partition))
            .or_default();
        (partition, log.append(payload))
    }
}

/// The broker; clones are the same.
#[derive(Clone, Default)]
pub(crate) struct MemoryBroker(Arc<Mutex<State>>);

impl MemoryBroker {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a member to a group; it is assigned what it is told.
    pub(crate) fn join(&self, group_id: &str) -> (MemberId, Box<dyn Consumer>) {
        let mut state = self.state();
        let id = MemberId(state.members.len());
        state.members.push(MemberState {
            group_id: group_id.to_owned(),
            ..MemberState::default()
        });
        (id, Box::new(Member::new(self.clone(), id)))
    }

    /// Returns a view of one member.
    pub(crate) fn member(&self, id: MemberId) -> MemberView<'_> {
        MemberView { broker: self, id }
    }

    /// Appends a record to a partition; gaps are made with [`skip`](Self::skip).
    pub(crate) fn append(&self, at: &TopicPartition, payload: MessagePayload) -> Offset {
        self.state()
            .logs
            .entry(at.clone())
            .or_default()
            .append(payload)
    }

    /// Leaves offsets out, as compaction and transactions do.
    pub(crate) fn skip(&self, at: &TopicPartition, offsets: i64) {
        self.state().logs.entry(at.clone()).or_default().end.0 += offsets;
    }

    /// Forgets records below an offset, as retention does.
    pub(crate) fn truncate(&self, at: &TopicPartition, start: Offset) {
        if let Some(log) = self.state().logs.get_mut(at) {
            log.start = start;
            log.records.retain(|stored| stored.offset >= start);
        }
    }

    /// Deletes a partition with all that was ever in it.
    #[cfg(test)]
    pub(crate) fn make_anew(&self, at: &TopicPartition) {
        self.state().logs.insert(at.clone(), Log::default());
    }

    /// Makes a record unreadable, so many times.
    pub(crate) fn damage(&self, at: &TopicPartition, offset: Offset, times: u32) {
        if let Some(log) = self.state().logs.get_mut(at) {
            log.damaged = Some((offset, times));
        }
    }

    pub(crate) fn committed(&self, group_id: &str, at: &TopicPartition) -> Option<Offset> {
        self.state()
            .committed
            .get(&(group_id.to_owned(), at.clone()))
            .copied()
    }

    /// Lets nobody create or change topics, from now on or no more.
    #[cfg(test)]
    pub(crate) fn refuse_changes(&self, refuse: bool) {
        self.state().is_refusing_changes = refuse;
    }

    /// Returns the settings that a topic was created with.
    #[cfg(test)]
    pub(crate) fn settings(&self, topic: &str) -> Vec<(String, String)> {
        self.state()
            .settings
            .get(topic)
            .cloned()
            .unwrap_or_default()
    }

    /// Returns how many questions members have asked.
    #[cfg(test)]
    pub(crate) fn questions(&self) -> usize {
        self.state().questions
    }

    /// Forgets what a group has committed, as a broker does some time after its last commit.
    #[cfg(test)]
    pub(crate) fn forget_commits(&self, group_id: &str) {
        self.state().committed.retain(|(id, _), _| id != group_id);
    }

    /// Takes the commits that were accepted since the last call, in order.
    pub(crate) fn take_commits(&self) -> Vec<Commit> {
        std::mem::take(&mut self.state().commits)
    }

    /// Returns the records of a partition from an offset on.
    pub(crate) fn records(&self, at: &TopicPartition, from: Offset) -> Vec<Stored> {
        let state = self.state();
        let records = state.logs.get(at).map_or(&[][..], |log| &log.records);
        let first = records.partition_point(|stored| stored.offset < from);
        records[first..].to_vec()
    }

    /// Returns every partition of a topic.
    pub(crate) fn partitions_of(&self, topic: &str) -> Vec<TopicPartition> {
        let state = self.state();
        state
            .logs
            .keys()
            .filter(|at| *at.topic == *topic)
            .cloned()
            .collect()
    }

    /// Makes writes to a topic fail; `None`: they work again.
    pub(crate) fn refuse_writes(&self, topic: &str, error: Option<ProduceError>) {
        self.state().writes.refuse(topic, error);
    }

    /// Keeps writes unacknowledged until [`settle_write`](Self::settle_write), from now on or no more.
    pub(crate) fn hold_writes(&self, hold: bool) {
        self.state().writes.hold(hold);
    }

    /// Returns how many writes wait.
    pub(crate) fn held_writes(&self) -> usize {
        self.state().writes.held()
    }

    /// Returns a held write: its topic and its headers.
    #[cfg(feature = "simulation")]
    pub(crate) fn held_write(&self, index: usize) -> Option<(String, Vec<Header>)> {
        self.state().writes.show(index)
    }

    /// Ends a held write: written and acknowledged, or refused, or written and refused all the same (a lost answer).
    pub(crate) fn settle_write(&self, index: usize, verdict: WriteVerdict) {
        let mut state = self.state();
        let Some(held) = state.writes.take(index) else {
            return;
        };
        let result = match verdict {
            WriteVerdict::Refused(error) => Err(error),
            WriteVerdict::Acknowledged => Ok(state.write(&held.topic, held.payload)),
            WriteVerdict::AnswerLost(error) => {
                state.write(&held.topic, held.payload);
                Err(error)
            }
        };
        drop(state);
        // Whoever waited may be gone.
        let _ = held.answer.send(result);
    }
}

/// What becomes of a held write.
#[derive(Clone, Debug)]
pub(crate) enum WriteVerdict {
    Acknowledged,
    Refused(ProduceError),
    AnswerLost(ProduceError),
}

/// One member, as a test sees it.
pub(crate) struct MemberView<'a> {
    broker: &'a MemoryBroker,
    id: MemberId,
}

impl MemberView<'_> {
    fn with<T>(&self, read: impl FnOnce(&mut MemberState) -> T) -> T {
        read(&mut self.broker.state().members[self.id.0])
    }

    /// What the member's next poll returns, before any record.
    pub(crate) fn tell(&self, event: Polled) {
        self.with(|member| {
            member.is_lost |= matches!(event, Polled::Lost(_));
            member.events.push_back(event);
        });
    }

    pub(crate) fn set_eager(&self, is_eager: bool) {
        self.with(|member| member.is_eager = is_eager);
    }

    pub(crate) fn set_faults(&self, change: impl FnOnce(&mut Faults)) {
        self.with(|member| change(&mut member.faults));
    }

    /// Takes back what it was told and has not polled.
    pub(crate) fn forget_events(&self) {
        self.with(|member| member.events.clear());
    }

    /// True if it knows that a commit of it was refused, and nothing else since.
    pub(crate) fn is_refused(&self) -> bool {
        self.with(|member| member.is_refused)
    }

    /// True while its commits fail.
    pub(crate) fn cannot_commit(&self) -> bool {
        self.with(|member| member.faults.commits.is_some())
    }

    /// Returns the next offset that it reads of a partition.
    pub(crate) fn position(&self, of: &TopicPartition) -> Option<Offset> {
        self.with(|member| member.positions.get(of).copied())
    }

    /// True if it has polled all that it was told.
    pub(crate) fn has_heard(&self) -> bool {
        self.with(|member| member.events.is_empty())
    }

    pub(crate) fn stored(&self, at: &TopicPartition) -> Option<Offset> {
        self.with(|member| member.stored.get(at).copied())
    }

    /// True if there is something to commit.
    pub(crate) fn has_stored(&self) -> bool {
        self.with(|member| !member.stored.is_empty())
    }

    /// Stops its fetch of a partition, as the member itself can.
    #[cfg(test)]
    pub(crate) fn pause(&self, at: TopicPartition) {
        self.with(|member| member.paused.insert(at));
    }

    pub(crate) fn is_paused(&self, at: &TopicPartition) -> bool {
        self.with(|member| member.paused.contains(at))
    }

    #[cfg(test)]
    pub(crate) fn subscription(&self) -> Vec<String> {
        self.with(|member| member.subscription.clone())
    }

    pub(crate) fn assigned(&self) -> Vec<TopicPartition> {
        self.with(|member| member.positions.keys().cloned().collect())
    }

    #[cfg(test)]
    pub(crate) fn unassigned(&self) -> Vec<TopicPartition> {
        self.with(|member| member.unassigned.clone())
    }

    #[cfg(test)]
    pub(crate) fn answers(&self) -> Vec<Vec<TopicPartition>> {
        self.with(|member| member.answers.clone())
    }

    /// Commits what it stored, as the client does by itself every commit interval.
    pub(crate) fn commit(&self) {
        let mut state = self.broker.state();
        if state.members[self.id.0].is_closed {
            return;
        }
        if let Err(refusal) = state.commit(self.id, |_| true) {
            let event = match refusal {
                ClientError::NotAMember(_) => Polled::Fenced(refusal),
                refusal => Polled::Error(refusal),
            };
            state.members[self.id.0].events.push_back(event);
        }
    }
}

impl Cluster for MemoryBroker {
    fn check(&self, _: Duration) -> Result<(), ClientError> {
        Ok(())
    }

    fn topics(&self, _: Duration) -> Result<Vec<String>, ClientError> {
        let state = self.state();
        let mut topics: Vec<_> = state.logs.keys().map(|at| at.topic.to_string()).collect();
        topics.dedup();
        Ok(topics)
    }

    fn partitions(&self, topic: &str, _: Duration) -> Result<usize, ClientError> {
        match self.state().partitions_of(topic) {
            0 => Err(ClientError::UnknownTopic(topic.to_owned())),
            partitions => Ok(partitions),
        }
    }

    fn ends(&self, of: &TopicPartition, _: Duration) -> Result<(Offset, Offset), ClientError> {
        let state = self.state();
        match state.logs.get(of) {
            Some(log) => Ok((log.start, log.end)),
            // Created with fewer partitions.
            None if state.settings.contains_key(&*of.topic) => {
                Err(ClientError::UnknownTopic(of.to_string()))
            }
            // Created by whoever writes to it first.
            None => Ok((Offset(0), Offset(0))),
        }
    }

    fn create_topic_with(
        &self,
        topic: &str,
        partitions: usize,
        _: Option<i32>,
        settings: &[(&str, &str)],
        timeout: Duration,
    ) -> Result<(), ClientError> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let settings = settings.iter().map(owned).collect();
        self.state().settings.insert(topic.to_owned(), settings);
        self.add_partitions(topic, partitions, timeout)
    }

    fn add_partitions(
        &self,
        topic: &str,
        partitions: usize,
        _: Duration,
    ) -> Result<(), ClientError> {
        let mut state = self.state();
        if state.is_refusing_changes {
            return Err(ClientError::Authorization(topic.to_owned()));
        }
        for partition in 0..i32::try_from(partitions).unwrap_or(i32::MAX) {
            state
                .logs
                .entry(TopicPartition::new(topic, partition))
                .or_default();
        }
        Ok(())
    }
}
