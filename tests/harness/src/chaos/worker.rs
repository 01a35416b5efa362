//! `harness chaos-worker`: a service on the public API that writes down all it does. It is started to be killed.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};
use kafka_runtime::{
    Batch, BatchOutcome, BatchRecord, ClientError, Config, Event, GroupProtocol, Handler,
    IsolationLevel, Observer, Offset, Ordering, OutOfRange, Outcome, PartitionAssignment,
    PermanentError, Record, RecordMetadata, Retry, RetryableError, Runtime, TopicPartition,
};
use serde::{Deserialize, Serialize};

use super::clock;
use super::ledger::{At, Ending, Entry, Ledger, Partition};

/// How members share the partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protocol {
    /// The classic protocol, cooperative: only what moves is revoked
    Cooperative,
    /// The classic protocol, eager: everything is revoked each time
    Range,
    /// KIP-848; needs Kafka 4
    Consumer,
}

/// What one worker needs to know.
#[derive(Args, Clone, Debug)]
pub(crate) struct WorkerArgs {
    #[arg(long)]
    pub(crate) servers: String,
    #[arg(long)]
    pub(crate) group: String,
    /// Topics to handle; their order numbers them in the ledger
    #[arg(long)]
    pub(crate) topic: Vec<String>,
    #[arg(long)]
    pub(crate) ledger: PathBuf,
    #[arg(long)]
    pub(crate) protocol: Protocol,
    #[arg(long)]
    pub(crate) session_ms: u64,
    #[arg(long)]
    pub(crate) grace_ms: u64,
    /// The longest time that a call takes; most take less
    #[arg(long)]
    pub(crate) work_ms: u64,
    /// The place of a topic that is handled in batches; may be repeated
    #[arg(long)]
    pub(crate) batch: Vec<usize>,
    /// The waits of the retry topics
    #[arg(long)]
    pub(crate) park_ms: Vec<u64>,
    /// Go on at the oldest record if the next one is not there any more
    #[arg(long)]
    pub(crate) goes_on: bool,
    /// librdkafka's `debug`
    #[arg(long)]
    pub(crate) client_debug: Option<String>,
}

impl WorkerArgs {
    pub(crate) fn to_command_line(&self) -> Vec<String> {
        let mut line = vec!["chaos-worker".to_owned()];
        let mut option = |name: &str, value: String| line.extend([format!("--{name}"), value]);
        option("servers", self.servers.clone());
        option("group", self.group.clone());
        for topic in &self.topic {
            option("topic", topic.clone());
        }
        option("ledger", self.ledger.display().to_string());
        let protocol = self.protocol.to_possible_value();
        option(
            "protocol",
            protocol.map_or_else(String::new, |value| value.get_name().to_owned()),
        );
        option("session-ms", self.session_ms.to_string());
        option("grace-ms", self.grace_ms.to_string());
        option("work-ms", self.work_ms.to_string());
        for topic in &self.batch {
            option("batch", topic.to_string());
        }
        for wait in &self.park_ms {
            option("park-ms", wait.to_string());
        }
        if let Some(contexts) = &self.client_debug {
            option("client-debug", contexts.clone());
        }
        if self.goes_on {
            line.push("--goes-on".to_owned());
        }
        line
    }
}

/// What the value of a record says, and what its handler is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Work {
    pub(crate) key: Option<String>,
    /// Counts the records of its key.
    pub(crate) n: i64,
    #[serde(flatten)]
    pub(crate) kind: Kind,
}

/// What becomes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Kind {
    Ok,
    /// Its value cannot be decoded.
    Decode,
    /// Its handler fails for good.
    Permanent,
    /// Its handler fails so many times, then it does not.
    Transient {
        fails: u32,
    },
    /// Its handler panics, each time.
    Panic,
    /// Its handler asks for it to be skipped.
    Skip,
    /// It has no value.
    Tombstone,
}

/// Enough for the transient ones; those that panic are dead letters after it. Each retry topic has one of them.
const ATTEMPTS: u32 = 4;

/// What is in a batch at most.
const BATCH: usize = 50;

pub(crate) const DRAIN: Duration = Duration::from_secs(5);

