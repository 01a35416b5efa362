//! Runs a scenario: writes, hurts, waits until all is quiet, and gathers what was left behind.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use test_support::KafkaCluster;

use super::clock;
use super::evidence::{Deletion, Evidence, Limits, Process, Strike, StrikeKind};
use super::fault::{Brokers, Fault, Planned};
use super::fleet::Fleet;
use super::interrupt::Interrupt;
use super::ledger::Partition;
use super::network;
use super::progress::progress;
use super::remains;
use super::sampler::{Sample, Sampler};
use super::scenario::Scenario;
use super::stage::Stage;
use super::topics::{TopicNames, parks, read};
use super::worker::WorkerArgs;
use super::workload::Flavour;
use super::writer::{self, Assignment, Written};

const TICK: Duration = Duration::from_millis(20);
const TELL: Duration = Duration::from_secs(2);

/// Until the first record is committed: workers start, join, and have their dead letter topics made.
const FIRST_COMMIT: Duration = Duration::from_mins(1);

/// From the last fault until everything is committed.
const QUIET: Duration = Duration::from_mins(2);

const GRACE: Duration = Duration::from_secs(5);

/// A worker that has not ended by then never will.
const END: Duration = Duration::from_secs(20);

/// Runs a scenario. Ledgers and logs go to `folder`.
pub(crate) fn run(stage: &Stage, scenario: &Scenario, folder: &Path) -> anyhow::Result<Evidence> {
    let names = TopicNames::of(scenario);
    names.create(stage, scenario)?;
    // The nodes hear of new topics one after the other, and a worker that asks the last one ends for want of its topic.
    stage.interrupt.sleep(Duration::from_secs(1))?;
    let interrupt = stage.interrupt.part();
    let servers = stage.cluster.bootstrap_servers();
    let plans = || names.sources.iter().cloned().zip(&scenario.topics);
    let partitions: Vec<_> = plans()
        .map(|(name, plan)| (name, plan.partitions))
        .collect();
    let sampler = Sampler::new(servers, &names.group, &partitions)?;
    let written = Arc::new(writer::Progress::default());
    let assignment = Assignment {
        servers: servers.to_owned(),
        topics: plans().map(|(name, plan)| (name, *plan)).collect(),
        seed: scenario.seed,
        rate: scenario.rate,
    };
    let mut conductor = Conductor {
        stage,
        scenario,
        names: &names,
        fleet: Fleet::new(folder, worker(stage, scenario, &names)?)?,
        sampler: &sampler,
        written: &written,
        interrupt: &interrupt,
        strikes: Vec::new(),
        deletions: Vec::new(),
        lateness: Duration::ZERO,
        since: Instant::now(),
        told: Instant::now(),
        done: 0,
        is_closing: false,
    };
    let (processes, records) = thread::scope(|scope| {
        let writing = scope.spawn(|| writer::write(&assignment, &written, &interrupt));
        scope.spawn(|| sampler.run(|| false, &interrupt));
        let conducted = conductor.conduct(scope);
        interrupt.end();
        let wrote = writing.join();
        let conducted = conducted?;
        match wrote {
            Ok(result) => result.context("write the records")?,
            Err(_) => bail!("the writer panicked"),
        }
        anyhow::Ok(conducted)
    })?;
    let lateness = conductor.lateness;
    let (strikes, deletions) = (conductor.strikes, conductor.deletions);
    let committed = remains::committed_at_the_end(&sampler)?;
    let seen = sampler.take_samples();
    fs::write(folder.join("committed.txt"), changes(&seen))?;
    Ok(Evidence {
        committed,
        produced: remains::produced(stage, scenario, &names, records, &deletions)?,
        dead_letters: remains::dead_letters(stage, &names)?,
        parked: remains::parked(stage, &names)?,
        retry_topics: remains::retry_topics(stage, &names)?,
        topics: names.sources,
        group: names.group,
        processes,
        samples: seen,
        deletions,
        strikes,
        lateness,
        limits: Limits {
            grace: GRACE,
            member_expiry: scenario.session + Duration::from_secs(3),
            kill_recovery: scenario.session + Duration::from_secs(10),
            ..Limits::default()
        },
    })
}

/// What was committed when, for people: a line for each change that was seen.
fn changes(samples: &[Sample]) -> String {
    let mut text = String::new();
    let mut last = BTreeMap::new();
    for sample in samples {
        for (partition, offset) in &sample.committed {
            if last.insert(*partition, *offset) != Some(*offset) {
                let _ = writeln!(text, "{} {partition}/{offset}", sample.answered);
            }
        }
    }
    text
}

