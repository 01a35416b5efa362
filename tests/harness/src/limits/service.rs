//! A service in a process of its own, as the measurements see it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::Signal;
use test_support::{KafkaCluster, Topics, WatchedProcess, unique_name};

use super::load::{Recipe, Writer};
use super::rate::rate;
use super::worker::{Counts, Hang, Note, WorkerArgs};
use crate::interrupt::Interrupt;
use crate::progress::progress;
use crate::resources;

/// How long a service may take until it reads its partitions.
const START: Duration = Duration::from_secs(30);

/// How long it may take to end.
const STOP: Duration = Duration::from_secs(15);

pub(crate) const PARTITIONS: i32 = 8;

/// `max_in_flight_bytes` of a service, as it is by default.
pub(crate) const MAX_IN_FLIGHT_BYTES: usize = 64 << 20;

/// What everything runs on.
pub(crate) struct Stage<'a> {
    pub(crate) cluster: KafkaCluster,
    pub(crate) topics: Topics,
    pub(crate) tokio: &'a tokio::runtime::Runtime,
    pub(crate) interrupt: &'a Interrupt,
    pub(crate) folder: PathBuf,
    /// For librdkafka, in every service.
    pub(crate) properties: Vec<String>,
}

impl Stage<'_> {
    pub(crate) fn servers(&self) -> &str {
        self.cluster.bootstrap_servers()
    }

    /// Creates a topic, and writes records until so many of them count; returns its name.
    pub(crate) fn topic(&self, name: &str, recipe: Recipe, counted: u64) -> anyhow::Result<String> {
        let topic = unique_name(name);
        self.tokio
            .block_on(self.topics.create(&topic, PARTITIONS))?;
        let started = Instant::now();
        let mut writer = Writer::new(self.servers(), &topic, recipe)?;
        writer.write_until(counted, self.interrupt)?;
        writer.finish()?;
        progress(&format!(
            "  {name}: {} records of {} bytes written in {:.1} s",
            writer.written,
            recipe.value,
            started.elapsed().as_secs_f32()
        ));
        Ok(topic)
    }

    /// A service of a new group that is like most.
    pub(crate) fn args(&self, topic: &str) -> WorkerArgs {
        let group = unique_name("limits");
        WorkerArgs {
            servers: self.servers().to_owned(),
            out: self.folder.join(format!("{group}.jsonl")),
            group,
            topic: topic.to_owned(),
            work_ms: 0,
            concurrency: 1000,
            attempts: 4,
            max_call_age_ms: 60_000,
            max_in_flight_bytes: MAX_IN_FLIGHT_BYTES,
            hang: Hang::Off,
            fails: false,
            has_breaker: true,
            property: self.properties.clone(),
        }
    }

    /// Deletes a topic: what it has on the disk goes.
    pub(crate) fn delete(&self, topic: &str) -> anyhow::Result<()> {
        Ok(self.tokio.block_on(self.topics.delete(topic))?)
    }
}

/// See the module.
pub(crate) struct Service {
    process: WatchedProcess,
    log: PathBuf,
    out: PathBuf,
    read: u64,
    rest: Vec<u8>,
    is_assigned: bool,
    /// The last that it told.
    pub(crate) counts: Counts,
    /// All that it told besides counts.
    pub(crate) notes: Vec<Note>,
}

impl Service {
    /// Starts a service, and waits until it reads its partitions.
    pub(crate) fn start(stage: &Stage<'_>, args: &WorkerArgs) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("find this program")?;
        let command_line: Vec<OsString> = std::iter::once(program.into_os_string())
            .chain(args.to_command_line().into_iter().map(OsString::from))
            .collect();
        let log = args.out.with_extension("log");
        File::create(&args.out)?;
        let mut this = Self {
            process: WatchedProcess::spawn(&command_line, &File::create(&log)?)?,
            log,
            out: args.out.clone(),
            read: 0,
            rest: Vec::new(),
            is_assigned: false,
            counts: Counts::default(),
            notes: Vec::new(),
        };
        if !this.wait(stage.interrupt, START, |this| this.is_assigned)? {
            bail!("the service reads no partition:\n{}", this.log());
        }
        Ok(this)
    }

    /// Waits until `is_so`; false if it is not by then.
    pub(crate) fn wait(
        &mut self,
        interrupt: &Interrupt,
        limit: Duration,
        mut is_so: impl FnMut(&Self) -> bool,
    ) -> anyhow::Result<bool> {
        let until = Instant::now() + limit;
        loop {
            self.look()?;
            if is_so(self) {
                return Ok(true);
            }
            if Instant::now() >= until {
                return Ok(false);
            }
            interrupt.sleep(Duration::from_millis(50))?;
        }
    }

    /// Returns how many good records it has handled in a second, from its first call to the last of so many.
    pub(crate) fn rate(
        &mut self,
        interrupt: &Interrupt,
        records: u64,
        limit: Duration,
    ) -> anyhow::Result<Option<f64>> {
        let is_done = self.wait(interrupt, limit, |this| this.counts.good >= records)?;
        if !is_done {
            progress(&format!("    not done in time: {:?}", self.counts));
        }
        // Of one that is not done: what it did in all the time it had.
        let last = if is_done {
            self.counts.last_ns
        } else {
            crate::clock::now()
        };
        Ok(rate(self.counts.good, self.counts.first_ns, last))
    }

    pub(crate) fn peak(&self) -> anyhow::Result<u64> {
        resources::peak_of(self.process.id())
    }

    /// Ends it in order.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        self.process.signal(Signal::TERM)?;
        if !self.process.wait(STOP)? {
            progress("  a service did not end in time, and is killed");
        }
        Ok(())
    }

    /// Reads what it has told since.
    fn look(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.process.ended()? {
            bail!("the service has ended: {status}\n{}", self.log());
        }
        let mut out = File::open(&self.out)?;
        out.seek(SeekFrom::Start(self.read))?;
        let read = out.read_to_end(&mut self.rest)?;
        self.read += read as u64;
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else {
            return Ok(());
        };
        let rest = self.rest.split_off(end + 1);
        let lines = std::mem::replace(&mut self.rest, rest);
        for line in lines.split(|byte| *byte == b'\n') {
            if line.is_empty() {
                continue;
            }
            match serde_json::from_slice(line).context("read what a service told")? {
                Note::Assigned => self.is_assigned = true,
                Note::Counts(counts) => self.counts = counts,
                note => self.notes.push(note),
            }
        }
        Ok(())
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}
