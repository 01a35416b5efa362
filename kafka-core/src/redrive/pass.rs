//! One run: reads the dead letter topic, puts its records back, commits the position.
//!
//! It has a thread of its own, since the client blocks. It takes a batch of records, sends those that are to be put
//! back in the order in which they lie in their partition, and waits for every acknowledgement before the next batch;
//! so what is in memory is bounded, and a position is stored only for what a broker has.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;

use super::RedriveStart;
use super::error::RedriveError;
use super::judge::{Rules, Verdict, implied};
use super::letter::{Letter, to_payload};
use super::position::{Reading, Settled};
use super::refusal::Refusal;
use super::report::RedriveReport;
use crate::client::factory::ClientFactory;
use crate::client::{Cluster, Consumer, Polled, Position, RecordSink};
use crate::error::ClientError;
use crate::producer::{Delivery, ProduceError, ProducedRecord, ProducerClient};
use crate::record::{BatchBuilder, Offset, RawRecord, Record, RecordPlace, TopicPartition};
use crate::runtime::connect::{QUESTION, block_on_for};

/// Where a line for each record goes: an audit, which may be kept apart from the rest of the log.
const AUDIT: &str = "kafka_runtime::redrive";

/// A batch ends with the first of these: far below what a producer queues, and little memory beside the client's own.
const BATCH_RECORDS: usize = 1_000;
const BATCH_BYTES: usize = 8 << 20;
/// How long a poll waits for a record.
const POLL: Duration = Duration::from_millis(100);
/// What a stop waits for acknowledgements, and for the client to close.
const PATIENCE: Duration = Duration::from_secs(2);

/// Is told how far it is.
pub(super) type Progress = Box<dyn FnMut(&RedriveReport) + Send>;

/// What is to be done.
pub(super) struct Plan {
    pub(super) rules: Rules,
    pub(super) group_id: Arc<str>,
    /// None: all.
    pub(super) partitions: Vec<i32>,
    pub(super) start: RedriveStart,
    pub(super) end: Option<Offset>,
    pub(super) limit: Option<u64>,
    pub(super) is_dry_run: bool,
    pub(super) advances: bool,
    pub(super) progress: Option<Progress>,
    /// After this time without a record, what is left below the end offset is taken for gaps: of compaction, of
    /// transactions, or of one that is open.
    pub(super) idle: Duration,
    /// Between two calls of `progress`.
    pub(super) every: Duration,
}

/// Runs to the end, or until it is told to stop. Blocks.
pub(super) fn run(
    plan: Plan,
    factory: &dyn ClientFactory,
    cluster: Arc<dyn Cluster>,
    stop: CancellationToken,
) -> Result<RedriveReport, RedriveError> {
    let mut pass = Pass::prepare(plan, factory, cluster, stop)?;
    let ended = pass.read();
    let committed = pass.commit();
    pass.finish(ended.and(committed))
}

/// Why it ended early.
enum Trouble {
    Client(String, ClientError),
    Write(RecordPlace, ProduceError),
    NotCommitted(ClientError),
}

struct Pass {
    plan: Plan,
    cluster: Arc<dyn Cluster>,
    consumer: Box<dyn Consumer>,
    /// None in a dry run.
    producer: Option<Arc<dyn ProducerClient>>,
    readings: Vec<Reading>,
    /// Partitions of the destinations that were asked for; `None`: it does not exist.
    destinations: BTreeMap<Arc<str>, Option<usize>>,
    report: RedriveReport,
    /// Sent, or counted in a dry run: what the limit is about.
    sent: u64,
    began: Instant,
    told: Instant,
    last_record: Instant,
    last_error: Option<ClientError>,
    stop: CancellationToken,
    /// After a stop, what the producer had was waited for once.
    is_flushed: bool,
}

/// Says what was about to be done.
fn doing<T>(doing: impl fmt::Display, result: Result<T, ClientError>) -> Result<T, RedriveError> {
    result.map_err(|source| RedriveError::Client {
        doing: doing.to_string(),
        source,
        report: None,
    })
}