/// What all workers of a scenario are told.
fn worker(stage: &Stage, scenario: &Scenario, names: &TopicNames) -> anyhow::Result<WorkerArgs> {
    let batched = scenario.topics.iter().enumerate();
    let batched = batched.filter(|(_, plan)| plan.is_batched);
    Ok(WorkerArgs {
        servers: if scenario.is_proxied {
            network::servers(&stage.cluster)?
        } else {
            stage.cluster.bootstrap_servers().to_owned()
        },
        group: names.group.clone(),
        topic: names.sources.clone(),
        ledger: PathBuf::new(), // each has its own
        protocol: scenario.protocol,
        session_ms: millis(scenario.session),
        grace_ms: millis(GRACE),
        work_ms: millis(scenario.work),
        batch: batched.map(|(topic, _)| topic).collect(),
        park_ms: parks(scenario).map(|(ms, _)| ms).collect(),
        goes_on: scenario.goes_on,
        client_debug: scenario.client_debug.clone(),
    })
}

struct Conductor<'a> {
    stage: &'a Stage,
    scenario: &'a Scenario,
    names: &'a TopicNames,
    fleet: Fleet,
    sampler: &'a Sampler,
    written: &'a writer::Progress,
    interrupt: &'a Interrupt,
    strikes: Vec<Strike>,
    deletions: Vec<Deletion>,
    /// Of a tick, at worst.
    lateness: Duration,
    since: Instant,
    told: Instant,
    /// Faults that have been done.
    done: usize,
    /// Nobody is needed any more.
    is_closing: bool,
}

/// Brokers that are being started.
type Starting<'scope> = thread::ScopedJoinHandle<'scope, anyhow::Result<()>>;

