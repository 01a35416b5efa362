//! `harness limits-worker`: a service on the public API whose handler does what its records say, and which tells how far
//! it is in lines of JSON.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use clap::{ArgAction, Args, ValueEnum};
use kafka_runtime::{
    Breaker, Config, Control, Event, Handler, Observer, Ordering, Outcome, RecordMetadata, Retry,
    Runtime,
};
use serde::{Deserialize, Serialize};

use crate::clock::{self, Nanos};

/// What one service needs to know.
#[derive(Args, Clone, Debug)]
pub(crate) struct WorkerArgs {
    #[arg(long)]
    pub(crate) servers: String,
    #[arg(long)]
    pub(crate) group: String,
    #[arg(long)]
    pub(crate) topic: String,
    /// Where it tells how far it is
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// How long a call waits
    #[arg(long)]
    pub(crate) work_ms: u64,
    #[arg(long)]
    pub(crate) concurrency: usize,
    #[arg(long)]
    pub(crate) attempts: u32,
    #[arg(long)]
    pub(crate) max_call_age_ms: u64,
    #[arg(long)]
    pub(crate) max_in_flight_bytes: usize,
    /// What a record that says so does
    #[arg(long)]
    pub(crate) hang: Hang,
    /// Every call fails
    #[arg(long, action = ArgAction::Set)]
    pub(crate) fails: bool,
    #[arg(long, action = ArgAction::Set)]
    pub(crate) has_breaker: bool,
    /// A property for librdkafka, as NAME=VALUE
    #[arg(long)]
    pub(crate) property: Vec<String>,
}

/// How a call hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Hang {
    /// It does not
    Off,
    /// It waits for ever
    Await,
    /// It does not give its thread back
    Block,
}

impl Hang {
    fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

impl WorkerArgs {
    pub(crate) fn to_command_line(&self) -> Vec<String> {
        let mut line = vec!["limits-worker".to_owned()];
        let mut option = |name: &str, value: String| line.extend([format!("--{name}"), value]);
        option("servers", self.servers.clone());
        option("group", self.group.clone());
        option("topic", self.topic.clone());
        option("out", self.out.display().to_string());
        option("work-ms", self.work_ms.to_string());
        option("concurrency", self.concurrency.to_string());
        option("attempts", self.attempts.to_string());
        option("max-call-age-ms", self.max_call_age_ms.to_string());
        option("max-in-flight-bytes", self.max_in_flight_bytes.to_string());
        option("hang", self.hang.name());
        option("fails", self.fails.to_string());
        option("has-breaker", self.has_breaker.to_string());
        for property in &self.property {
            option("property", property.clone());
        }
        line
    }
}

/// What a record holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Item {
    pub(crate) kind: Kind,
    pub(crate) pad: String,
}

/// What is read of it: the padding is skipped.
#[derive(Deserialize)]
struct Seen {
    kind: Kind,
}

/// What the handler does with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Ok,
    /// Fails for good.
    Permanent,
    /// Fails once.
    Transient,
    /// Panics, each time.
    Panic,
    /// Does not end.
    Hang,
    /// Has the key of one that hangs: handled, and not counted.
    Behind,
}

/// A line of what the service tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "note", rename_all = "snake_case")]
pub(crate) enum Note {
    /// It reads its partitions from now on.
    Assigned,
    Counts(Counts),
    /// A call begins that will not end.
    Hangs {
        at: Place,
        ns: Nanos,
    },
    /// The runtime reports a call that runs for too long.
    Reported {
        at: Place,
        age_ms: u64,
        is_blocking: bool,
        ns: Nanos,
    },
}

/// Where a record is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