impl Pass {
    /// Asks for topics, positions and ends, and assigns what there is to read.
    fn prepare(
        mut plan: Plan,
        factory: &dyn ClientFactory,
        cluster: Arc<dyn Cluster>,
        stop: CancellationToken,
    ) -> Result<Self, RedriveError> {
        let began = Instant::now();
        let topic = Arc::clone(&plan.rules.dead_letter_topic);
        let topics = doing("list the topics", cluster.topics(QUESTION))?;
        plan.rules.implied = implied(&topic, &topics);
        let partitions = partitions_of(&*cluster, &topic, &topics, &plan.partitions)?;
        let mut destinations = BTreeMap::new();
        if let Some(to) = &plan.rules.to {
            let found = ask(&*cluster, to)
                .map_err(|source| client_error(format!("ask for topic {to}"), source))?;
            if found.is_none() {
                return Err(RedriveError::NoDestination(Arc::clone(to)));
            }
            destinations.insert(Arc::clone(to), found);
        }

        let group_id = Arc::clone(&plan.group_id);
        let consumer = factory.consumer(&group_id);
        let mut consumer = doing("make a consumer", consumer)?;
        let readings = readings(&plan, &mut *consumer, &partitions, &stop)?;
        let assignment: Vec<_> = readings
            .iter()
            .filter(|reading| !reading.is_done())
            .map(|reading| {
                let at = TopicPartition::new(Arc::clone(&topic), reading.partition);
                (at, Position::At(reading.start))
            })
            .collect();
        let producer = if plan.is_dry_run || assignment.is_empty() {
            None
        } else {
            // Acknowledged by all replicas, and idempotent: order is kept, and nothing doubled by a retry.
            Some(doing("make a producer", factory.producer(None))?)
        };
        if !assignment.is_empty() {
            doing(format!("read {topic}"), consumer.assign(&assignment))?;
        }
        let report = RedriveReport {
            dead_letter_topic: topic,
            group_id,
            is_dry_run: plan.is_dry_run,
            ..RedriveReport::default()
        };
        Ok(Self {
            plan,
            cluster,
            consumer,
            producer,
            readings,
            destinations,
            report,
            sent: 0,
            began,
            told: began,
            last_record: Instant::now(),
            last_error: None,
            stop,
            is_flushed: false,
        })
    }

    fn read(&mut self) -> Result<(), Trouble> {
        while !self.readings.iter().all(Reading::is_done) && !self.is_limit_reached() {
            if self.stop.is_cancelled() {
                self.report.is_stopped = true;
                break;
            }
            let records = self.take()?;
            if records.is_empty() {
                if self.is_nothing_left()? {
                    self.report.is_short = true;
                    break;
                }
            } else {
                self.put_back(records)?;
                // From here on: acknowledgements may have taken minutes.
                self.last_record = Instant::now();
                self.last_error = None;
            }
            self.tell();
        }
        Ok(())
    }

    fn is_limit_reached(&self) -> bool {
        self.plan.limit.is_some_and(|limit| self.sent >= limit)
    }

    /// Takes what is there, after a wait for the first.
    fn take(&mut self) -> Result<Vec<Record>, Trouble> {
        let mut taken = Taken {
            topic: Arc::clone(&self.report.dead_letter_topic),
            records: Vec::new(),
            bytes: 0,
        };
        let mut wait = POLL;
        while taken.records.len() < BATCH_RECORDS && taken.bytes < BATCH_BYTES {
            let before = taken.records.len();
            // One by one: the bytes are not known before.
            match self.consumer.poll(wait, 1, &mut taken) {
                Polled::Error(error) | Polled::Fenced(error) if is_final(&error) => {
                    return Err(self.reading_failed(error));
                }
                Polled::Error(error) | Polled::Fenced(error) => {
                    self.last_error = Some(error);
                    break;
                }
                // Without a subscription there is no rebalance.
                _ if taken.records.len() == before => break,
                _ => wait = Duration::ZERO,
            }
        }
        Ok(taken.records)
    }

