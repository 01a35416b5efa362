//! Runs one arm in a process of its own, and looks at what it has used when it is done.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::Signal;
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
    /// Handlers of a service of ours: one for the topic, the others for topics of their own.
    pub(crate) handlers: usize,
    pub(crate) limit: Duration,
    /// Measure how late records are handled.
    pub(crate) is_timed: bool,
    /// The consumer group; a new one for each trial if there is none.
    pub(crate) group: Option<&'a str>,
}

impl<'a> Trial<'a> {
    /// One that reads a topic to its end, as a group of its own.
    pub(crate) fn of(topic: &'a str, work: Work, limit: Duration) -> Self {
        Self {
            arm: Arm::Key,
            topic,
            records: 0,
            work,
            concurrency: 1000,
            handlers: 1,
            limit,
            is_timed: false,
            group: None,
        }
    }
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
    /// How late each record was handled, in microseconds, if that was measured.
    pub(crate) latencies: Vec<u32>,
}

impl Sample {
    /// Records in a second, from the first to the last.
    pub(crate) fn rate(&self) -> f64 {
        per_second(self.done.records, self.done.first_ns, self.done.last_ns)
    }

    /// The most that it had in memory, in megabytes.
    pub(crate) fn peak_mb(&self) -> f64 {
        count(self.peak_bytes) / 1e6
    }

    /// How long that took.
    pub(crate) fn took(&self) -> Duration {
        Duration::from_nanos(self.done.last_ns.saturating_sub(self.done.first_ns))
    }

    /// How long the first four of five records took.
    pub(crate) fn bulk_took(&self) -> Duration {
        Duration::from_nanos(self.done.bulk_ns.saturating_sub(self.done.first_ns))
    }

    /// Microseconds of processor time for each record.
    pub(crate) fn cpu_us(&self) -> f64 {
        micros(self.cpu_ns) / count(self.done.records)
    }

    /// The same from the first record to the last, without the start; of the arms that tell it.
    pub(crate) fn steady_us(&self) -> f64 {
        let ns = self.done.last_cpu_ns.saturating_sub(self.done.first_cpu_ns);
        micros(ns) / count(self.done.records)
    }

    /// Milliseconds of processor time before the first record; of the arms that tell it.
    pub(crate) fn start_cpu_ms(&self) -> f64 {
        micros(self.done.first_cpu_ns) / 1e3
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
    latencies: Option<PathBuf>,
}

impl Running {
    /// Starts an arm as a new group.
    pub(crate) fn start(stage: &Stage<'_>, trial: &Trial<'_>) -> anyhow::Result<Self> {
        let name = unique_name("bench");
        let group = trial.group.map_or_else(|| name.clone(), str::to_owned);
        let out = stage.folder.join(format!("{name}.out"));
        let latencies = stage.folder.join(format!("{name}.json"));
        let latencies = Some(latencies).filter(|_| trial.is_timed);
        let args = WorkerArgs {
            arm: trial.arm,
            servers: stage.servers().to_owned(),
            group,
            topic: trial.topic.to_owned(),
            records: trial.records,
            work: trial.work,
            concurrency: trial.concurrency,
            handlers: trial.handlers,
            latencies: latencies.clone(),
            property: stage.properties(trial.arm),
        };
        let mut command_line: Vec<OsString> =
            vec!["env".into(), format!("BENCH_TOPIC={}", trial.topic).into()];
        if let Some(mode) = trial.arm.ruststream() {
            command_line.push(stage.ruststream.clone().into());
            command_line.extend(args.for_ruststream(mode).into_iter().map(OsString::from));
        } else {
            let program = std::env::current_exe().context("find this program")?;
            command_line.push(program.into());
            command_line.extend(args.to_command_line().into_iter().map(OsString::from));
        }
        let process = WatchedProcess::spawn(&command_line, &File::create(&out)?)?;
        Ok(Self {
            process,
            out,
            latencies,
        })
    }

    /// Waits until it says something that begins with these words; returns the line.
    pub(crate) fn wait_for(
        &mut self,
        words: &str,
        interrupt: &Interrupt,
        limit: Duration,
    ) -> anyhow::Result<String> {
        let until = Instant::now() + limit;
        loop {
            let ended = self.process.ended()?;
            let told = fs::read_to_string(&self.out)?;
            // The last line may be half of one.
            let whole = told.rsplit_once('\n').map_or("", |(whole, _)| whole);
            if let Some(line) = whole.lines().find(|line| line.starts_with(words)) {
                return Ok(line.to_owned());
            }
            if let Some(status) = ended {
                bail!("the arm has ended: {status}\n{told}");
            }
            if Instant::now() >= until {
                bail!("not done after {limit:?}\n{told}");
            }
            interrupt.sleep(Duration::from_millis(10))?;
        }
    }

    /// Waits until all is handled.
    pub(crate) fn finish(
        mut self,
        interrupt: &Interrupt,
        limit: Duration,
    ) -> anyhow::Result<Sample> {
        let line = self.wait_for("{", interrupt, limit)?;
        let latencies = match &self.latencies {
            Some(file) => serde_json::from_slice(&fs::read(file)?)?,
            None => Vec::new(),
        };
        let id = self.process.id();
        Ok(Sample {
            done: serde_json::from_str(&line).context("read what an arm told")?,
            cpu_ns: resources::cpu_of(id)?,
            threads: resources::threads_of(id)?,
            peak_bytes: resources::peak_of(id)?,
            latencies,
        })
    }

    /// Has a member of ours leave its group, and goes on at once.
    pub(crate) fn ask_to_leave(&self) -> anyhow::Result<()> {
        Ok(self.process.signal(Signal::TERM)?)
    }

    /// Waits until a member of ours has left; returns how late its records were.
    pub(crate) fn left(
        mut self,
        interrupt: &Interrupt,
        limit: Duration,
    ) -> anyhow::Result<Vec<u32>> {
        self.wait_for("{", interrupt, limit)?;
        let file = self.latencies.as_ref().context("latencies are measured")?;
        Ok(serde_json::from_slice(&fs::read(file)?)?)
    }

    /// Ends it in order.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        self.process.signal(Signal::TERM)?;
        self.process.wait(Duration::from_secs(15))?;
        Ok(())
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