/// How far a service is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counts {
    /// Good records that were handled.
    pub(crate) good: u64,
    /// When the first call began, and when the last good record was handled.
    pub(crate) first_ns: Nanos,
    pub(crate) last_ns: Nanos,
    pub(crate) retries: u64,
    pub(crate) dead_letters: u64,
    /// Dead letters that could not be written at once.
    pub(crate) delays: u64,
    pub(crate) last_delay: Option<String>,
    pub(crate) pauses: u64,
    pub(crate) breaker_openings: u64,
    /// The most that was held at a time, as seen now and then.
    pub(crate) most_in_flight: u64,
    pub(crate) most_held_bytes: u64,
    /// What is held now, and why nothing more comes.
    pub(crate) in_flight: u64,
    pub(crate) held_bytes: u64,
    pub(crate) paused_partitions: u64,
    pub(crate) open_breakers: u64,
}

/// How often the counts are told.
const INTERVAL: Duration = Duration::from_millis(100);

pub(crate) fn run(args: &WorkerArgs) -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::ERROR)
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    // Panics are part of the plan; what printing them costs is not the runtime's.
    std::panic::set_hook(Box::new(|_| {}));
    let ledger = Arc::new(Ledger::open(&args.out)?);
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    tokio.block_on(work(args, &ledger))
}

async fn work(args: &WorkerArgs, ledger: &Arc<Ledger>) -> anyhow::Result<()> {
    let handler = {
        let ledger = Arc::clone(ledger);
        let (wait, hang, fails) = (Duration::from_millis(args.work_ms), args.hang, args.fails);
        Handler::new(&args.topic, move |seen: Seen, record: RecordMetadata| {
            handle(Arc::clone(&ledger), wait, hang, fails, seen.kind, record)
        })
    };
    let breaker = if args.has_breaker {
        Breaker::DEFAULT
    } else {
        Breaker::OFF
    };
    let handler = handler
        .with_name("limits")
        .ordering(Ordering::Key)
        .concurrency(args.concurrency)
        .breaker(breaker)
        .retry(Retry {
            attempts: args.attempts,
            initial: Duration::from_millis(100),
            max: Duration::from_millis(400),
        });
    let mut config = Config::new()
        .bootstrap_servers(args.servers.as_str())
        .ssl(false)
        .group_id(&args.group)
        .max_in_flight_bytes(args.max_in_flight_bytes)
        .max_call_age(Duration::from_millis(args.max_call_age_ms));
    for property in &args.property {
        let (name, value) = property
            .split_once('=')
            .context("write a property as NAME=VALUE")?;
        config = config.property(name, value);
    }
    let runtime = Runtime::builder()
        .config(config)
        .handlers(vec![handler])
        .observer(Scribe(Arc::clone(ledger)))
        .build()?;
    let control = runtime.control();
    // A thread of its own: a call that blocks must not keep it.
    let ledger = Arc::clone(ledger);
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(INTERVAL);
            ledger.look(&control);
        }
    });
    Ok(runtime.run().await?)
}

async fn handle(
    ledger: Arc<Ledger>,
    wait: Duration,
    hang: Hang,
    fails: bool,
    kind: Kind,
    record: RecordMetadata,
) -> Outcome {
    ledger.begins();
    if kind == Kind::Hang && hang != Hang::Off {
        ledger.write(&Note::Hangs {
            at: Place {
                topic: record.topic().to_owned(),
                partition: record.partition(),
                offset: record.offset(),
            },
            ns: clock::now(),
        });
        if hang == Hang::Block {
            loop {
                std::thread::sleep(Duration::from_hours(1));
            }
        }
        std::future::pending::<()>().await;
    }
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
    if fails {
        return Outcome::retry("every call fails");
    }
    match kind {
        Kind::Permanent => Outcome::fail("the record says so"),
        Kind::Transient if record.attempt() == 1 => Outcome::retry("the record says so"),
        Kind::Panic => panicking(),
        Kind::Ok => {
            ledger.good();
            Outcome::Ack
        }
        Kind::Transient | Kind::Hang | Kind::Behind => Outcome::Ack,
    }
}

#[expect(clippy::panic, reason = "handlers do")]
fn panicking() -> Outcome {
    panic!("the record says so")
}