    fn reading_failed(&self, error: ClientError) -> Trouble {
        if matches!(error, ClientError::NotAMember(_)) {
            // Only a commit is answered so; the client sends one every `commit_interval`.
            return Trouble::NotCommitted(error);
        }
        let (topic, group) = (&self.report.dead_letter_topic, &self.report.group_id);
        Trouble::Client(format!("read {topic} in group {group}"), error)
    }

    /// True if no record has come for so long that none will; an error if that is since nobody answers.
    fn is_nothing_left(&mut self) -> Result<bool, Trouble> {
        if self.last_record.elapsed() < self.plan.idle {
            return Ok(false);
        }
        if let Some(error) = self.last_error.take() {
            return Err(self.reading_failed(error));
        }
        if !self.consumer.is_reachable(PATIENCE) {
            let error = ClientError::Unreachable("no record and no answer any more".into());
            return Err(self.reading_failed(error));
        }
        Ok(true)
    }

    /// Sends what is to be put back, then settles all of it, in order.
    fn put_back(&mut self, records: Vec<Record>) -> Result<(), Trouble> {
        let unreadable: BTreeMap<_, _> = self
            .consumer
            .take_unreadable_headers()
            .into_iter()
            .map(|(at, offset, count)| ((at.partition, offset), count))
            .collect();
        let mut entries = Vec::with_capacity(records.len());
        let mut trouble = None;
        for record in records {
            if self.is_limit_reached() || self.stop.is_cancelled() {
                break;
            }
            let unreadable = unreadable.get(&(record.partition(), record.offset()));
            match self.begin(record, unreadable.copied()) {
                Ok(Some(entry)) => entries.push(entry),
                Ok(None) => {}
                Err(error) => {
                    trouble = Some(error);
                    break;
                }
            }
        }
        // All answers before any is judged: what is too large is sent again, and must be alone then.
        for entry in &mut entries {
            if let Fate::Sent(sent) = &mut entry.fate {
                sent.answer = self.answer(&mut sent.delivery);
            }
        }
        for entry in entries {
            if let Err(error) = self.settle(entry) {
                trouble.get_or_insert(error);
            }
        }
        self.store()?;
        trouble.map_or(Ok(()), Err)
    }

    /// Judges a record, and sends it if it is to be put back. None: it is none of this run.
    fn begin(
        &mut self,
        record: Record,
        unreadable: Option<usize>,
    ) -> Result<Option<Entry>, Trouble> {
        let is_of_partition = |reading: &Reading| reading.partition == record.partition();
        let Some(index) = self.readings.iter().position(is_of_partition) else {
            return Ok(None);
        };
        let reading = &self.readings[index];
        if reading.is_done() {
            return Ok(None);
        }
        let letter = Letter::read(&record);
        let fate = if record.offset() >= reading.end {
            // Written since the start: left to the next run, and there was nothing more before it.
            Fate::BeyondTheEnd
        } else if let Some(count) = unreadable {
            Fate::Refused(Refusal::UnreadableHeaders(count))
        } else {
            match self.plan.rules.judge(&letter, record.timestamp()) {
                Verdict::Skip => Fate::Skipped,
                Verdict::Refuse(refusal) => Fate::Refused(refusal),
                Verdict::PutBack {
                    topic,
                    partition,
                    count,
                } => match self.obstacle(&topic, partition)? {
                    Some(refusal) => Fate::Refused(refusal),
                    None => self.send(&record, topic, partition, count),
                },
            }
        };
        Ok(Some(Entry {
            index,
            record,
            letter,
            fate,
        }))
    }

