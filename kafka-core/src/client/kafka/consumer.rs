//! A member of a consumer group, over librdkafka's `BaseConsumer`.
//!
//! Never its `StreamConsumer` or partition queues: both have open lost-wakeup bugs (rust-rdkafka #638, #840, #848).
//! The rebalance callback only takes notes; the engine answers right after the poll that ran it.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{
    BaseConsumer, CommitMode, Consumer as _, ConsumerContext, RebalanceProtocol,
};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Headers as _, Message as _};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Timestamp as KafkaTimestamp, TopicPartitionList};

use super::cluster::ANY_TOPIC;
use super::context::{Reports, log, log_statistics};
use super::create;
use super::ends::ends;
use super::errors::{client_error, from_code};
use crate::client::{Consumer, Polled, Position, RecordSink};
use crate::error::ClientError;
use crate::record::{
    HeaderSource, NoHeaders, Offset, RawRecord, Timestamp, TopicPartition, VisitHeader,
};

/// A seek is a local operation; this is for a librdkafka that is busy.
const SEEK_TIMEOUT: Duration = Duration::from_secs(2);

enum Note {
    Committed(Vec<(TopicPartition, Offset)>),
    Fenced(ClientError),
    Assigned(Vec<TopicPartition>),
    Revoked(Vec<TopicPartition>),
    Lost(Vec<TopicPartition>),
}

/// What the callbacks of a member leave for the engine.
#[derive(Default)]
pub(crate) struct MemberContext {
    reports: Reports,
    notes: Mutex<VecDeque<Note>>,
    /// Set before the client is closed: from then on a revoke is answered at once, since nobody polls any more.
    is_closing: AtomicBool,
}

impl MemberContext {
    fn notes(&self) -> std::sync::MutexGuard<'_, VecDeque<Note>> {
        // Held for a push or a pop, which do not panic.
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for MemberContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        log(level, facility, text);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        log_statistics(statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.reports.push(client_error(&error, Some(reason)));
    }
}

impl ConsumerContext for MemberContext {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        kind: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        if self.is_closing.load(Ordering::Acquire) {
            // There is nothing left to do about an error here.
            let _ = match (kind, consumer.rebalance_protocol()) {
                (
                    RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS,
                    RebalanceProtocol::Cooperative,
                ) => consumer.incremental_assign(partitions),
                (_, RebalanceProtocol::Cooperative) => consumer.incremental_unassign(partitions),
                _ => consumer.unassign(),
            };
            return;
        }
        let list = partitions
            .elements()
            .iter()
            .map(|element| TopicPartition::new(element.topic(), element.partition()))
            .collect();
        self.notes().push_back(match kind {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => Note::Assigned(list),
            _ if consumer.assignment_lost() => Note::Lost(list),
            _ => Note::Revoked(list),
        });
    }

    fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        match result {
            Ok(()) => {
                let elements = offsets.elements();
                let committed = elements
                    .iter()
                    .filter_map(|element| match element.offset() {
                        rdkafka::Offset::Offset(offset) if element.error().is_ok() => {
                            let at = TopicPartition::new(element.topic(), element.partition());
                            Some((at, Offset(offset)))
                        }
                        _ => None,
                    });
                self.notes().push_back(Note::Committed(committed.collect()));
            }
            Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::NoOffset) => {}
            Err(error) => {
                let text = format!("commit: {error}");
                match client_error(&error, Some(&text)) {
                    refusal @ ClientError::NotAMember(_) => {
                        self.notes().push_back(Note::Fenced(refusal));
                    }
                    other => self.reports.push(other),
                }
            }
        }
    }
}

/// See the module.
pub(crate) struct KafkaConsumer {
    consumer: BaseConsumer<MemberContext>,
    unreadable_headers: Vec<(TopicPartition, Offset, usize)>,
    /// Paused by us, assigned or not: librdkafka remembers it through a revoke (2.12.1, `RD_KAFKA_TOPPAR_F_APP_PAUSE`).
    paused: HashSet<TopicPartition>,
    /// A static member stays in its group when it stops.
    is_static: bool,
}

