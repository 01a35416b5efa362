//! `harness bench`: this runtime and others side by side, on a real Kafka.
//!
//! | file | has |
//! |---|---|
//! | `stage`, `event`, `keys` | the broker, and what is in its topics |
//! | `arm`, `work` | who reads, and what is done with a record |
//! | `worker/` | an arm, in a process of its own |
//! | `process` | starts an arm, and looks at what it has used |
//! | `throughput` | runs arms in rounds |
//! | `backlog`, `waiting`, `latency`, `idle`, `growth` | the measurements |
//! | `figures`, `counts`, `target` | medians, bounds; no I/O |
//! | `plot` | pictures of them; no I/O |
//! | `report` | the tables |

mod arm;
mod backlog;
mod counts;
mod event;
mod figures;
mod growth;
mod idle;
mod keys;
mod latency;
mod plot;
mod process;
mod report;
mod stage;
mod target;
mod throughput;
mod waiting;
mod work;
mod worker;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::Context;
use clap::{Args, ValueEnum};
use test_support::{DEFAULT_VERSION, KafkaCluster, Topics};

use self::arm::Arm;
use self::report::Chapter;
use self::stage::Stage;
pub(crate) use self::worker::{WorkerArgs, run as run_worker};
use crate::interrupt::Interrupt;
use crate::progress::progress;
use crate::verdict::{Verdict, total};

/// Measure this runtime and others side by side on a real Kafka: rate, processor time, memory and latency.
///
/// Each arm is a process and a group of its own, and proves by a checksum that it has decoded every record. Only ratios
/// within one run mean something: the broker has the same processors.
#[derive(Args)]
#[command(
    after_help = "Builds itself in release. Ends with 0 if every figure is as it should be, 1 if one is not, 2 if one was not measured,
130 if it was interrupted. Needs 3 GB of disk, and a machine that does nothing else."
)]
pub(crate) struct BenchArgs {
    /// Only this; may be repeated
    #[arg(long, value_enum, value_name = "PART")]
    only: Vec<Part>,

    /// Only these arms read the backlog; may be repeated
    #[arg(long, value_enum, value_name = "ARM")]
    arm: Vec<Arm>,

    /// How many records the backlog has
    #[arg(long, default_value_t = 1_000_000)]
    records: u64,

    /// How often each arm runs: figures are medians
    #[arg(long, default_value_t = 3)]
    rounds: u32,

    /// A property for librdkafka in the arms of this runtime, to try it; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    property: Vec<String>,

    /// Version of Apache Kafka
    #[arg(long, value_name = "VERSION", default_value = DEFAULT_VERSION)]
    kafka: String,

    /// Write the tables into this folder
    #[arg(long, value_name = "FOLDER")]
    report: Option<PathBuf>,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// A backlog that is read without any work
    Backlog,
    /// Handlers that wait or compute
    Waiting,
    /// How late records are handled that come at a steady pace
    Latency,
    /// A service that has nothing to do
    Idle,
    /// What a record costs as partitions, handlers, keys, calls, bytes or the backlog grow
    Growth,
}

impl Part {
    /// True if `RustStream` is measured too.
    fn has_ruststream(self) -> bool {
        matches!(self, Self::Backlog | Self::Waiting)
    }
}

/// How much is measured.
pub(crate) struct Outline {
    pub(crate) arms: Vec<Arm>,
    pub(crate) records: u64,
    pub(crate) rounds: u32,
}

pub(crate) fn run(args: &BenchArgs) -> anyhow::Result<ExitCode> {
    if cfg!(debug_assertions) {
        return in_release();
    }
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let interrupt = Interrupt::listen(&tokio)?;
    let before = load();
    let measured = measure(args, &tokio, &interrupt);
    if interrupt.is_set() {
        progress("interrupted; what was started is ended");
        return Ok(ExitCode::from(130));
    }
    let chapters = measured?;
    let notes = [
        machine(),
        format!(
            "Load of the machine (1, 5, 15 minutes) before: {before}; after: {}.",
            load()
        ),
    ];
    let text = report::text(&command(), &notes, &chapters);
    if let Some(folder) = &args.report {
        report::write(folder, &text, &chapters)?;
    }
    let lines: Vec<_> = chapters.into_iter().flat_map(|one| one.lines).collect();
    let verdict = total(&lines);
    tell(&format!(
        "{text}\n{verdict}: {} figures; again: {}\n",
        lines.len(),
        command()
    ));
    Ok(match verdict {
        Verdict::Pass | Verdict::Information => ExitCode::SUCCESS,
        Verdict::Fail => ExitCode::FAILURE,
        Verdict::Inconclusive => ExitCode::from(2),
    })
}

fn measure(
    args: &BenchArgs,
    tokio: &tokio::runtime::Runtime,
    interrupt: &Interrupt,
) -> anyhow::Result<Vec<Chapter>> {
    let scratch = tempfile::Builder::new()
        .prefix("kafka-runtime-bench-")
        .tempdir()?;
    let parts = match &*args.only {
        [] => Part::value_variants(),
        only => only,
    };
    let ruststream = if parts.iter().any(|part| part.has_ruststream()) {
        stage::build_ruststream()?
    } else {
        PathBuf::new()
    };
    progress(&format!("starting Apache Kafka {} …", args.kafka));
    let cluster = KafkaCluster::builder()
        .version(&args.kafka)
        .for_throughput()
        .property("log.retention.check.interval.ms", "2000")
        .property("log.segment.delete.delay.ms", "1000")
        .start()?;
    interrupt.check()?;
    let stage = Stage {
        topics: Topics::new(cluster.bootstrap_servers())?,
        cluster,
        tokio,
        interrupt,
        folder: scratch.path().to_owned(),
        ruststream,
        properties: args.property.clone(),
    };
    let outline = Outline {
        arms: args.arm.clone(),
        records: args.records,
        rounds: args.rounds,
    };
    let mut chapters = Vec::new();
    for part in parts {
        let name = part.to_possible_value();
        progress(&format!(
            "{}:",
            name.map_or_else(String::new, |name| name.get_name().to_owned())
        ));
        chapters.push(match part {
            Part::Backlog => backlog::measure(&stage, &outline)?,
            Part::Waiting => waiting::measure(&stage, &outline)?,
            Part::Latency => latency::measure(&stage, &outline)?,
            Part::Idle => idle::measure(&stage, &outline)?,
            Part::Growth => growth::measure(&stage)?,
        });
    }
    Ok(chapters)
}

/// Does the same in a release build: the rates of another one are not those of a service.
fn in_release() -> anyhow::Result<ExitCode> {
    progress("building in release …");
    let status = Command::new(env!("CARGO"))
        .args([
            "run",
            "--release",
            "--quiet",
            "--package",
            "kafka-runtime-harness",
            "--",
        ])
        .args(std::env::args_os().skip(1))
        .status()
        .context("run cargo")?;
    Ok(status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from))
}

/// The command that does the same again.
fn command() -> String {
    let args: Vec<_> = std::env::args().skip(1).collect();
    format!("cargo harness {}", args.join(" "))
}

/// What the figures were measured on.
fn machine() -> String {
    let model = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown processor", |line| {
            line.trim_start_matches([' ', '\t', ':'])
        });
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{model}, {cores} cores, shared by broker and client.")
}

fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').take(3).collect::<Vec<_>>().join(", ")
}

#[expect(clippy::print_stdout, reason = "it is the result")]
fn tell(text: &str) {
    print!("{text}");
}