    /// Returns why a destination cannot take a record, if it cannot.
    fn obstacle(
        &mut self,
        topic: &Arc<str>,
        partition: Option<i32>,
    ) -> Result<Option<Refusal>, Trouble> {
        if *topic == self.report.dead_letter_topic {
            // No rule lets this through; a loop would be worse than a second look.
            return Ok(Some(Refusal::Origin(Arc::clone(topic))));
        }
        let partitions = if let Some(known) = self.destinations.get(topic) {
            *known
        } else {
            let asked = ask(&*self.cluster, topic)
                .map_err(|error| Trouble::Client(format!("ask for topic {topic}"), error))?;
            self.destinations.insert(Arc::clone(topic), asked);
            asked
        };
        let Some(partitions) = partitions else {
            return Ok(Some(Refusal::NoTopic(Arc::clone(topic))));
        };
        let missing = partition.filter(|p| usize::try_from(*p).is_ok_and(|p| p >= partitions));
        Ok(missing.map(|partition| Refusal::NoPartition {
            topic: Arc::clone(topic),
            partition,
        }))
    }

    fn send(&mut self, record: &Record, to: Arc<str>, partition: Option<i32>, count: u32) -> Fate {
        self.sent += 1;
        match &self.producer {
            Some(producer) => Fate::Sent(Sent {
                delivery: producer.send(&to, to_payload(record, count, partition)),
                answer: None,
                to,
                partition,
                count,
            }),
            None => Fate::WouldBeSent {
                count,
                to,
                partition,
            },
        }
    }

    /// Waits for what became of a record, and notes it.
    fn settle(&mut self, entry: Entry) -> Result<(), Trouble> {
        let Entry {
            index,
            record,
            letter,
            fate,
        } = entry;
        let mut trouble = None;
        let settled = match fate {
            Fate::BeyondTheEnd => {
                self.readings[index].end_here();
                self.end_if_done(index);
                return Ok(());
            }
            Fate::Skipped => Settled::Skipped,
            Fate::Refused(refusal) => self.refuse(&record, refusal),
            Fate::WouldBeSent {
                count,
                to,
                partition,
            } => {
                audit_dry_run(&record, &to, partition, count);
                Settled::PutBack
            }
            Fate::Sent(mut sent) => match self.alone_if_too_large(&record, &mut sent) {
                Some(Ok(produced)) => {
                    audit(&record, &produced, sent.count);
                    Settled::PutBack
                }
                Some(Err(ProduceError::TooLarge { topic, bytes })) => {
                    let topic = topic.into();
                    self.refuse(&record, Refusal::TooLarge { topic, bytes })
                }
                Some(Err(error)) => {
                    let error = self.reason_of(error, &sent.to);
                    trouble = Some(Trouble::Write(record.place(), error));
                    Settled::Failed
                }
                None => {
                    self.report.is_stopped = true;
                    Settled::Failed
                }
            },
        };
        self.report.note(&record, &letter, settled);
        self.readings[index].settle(record.offset(), settled);
        self.end_if_done(index);
        trouble.map_or(Ok(()), Err)
    }

    fn refuse(&mut self, record: &Record, refusal: Refusal) -> Settled {
        tracing::warn!(
            target: AUDIT,
            topic = record.topic(),
            partition = record.partition(),
            offset = record.offset().0,
            reason = refusal.as_str(),
            "refused: {refusal}"
        );
        self.report.note_refusal(record, refusal);
        Settled::Refused
    }

    /// Returns the answer to a record; one that is too large is sent again first. A broker refuses a batch as a whole if it
    /// is larger than the topic takes, and librdkafka does not split it, so that says nothing of a record in it.
    fn alone_if_too_large(&mut self, record: &Record, sent: &mut Sent) -> Option<Answer> {
        let answer = sent.answer.take();
        let (Some(Err(ProduceError::TooLarge { .. })), Some(producer)) = (&answer, &self.producer)
        else {
            return answer;
        };
        let payload = to_payload(record, sent.count, sent.partition);
        let mut alone = producer.send(&sent.to, payload);
        self.answer(&mut alone)
    }