impl<'a> Conductor<'a> {
    fn conduct<'scope>(
        &mut self,
        scope: &'scope thread::Scope<'scope, '_>,
    ) -> anyhow::Result<(Vec<Process>, Vec<Written>)>
    where
        'a: 'scope,
    {
        for _ in 0..self.scenario.workers {
            self.fleet.join()?;
        }
        self.wait("the first commit", FIRST_COMMIT, |this| {
            !this.sampler.latest().is_empty()
        })?;
        // Whoever is hurt has something to lose.
        self.wait("all workers to be assigned", FIRST_COMMIT, |this| {
            this.fleet.is_assigned()
        })?;

        let begun = Instant::now();
        let mut starting: Option<Starting<'scope>> = None;
        // Brokers take their time to start. What comes after that comes as much later, or nothing would ever recover.
        let mut late = Duration::ZERO;
        let mut asked_at = begun;
        for Planned { at, fault } in &self.scenario.schedule.0 {
            while begun.elapsed() < *at + late || (starting.is_some() && fault.is_of_brokers()) {
                self.tick()?;
                if self.healed(&mut starting)? {
                    late += asked_at.elapsed();
                }
            }
            if *fault == Fault::StartBrokers {
                asked_at = Instant::now();
            }
            self.strike(*fault, scope, &mut starting)?;
            self.done += 1;
        }
        while starting.is_some() {
            self.tick()?;
            self.healed(&mut starting)?;
        }

        self.written.is_hurried.store(true, Ordering::SeqCst);
        if self.fleet.running() == 0 {
            self.fleet.join()?;
        }
        self.wait("the writer", QUIET, |this| {
            this.written.is_done.load(Ordering::SeqCst)
        })?;
        let records = self.written.take_written();
        let targets = self.targets(&records)?;
        let quiet = self.wait("all to be committed", QUIET, |this| {
            let committed = this.sampler.latest();
            targets
                .iter()
                .all(|(partition, target)| committed.get(partition) >= Some(target))
        });
        if let Err(error) = quiet {
            self.interrupt.check()?;
            progress(&format!("{error:#}"));
        }
        self.wait_for_retry_topics()?;
        self.is_closing = true;
        self.fleet.resume()?;
        while self.fleet.running() > 0 {
            self.fleet.terminate(0)?;
        }
        let ended = self.wait("the workers to end", END, |this| this.fleet.alive() == 0);
        if let Err(error) = ended {
            self.interrupt.check()?;
            progress(&format!("{error:#}"));
        }
        Ok((self.fleet.close()?, records))
    }

    /// Waits until everything that is parked was handled.
    fn wait_for_retry_topics(&mut self) -> anyhow::Result<()> {
        let until = Instant::now() + QUIET;
        while Instant::now() < until {
            let all = remains::retry_topics(self.stage, self.names)?;
            if all.iter().all(|one| one.committed >= one.end) {
                return Ok(());
            }
            for _ in 0..10 {
                self.tick()?;
            }
        }
        progress("retry topics are not committed to their ends");
        Ok(())
    }

    /// Waits until something is so, and looks after the workers meanwhile.
    fn wait(
        &mut self,
        what: &str,
        limit: Duration,
        is_so: impl Fn(&Self) -> bool,
    ) -> anyhow::Result<()> {
        let until = Instant::now() + limit;
        while !is_so(self) {
            if Instant::now() >= until {
                bail!("waited {limit:?} for {what} in vain");
            }
            self.tick()?;
        }
        Ok(())
    }

    fn tick(&mut self) -> anyhow::Result<()> {
        let before = Instant::now();
        self.interrupt.sleep(TICK)?;
        self.lateness = self.lateness.max(before.elapsed().saturating_sub(TICK));
        for name in self.fleet.look()? {
            progress(&format!("{name} ended, and nobody told it to"));
            if !self.is_closing {
                self.fleet.join()?;
            }
        }
        if self.told.elapsed() >= TELL {
            self.told = Instant::now();
            let committed: i64 = self.sampler.latest().values().sum();
            progress(&format!(
                "{} seed {}: {:>3} s, {} written, up to {committed} committed, {} workers, {} of {} faults",
                self.scenario.name,
                self.scenario.seed,
                self.since.elapsed().as_secs(),
                self.written.acknowledged.load(Ordering::SeqCst),
                self.fleet.running(),
                self.done,
                self.scenario.schedule.0.len(),
            ));
        }
        Ok(())
    }

    fn strike<'scope>(
        &mut self,
        fault: Fault,
        scope: &'scope thread::Scope<'scope, '_>,
        starting: &mut Option<Starting<'scope>>,
    ) -> anyhow::Result<()>
    where
        'a: 'scope,
    {
        let ns = clock::now();
        let (kind, whom) = match fault {
            Fault::Kill(choice) => (StrikeKind::Kill, self.fleet.kill(choice)?),
            Fault::Terminate(choice) => (StrikeKind::Terminate, self.fleet.terminate(choice)?),
            Fault::Join => (StrikeKind::Join, Some(self.fleet.join()?)),
            Fault::TerminateAll => {
                let names = self.fleet.terminate_all()?.join(" ");
                self.wait("all workers to end", END, |this| this.fleet.alive() == 0)?;
                (StrikeKind::Terminate, Some(names))
            }
            Fault::Suspend(choice) => (StrikeKind::Suspend, self.fleet.suspend(choice)?),
            Fault::SuspendAll => {
                let names = self.fleet.suspend_all()?.join(" ");
                (StrikeKind::Suspend, Some(names))
            }
            Fault::DenyDeadLetters => {
                for topic in self.names.dead_letters() {
                    self.stage.cluster.deny_write(&topic)?;
                }
                // From when on all nodes forbid it.
                self.note(clock::now(), fault.to_string(), StrikeKind::Denied);
                return Ok(());
            }
            Fault::AllowDeadLetters => {
                for topic in self.names.dead_letters() {
                    self.stage.cluster.allow_write(&topic)?;
                }
                (StrikeKind::Allowed, Some(String::new()))
            }
            Fault::DeleteRecords => {
                let count = self.delete_records()?;
                (StrikeKind::Deleted, Some(format!("(up to {count})")))
            }
            Fault::Resume => (StrikeKind::Resume, Some(self.fleet.resume()?.join(" "))),
            Fault::KillBrokers(which) => (StrikeKind::Outage, self.kill_brokers(which)?),
            Fault::Network(fault) => {
                network::hurt(&self.stage.cluster, fault);
                (StrikeKind::Outage, Some(String::new()))
            }
            Fault::HealNetwork => {
                network::heal(&self.stage.cluster);
                (StrikeKind::Healed, Some(String::new()))
            }
            Fault::StartBrokers => {
                let cluster = &self.stage.cluster;
                *starting = Some(scope.spawn(|| start_all(cluster)));
                return Ok(()); // told when they serve
            }
        };
        match whom {
            Some(whom) => self.note(ns, format!("{fault} {whom}").trim_end().to_owned(), kind),
            None => progress(&format!("{fault}: there is nobody")),
        }
        Ok(())
    }

    /// Takes note of brokers that serve again; true if they do from now on.
    fn healed(&mut self, starting: &mut Option<Starting<'_>>) -> anyhow::Result<bool> {
        let Some(handle) = starting.take_if(|handle| handle.is_finished()) else {
            return Ok(false);
        };
        match handle.join() {
            Ok(result) => result.context("start the brokers again")?,
            Err(_) => bail!("starting brokers panicked"),
        }
        self.note(
            clock::now(),
            "brokers serve again".into(),
            StrikeKind::Healed,
        );
        Ok(true)
    }

    fn note(&mut self, ns: clock::Nanos, what: String, kind: StrikeKind) {
        progress(&format!("    {what}"));
        self.strikes.push(Strike { ns, what, kind });
    }

    /// Deletes most of what is not committed of each partition, and everything before it; returns how many records.
    fn delete_records(&mut self) -> anyhow::Result<i64> {
        let Stage { tokio, topics, .. } = self.stage;
        let committed = self.sampler.latest();
        let mut count = 0;
        for (topic, name) in self.names.sources.iter().enumerate() {
            for (number, end) in tokio.block_on(topics.end_offsets(name))? {
                let partition = Partition { topic, number };
                let next = committed.get(&partition).copied().unwrap_or(0);
                let before = end - (end - next) / 5;
                if before <= next {
                    continue;
                }
                tokio.block_on(topics.delete_records(name, number, before))?;
                count += before - next;
                self.deletions.push(Deletion {
                    partition,
                    before,
                    ns: clock::now(),
                });
            }
        }
        Ok(count)
    }

    fn kill_brokers(&self, which: Brokers) -> anyhow::Result<Option<String>> {
        let leader = |topic: &str, number: i32| -> anyhow::Result<Option<i32>> {
            let described = self
                .stage
                .tokio
                .block_on(self.stage.topics.describe(topic))?;
            let mut found = described.into_iter().flatten();
            Ok(found
                .find(|one| one.partition == number)
                .and_then(|one| one.leader))
        };
        let id = match which {
            Brokers::All => None,
            Brokers::Leader => Some(leader(&self.names.sources[0], 0)?),
            Brokers::Coordinator => {
                let number = offsets_partition(&self.names.group, OFFSETS_PARTITIONS);
                Some(leader("__consumer_offsets", number)?)
            }
        };
        let mut killed = Vec::new();
        for node in self.stage.cluster.nodes() {
            let is_meant = match id {
                None => true,
                Some(id) => id.is_some_and(|id| usize::try_from(id) == Ok(node.id())),
            };
            if is_meant {
                node.kill();
                killed.push(node.id().to_string());
            }
        }
        Ok(Some(killed.join(" ")).filter(|killed| !killed.is_empty()))
    }

    /// What has to be committed of each partition when all is done: one past its last record that counts.
    fn targets(&self, written: &[Written]) -> anyhow::Result<BTreeMap<Partition, i64>> {
        let mut targets: BTreeMap<Partition, i64> = BTreeMap::new();
        let mut reaches = |partition, offset| {
            let target = targets.entry(partition).or_insert(0);
            *target = (*target).max(offset);
        };
        for one in written {
            if self.scenario.topics[one.at.partition.topic].flavour != Flavour::Transactional {
                reaches(one.at.partition, one.at.offset + 1);
            }
        }
        for (topic, plan) in self.scenario.topics.iter().enumerate() {
            if plan.flavour == Flavour::Transactional {
                for record in read(self.stage, &self.names.sources[topic])? {
                    let number = record.partition;
                    reaches(Partition { topic, number }, record.offset + 1);
                }
            }
        }
        Ok(targets)
    }
}

