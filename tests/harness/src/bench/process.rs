//! Runs one arm in a process of its own, and looks at what it has used when it is done.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use test_support::{WatchedProcess, unique_name};

use super::arm::Arm;
use super::stage::Stage;
use super::work::Work;
use super::worker::{Done, WorkerArgs};
use crate::interrupt::Interrupt;
use crate::resources;

/// One arm, once.
#[derive(Clone, Debug)]
pub(crate) struct Trial<'a> {
    pub(crate) arm: Arm,
    pub(crate) topic: &'a str,
    pub(crate) records: u64,
    pub(crate) work: Work,
    pub(crate) concurrency: usize,
    pub(crate) limit: Duration,
}

/// What it took.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) done: Done,
    /// Processor time of the whole process, in nanoseconds.
    pub(crate) cpu_ns: u64,
    /// The same by the names of its threads.
    pub(crate) threads: BTreeMap<String, u64>,
    pub(crate) peak_bytes: u64,
}

impl Sample {
    /// Records in a second, from the first to the last.
    pub(crate) fn rate(&self) -> f64 {
        per_second(self.done.records, self.done.first_ns, self.done.last_ns)
    }

    /// The same without the last tenth of the records.
    pub(crate) fn bulk_rate(&self) -> f64 {
        let records = self.done.records - self.done.records / 10;
        per_second(records, self.done.first_ns, self.done.bulk_ns)
    }

    /// Microseconds of processor time for each record.
    pub(crate) fn cpu_us(&self) -> f64 {
        micros(self.cpu_ns) / count(self.done.records)
    }

    /// Seconds from the start of the program to its first record.
    pub(crate) fn start_seconds(&self) -> f64 {
        micros(self.done.first_ns.saturating_sub(self.done.started_ns)) / 1e6
    }
}

fn per_second(records: u64, from: u64, until: u64) -> f64 {
    count(records) / (micros(until.saturating_sub(from)) / 1e6)
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn count(n: u64) -> f64 {
    n as f64
}

fn micros(ns: u64) -> f64 {
    count(ns) / 1e3
}

/// A process of an arm.
pub(crate) struct Running {
    process: WatchedProcess,
    out: PathBuf,
}

impl Running {
    /// Starts an arm as a new group.
    pub(crate) fn start(stage: &Stage<'_>, trial: &Trial<'_>) -> anyhow::Result<Self> {
        let group = unique_name("bench");
        let out = stage.folder.join(format!("{group}.out"));
        let args = WorkerArgs {
            arm: trial.arm,
            servers: stage.servers().to_owned(),
            group,
            topic: trial.topic.to_owned(),
            records: trial.records,
            work: trial.work,
            concurrency: trial.concurrency,
            property: stage.properties(trial.arm),
        };
        let mut command_line: Vec<OsString> =
            vec!["env".into(), format!("BENCH_TOPIC={}", trial.topic).into()];
        match trial.arm.ruststream() {
            Some(mode) => {
                command_line.push(stage.ruststream.clone().into());
                command_line.extend(args.for_ruststream(mode).into_iter().map(OsString::from));
            }
            None => {
                let program = std::env::current_exe().context("find this program")?;
                command_line.push(program.into());
                command_line.extend(args.to_command_line().into_iter().map(OsString::from));
            }
        }
        let process = WatchedProcess::spawn(&command_line, &File::create(&out)?)?;
        Ok(Self { process, out })
    }

    /// Waits until all is handled.
    pub(crate) fn finish(
        mut self,
        interrupt: &Interrupt,
        limit: Duration,
    ) -> anyhow::Result<Sample> {
        let until = Instant::now() + limit;
        let done = loop {
            let told = fs::read_to_string(&self.out)?;
            let mut lines = told.lines().filter(|line| line.starts_with("{\"records\""));
            if let Some(line) = lines.next()
                && let Ok(done) = serde_json::from_str(line)
            {
                break done;
            }
            if let Some(status) = self.process.ended()? {
                bail!("the arm has ended: {status}\n{told}");
            }
            if Instant::now() >= until {
                bail!("not done after {limit:?}\n{told}");
            }
            interrupt.sleep(Duration::from_millis(10))?;
        };
        let id = self.process.id();
        Ok(Sample {
            done,
            cpu_ns: resources::cpu_of(id)?,
            threads: resources::threads_of(id)?,
            peak_bytes: resources::peak_of(id)?,
        })
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }
}

/// Runs an arm from its start until all is handled.
pub(crate) fn run(stage: &Stage<'_>, trial: &Trial<'_>) -> anyhow::Result<Sample> {
    Running::start(stage, trial)?
        .finish(stage.interrupt, trial.limit)
        .with_context(|| format!("the arm {}", trial.arm.name()))
}
