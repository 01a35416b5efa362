//! A broker in memory, for tests of the engine without a network: one group, one member, told by the test when it is
//! assigned and revoked.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Cluster, Consumer, Polled, Position, RecordSink};
use crate::error::ClientError;
use crate::producer::{Delivery, MessagePayload, ProduceError, ProducedRecord, ProducerClient};
use crate::record::{HeaderSource, Offset, RawRecord, Timestamp, TopicPartition, VisitHeader};

type Bytes = Option<Vec<u8>>;
type Header = (String, Bytes);

struct Stored {
    offset: Offset,
    key: Bytes,
    value: Bytes,
    headers: Vec<Header>,
}

struct Lent<'a>(&'a [Header]);

impl HeaderSource for Lent<'_> {
    fn each(&self, visit: &mut VisitHeader<'_>) {
        for (name, value) in self.0 {
            visit(name.as_bytes(), value.as_deref());
        }
    }
}

#[derive(Default)]
struct State {
    records: BTreeMap<TopicPartition, Vec<Stored>>,
    /// Assigned, and the next offset to read.
    positions: BTreeMap<TopicPartition, Offset>,
    paused: BTreeSet<TopicPartition>,
    stored: BTreeMap<TopicPartition, Offset>,
    committed: BTreeMap<TopicPartition, Offset>,
    events: VecDeque<Polled>,
    subscription: Vec<String>,
    unassigned: Vec<TopicPartition>,
    /// What each assignment was answered with.
    answers: Vec<Vec<TopicPartition>>,
    seeks_are_refused: bool,
    /// What writes to a topic fail with.
    refused: BTreeMap<String, ProduceError>,
    is_closed: bool,
}

/// The broker; clones are the same.
#[derive(Clone, Default)]
pub(crate) struct MemoryBroker(Arc<Mutex<State>>);

impl MemoryBroker {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a record to a partition; gaps are made with [`skip`](Self::skip).
    pub(crate) fn append(
        &self,
        at: &TopicPartition,
        key: Option<&str>,
        value: Option<&str>,
    ) -> Offset {
        let mut state = self.state();
        let log = state.records.entry(at.clone()).or_default();
        let offset = log.last().map_or(Offset(0), |last| last.offset.next());
        log.push(Stored {
            offset,
            key: key.map(Into::into),
            value: value.map(Into::into),
            headers: Vec::new(),
        });
        offset
    }

    /// Gives the last record of a partition a higher offset, as compaction and transactions leave gaps.
    pub(crate) fn skip(&self, at: &TopicPartition, offsets: i64) {
        if let Some(last) = self
            .state()
            .records
            .get_mut(at)
            .and_then(|log| log.last_mut())
        {
            last.offset.0 += offsets;
        }
    }

    /// What the member's next poll returns, before any record.
    pub(crate) fn tell(&self, event: Polled) {
        self.state().events.push_back(event);
    }

    pub(crate) fn committed(&self, at: &TopicPartition) -> Option<i64> {
        self.state().committed.get(at).map(|offset| offset.0)
    }

    pub(crate) fn stored(&self, at: &TopicPartition) -> Option<i64> {
        self.state().stored.get(at).map(|offset| offset.0)
    }

    pub(crate) fn is_paused(&self, at: &TopicPartition) -> bool {
        self.state().paused.contains(at)
    }

    pub(crate) fn unassigned(&self) -> Vec<TopicPartition> {
        self.state().unassigned.clone()
    }

    pub(crate) fn answers(&self) -> Vec<Vec<TopicPartition>> {
        self.state().answers.clone()
    }

    pub(crate) fn refuse_seeks(&self, refuse: bool) {
        self.state().seeks_are_refused = refuse;
    }

    pub(crate) fn subscription(&self) -> Vec<String> {
        self.state().subscription.clone()
    }

    pub(crate) fn refuse_writes(&self, topic: &str, error: Option<ProduceError>) {
        let mut state = self.state();
        match error {
            Some(error) => state.refused.insert(topic.to_owned(), error),
            None => state.refused.remove(topic),
        };
    }

    /// Returns key, value and header names of every record of a topic's partition 0.
    pub(crate) fn read(&self, topic: &str) -> Vec<(Bytes, Bytes, Vec<Header>)> {
        let state = self.state();
        let log = state.records.get(&TopicPartition::new(topic, 0));
        log.into_iter()
            .flatten()
            .map(|stored| {
                (
                    stored.key.clone(),
                    stored.value.clone(),
                    stored.headers.clone(),
                )
            })
            .collect()
    }

    pub(crate) fn consumer(&self) -> Box<dyn Consumer> {
        Box::new(Member(self.clone()))
    }
}

struct Member(MemoryBroker);

impl Consumer for Member {
    fn subscribe(&mut self, topics: &[String]) -> Result<(), ClientError> {
        self.0.state().subscription = topics.to_vec();
        Ok(())
    }

    fn poll(&mut self, _: Duration, most: usize, sink: &mut dyn RecordSink) -> Polled {
        let mut state = self.0.state();
        if let Some(event) = state.events.pop_front() {
            return event;
        }
        let state = &mut *state;
        let mut left = most;
        for (at, position) in &mut state.positions {
            if state.paused.contains(at) {
                continue;
            }
            let log = state.records.get(at).map_or(&[][..], Vec::as_slice);
            let from = log.partition_point(|stored| stored.offset < *position);
            for stored in log[from..].iter().take(left) {
                sink.record(&RawRecord {
                    topic: &at.topic,
                    partition: at.partition,
                    offset: stored.offset,
                    timestamp: Timestamp::CreateTime(0),
                    key: stored.key.as_deref(),
                    value: stored.value.as_deref(),
                    headers: &Lent(&stored.headers),
                });
                *position = stored.offset.next();
                left -= 1;
            }
        }
        Polled::Records
    }