/// Starts all nodes that are down, at once: a majority of them is needed before any serves.
fn start_all(cluster: &KafkaCluster) -> anyhow::Result<()> {
    thread::scope(|scope| {
        let nodes = cluster.nodes().iter();
        let starting: Vec<_> = nodes
            .map(|node| scope.spawn(|| node.start_again()))
            .collect();
        for node in starting {
            match node.join() {
                Ok(result) => result?,
                Err(_) => bail!("starting a broker panicked"),
            }
        }
        Ok(())
    })
}

/// The rig's `offsets.topic.num.partitions`.
const OFFSETS_PARTITIONS: i32 = 4;

/// Which partition of `__consumer_offsets` a group is in; its leader is the group's coordinator.
fn offsets_partition(group: &str, partitions: i32) -> i32 {
    // Java's String.hashCode, for ASCII.
    let hash = group.bytes().fold(0_i32, |hash, byte| {
        hash.wrapping_mul(31).wrapping_add(i32::from(byte))
    });
    (hash & i32::MAX) % partitions
}

/// Removes what a scenario left that nobody needs.
pub(crate) fn clean(folder: &Path) {
    let _ = fs::remove_dir_all(folder);
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::offsets_partition;

    #[test]
    fn a_group_has_the_partition_that_the_broker_gives_it() {
        // "hello".hashCode() is 99162322, "polygenelubricants".hashCode() is i32::MIN.
        assert_eq!(offsets_partition("hello", 50), 99_162_322 % 50);
        assert_eq!(offsets_partition("polygenelubricants", 50), 0);
    }
}
