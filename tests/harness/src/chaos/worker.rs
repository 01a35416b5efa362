//! `harness chaos-worker`: a service on the public API that writes down all it does. It is started to be killed.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};
use kafka_runtime::{
    Config, Event, GroupProtocol, Handler, IsolationLevel, Observer, Offset, Ordering, Outcome,
    PartitionAssignment, Record, RecordMetadata, Retry, Runtime, TopicPartition,
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
        if let Some(contexts) = &self.client_debug {
            option("client-debug", contexts.clone());
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

/// Enough for the transient ones; those that panic are dead letters after it.
pub(crate) const ATTEMPTS: u32 = 4;

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
    let handlers = args.topic.iter().zip(0..).map(|(topic, number)| {
        let (ledger, calls) = (Arc::clone(ledger), Arc::clone(&calls));
        let longest = args.work_ms;
        Handler::new(topic, move |work: Option<Work>, record: RecordMetadata| {
            handle(
                Arc::clone(&ledger),
                calls.fetch_add(1, Relaxed),
                number,
                longest,
                work,
                record,
            )
        })
        .with_name(topic)
        .ordering(Ordering::Key)
        .retry(Retry {
            attempts: ATTEMPTS,
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

async fn handle(
    ledger: Arc<Ledger>,
    number: u64,
    topic: usize,
    longest: u64,
    work: Option<Work>,
    record: RecordMetadata,
) -> Outcome {
    let at = At {
        partition: Partition {
            topic,
            number: record.partition(),
        },
        offset: record.offset(),
    };
    let attempt = record.attempt();
    ledger.write(Entry::Begun {
        call: number,
        at,
        n: work.as_ref().map_or(-1, |work| work.n),
        attempt,
    });
    let mut call = Call {
        ledger,
        number,
        is_over: false,
    };
    // The same for each attempt and each worker; every fourth call ends without a wait.
    let mixed = at.offset.unsigned_abs().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
    let pause = mixed % (longest + 1);
    if !mixed.is_multiple_of(4) && pause > 0 {
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
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
            Event::ClientError { error, .. } => Entry::Complained(error.to_string()),
            Event::DeadLetterDelayed { error, .. } => {
                Entry::Complained(format!("dead letter delayed: {error}"))
            }
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
