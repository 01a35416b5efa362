//! A consumer service on `RustStream`, for benchmarks that compare it with a hand-written rdkafka loop.
//!
//! The service is what a user of `RustStream` would write: a handler of decoded events, mounted on its Kafka broker. It
//! is `ruststream` 0.7.7 with `ruststream-rdkafka` 0.7.1, on rdkafka 0.39.0 with librdkafka 2.12.1. The harness starts
//! it, reads the one line it prints once the last record was handled, and kills it.
//!
//! # Modes
//!
//! | `--mode`  | what the service asks for | what is promised |
//! |-----------|---------------------------|------------------|
//! | `default` | nothing: `Commit::Auto`, one record after another | librdkafka stores an offset when it hands out the record, so a crash loses what was in the handler |
//! | `tracked` | `Commit::Tracked`, one record after another | at least once: an offset is stored after the handler |
//! | `keyed`   | `Commit::Tracked`, `LaneKey::RecordKey`, 8 workers by key | the same, and records of a key stay in order |
//! | `threads` | as `keyed`, but 8 threads by key | the same |
//!
//! Offsets that are stored are committed by librdkafka's timer in every mode: 5 s, unless `--property` says otherwise.
//!
//! # Why that is fair
//!
//! - Nothing is configured that its documentation does not, and nothing that it advises is left out. `workers` is what it
//!   has for handlers that wait, and its own example of tracked commits and order by key is the one of `keyed`, with 8
//!   workers. Without `LaneKey::RecordKey` a worker would have whole partitions. `threads` is what it advises for handlers
//!   that compute for 10 µs and longer; it is here so that nobody compares `keyed --spin` with the best of another.
//! - A worker has one record in its hands and one in its inbox, a thread up to eight more; the service stops reading while
//!   the next record's worker has no room. There is no setting for that.
//! - Its handlers may take records in batches. That is another program, which settles a batch at once, so it is not here.
//! - The handler is mounted with `subscriber(…)`, not with the attribute `#[subscriber]`: its documentation shows every
//!   service in both ways, and topic and group come from the command line here. The codec is its default, `JsonCodec`,
//!   which is `serde_json::from_slice` of the record's bytes where librdkafka has them. (A record that it had to wait for
//!   is copied first.)
//! - The groups start at the earliest offset. All other properties are librdkafka's defaults and those of the command
//!   line, which go to the consumer alone.
//! - Tokio has its defaults, as has the allocator, and Cargo's profile `release`. Features that nobody asked for are off:
//!   no macros, no `AsyncAPI`, no metrics, no layers. Logs go to stderr from WARN on; what is not logged costs a look at
//!   one atomic.
//! - A record that cannot be decoded ends the service, where by default it would be dropped: a benchmark must not be
//!   faster for what it leaves out.
//!
//! # The line
//!
//! `first_ns` is read when the first record enters the handler, `last_ns` when the handler is done with the N-th, both
//! before that record is settled; `started_ns` is read first thing in `main`. All are `CLOCK_MONOTONIC`, so the harness,
//! whose clock is the same one, may subtract its own. At least once may be twice: N counts records handled, also those
//! that came again. The checksum is the wrapping sum of `after.id`, the bytes of `after.email` and `after.name`, and
//! `after.version`; an event without `after` is counted and adds nothing. `last_ns - started_ns` includes joining the group
//! and, before the first record, a lookup of where each partition starts, which `RustStream` does on its own.

mod event;

use std::error::Error as _;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::{Parser, ValueEnum};
use rustix::time::{ClockId, clock_gettime};
use ruststream::nonzero;
use ruststream_rdkafka::prelude::*;
use tracing_subscriber::filter::LevelFilter;

use crate::event::Event;

