//! Writes the records of a scenario while faults happen: at a bounded rate, with `acks=all` and idempotence.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{
    BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer,
};

use super::clock::{self, Nanos};
use super::interrupt::Interrupt;
use super::ledger::{At, Partition};
use super::random::Random;
use super::worker::Kind;
use super::workload::{Draft, Flavour, TopicPlan, Workload, to_headers};

/// A broker that is away for a minute must not lose a record of ours.
const PATIENCE: &str = "300000";

/// A record that the cluster has acknowledged; of an aborted transaction, too.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) at: At,
    pub(crate) key: Option<Arc<str>>,
    pub(crate) n: i64,
    pub(crate) kind: Kind,
    /// When it was acknowledged.
    pub(crate) ns: Nanos,
}

/// What a writer has done so far; shared with whoever waits for it.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub(crate) sent: AtomicU64,
    pub(crate) acknowledged: AtomicU64,
    failed: AtomicU64,
    /// No more faults: it may write what is left as fast as it can.
    pub(crate) is_hurried: AtomicBool,
    pub(crate) is_done: AtomicBool,
    written: Mutex<Vec<Written>>,
}

impl Progress {
    /// Takes out everything that was acknowledged.
    pub(crate) fn take_written(&self) -> Vec<Written> {
        std::mem::take(&mut self.written.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Hears of deliveries.
struct Reports {
    progress: Arc<Progress>,
    /// A record of a transaction that failed is aborted with it.
    may_fail: bool,
}

struct Sent {
    topic: usize,
    key: Option<Arc<str>>,
    n: i64,
    kind: Kind,
}

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<Sent>;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: Box<Sent>) {
        let Ok(message) = result else {
            if !self.may_fail {
                self.progress.failed.fetch_add(1, Ordering::SeqCst);
            }
            return;
        };
        let written = Written {
            at: At {
                partition: Partition {
                    topic: sent.topic,
                    number: message.partition(),
                },
                offset: message.offset(),
            },
            key: sent.key,
            n: sent.n,
            kind: sent.kind,
            ns: clock::now(),
        };
        self.progress.acknowledged.fetch_add(1, Ordering::SeqCst);
        let mut all = self
            .progress
            .written
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.push(written);
    }
}

/// What to write, and where to.
pub(crate) struct Assignment {
    pub(crate) servers: String,
    /// The real name of each topic, and what it is like.
    pub(crate) topics: Vec<(String, TopicPlan)>,
    pub(crate) seed: u64,
    /// Records in a second, of all topics together.
    pub(crate) rate: u64,
}

/// Writes all records; returns once the cluster has them.
pub(crate) fn write(
    work: &Assignment,
    progress: &Arc<Progress>,
    interrupt: &Interrupt,
) -> anyhow::Result<()> {
    let plain = Reports {
        progress: Arc::clone(progress),
        may_fail: false,
    };
    let plain: ThreadedProducer<Reports> = config(work).create_with_context(plain)?;
    let mut random = Random::of(work.seed, "writer");
    let mut topics = Vec::new();
    for (number, (name, plan)) in work.topics.iter().enumerate() {
        let transactions = (plan.flavour == Flavour::Transactional)
            .then(|| Transactions::new(work, name, progress))
            .transpose()?;
        topics.push(Topic {
            number,
            name,
            left: plan.records,
            workload: Workload::new(work.seed, *plan),
            transactions,
        });
    }
    let mut pace = Pace::new(work.rate);
    while topics.iter().any(|topic| topic.left > 0) {
        interrupt.check()?;
        let is_hurried = progress.is_hurried.load(Ordering::SeqCst);
        for topic in &mut topics {
            let count = random.below(if is_hurried { 200 } else { 20 }) + 1;
            let count = usize::try_from(count)?.min(topic.left);
            topic.left -= count;
            let drafts: Vec<Draft> = (0..count).map(|_| topic.workload.next()).collect();
            match &mut topic.transactions {
                Some(transactions) => {
                    let is_aborted = random.per_mille(200);
                    transactions.write(topic.number, topic.name, &drafts, is_aborted, interrupt)?;
                }
                None => {
                    for draft in &drafts {
                        queue(topic.number, topic.name, draft, &plain, interrupt)?;
                    }
                }
            }
            progress
                .sent
                .fetch_add(u64::try_from(count)?, Ordering::SeqCst);
            if !is_hurried {
                interrupt.sleep(pace.wait(u64::try_from(count)?))?;
            }
        }
    }
    while plain.in_flight_count() > 0 {
        interrupt.sleep(Duration::from_millis(20))?;
    }
    match progress.failed.load(Ordering::SeqCst) {
        0 => {
            progress.is_done.store(true, Ordering::SeqCst);
            Ok(())
        }
        failed => bail!("{failed} records could not be written"),
    }
}

struct Topic<'a> {
    number: usize,
    name: &'a str,
    left: usize,
    workload: Workload,
    transactions: Option<Transactions>,
}

fn config(work: &Assignment) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &work.servers)
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("linger.ms", "5")
        .set("message.timeout.ms", PATIENCE)
        .set("reconnect.backoff.max.ms", "500");
    config
}