    /// Finds out why a producer is disconnected that nobody disconnected: without the right to write it cannot become
    /// idempotent, for example, and gives up all it has.
    fn reason_of(&self, error: ProduceError, to: &str) -> ProduceError {
        let (ProduceError::Disconnected, Some(producer)) = (&error, &self.producer) else {
            return error;
        };
        match producer.check(PATIENCE) {
            Ok(()) => error,
            Err(source) => ProduceError::Client {
                topic: to.to_owned(),
                source,
            },
        }
    }

    /// Waits for an acknowledgement; once told to stop, not for long. None: it did not come.
    fn answer(&mut self, delivery: &mut Delivery) -> Option<Answer> {
        if !self.is_flushed {
            let stop = self.stop.clone();
            let mut answered = pin!(async {
                tokio::select! {
                    biased;
                    result = &mut *delivery => Some(result),
                    () = stop.cancelled() => None,
                }
            });
            let answered = loop {
                match block_on_for(self.plan.every, answered.as_mut()) {
                    Some(answered) => break answered,
                    // A broker that is away may take minutes.
                    None => self.tell(),
                }
            };
            if answered.is_some() {
                return answered;
            }
            if let Some(producer) = &self.producer {
                // What is not sent by then is told as not acknowledged.
                let _ = producer.flush(PATIENCE);
            }
            self.is_flushed = true;
        }
        delivery.now_or_never()
    }

    /// Stops fetching from a partition that is read to its end; others may have far to go.
    fn end_if_done(&mut self, index: usize) {
        let reading = &self.readings[index];
        if reading.is_done() {
            let at = self.place(reading.partition);
            // What comes all the same is passed over.
            let _ = self.consumer.pause(&[at]);
        }
    }

    fn place(&self, partition: i32) -> TopicPartition {
        TopicPartition::new(Arc::clone(&self.report.dead_letter_topic), partition)
    }

    fn positions(&self) -> Vec<(TopicPartition, Offset)> {
        if self.plan.is_dry_run {
            return Vec::new();
        }
        let moved = self
            .readings
            .iter()
            .filter_map(|reading| Some((self.place(reading.partition), reading.to_commit()?)));
        moved.collect()
    }

    /// Hands the positions over; the client commits them every `commit_interval`.
    fn store(&mut self) -> Result<(), Trouble> {
        let positions = self.positions();
        self.consumer
            .store(&positions)
            .map_err(Trouble::NotCommitted)
    }

    fn tell(&mut self) {
        if self.told.elapsed() >= self.plan.every {
            self.told = Instant::now();
            self.update_report();
            if let Some(progress) = &mut self.plan.progress {
                progress(&self.report);
            }
        }
    }

    fn update_report(&mut self) {
        self.report.took = self.began.elapsed();
        self.report.note_partitions(&self.readings);
    }

    /// Commits the positions, and makes sure that they are.
    fn commit(&mut self) -> Result<(), Trouble> {
        let positions = self.positions();
        let places: Vec<_> = positions.iter().map(|(at, _)| at.clone()).collect();
        if places.is_empty() {
            return Ok(());
        }
        self.store()?;
        // What was stored is committed now. There is no call that commits and says how that went within a time.
        self.consumer
            .unassign(&places)
            .map_err(Trouble::NotCommitted)?;
        let is_stopped = self.stop.is_cancelled();
        let until = Instant::now() + if is_stopped { PATIENCE } else { QUESTION };
        let mut reason = ClientError::TimedOut("the group's coordinator did not take it".into());
        loop {
            match self.consumer.committed(&places, PATIENCE) {
                Ok(found) => {
                    let expected = positions.iter().map(|(_, offset)| Some(*offset));
                    if found
                        .into_iter()
                        .zip(expected)
                        .all(|(is, wanted)| is >= wanted)
                    {
                        return Ok(());
                    }
                }
                Err(error) => reason = error,
            }
            let polled = self.consumer.poll(POLL, 1, &mut Nobody);
            if let Polled::Error(error) | Polled::Fenced(error) = polled {
                reason = error;
            }
            if is_final(&reason) || Instant::now() >= until {
                return Err(Trouble::NotCommitted(reason));
            }
        }
    }