pub(crate) fn run(args: &WorkerArgs) -> anyhow::Result<()> {
    let level = match args.client_debug {
        Some(_) => tracing_subscriber::filter::LevelFilter::TRACE,
        None => tracing_subscriber::filter::LevelFilter::INFO,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    // Panics are part of the plan, and a backtrace each costs more than their records.
    std::panic::set_hook(Box::new(|panic| log_line(&panic.to_string())));
    let ledger = Arc::new(Ledger::open(&args.ledger).context("open the ledger")?);
    ledger.write(Entry::Started {
        wall: clock::wall(),
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let result = runtime.block_on(work(args, &ledger));
    let error = result.as_ref().err().map(|error| format!("{error:#}"));
    ledger.write(Entry::Exited(error));
    result
}

async fn work(args: &WorkerArgs, ledger: &Arc<Ledger>) -> anyhow::Result<()> {
    let numbers: HashMap<String, usize> = args.topic.iter().cloned().zip(0..).collect();
    let calls = Arc::new(AtomicU64::new(0));
    let parks = u32::try_from(args.park_ms.len()).unwrap_or(u32::MAX);
    let waits = args.park_ms.iter().copied().map(Duration::from_millis);
    let handlers = args.topic.iter().zip(0..).map(|(topic, number)| {
        let desk = Desk {
            ledger: Arc::clone(ledger),
            calls: Arc::clone(&calls),
            topic: number,
            longest: args.work_ms,
        };
        let handler = if args.batch.contains(&number) {
            Handler::batch(topic, move |batch| handle_batch(desk.clone(), batch))
                .batch_size(BATCH)
                .linger(Duration::from_millis(20))
        } else {
            Handler::new(topic, move |work: Option<Work>, record: RecordMetadata| {
                handle(desk.clone(), work, record)
            })
        };
        handler
            .with_name(topic)
            .ordering(Ordering::Key)
            .retry_topics(waits.clone())
            .retry(Retry {
                attempts: ATTEMPTS.saturating_sub(parks).max(1),
                initial: Duration::from_millis(50),
                max: Duration::from_millis(200),
            })
    });
    let runtime = Runtime::builder()
        .config(config(args))
        .handlers(handlers.collect::<Vec<_>>())
        .observer(Scribe {
            ledger: Arc::clone(ledger),
            numbers,
        })
        .build()?;
    Ok(runtime.run().await?)
}

fn config(args: &WorkerArgs) -> Config {
    let mut config = Config::new()
        .bootstrap_servers(args.servers.as_str())
        .ssl(false)
        .group_id(&args.group)
        .isolation_level(IsolationLevel::ReadCommitted)
        .drain_timeout(DRAIN)
        .shutdown_grace(Duration::from_millis(args.grace_ms));
    if let Some(contexts) = &args.client_debug {
        config = config.property("debug", contexts);
    }
    if args.goes_on {
        config = config.on_out_of_range(OutOfRange::Earliest);
    }
    let classic = |assignment| {
        config
            .clone()
            .partition_assignment(assignment)
            .session_timeout(Duration::from_millis(args.session_ms))
            .heartbeat_interval(Duration::from_millis(args.session_ms / 12))
    };
    match args.protocol {
        Protocol::Cooperative => classic(PartitionAssignment::CooperativeSticky),
        Protocol::Range => classic(PartitionAssignment::Range),
        Protocol::Consumer => config.group_protocol(GroupProtocol::Consumer),
    }
}

/// What the calls of a handler have in common.
#[derive(Clone)]
struct Desk {
    ledger: Arc<Ledger>,
    calls: Arc<AtomicU64>,
    /// Its topic's place.
    topic: usize,
    /// The longest call, in milliseconds.
    longest: u64,
}

impl Desk {
    fn at(&self, number: i32, offset: i64) -> At {
        let topic = self.topic;
        At {
            partition: Partition { topic, number },
            offset,
        }
    }

    fn begin(&self, at: At, work: Option<&Work>, attempt: u32) -> Call {
        let number = self.calls.fetch_add(1, Relaxed);
        self.ledger.write(Entry::Begun {
            call: number,
            at,
            n: work.map_or(-1, |work| work.n),
            attempt,
        });
        Call {
            ledger: Arc::clone(&self.ledger),
            number,
            is_over: false,
        }
    }

    /// The same for each attempt and each worker; every fourth call ends without a wait.
    async fn take_a_while(&self, at: At) {
        let mixed = at.offset.unsigned_abs().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        let pause = mixed % (self.longest + 1);
        if !mixed.is_multiple_of(4) && pause > 0 {
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }
}

async fn handle(desk: Desk, work: Option<Work>, record: RecordMetadata) -> Outcome {
    let at = desk.at(record.partition(), record.offset());
    let attempt = record.attempt();
    let mut call = desk.begin(at, work.as_ref(), attempt);
    desk.take_a_while(at).await;
    match work.map_or(Kind::Tombstone, |work| work.kind) {
        Kind::Skip => call.end(Ending::Skip, Outcome::skip("the record says so")),
        Kind::Permanent => call.end(Ending::Failed, Outcome::fail("a permanent error")),
        Kind::Transient { fails } if attempt <= fails => {
            call.end(Ending::Failed, Outcome::retry("a transient error"))
        }
        Kind::Panic => panicking(),
        // One that could not be decoded never comes here: the judge would miss its dead letter.
        Kind::Ok | Kind::Tombstone | Kind::Transient { .. } | Kind::Decode => {
            call.end(Ending::Ok, Outcome::Ack)
        }
    }
}

/// Handles one record after the other. It does not pass a failed record: later ones of its key fail with it.
async fn handle_batch(desk: Desk, batch: Batch<Option<Work>>) -> BatchOutcome {
    let pass = |record: &BatchRecord<Option<Work>>| {
        desk.ledger.write(Entry::Passed {
            at: desk.at(batch.partition(), record.offset()),
            attempt: record.attempt(),
        });
    };
    let kind = |record: &BatchRecord<Option<Work>>| {
        let work = record.payload().as_ref();
        work.map_or(Kind::Tombstone, |work| work.kind)
    };
    let is_alone = batch.len() == 1;
    if !is_alone && batch.iter().any(|record| kind(record) == Kind::Panic) {
        // Nothing of it is done: what was would be done again.
        batch.iter().for_each(pass);
        let _: Outcome = panicking();
    }
    let mut outcome = BatchOutcome::ok();
    let mut failed: HashSet<Vec<u8>> = HashSet::new();
    for (index, record) in batch.iter().enumerate() {
        if record.key().is_some_and(|key| failed.contains(key)) {
            pass(record);
            outcome.fail(
                index,
                RetryableError::new("behind one of its key that failed"),
            );
            continue;
        }
        let at = desk.at(batch.partition(), record.offset());
        let attempt = record.attempt();
        let mut call = desk.begin(at, record.payload().as_ref(), attempt);
        desk.take_a_while(at).await;
        match kind(record) {
            Kind::Skip => {
                call.write(Ending::Skip);
                outcome.skip(index, "the record says so");
                continue;
            }
            Kind::Permanent => outcome.fail(index, PermanentError::new("a permanent error")),
            Kind::Transient { fails } if attempt <= fails => {
                outcome.fail(index, RetryableError::new("a transient error"));
            }
            Kind::Panic => {
                let _: Outcome = panicking();
            }
            Kind::Ok | Kind::Tombstone | Kind::Transient { .. } | Kind::Decode => {
                call.write(Ending::Ok);
                continue;
            }
        }
        call.write(Ending::Failed);
        failed.extend(record.key().map(<[u8]>::to_vec));
    }
    outcome
}

#[expect(clippy::print_stderr, reason = "it is the worker's log")]
fn log_line(text: &str) {
    eprintln!("{text}");
}

#[expect(clippy::panic, reason = "handlers do")]
fn panicking() -> Outcome {
    panic!("the record says so")
}

/// A call that runs: its end is written down, however it ends.
struct Call {
    ledger: Arc<Ledger>,
    number: u64,
    is_over: bool,
}

impl Call {
    fn end(&mut self, how: Ending, outcome: Outcome) -> Outcome {
        self.write(how);
        outcome
    }

    fn write(&mut self, how: Ending) {
        self.is_over = true;
        self.ledger.write(Entry::Ended {
            call: self.number,
            how,
        });
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.is_over {
            self.write(if std::thread::panicking() {
                Ending::Panicked
            } else {
                Ending::Dropped
            });
        }
    }
}

/// Writes down what the runtime tells.
struct Scribe {
    ledger: Arc<Ledger>,
    numbers: HashMap<String, usize>,
}

impl Scribe {
    fn partition(&self, topic: &str, number: i32) -> Partition {
        Partition {
            topic: self.numbers.get(topic).copied().unwrap_or(usize::MAX),
            number,
        }
    }

    fn all(&self, partitions: &[TopicPartition]) -> Vec<Partition> {
        partitions
            .iter()
            .map(|at| self.partition(&at.topic, at.partition))
            .collect()
    }

    fn at(&self, record: &Record) -> At {
        At {
            partition: self.partition(record.topic(), record.partition()),
            offset: record.offset().0,
        }
    }
}

impl Observer for Scribe {
    fn observe(&self, event: &Event<'_>) {
        let entry = match event {
            Event::Assigned { partitions, .. } => Entry::Assigned(
                partitions
                    .iter()
                    .map(|(at, offset)| {
                        let offset = offset.map(|Offset(offset)| offset);
                        (self.partition(&at.topic, at.partition), offset)
                    })
                    .collect(),
            ),
            Event::Revoked {
                partitions,
                drained_in,
                dropped,
                ..
            } => Entry::Revoked {
                partitions: self.all(partitions),
                drained_ms: millis(*drained_in),
                dropped: u64::try_from(*dropped).unwrap_or(u64::MAX),
            },
            Event::Lost { partitions, .. } => Entry::Lost(self.all(partitions)),
            Event::DeadLettered {
                record, attempts, ..
            } => Entry::DeadLettered {
                at: self.at(record),
                attempts: *attempts,
            },
            Event::Skipped { record, .. } => Entry::Skipped {
                at: self.at(record),
            },
            Event::Parked {
                record, attempts, ..
            } => Entry::Parked {
                at: self.at(record),
                attempts: *attempts,
            },
            Event::DeadLetterDelayed { record, .. } => Entry::Delayed {
                at: self.at(record),
            },
            Event::ClientError { error, .. } => match error {
                ClientError::OffsetOutOfRange(text) => Entry::OutOfRange(text.clone()),
                error => Entry::Complained(error.to_string()),
            },
            Event::Stopped {
                took, unfinished, ..
            } => Entry::Stopped {
                took_ms: millis(*took),
                unfinished: u64::try_from(*unfinished).unwrap_or(u64::MAX),
            },
            _ => return,
        };
        self.ledger.write(entry);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