impl KafkaConsumer {
    pub(crate) fn new(properties: &BTreeMap<String, String>) -> Result<Self, ClientError> {
        let consumer = create(properties, MemberContext::default())?;
        Ok(Self {
            consumer,
            unreadable_headers: Vec::new(),
            paused: HashSet::new(),
            is_static: properties.contains_key("group.instance.id"),
        })
    }

    fn list(partitions: &[TopicPartition]) -> TopicPartitionList {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for at in partitions {
            list.add_partition(&at.topic, at.partition);
        }
        list
    }

    fn list_with<'a>(
        offsets: impl Iterator<Item = (&'a TopicPartition, rdkafka::Offset)>,
    ) -> Result<TopicPartitionList, ClientError> {
        let mut list = TopicPartitionList::new();
        for (at, offset) in offsets {
            list.add_partition_offset(&at.topic, at.partition, offset)
                .map_err(|error| client_error(&error, None))?;
        }
        Ok(list)
    }

    /// Reads these from there on; what is paused stays so.
    fn read(&mut self, partitions: &[(TopicPartition, Position)]) -> Result<(), ClientError> {
        let list = Self::list_with(partitions.iter().map(|(at, position)| {
            let offset = match position {
                Position::Beginning => rdkafka::Offset::Beginning,
                Position::At(offset) => rdkafka::Offset::Offset(offset.0),
            };
            (at, offset)
        }))?;
        ours(match self.consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => self.consumer.incremental_assign(&list),
            _ => self.consumer.assign(&list),
        })
    }

    fn take_note(&self) -> Option<Polled> {
        let note = self.consumer.context().notes().pop_front()?;
        Some(match note {
            Note::Committed(offsets) => Polled::Committed(offsets),
            Note::Fenced(error) => Polled::Fenced(error),
            Note::Assigned(list) => Polled::Assigned(list),
            Note::Revoked(list) => Polled::Revoked(list),
            Note::Lost(list) => Polled::Lost(list),
        })
    }

    fn take_event(&self) -> Option<Polled> {
        let report = || self.consumer.context().reports.take().map(Polled::Error);
        self.take_note().or_else(report)
    }

    fn error(&self, error: &KafkaError) -> Polled {
        if let Some((code, reason)) = self.consumer.client().fatal_error() {
            return Polled::Error(ClientError::Fatal(format!("{code}: {reason}")));
        }
        // The callback has the reason, the error itself only a code.
        let reports = &self.consumer.context().reports;
        let error = client_error(error, None);
        let reported = match error {
            // What is wrong with records must not be passed over for anything else that was reported meanwhile.
            ClientError::Corrupt(_) | ClientError::OffsetOutOfRange(_) => reports.take_like(&error),
            _ => reports.take(),
        };
        Polled::Error(reported.unwrap_or(error))
    }
}

/// A whole group of calls that answer with a result of librdkafka's.
fn ours(result: KafkaResult<()>) -> Result<(), ClientError> {
    result.map_err(|error| client_error(&error, None))
}

impl Consumer for KafkaConsumer {
    fn subscribe(&mut self, topics: &[String]) -> Result<(), ClientError> {
        if topics.is_empty() {
            self.consumer.unsubscribe();
            return Ok(());
        }
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        ours(self.consumer.subscribe(&topics))
    }

