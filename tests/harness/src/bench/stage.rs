//! What the benchmark runs on: a broker, and topics with records.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use test_support::{KafkaCluster, Topics, unique_name};

use super::arm::Arm;
use super::counts::Counts;
use super::event::Events;
use crate::bulk::BulkWriter;
use crate::interrupt::Interrupt;
use crate::progress::progress;

pub(crate) struct Stage<'a> {
    pub(crate) cluster: KafkaCluster,
    pub(crate) topics: Topics,
    pub(crate) tokio: &'a tokio::runtime::Runtime,
    pub(crate) interrupt: &'a Interrupt,
    pub(crate) folder: PathBuf,
    /// The program of the arms of `RustStream`.
    pub(crate) ruststream: PathBuf,
    /// For the clients of all arms of this project, to try them.
    pub(crate) properties: Vec<String>,
}

/// A topic, and what is in it.
#[derive(Clone, Debug)]
pub(crate) struct Filled {
    pub(crate) topic: String,
    pub(crate) records: u64,
    pub(crate) checksum: u64,
    /// How many records each key has.
    pub(crate) keys: Counts,
    /// How many records each partition has.
    pub(crate) partitions: Counts,
}

impl Stage<'_> {
    pub(crate) fn servers(&self) -> &str {
        self.cluster.bootstrap_servers()
    }

    /// Returns the properties that an arm gives to librdkafka.
    pub(crate) fn properties(&self, arm: Arm) -> Vec<String> {
        match arm {
            Arm::LoopDefaults | Arm::RuststreamDefault => Vec::new(),
            arm if arm.is_ours() => self.properties.clone(),
            // What makes the difference: see docs/PERFORMANCE.md.
            _ => vec!["fetch.queue.backoff.ms=10".to_owned()],
        }
    }

    /// Creates a topic and writes events to it.
    pub(crate) fn fill(
        &self,
        name: &str,
        partitions: i32,
        records: u64,
        mut events: Events,
    ) -> anyhow::Result<Filled> {
        let topic = unique_name(name);
        self.tokio
            .block_on(self.topics.create_with(&topic, partitions, &TOPIC))?;
        let started = Instant::now();
        let mut writer = BulkWriter::new(self.servers(), &topic, "none")?;
        let (mut keys, mut places) = (Counts::default(), Counts::default());
        let mut checksum = 0;
        let mut bytes = 0;
        for number in 0..records {
            if number.is_multiple_of(1000) {
                self.interrupt.check()?;
            }
            let event = events.next();
            bytes += event.value.len();
            checksum += event.checksum;
            let partition = event.partition(partitions);
            keys.add(event.id);
            places.add(u64::try_from(partition)?);
            writer.send_to(partition, event.key.as_bytes(), event.value.as_bytes())?;
        }
        writer.finish()?;
        progress(&format!(
            "  {records} records, {} MB, written to {partitions} partitions in {:.1} s",
            bytes / 1_000_000,
            started.elapsed().as_secs_f32()
        ));
        Ok(Filled {
            topic,
            records,
            checksum,
            keys,
            partitions: places,
        })
    }

    /// Deletes a topic: what it has on the disk goes.
    pub(crate) fn delete(&self, filled: &Filled) -> anyhow::Result<()> {
        Ok(self.tokio.block_on(self.topics.delete(&filled.topic))?)
    }
}

/// Builds the program of the arms of `RustStream`, which are a workspace of their own.
pub(crate) fn build_ruststream() -> anyhow::Result<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../benches/ruststream");
    progress("building the arms of RustStream …");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--release", "--quiet"])
        .current_dir(&folder)
        .status()
        .context("run cargo")?;
    if !status.success() {
        bail!("{} does not build", folder.display());
    }
    Ok(folder.join("target/release/ruststream-arm"))
}

/// Records of 1 MiB may come, and what is around them.
const TOPIC: [(&str, &str); 1] = [("max.message.bytes", "2097152")];

/// How long an arm of so many records may take.
pub(crate) const LIMIT: Duration = Duration::from_mins(3);