    fn committed(
        &mut self,
        partitions: &[TopicPartition],
        _: Duration,
    ) -> Result<Vec<Option<Offset>>, ClientError> {
        let state = self.0.state();
        Ok(partitions
            .iter()
            .map(|at| state.committed.get(at).copied())
            .collect())
    }

    fn watermarks(
        &mut self,
        of: &TopicPartition,
        timeout: Duration,
    ) -> Result<(Offset, Offset), ClientError> {
        self.0.ends(of, timeout)
    }

    fn is_eager(&self) -> bool {
        false
    }

    fn assign(&mut self, partitions: &[(TopicPartition, Position)]) -> Result<(), ClientError> {
        let mut state = self.0.state();
        let answer = partitions.iter().map(|(at, _)| at.clone()).collect();
        state.answers.push(answer);
        for (at, position) in partitions {
            let offset = match position {
                Position::Beginning => Offset(0),
                Position::At(offset) => *offset,
            };
            state.paused.remove(at);
            state.positions.insert(at.clone(), offset);
        }
        Ok(())
    }

    fn unassign(&mut self, partitions: &[TopicPartition]) -> Result<(), ClientError> {
        let mut state = self.0.state();
        for at in partitions {
            state.positions.remove(at);
            if let Some(offset) = state.stored.remove(at) {
                state.committed.insert(at.clone(), offset);
            }
            state.unassigned.push(at.clone());
        }
        Ok(())
    }

    fn seek(&mut self, to: &TopicPartition, offset: Offset) -> Result<(), ClientError> {
        let mut state = self.0.state();
        if state.seeks_are_refused {
            return Err(ClientError::Other("seek refused".into()));
        }
        state.positions.insert(to.clone(), offset);
        Ok(())
    }

    fn store(&mut self, offsets: &[(TopicPartition, Offset)]) -> Result<(), ClientError> {
        let mut state = self.0.state();
        for (at, offset) in offsets {
            if !state.positions.contains_key(at) {
                return Err(ClientError::NotAMember(at.to_string()));
            }
            state.stored.insert(at.clone(), *offset);
        }
        Ok(())
    }

    fn pause(&mut self, partitions: &[TopicPartition]) -> Result<(), ClientError> {
        self.0.state().paused.extend(partitions.iter().cloned());
        Ok(())
    }

    fn resume(&mut self, partitions: &[TopicPartition]) -> Result<(), ClientError> {
        let mut state = self.0.state();
        for at in partitions {
            state.paused.remove(at);
        }
        Ok(())
    }

    fn is_reachable(&mut self, _: Duration) -> bool {
        true
    }

    fn take_unreadable_headers(&mut self) -> Vec<(TopicPartition, Offset, usize)> {
        Vec::new()
    }

    fn close(self: Box<Self>) {
        let mut state = self.0.state();
        let stored = std::mem::take(&mut state.stored);
        state.committed.extend(stored);
        state.is_closed = true;
    }
}

impl ProducerClient for MemoryBroker {
    fn send(&self, topic: &str, payload: MessagePayload) -> Delivery {
        let mut state = self.state();
        if let Some(error) = state.refused.get(topic).cloned() {
            return Box::pin(async move { Err(error) });
        }
        let topic: Arc<str> = topic.into();
        let partition = payload.partition.unwrap_or(0);
        let log = state
            .records
            .entry(TopicPartition::new(Arc::clone(&topic), partition))
            .or_default();
        let offset = log.last().map_or(Offset(0), |last| last.offset.next());
        log.push(Stored {
            offset,
            key: payload.key,
            value: payload.value,
            headers: payload.headers,
        });
        Box::pin(async move {
            Ok(ProducedRecord {
                topic,
                partition,
                offset,
                timestamp: Timestamp::CreateTime(0),
            })
        })
    }

    fn flush(&self, _: Duration) -> Result<(), ClientError> {
        Ok(())
    }

    fn check(&self, _: Duration) -> Result<(), ClientError> {
        Ok(())
    }
}

impl Cluster for MemoryBroker {
    fn check(&self, _: Duration) -> Result<(), ClientError> {
        Ok(())
    }

    fn topics(&self, _: Duration) -> Result<Vec<String>, ClientError> {
        Ok(self
            .state()
            .records
            .keys()
            .map(|at| at.topic.to_string())
            .collect())
    }

    fn partitions(&self, topic: &str, _: Duration) -> Result<usize, ClientError> {
        match self
            .state()
            .records
            .keys()
            .filter(|at| *at.topic == *topic)
            .count()
        {
            0 => Err(ClientError::UnknownTopic(topic.to_owned())),
            partitions => Ok(partitions),
        }
    }

    fn ends(&self, of: &TopicPartition, _: Duration) -> Result<(Offset, Offset), ClientError> {
        let state = self.state();
        let log = state.records.get(of).map_or(&[][..], Vec::as_slice);
        let oldest = log.first().map_or(Offset(0), |stored| stored.offset);
        Ok((
            oldest,
            log.last().map_or(oldest, |stored| stored.offset.next()),
        ))
    }

    fn create_topic(
        &self,
        topic: &str,
        partitions: usize,
        _: Option<i32>,
        _: Duration,
    ) -> Result<(), ClientError> {
        let mut state = self.state();
        for partition in 0..i32::try_from(partitions).unwrap_or(i32::MAX) {
            state
                .records
                .entry(TopicPartition::new(topic, partition))
                .or_default();
        }
        Ok(())
    }
}