    fn poll(&mut self, timeout: Duration, most: usize, sink: &mut dyn RecordSink) -> Polled {
        // What the group said comes before whatever is read next.
        if let Some(note) = self.take_note() {
            return note;
        }
        let until = Instant::now() + timeout;
        let mut wait = timeout;
        for taken in 0..most {
            // rdkafka returns early after a rebalance, with nothing: that is what lets the engine answer at once.
            match self.consumer.poll(wait) {
                Some(Ok(message)) => {
                    let unreadable = lend(&message, sink);
                    if unreadable > 0 {
                        let at = TopicPartition::new(message.topic(), message.partition());
                        self.unreadable_headers
                            .push((at, Offset(message.offset()), unreadable));
                    }
                    if sink.is_full() {
                        return Polled::Records;
                    }
                    wait = Duration::ZERO;
                }
                Some(Err(error)) => return self.error(&error),
                None => {
                    if let Some(event) = self.take_event() {
                        return event;
                    }
                    // Something of librdkafka's own ended the wait early.
                    wait = if taken == 0 {
                        until.saturating_duration_since(Instant::now())
                    } else {
                        Duration::ZERO
                    };
                    if wait.is_zero() {
                        return Polled::Records;
                    }
                }
            }
        }
        Polled::Records
    }

    fn committed(
        &mut self,
        partitions: &[TopicPartition],
        timeout: Duration,
    ) -> Result<Vec<Option<Offset>>, ClientError> {
        let committed = self
            .consumer
            .committed_offsets(Self::list(partitions), timeout)
            .map_err(|error| client_error(&error, None))?;
        partitions
            .iter()
            .map(|at| {
                let Some(element) = committed.find_partition(&at.topic, at.partition) else {
                    return Ok(None);
                };
                element
                    .error()
                    .map_err(|error| client_error(&error, None))?;
                Ok(match element.offset() {
                    rdkafka::Offset::Offset(offset) => Some(Offset(offset)),
                    _ => None,
                })
            })
            .collect()
    }

    fn watermarks(
        &mut self,
        of: &TopicPartition,
        timeout: Duration,
    ) -> Result<(Offset, Offset), ClientError> {
        ends(&self.consumer, of, timeout)
    }

    fn is_eager(&self) -> bool {
        matches!(self.consumer.rebalance_protocol(), RebalanceProtocol::Eager)
    }

    fn assign(&mut self, partitions: &[(TopicPartition, Position)]) -> Result<(), ClientError> {
        let paused = partitions.iter().map(|(at, _)| at);
        let paused: Vec<_> = paused
            .filter(|at| self.paused.contains(at))
            .cloned()
            .collect();
        // Before anything is fetched, of which a resume would throw some away.
        self.resume(&paused)?;
        self.read(partitions)
    }

