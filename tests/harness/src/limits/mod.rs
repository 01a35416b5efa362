//! `harness limits`: what a service may cost at its worst, measured on a real Kafka and held against its limits.
//!
//! | file | has |
//! |---|---|
//! | `hang`, `poison`, `budget` | the measurements |
//! | `service`, `worker` | the service that is measured, in a process of its own |
//! | `load` | the records |
//! | `rate`, `memory` | what makes a figure pass; no I/O |
//! | `report` | the table |

mod budget;
mod hang;
mod load;
mod memory;
mod poison;
mod rate;
mod report;
mod service;
mod worker;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use test_support::{DEFAULT_VERSION, KafkaCluster, Topics};

use self::budget::Strain;
use self::service::Stage;
pub(crate) use self::worker::{WorkerArgs, run as run_worker};
use crate::interrupt::Interrupt;
use crate::progress::progress;
use crate::verdict::{Line, Verdict, table, total};

/// Measure hung calls, poison and memory on a real Kafka, and hold each figure against its limit.
///
/// Rates are compared in pairs of runs, one after the other, since others use the machine, too.
#[derive(Args)]
#[command(
    after_help = "Ends with 0 if everything passed, 1 if a limit was not kept or Kafka does not start, 2 if what was to be measured did
not happen, 130 if it was interrupted. Needs a release build (cargo run --release -p kafka-runtime-harness -- limits) and 3 GB of disk."
)]
pub(crate) struct LimitsArgs {
    /// Only this; may be repeated
    #[arg(long, value_enum, value_name = "NAME")]
    only: Vec<Figure>,

    /// How long every call fails
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,

    /// How many pairs of runs a rate is the median of
    #[arg(long, default_value_t = 3)]
    pairs: u32,

    /// A property for librdkafka in the services that are measured, to try it; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    property: Vec<String>,

    /// Version of Apache Kafka
    #[arg(long, value_name = "VERSION", default_value = DEFAULT_VERSION)]
    kafka: String,

    /// Write a table into this folder
    #[arg(long, value_name = "FOLDER")]
    report: Option<PathBuf>,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Figure {
    /// A call that never returns
    Hang,
    /// Records that fail among those that do not
    Poison,
    /// The memory that a backlog of 2 GB takes
    Backlog,
    /// The same of records of 100 KiB
    Large,
    /// The memory that 1,000,000 keys take
    Keys,
    /// The memory that it takes when every call fails
    Failing,
}

impl Figure {
    fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

pub(crate) fn run(args: &LimitsArgs) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let interrupt = Interrupt::listen(&tokio)?;
    let measured = measure(args, &tokio, &interrupt);
    if interrupt.is_set() {
        progress("interrupted; what was started is ended");
        return Ok(ExitCode::from(130));
    }
    let lines = measured?;
    let verdict = total(&lines);
    let notes = notes();
    if let Some(folder) = &args.report {
        report::write(folder, &command(args), &notes, &lines)?;
    }
    tell(&lines, &notes, verdict, started, args);
    Ok(match verdict {
        Verdict::Pass | Verdict::Information => ExitCode::SUCCESS,
        Verdict::Fail => ExitCode::FAILURE,
        Verdict::Inconclusive => ExitCode::from(2),
    })
}

fn measure(
    args: &LimitsArgs,
    tokio: &tokio::runtime::Runtime,
    interrupt: &Interrupt,
) -> anyhow::Result<Vec<Line>> {
    let scratch = tempfile::Builder::new()
        .prefix("kafka-runtime-limits-")
        .tempdir()?;
    progress(&format!("starting Apache Kafka {} …", args.kafka));
    let cluster = KafkaCluster::builder()
        .version(&args.kafka)
        .for_throughput()
        // What is deleted goes at once, and not in minutes.
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
        properties: args.property.clone(),
    };
    let figures = match &*args.only {
        [] => Figure::value_variants(),
        only => only,
    };
    let mut lines = Vec::new();
    let mut idle = None;
    for figure in figures {
        progress(&format!("{}:", figure.name()));
        let strains: &[Strain] = match figure {
            Figure::Hang => {
                lines.extend(hang::measure(&stage, args.pairs)?);
                continue;
            }
            Figure::Poison => {
                lines.extend(poison::measure(&stage, args.pairs)?);
                continue;
            }
            Figure::Backlog => &[Strain::Backlog],
            Figure::Large => &[Strain::Large],
            Figure::Keys => &[Strain::Keys],
            Figure::Failing => &[Strain::Failing, Strain::Broken],
        };
        let idle = match idle {
            Some(idle) => idle,
            None => *idle.insert(budget::idle(&stage)?),
        };
        let lasts = Duration::try_from_secs_f64(args.minutes * 60.0)?;
        for strain in strains {
            lines.push(budget::measure(&stage, *strain, idle, lasts)?);
        }
    }
    Ok(lines)
}

/// What a reader of the figures has to know.
fn notes() -> Vec<String> {
    let mut notes = Vec::new();
    if cfg!(debug_assertions) {
        notes.push("This is a debug build: its rates are not those of a service.".to_owned());
    }
    notes
}

#[expect(clippy::print_stdout, reason = "it is the result")]
fn tell(lines: &[Line], notes: &[String], verdict: Verdict, started: Instant, args: &LimitsArgs) {
    print!("{}", table(lines));
    for note in notes {
        println!("{note}");
    }
    println!(
        "{verdict}: {} figures in {} s; again: {}",
        lines.len(),
        started.elapsed().as_secs(),
        command(args)
    );
}

/// The command that does the same again.
fn command(args: &LimitsArgs) -> String {
    let release = if cfg!(debug_assertions) {
        ""
    } else {
        "--release "
    };
    let mut line = format!("cargo run {release}-p kafka-runtime-harness -- limits");
    for figure in &args.only {
        line.push_str(" --only ");
        line.push_str(&figure.name());
    }
    for property in &args.property {
        let _ = write!(line, " --property {property}");
    }
    for (option, value, default) in [
        ("minutes", args.minutes.to_string(), "1"),
        ("pairs", args.pairs.to_string(), "3"),
        ("kafka", args.kafka.clone(), DEFAULT_VERSION),
    ] {
        if value != default {
            let _ = write!(line, " --{option} {value}");
        }
    }
    line
}