    fn finish(mut self, ended: Result<(), Trouble>) -> Result<RedriveReport, RedriveError> {
        self.update_report();
        let Self {
            report, consumer, ..
        } = self;
        close(consumer);
        let Err(trouble) = ended else {
            return Ok(report);
        };
        let report = Box::new(report);
        Err(match trouble {
            Trouble::Client(doing, source) => RedriveError::Client {
                doing,
                source,
                report: Some(report),
            },
            Trouble::Write(record, source) => RedriveError::Write {
                record,
                source,
                report,
            },
            Trouble::NotCommitted(source) => RedriveError::NotCommitted {
                group_id: Arc::clone(&report.group_id),
                source,
                report,
            },
        })
    }
}

/// A record on its way.
struct Entry {
    /// Of its partition.
    index: usize,
    record: Record,
    letter: Letter,
    fate: Fate,
}

enum Fate {
    BeyondTheEnd,
    Skipped,
    Refused(Refusal),
    Sent(Sent),
    WouldBeSent {
        count: u32,
        to: Arc<str>,
        partition: Option<i32>,
    },
}

type Answer = Result<ProducedRecord, ProduceError>;

struct Sent {
    delivery: Delivery,
    answer: Option<Answer>,
    to: Arc<str>,
    partition: Option<i32>,
    count: u32,
}

/// Owns records as they are read.
struct Taken {
    topic: Arc<str>,
    records: Vec<Record>,
    bytes: usize,
}

impl RecordSink for Taken {
    fn record(&mut self, raw: &RawRecord<'_>) {
        let mut builder = BatchBuilder::new();
        builder.push(raw, 0, 0);
        let record = builder
            .finish(Arc::clone(&self.topic), raw.partition, None)
            .record(0);
        self.bytes += raw.key.map_or(0, <[u8]>::len) + raw.value.map_or(0, <[u8]>::len);
        self.records.push(record);
    }
}

/// Takes records of a poll that is only for its errors.
struct Nobody;