    fn unassign(&mut self, partitions: &[TopicPartition]) -> Result<(), ClientError> {
        ours(match self.consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => {
                self.consumer.incremental_unassign(&Self::list(partitions))
            }
            _ => self.consumer.unassign(),
        })
    }

    fn seek(&mut self, to: &TopicPartition, offset: Offset) -> Result<(), ClientError> {
        let offset = rdkafka::Offset::Offset(offset.0);
        ours(
            self.consumer
                .seek(&to.topic, to.partition, offset, SEEK_TIMEOUT),
        )
    }

    fn restart(
        &mut self,
        partitions: &[(TopicPartition, Offset)],
        all: &[(TopicPartition, Position)],
    ) -> Result<(), ClientError> {
        let partitions: Vec<_> = match self.consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => {
                let moved: Vec<_> = partitions.iter().map(|(at, _)| at.clone()).collect();
                self.unassign(&moved)?;
                let at =
                    |(at, offset): &(_, Offset)| (TopicPartition::clone(at), Position::At(*offset));
                partitions.iter().map(at).collect()
            }
            // Only the whole assignment can be given.
            _ => all.to_vec(),
        };
        self.read(&partitions)
    }

    fn store(&mut self, offsets: &[(TopicPartition, Offset)]) -> Result<(), ClientError> {
        if offsets.is_empty() {
            return Ok(());
        }
        // Dropped at the end of the call: a list that was stored and is still alive makes the client's drop hang.
        let list = Self::list_with(
            offsets
                .iter()
                .map(|(at, offset)| (at, rdkafka::Offset::Offset(offset.0))),
        )?;
        // The call itself fails only if none could be stored.
        let stored = self.consumer.store_offsets(&list);
        let failed = stored.err().or_else(|| {
            let elements = list.elements();
            elements.iter().find_map(|one| one.error().err())
        });
        match failed {
            None => Ok(()),
            // Not assigned any more: whoever owns it now starts from the last commit.
            Some(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::State) => {
                Err(from_code(
                    RDKafkaErrorCode::AssignmentLost,
                    Some("stored an offset of a partition that is not assigned"),
                ))
            }
            Some(error) => Err(client_error(&error, None)),
        }
    }

    fn commit(&mut self) -> Result<(), ClientError> {
        match self.consumer.commit_consumer_state(CommitMode::Async) {
            Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::NoOffset) => Ok(()),
            other => ours(other),
        }
    }

    fn pause(&mut self, partitions: &[TopicPartition]) -> Result<(), ClientError> {
        self.paused.extend(partitions.iter().cloned());
        ours(self.consumer.pause(&Self::list(partitions)))
    }

    fn resume(&mut self, partitions: &[TopicPartition]) -> Result<(), ClientError> {
        if partitions.is_empty() {
            return Ok(());
        }
        for at in partitions {
            self.paused.remove(at);
        }
        ours(self.consumer.resume(&Self::list(partitions)))
    }

    fn is_reachable(&mut self, timeout: Duration) -> bool {
        self.consumer
            .fetch_metadata(Some(ANY_TOPIC), timeout)
            .is_ok()
    }

    fn take_unreadable_headers(&mut self) -> Vec<(TopicPartition, Offset, usize)> {
        std::mem::take(&mut self.unreadable_headers)
    }

    fn close(self: Box<Self>) {
        self.consumer
            .context()
            .is_closing
            .store(true, Ordering::Release);
        let has_partitions = |list: TopicPartitionList| list.count() > 0;
        if !self.is_static && !self.consumer.assignment().is_ok_and(has_partitions) {
            // librdkafka 2.12 leaves when it has given back what it had (`rd_kafka_cgrp_leave_maybe`): a member of a cooperative
            // group that had nothing would never leave, and the next rebalance wait for its session to end.
            self.consumer.unsubscribe();
        }
        drop(self);
    }
}

/// Shows a message to the sink while librdkafka owns it; returns how many of its headers could not be read.
fn lend(message: &BorrowedMessage<'_>, sink: &mut dyn RecordSink) -> usize {
    let headers = message.headers().map(|headers| LentHeaders {
        headers,
        unreadable: std::cell::Cell::new(0),
    });
    sink.record(&RawRecord {
        topic: message.topic(),
        partition: message.partition(),
        offset: Offset(message.offset()),
        timestamp: match message.timestamp() {
            KafkaTimestamp::NotAvailable => Timestamp::NotAvailable,
            KafkaTimestamp::CreateTime(ms) => Timestamp::CreateTime(ms),
            KafkaTimestamp::LogAppendTime(ms) => Timestamp::LogAppendTime(ms),
        },
        key: message.key(),
        value: message.payload(),
        headers: headers.as_ref().map_or(&NoHeaders, |headers| headers),
    });
    headers.map_or(0, |headers| headers.unreadable.get())
}

struct LentHeaders<'a> {
    headers: &'a BorrowedHeaders,
    unreadable: std::cell::Cell<usize>,
}

impl HeaderSource for LentHeaders<'_> {
    fn each(&self, visit: &mut VisitHeader<'_>) {
        for index in 0..self.headers.count() {
            // rdkafka 0.39 panics on a name that is not UTF-8, and names are whatever a producer sent.
            match catch_unwind(AssertUnwindSafe(|| self.headers.try_get(index))) {
                Ok(Some(header)) => visit(header.key.as_bytes(), header.value),
                Ok(None) => {}
                Err(_) => self.unreadable.set(self.unreadable.get() + 1),
            }
        }
    }
}