/// Counts, and tells.
struct Ledger {
    out: Mutex<File>,
    good: AtomicU64,
    first: AtomicU64,
    last: AtomicU64,
    retries: AtomicU64,
    dead_letters: AtomicU64,
    delays: AtomicU64,
    last_delay: Mutex<Option<String>>,
    pauses: AtomicU64,
    breaker_openings: AtomicU64,
    most_in_flight: AtomicU64,
    most_held_bytes: AtomicU64,
}

impl Ledger {
    fn open(path: &PathBuf) -> anyhow::Result<Self> {
        let out = File::create(path).with_context(|| format!("create {}", path.display()))?;
        Ok(Self {
            out: Mutex::new(out),
            good: AtomicU64::new(0),
            first: AtomicU64::new(0),
            last: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            dead_letters: AtomicU64::new(0),
            delays: AtomicU64::new(0),
            last_delay: Mutex::default(),
            pauses: AtomicU64::new(0),
            breaker_openings: AtomicU64::new(0),
            most_in_flight: AtomicU64::new(0),
            most_held_bytes: AtomicU64::new(0),
        })
    }

    fn begins(&self) {
        if self.first.load(Relaxed) == 0 {
            let now = clock::now();
            let _ = self.first.compare_exchange(0, now, Relaxed, Relaxed);
        }
    }

    fn good(&self) {
        self.good.fetch_add(1, Relaxed);
        self.last.store(clock::now(), Relaxed);
    }

    /// Looks at what is held, and tells the counts.
    fn look(&self, control: &Control) {
        let groups = control.status();
        let partitions = || groups.iter().flat_map(|group| &group.partitions);
        let in_flight: usize = partitions().map(|one| one.in_flight).sum();
        let held: usize = partitions().map(|one| one.held_bytes).sum();
        self.most_in_flight.fetch_max(in_flight as u64, Relaxed);
        self.most_held_bytes.fetch_max(held as u64, Relaxed);
        self.write(&Note::Counts(Counts {
            good: self.good.load(Relaxed),
            first_ns: self.first.load(Relaxed),
            last_ns: self.last.load(Relaxed),
            retries: self.retries.load(Relaxed),
            dead_letters: self.dead_letters.load(Relaxed),
            delays: self.delays.load(Relaxed),
            last_delay: lock(&self.last_delay).clone(),
            pauses: self.pauses.load(Relaxed),
            breaker_openings: self.breaker_openings.load(Relaxed),
            most_in_flight: self.most_in_flight.load(Relaxed),
            most_held_bytes: self.most_held_bytes.load(Relaxed),
            in_flight: in_flight as u64,
            held_bytes: held as u64,
            paused_partitions: partitions().filter(|one| one.is_paused).count() as u64,
            open_breakers: groups
                .iter()
                .map(|one| one.open_breakers.len() as u64)
                .sum(),
        }));
    }

    fn write(&self, note: &Note) {
        let mut line = serde_json::to_vec(note).unwrap_or_default();
        line.push(b'\n');
        // Whoever reads misses it, and says so.
        let _ = lock(&self.out).write_all(&line);
    }
}

/// Held for a line, which does not panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts what the runtime tells.
struct Scribe(Arc<Ledger>);

impl Observer for Scribe {
    fn observe(&self, event: &Event<'_>) {
        let count = match event {
            Event::Assigned { .. } => return self.0.write(&Note::Assigned),
            Event::CallHangs {
                partition,
                offset,
                age,
                is_blocking,
                ..
            } => {
                return self.0.write(&Note::Reported {
                    at: Place {
                        topic: partition.topic.to_string(),
                        partition: partition.partition,
                        offset: offset.0,
                    },
                    age_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
                    is_blocking: *is_blocking,
                    ns: clock::now(),
                });
            }
            Event::Retrying { .. } => &self.0.retries,
            Event::DeadLettered { .. } => &self.0.dead_letters,
            Event::DeadLetterDelayed { error, .. } => {
                *lock(&self.0.last_delay) = Some(error.to_string());
                &self.0.delays
            }
            Event::Paused { .. } => &self.0.pauses,
            Event::BreakerOpened { .. } => &self.0.breaker_openings,
            _ => return,
        };
        count.fetch_add(1, Relaxed);
    }
}