impl RecordSink for Nobody {
    fn record(&mut self, _: &RawRecord<'_>) {}
}

/// True if no further poll will do better.
fn is_final(error: &ClientError) -> bool {
    error.is_permanent()
        || matches!(
            error,
            // The client would read on behind what it cannot read.
            ClientError::Corrupt(_)
                | ClientError::OffsetOutOfRange(_)
                | ClientError::UnknownTopic(_)
                | ClientError::NotAMember(_)
        )
}

fn client_error(doing: String, source: ClientError) -> RedriveError {
    RedriveError::Client {
        doing,
        source,
        report: None,
    }
}

/// Returns how many partitions a topic has; `None` if it does not exist.
fn ask(cluster: &dyn Cluster, topic: &str) -> Result<Option<usize>, ClientError> {
    match cluster.partitions(topic, QUESTION) {
        Ok(partitions) => Ok(Some(partitions)),
        Err(ClientError::UnknownTopic(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns the partitions to read: those that are wanted, or all.
fn partitions_of(
    cluster: &dyn Cluster,
    topic: &Arc<str>,
    topics: &[String],
    wanted: &[i32],
) -> Result<Vec<i32>, RedriveError> {
    // Looked up in the list first: a broker may create what it is asked for by name.
    let found = if topics.iter().any(|one| **one == **topic) {
        doing(format!("ask for topic {topic}"), ask(cluster, topic))?
    } else {
        None
    };
    let Some(partitions) = found else {
        return Err(RedriveError::NoDeadLetterTopic {
            topic: Arc::clone(topic),
            similar: similar(topic, topics),
        });
    };
    let all = 0..i32::try_from(partitions).unwrap_or(i32::MAX);
    if let Some(missing) = wanted.iter().find(|one| !all.contains(one)) {
        return Err(RedriveError::NoPartition {
            topic: Arc::clone(topic),
            partition: *missing,
            partitions,
        });
    }
    if wanted.is_empty() {
        return Ok(all.collect());
    }
    Ok(all.filter(|one| wanted.contains(one)).collect())
}

fn similar(topic: &str, topics: &[String]) -> Option<String> {
    let closeness = |one: &String| strsim::normalized_levenshtein(topic, one);
    let best = topics
        .iter()
        .max_by(|a, b| closeness(a).total_cmp(&closeness(b)))?;
    (closeness(best) > 0.8).then(|| best.clone())
}

/// Asks where the group is and where the partitions end, and decides what is read.
fn readings(
    plan: &Plan,
    consumer: &mut dyn Consumer,
    partitions: &[i32],
    stop: &CancellationToken,
) -> Result<Vec<Reading>, RedriveError> {
    let (topic, group) = (&plan.rules.dead_letter_topic, &plan.group_id);
    let places: Vec<_> = partitions
        .iter()
        .map(|partition| TopicPartition::new(Arc::clone(topic), *partition))
        .collect();
    let committed = patiently(stop, || {
        let answer = consumer.committed(&places, PATIENCE);
        match consumer.poll(Duration::ZERO, 1, &mut Nobody) {
            // Without the right to use the group, that is said here, and the question runs out of time.
            Polled::Error(reason) | Polled::Fenced(reason) if answer.is_err() => Err(reason),
            _ => answer,
        }
    });
    let committed = doing(format!("ask for the position of group {group}"), committed)?;
    let mut readings = Vec::with_capacity(places.len());
    for (at, committed) in places.iter().zip(committed) {
        let range = patiently(stop, || consumer.watermarks(at, QUESTION));
        let (oldest, newest) = doing(format!("ask where {at} ends"), range)?;
        let base = match committed {
            Some(offset) if offset <= newest => offset.max(oldest),
            // Beyond the end: of an older topic of this name.
            _ => oldest,
        };
        let start = match plan.start {
            RedriveStart::Position => base,
            RedriveStart::Oldest => oldest,
            RedriveStart::At(offset) => offset.min(newest).max(oldest),
        };
        let end = plan.end.map_or(newest, |end| end.min(newest));
        readings.push(Reading::new(
            at.partition,
            base,
            (start, end),
            plan.advances,
        ));
    }
    Ok(readings)
}

/// Asks again for a while: a coordinator or a leader that has just moved, or a group's first commit ever on a cluster, is
/// an error that is over a moment later.
fn patiently<T>(
    stop: &CancellationToken,
    mut ask: impl FnMut() -> Result<T, ClientError>,
) -> Result<T, ClientError> {
    let until = Instant::now() + QUESTION;
    loop {
        match ask() {
            Err(error) if !is_final(&error) && !stop.is_cancelled() && Instant::now() < until => {
                std::thread::sleep(POLL);
            }
            answer => return answer,
        }
    }
}

fn audit(record: &Record, produced: &ProducedRecord, count: u32) {
    tracing::info!(
        target: AUDIT,
        topic = record.topic(),
        partition = record.partition(),
        offset = record.offset().0,
        to_topic = &*produced.topic,
        to_partition = produced.partition,
        to_offset = produced.offset.0,
        count,
        "put back"
    );
}

fn audit_dry_run(record: &Record, to: &str, partition: Option<i32>, count: u32) {
    tracing::info!(
        target: AUDIT,
        topic = record.topic(),
        partition = record.partition(),
        offset = record.offset().0,
        to_topic = to,
        to_partition = partition,
        count,
        "would be put back"
    );
}

/// Closes the client on a thread that is abandoned if brokers are away.
fn close(consumer: Box<dyn Consumer>) {
    let (send, closed) = channel::<()>();
    let thread = std::thread::Builder::new().name("kafka-close".into());
    let spawned = thread.spawn(move || {
        consumer.close();
        drop(send);
    });
    if spawned.is_ok() {
        // Disconnected: it has closed.
        let _ = closed.recv_timeout(PATIENCE);
    }
}