/// The two kinds of producers.
trait Queue {
    fn put(&self, record: NewRecord<'_>) -> Result<(), KafkaError>;
}

type NewRecord<'a> = BaseRecord<'a, [u8], [u8], Box<Sent>>;

impl Queue for ThreadedProducer<Reports> {
    fn put(&self, record: NewRecord<'_>) -> Result<(), KafkaError> {
        self.send(record).map_err(|(error, _)| error)
    }
}

impl Queue for BaseProducer<Reports> {
    fn put(&self, record: NewRecord<'_>) -> Result<(), KafkaError> {
        self.send(record).map_err(|(error, _)| error)
    }
}

/// Sends a record; waits while the queue is full.
fn queue(
    topic: usize,
    name: &str,
    draft: &Draft,
    producer: &impl Queue,
    interrupt: &Interrupt,
) -> anyhow::Result<()> {
    loop {
        let sent = Box::new(Sent {
            topic,
            key: draft.key.as_deref().map(Arc::from),
            n: draft.n,
            kind: draft.kind,
        });
        let mut record = BaseRecord::with_opaque_to(name, sent).headers(to_headers(&draft.headers));
        if let Some(key) = &draft.key {
            record = record.key(key.as_bytes());
        }
        if let Some(value) = &draft.value {
            record = record.payload(value.as_slice());
        }
        match producer.put(record) {
            Ok(()) => return Ok(()),
            Err(KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)) => {
                interrupt.sleep(Duration::from_millis(20))?;
            }
            Err(error) => return Err(error).context("write a record"),
        }
    }
}

/// Keeps to a rate over the whole run, so that a stall is made up for.
struct Pace {
    since: Instant,
    rate: u64,
    count: u64,
}

impl Pace {
    fn new(rate: u64) -> Self {
        Self {
            since: Instant::now(),
            rate: rate.max(1),
            count: 0,
        }
    }

    fn wait(&mut self, count: u64) -> Duration {
        self.count += count;
        let due = Duration::from_micros(self.count * 1_000_000 / self.rate);
        due.saturating_sub(self.since.elapsed())
    }
}

/// Writes in transactions. Which of them counted is told by the topic at the end.
struct Transactions {
    config: ClientConfig,
    progress: Arc<Progress>,
    producer: Option<BaseProducer<Reports>>,
}

/// Of one try; a broker that is away takes many.
const TRY: Duration = Duration::from_secs(5);

impl Transactions {
    fn new(work: &Assignment, name: &str, progress: &Arc<Progress>) -> anyhow::Result<Self> {
        let mut config = config(work);
        config
            .set("transactional.id", name)
            // What a producer leaves open holds up the readers this long at most.
            .set("transaction.timeout.ms", "10000")
            .set("message.timeout.ms", "10000");
        let mut this = Self {
            config,
            progress: Arc::clone(progress),
            producer: None,
        };
        this.connect(&Interrupt::default())?;
        Ok(this)
    }

    fn connect(&mut self, interrupt: &Interrupt) -> anyhow::Result<()> {
        let reports = Reports {
            progress: Arc::clone(&self.progress),
            may_fail: true,
        };
        let producer: BaseProducer<Reports> = self.config.create_with_context(reports)?;
        loop {
            interrupt.check()?;
            match producer.init_transactions(TRY) {
                Ok(()) => break,
                Err(KafkaError::Transaction(error)) if error.is_retriable() => {}
                Err(error) => return Err(error).context("begin with transactions"),
            }
        }
        self.producer = Some(producer);
        Ok(())
    }

    fn write(
        &mut self,
        topic: usize,
        name: &str,
        drafts: &[Draft],
        is_aborted: bool,
        interrupt: &Interrupt,
    ) -> anyhow::Result<()> {
        let Some(producer) = &self.producer else {
            bail!("no transactional producer");
        };
        let result = Self::attempt(producer, topic, name, drafts, is_aborted, interrupt);
        interrupt.check()?;
        if result.is_err() {
            // Whatever became of it: a new producer of the same id ends it.
            self.producer = None;
            self.connect(interrupt)?;
        }
        Ok(())
    }

    fn attempt(
        producer: &BaseProducer<Reports>,
        topic: usize,
        name: &str,
        drafts: &[Draft],
        is_aborted: bool,
        interrupt: &Interrupt,
    ) -> anyhow::Result<()> {
        producer.begin_transaction()?;
        for draft in drafts {
            queue(topic, name, draft, producer, interrupt)?;
        }
        if is_aborted {
            // On their way, so that they lie in the topic.
            producer.flush(TRY)?;
            return until_done(|| producer.abort_transaction(TRY), interrupt);
        }
        until_done(|| producer.commit_transaction(TRY), interrupt)
    }
}

fn until_done(
    mut attempt: impl FnMut() -> Result<(), KafkaError>,
    interrupt: &Interrupt,
) -> anyhow::Result<()> {
    loop {
        interrupt.check()?;
        match attempt() {
            Err(KafkaError::Transaction(error)) if error.is_retriable() => {}
            result => return Ok(result?),
        }
    }
}
