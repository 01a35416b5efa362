//! `harness bench`: this runtime and others side by side, on a real Kafka.
//!
//! | file | has |
//! |---|---|
//! | `stage`, `event`, `keys` | the broker, and what is in its topics |
//! | `arm`, `work` | who reads, and what is done with a record |
//! | `worker/` | an arm, in a process of its own |
//! | `process` | starts an arm, and looks at what it has used |
//! | `throughput` | the measurements |
//! | `figures` | medians; no I/O |

mod arm;
mod event;
mod figures;
mod keys;
mod process;
mod stage;
mod throughput;
mod work;
mod worker;

use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use test_support::{DEFAULT_VERSION, KafkaCluster, Topics};

use self::arm::Arm;
use self::event::Events;
use self::keys::Keys;
use self::process::Trial;
use self::stage::Stage;
use self::throughput::Plan;
use self::work::Work;
pub(crate) use self::worker::{WorkerArgs, run as run_worker};
use crate::interrupt::Interrupt;
use crate::progress::progress;

#[derive(Args)]
pub(crate) struct BenchArgs {
    /// Only these arms; may be repeated
    #[arg(long, value_enum, value_name = "ARM")]
    arm: Vec<Arm>,
    #[arg(long, default_value_t = 1_000_000)]
    records: u64,
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    #[arg(long, default_value = "none")]
    work: Work,
    #[arg(long, default_value_t = 1000)]
    concurrency: usize,
    /// A property for librdkafka in our own arms, to try it; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    property: Vec<String>,
    /// Version of Apache Kafka
    #[arg(long, value_name = "VERSION", default_value = DEFAULT_VERSION)]
    kafka: String,
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
    let scratch = tempfile::Builder::new()
        .prefix("kafka-runtime-bench-")
        .tempdir()?;
    let arms = if args.arm.is_empty() {
        vec![
            Arm::Poll,
            Arm::LoopDefaults,
            Arm::Loop,
            Arm::Stream,
            Arm::Lanes,
            Arm::Key,
            Arm::Partition,
            Arm::None,
            Arm::Batch,
            Arm::Borrowed,
            Arm::Event,
            Arm::Raw,
        ]
    } else {
        args.arm.clone()
    };
    let ruststream = if arms.iter().any(|arm| arm.ruststream().is_some()) {
        stage::build_ruststream()?
    } else {
        Default::default()
    };
    progress(&format!("starting Apache Kafka {} …", args.kafka));
    let cluster = KafkaCluster::builder()
        .version(&args.kafka)
        .for_throughput()
        .start()?;
    let stage = Stage {
        topics: Topics::new(cluster.bootstrap_servers())?,
        cluster,
        tokio: &tokio,
        interrupt: &interrupt,
        folder: scratch.path().to_owned(),
        ruststream,
        properties: args.property.clone(),
    };
    let filled = stage.fill(
        "backlog",
        8,
        args.records,
        Events::new(Keys::zipf(10_000), 0),
    )?;
    let plan = Plan {
        filled: &filled,
        arms: &arms,
        trial: Trial {
            arm: Arm::Loop,
            topic: &filled.topic,
            records: args.records,
            work: args.work,
            concurrency: args.concurrency,
            limit: stage::LIMIT,
        },
        rounds: args.rounds,
    };
    let measured = throughput::measure(&stage, &plan)?;
    tell(&throughput::table(&measured));
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::print_stdout, reason = "it is the result")]
fn tell(text: &str) {
    print!("{text}");
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