/// A consumer service on `RustStream`.
#[derive(Debug, Parser)]
struct Args {
    /// Brokers to start from, separated by commas.
    #[arg(long)]
    servers: String,
    /// The consumer group, a new one.
    #[arg(long)]
    group: String,
    #[arg(long)]
    topic: String,
    /// Report once this many records were handled.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    records: u64,
    #[arg(long, value_enum)]
    mode: Mode,
    /// Let the handler sleep this long for each record.
    #[arg(long, value_name = "MS")]
    wait_ms: Option<u64>,
    /// Let the handler compute this long for each record.
    #[arg(long, value_name = "ITERATIONS")]
    spin: Option<u64>,
    /// Give the consumer a property of librdkafka.
    #[arg(long = "property", value_name = "NAME=VALUE", value_parser = property)]
    properties: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Mode {
    /// What `RustStream` does unless told otherwise: at most once.
    Default,
    /// At least once, one record after another.
    Tracked,
    /// At least once, 8 workers by key.
    Keyed,
    /// At least once, 8 threads by key.
    Threads,
}

fn property(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// The handler, and what it counted.
struct Work {
    wait: Option<Duration>,
    spin: u64,
    records: u64,
    started_ns: u64,
    /// 0 until the first record.
    first_ns: AtomicU64,
    checksum: AtomicU64,
    count: AtomicU64,
}

impl Handle<Event> for Work {
    async fn handle(
        &self,
        event: &Event,
        _outs: &(),
        _ctx: &mut Context<'_>,
    ) -> Result<(), HandlerOutcome> {
        if self.first_ns.load(Ordering::Relaxed) == 0 {
            // It fails where another worker was first.
            let _ =
                self.first_ns
                    .compare_exchange(0, now_ns(), Ordering::Relaxed, Ordering::Relaxed);
        }
        if let Some(wait) = self.wait {
            tokio::time::sleep(wait).await;
        }
        spin(self.spin);
        if let Some(row) = &event.after {
            self.checksum.fetch_add(share(row), Ordering::Relaxed);
        }
        // Who counts the N-th sees what all others added before they counted.
        if self.count.fetch_add(1, Ordering::AcqRel) + 1 == self.records {
            self.report(now_ns());
        }
        Ok(())
    }
}

impl Work {
    fn report(&self, last_ns: u64) {
        let line = serde_json::json!({
            "records": self.records,
            "checksum": self.checksum.load(Ordering::Relaxed),
            "started_ns": self.started_ns,
            "first_ns": self.first_ns.load(Ordering::Relaxed),
            "last_ns": last_ns,
        });
        let mut out = io::stdout().lock();
        if let Err(error) = writeln!(out, "{line}").and_then(|()| out.flush()) {
            eprintln!("cannot report: {error}");
        }
    }
}

/// What a record adds to the checksum.
fn share(row: &event::Row) -> u64 {
    row.id
        .cast_unsigned()
        .wrapping_add(row.email.len() as u64)
        .wrapping_add(row.name.len() as u64)
        .wrapping_add(i64::from(row.version).cast_unsigned())
}

fn spin(iterations: u64) {
    let mut x = 0_u64;
    for _ in 0..iterations {
        x = std::hint::black_box(
            x.wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407),
        );
    }
}

fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
}

/// The service of these arguments.
fn app(args: Args, started_ns: u64) -> impl App {
    let mut topic = KafkaTopic::new(args.topic)
        .group(args.group)
        .start(StartOffset::Earliest);
    topic = match args.mode {
        Mode::Default => topic,
        Mode::Tracked => topic.commit(Commit::Tracked),
        Mode::Keyed | Mode::Threads => topic.commit(Commit::Tracked).lane_key(LaneKey::RecordKey),
    };
    for (name, value) in args.properties {
        topic = topic.config(name, value);
    }
    let work = Work {
        wait: args.wait_ms.map(Duration::from_millis),
        spin: args.spin.unwrap_or(0),
        records: args.records,
        started_ns,
        first_ns: AtomicU64::new(0),
        checksum: AtomicU64::new(0),
        count: AtomicU64::new(0),
    };
    let broker = KafkaBroker::new(args.servers.split(','));
    RustStream::new(AppInfo::new("ruststream-arm", "0.0.0")).with_broker(broker, |broker| {
        let failures = FailurePolicies::default().with_decode(FailurePolicy::FailFast);
        let handler = subscriber(topic, work).on_failure(failures);
        match args.mode {
            Mode::Default | Mode::Tracked => {
                broker.include(handler.build());
            }
            Mode::Keyed => {
                broker.include(handler.workers_by_key(nonzero!(8)).build());
            }
            Mode::Threads => {
                broker.include(handler.threads_by_key(nonzero!(8)).build());
            }
        }
    })
}

fn main() -> ExitCode {
    let started_ns = now_ns();
    let args = Args::parse();
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::WARN)
        .with_writer(io::stderr)
        .init();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("cannot start tokio: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(app(args, started_ns).run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the service failed: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("because: {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}
