//! One arm, in a process of its own: reads a topic, tells when it has handled all of it, and stays until it is ended.

mod hand_written;
mod lanes;
mod runtime;
mod tally;

pub(crate) use self::runtime::{FAILING, other_topics};
pub(crate) use self::tally::{Done, READY};

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use self::tally::Tally;
use super::arm::Arm;
use super::work::Work;

/// What an arm needs to know.
#[derive(Args, Clone, Debug)]
pub(crate) struct WorkerArgs {
    #[arg(long)]
    pub(crate) arm: Arm,
    #[arg(long)]
    pub(crate) servers: String,
    #[arg(long)]
    pub(crate) group: String,
    #[arg(long)]
    pub(crate) topic: String,
    #[arg(long)]
    pub(crate) records: u64,
    #[arg(long)]
    pub(crate) work: Work,
    /// Calls at once, where the arm has such a bound
    #[arg(long)]
    pub(crate) concurrency: usize,
    /// Handlers of a service of ours: one for the topic, the others for topics of their own
    #[arg(long, default_value_t = 1)]
    pub(crate) handlers: usize,
    /// Measure how late records are handled, and write that here
    #[arg(long)]
    pub(crate) latencies: Option<PathBuf>,
    /// A property for librdkafka, as NAME=VALUE
    #[arg(long)]
    pub(crate) property: Vec<String>,
}

impl WorkerArgs {
    pub(crate) fn to_command_line(&self) -> Vec<String> {
        let mut line = vec!["bench-worker".to_owned()];
        let mut option = |name: &str, value: String| line.extend([format!("--{name}"), value]);
        option("arm", self.arm.name());
        option("servers", self.servers.clone());
        option("group", self.group.clone());
        option("topic", self.topic.clone());
        option("records", self.records.to_string());
        option("work", self.work.to_string());
        option("concurrency", self.concurrency.to_string());
        option("handlers", self.handlers.to_string());
        if let Some(file) = &self.latencies {
            option("latencies", file.display().to_string());
        }
        for property in &self.property {
            option("property", property.clone());
        }
        line
    }

    /// The command line of the program that is `RustStream`.
    pub(crate) fn for_ruststream(&self, mode: &str) -> Vec<String> {
        let mut line = Vec::new();
        let mut option = |name: &str, value: String| line.extend([format!("--{name}"), value]);
        option("servers", self.servers.clone());
        option("group", self.group.clone());
        option("topic", self.topic.clone());
        option("records", self.records.to_string());
        option("mode", mode.to_owned());
        match self.work {
            Work::None => {}
            Work::Spin(steps) => option("spin", steps.to_string()),
            Work::Wait(ms) => option("wait-ms", ms.to_string()),
        }
        for property in &self.property {
            option("property", property.clone());
        }
        line
    }

    fn properties(&self) -> impl Iterator<Item = (&str, &str)> {
        self.property.iter().filter_map(|one| one.split_once('='))
    }
}

pub(crate) fn run(args: &WorkerArgs) -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    let tally = match &args.latencies {
        Some(file) => Tally::with_latencies(file.clone()),
        None => Arc::new(Tally::new(args.records)),
    };
    match args.arm {
        Arm::Poll => hand_written::poll(args, &tally),
        Arm::LoopDefaults | Arm::Loop => hand_written::base(args, &tally),
        Arm::Stream => hand_written::stream(args, &tally),
        Arm::Lanes => lanes::run(args, &tally),
        arm if arm.ruststream().is_some() => anyhow::bail!("it has a program of its own"),
        _ => runtime::run(args, &tally),
    }
}
