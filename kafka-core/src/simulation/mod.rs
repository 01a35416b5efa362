//! Deterministic simulation: real engines on the broker in memory, in one thread, with paused time. A seeded scheduler
//! decides who goes next: a lane, half a round of a poll thread, a handler that waits, the group's coordinator, the
//! clock, a fault. [`World`](world::World) knows what is true and checks every promise as it happens.
//!
//! A seed gives the same run in every process: a failing one is replayed by its number.

pub(crate) mod executor;
mod group;
mod member;
mod mutants;
mod random;
mod setup;
mod world;

use std::time::Duration;

use self::group::Group;
use self::member::{MAX_CALL_AGE, REPORT_MARGIN, SimMember};
use self::random::Random;
use self::setup::Setup;
use self::world::{Kind, SharedWorld, TOPIC};
use crate::client::memory::{MemoryBroker, WriteVerdict};
use crate::engine::poll::Command;
use crate::error::ClientError;
use crate::failure::breaker::Breaker;
use crate::failure::retry_topic::topic_name;
use crate::producer::ProduceError;
use crate::record::{Offset, TopicPartition};

pub use self::mutants::MUTANTS;
pub use self::world::{Check, Counts, Violation};

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Run {
    /// The seed that it was drawn from.
    pub seed: u64,
    /// The first rule that was broken, if any.
    pub violation: Option<Violation>,
    /// What happened in it.
    pub counts: Counts,
    /// The same line by line, if it was asked for.
    pub trace: Vec<String>,
}

impl Run {
    /// A run that ended in a panic.
    pub fn panicked(seed: u64, text: String) -> Self {
        Self {
            seed,
            violation: Some(Violation {
                check: Check::Panic,
                text,
                step: 0,
            }),
            counts: Counts::default(),
            trace: Vec::new(),
        }
    }
}

/// The rounds in which everything must come to its end once the faults are over: a retry waits up to 5 s, four times,
/// behind others of its key; what finds no room in the retry topics waits for many of those.
const LAST_ROUNDS: usize = 12_000;

/// Runs one seed; `with_trace` keeps what happens, line by line.
///
/// # Panics
/// If no tokio runtime can be made.
pub fn run(seed: u64, with_trace: bool) -> Run {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    #[expect(
        clippy::expect_used,
        reason = "a tool for this project: there is nothing to do about it"
    )]
    let runtime = runtime.expect("a runtime of one thread");
    runtime.block_on(async {
        crate::clock::simulated::begin();
        let mut simulation = Simulation::new(seed);
        if with_trace {
            let setup = format!("{:?}", simulation.setup);
            simulation.world.lock().trace = Some(vec![setup]);
        }
        simulation.run().await;
        let mut world = simulation.world.lock();
        Run {
            seed,
            violation: world.violation.clone(),
            counts: world.counts,
            trace: world.trace.take().unwrap_or_default(),
        }
    })
}

struct Simulation {
    random: Random,
    setup: Setup,
    broker: MemoryBroker,
    world: SharedWorld,
    group: Group,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let setup = Setup::of_seed(seed, &mut random);
        let broker = MemoryBroker::default();
        for partition in 0..setup.partitions {
            broker.skip(&TopicPartition::new(TOPIC, partition), 0);
        }
        let world = SharedWorld::new(setup.clone(), broker.clone());
        Self {
            random,
            group: Group::new(&world),
            setup,
            broker,
            world,
        }
    }

    async fn run(&mut self) {
        for _ in 0..self.setup.members {
            self.group.join();
        }
        self.group.rebalance(&mut self.random);
        self.broker.hold_writes(self.setup.broker_faults);
        for step in 0..self.setup.steps {
            self.world.lock().step = step;
            self.step().await;
            if self.is_broken() {
                return;
            }
        }
        self.finish().await;
    }

    fn is_broken(&self) -> bool {
        self.world.lock().violation.is_some()
    }

    /// Picks a member that works.
    fn somebody(&mut self) -> Option<&mut SimMember> {
        let up: Vec<_> = (0..self.group.members.len())
            .filter(|i| self.group.members[*i].is_up())
            .collect();
        if up.is_empty() {
            return None;
        }
        let index = *self.random.pick(&up);
        Some(&mut self.group.members[index])
    }

    async fn step(&mut self) {
        match self.random.below(100) {
            0..30 => self.run_tasks(),
            30..55 => self.half_round(),
            55..67 => self.write(),
            67..78 => self.open_gate(),
            78..87 => self.pass().await,
            87..91 => self.commit(),
            91..94 => self.settle_write(),
            94..96 => self.check_idle(),
            _ => self.disturb().await,
        }
        self.group.coordinate(&mut self.random);
        self.check_commits();
    }

    fn run_tasks(&mut self) {
        let times = self.random.between(1, 6);
        for _ in 0..times {
            let mut random = self.random.fork();
            if let Some(member) = self.somebody() {
                member.run_one(&mut random);
            }
        }
    }

    fn half_round(&mut self) {
        if let Some(member) = self.somebody() {
            member.half_round();
        }
    }

    fn write(&mut self) {
        if self.world.lock().written() >= self.setup.records {
            return;
        }
        let at = TopicPartition::new(
            TOPIC,
            i32::try_from(
                self.random
                    .below(usize::try_from(self.setup.partitions).unwrap_or(1)),
            )
            .unwrap_or(0),
        );
        for _ in 0..self.random.between(1, 8) {
            let key = u8::try_from(self.random.below(self.setup.keys)).unwrap_or(0);
            let key = (!self.random.chance(15)).then_some(key);
            let kind = self.kind();
            if self.random.chance(10) {
                self.broker
                    .skip(&at, i64::try_from(self.random.between(1, 70)).unwrap_or(1));
            }
            self.world.lock().write(&at, key, kind);
        }
    }

    fn kind(&mut self) -> Kind {
        if self.random.chance(self.setup.bad) {
            return match self.random.below(9) {
                0 | 1 => Kind::Permanent,
                2 => Kind::Panics,
                3 => Kind::PanicsAtTheCall,
                4 if self.setup.breaker == Breaker::OFF => Kind::Undecodable,
                5 => Kind::Hangs,
                6 => Kind::HangsDeaf,
                _ => Kind::Transient(u32::try_from(self.random.between(1, 5)).unwrap_or(1)),
            };
        }
        match self.random.below(10) {
            0..5 => Kind::Good,
            5..8 => Kind::Gated(u8::try_from(self.random.between(1, 3)).unwrap_or(1)),
            _ => Kind::Sleeps(Duration::from_millis(*self.random.pick(&[1, 50, 900]))),
        }
    }

    fn open_gate(&mut self) {
        let waiting = self.world.lock().waiting();
        if !waiting.is_empty() {
            let id = *self.random.pick(&waiting);
            let waker = self.world.lock().open_gate(id);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// Lets time pass; those who are up have their rounds meanwhile.
    async fn pass(&mut self) {
        let mut left = *self.random.pick(&[1, 20, 100, 100, 300, 1000, 4000]);
        while left > 0 {
            let slice = left.min(500);
            left -= slice;
            self.advance(slice).await;
            self.rounds();
        }
    }

    /// Everybody who is up has a round; some commit.
    fn rounds(&mut self) {
        for index in 0..self.group.members.len() {
            for _ in 0..2 {
                self.group.members[index].half_round();
            }
            if self.group.members[index].is_up() && self.random.chance(30) {
                self.group.members[index].commit();
            }
        }
        self.group.coordinate(&mut self.random);
        self.check_commits();
    }

    async fn advance(&mut self, ms: u64) {
        tokio::time::advance(Duration::from_millis(ms)).await;
    }

    fn commit(&mut self) {
        if let Some(member) = self.somebody() {
            member.commit();
        }
    }

    fn settle_write(&mut self) {
        let held = self.broker.held_writes();
        if held == 0 {
            return;
        }
        let error = ProduceError::TimedOut {
            topic: world::DEAD.into(),
        };
        let verdict = match self.random.below(10) {
            0 | 1 => WriteVerdict::Refused(error),
            2 => WriteVerdict::AnswerLost(error),
            _ => WriteVerdict::Acknowledged,
        };
        if !matches!(verdict, WriteVerdict::Acknowledged) {
            self.world.lock().counts.refused_writes += 1;
        }
        let index = self.random.below(held);
        if let (WriteVerdict::AnswerLost(_), Some((topic, headers))) =
            (&verdict, self.broker.held_write(index))
        {
            self.world.lock().doubled(&topic, &headers);
        }
        self.broker.settle_write(index, verdict);
    }

    /// Runs a member until nothing of it can move, and checks that nothing should.
    fn check_idle(&mut self) {
        let mut random = self.random.fork();
        let broker = self.broker.clone();
        let world = self.world.clone();
        let Some(member) = self.somebody() else {
            return;
        };
        for _ in 0..8 {
            while member.run_one(&mut random) {}
            member.half_round();
        }
        while member.run_one(&mut random) {}
        world
            .lock()
            .check_watchdog(member.id, MAX_CALL_AGE + REPORT_MARGIN);
        if member.is_running()
            && member.revoking.is_empty()
            && broker.member(member.id).has_heard()
            && !world.lock().is_zombie(member.id)
        {
            world.lock().check_idle(member.id, &member.owned);
        }
    }

    fn check_commits(&mut self) {
        let commits = self.broker.take_commits();
        self.world.lock().check_commits(commits);
    }

    async fn disturb(&mut self) {
        let what = self.random.below(13);
        self.world.lock().note(|| format!("disturbance {what}"));
        match what {
            0..4 if self.setup.rebalances => self.group.rebalance(&mut self.random),
            4 if self.setup.rebalances => self.group.supersede(&mut self.random),
            5 if self.setup.rebalances && self.group.members.len() < 6 => self.group.join(),
            6 if self.setup.rebalances => self.stop_one(),
            7 if self.setup.crashes => self.kill_one(),
            8 if self.setup.crashes => self.expel_one(),
            9 if self.setup.crashes => self.suspend_one().await,
            10 if self.setup.broker_faults => self.break_broker(),
            11 if self.setup.broker_faults && !self.setup.retry_waits.is_empty() => {
                self.break_retries();
            }
            12 => {
                let command = if self.random.chance(50) {
                    Command::Pause(TOPIC.into())
                } else {
                    Command::Resume(TOPIC.into())
                };
                if let Some(member) = self.somebody() {
                    member.tell(command);
                }
            }
            _ => {}
        }
        // Whoever was expelled learns it some time.
        if self.random.chance(40) {
            let index = self.random.below(self.group.members.len());
            self.group.readmit(index);
        }
    }

    /// How many can still work.
    fn up(&self) -> usize {
        self.group
            .members
            .iter()
            .filter(|m| m.is_up() && !m.is_stopping())
            .count()
    }

    fn stop_one(&mut self) {
        if self.up() > 1 || self.random.chance(30) {
            if let Some(member) = self.somebody() {
                member.stop();
            }
            if self.up() == 0 {
                self.group.join();
            }
        }
    }

    fn kill_one(&mut self) {
        let world = self.world.clone();
        if let Some(member) = self.somebody() {
            let owned = member.owned.clone();
            member.kill();
            let mut world = world.lock();
            world.counts.kills += 1;
            for at in &owned {
                world.excuse(at);
            }
        }
        if self.up() == 0 {
            self.group.join();
        }
    }

    fn expel_one(&mut self) {
        let index = self.random.below(self.group.members.len());
        self.group.expel(index, &mut self.random);
    }

    /// Stops a member from doing anything, for longer than the group waits for it.
    async fn suspend_one(&mut self) {
        let index = self.random.below(self.group.members.len());
        if !self.group.members[index].is_up() || self.group.members[index].is_stopping() {
            return;
        }
        self.group.members[index].is_suspended = true;
        self.world.lock().counts.suspends += 1;
        let slices = self.setup.session_timeout.as_millis() / 500 + 2;
        for slice in 0..slices {
            if slice == slices / 2 {
                self.group.expel(index, &mut self.random);
            }
            self.advance(500).await;
            self.rounds();
        }
        self.group.members[index].is_suspended = false;
    }

    fn break_broker(&mut self) {
        let error = ClientError::Unreachable("as the simulation says".into());
        let mode = self.random.below(5);
        if mode == 4 {
            return self.damage();
        }
        let broker = self.broker.clone();
        let world = self.world.clone();
        let Some(member) = self.somebody() else {
            return;
        };
        if !member.is_valid {
            return;
        }
        if mode == 0 {
            world.lock().counts.refused_commits += 1;
            for at in &member.owned {
                world.lock().excuse(at);
            }
        }
        broker.member(member.id).set_faults(|faults| match mode {
            0 => faults.commits = Some(error),
            1 => faults.questions = Some(error),
            2 => faults.is_cut_off = true,
            _ => {
                faults.commits = None;
                faults.questions = None;
                faults.is_cut_off = false;
            }
        });
    }

    /// Something happens to retry topics, or to a client that reads them.
    fn break_retries(&mut self) {
        let mode = self.random.below(8);
        if mode == 0 {
            let place = self.retry_topic();
            let offset = *self.random.pick(&[None, Some(999_999), Some(i64::MAX)]);
            return self.world.lock().forge(&place, offset);
        }
        let (broker, world) = (self.broker.clone(), self.world.clone());
        let Some(member) = self.somebody() else {
            return;
        };
        let Some(retry_id) = member.retry_id.get() else {
            return;
        };
        world.lock().counts.cut_off += 1;
        world
            .lock()
            .note(|| format!("client {}: fault {mode}", retry_id.0));
        broker.member(*retry_id).set_faults(|faults| match mode {
            1..4 => faults.is_cut_off = true,
            4 => {
                let error = "as the simulation says".to_owned();
                faults.questions = Some(ClientError::Unreachable(error));
            }
            5 => faults.most = Some(1),
            _ => *faults = crate::client::memory::Faults::default(),
        });
    }

    /// Picks a partition of a retry topic.
    fn retry_topic(&mut self) -> TopicPartition {
        let wait = *self.random.pick(&self.setup.retry_waits);
        let partitions = usize::try_from(self.setup.partitions).unwrap_or(1);
        let partition = i32::try_from(self.random.below(partitions)).unwrap_or(0);
        TopicPartition::new(topic_name(world::GROUP, TOPIC, wait), partition)
    }

    /// Makes a record unreadable, once or for as long as somebody tries hard.
    fn damage(&mut self) {
        let partition = self
            .random
            .below(usize::try_from(self.setup.partitions).unwrap_or(1));
        let partition = i32::try_from(partition).unwrap_or(0);
        let mut at = TopicPartition::new(TOPIC, partition);
        let mut committed = self.broker.committed(world::GROUP, &at).unwrap_or_default();
        let wait = self.setup.retry_waits.first().copied();
        if let Some(wait) = wait.filter(|_| self.random.below(3) == 0) {
            at = TopicPartition::new(topic_name(world::GROUP, TOPIC, wait), partition);
            committed = Offset(0);
        }
        let records = self.broker.records(&at, committed);
        if records.is_empty() {
            return;
        }
        let offset = self.random.pick(&records).offset;
        let times = *self.random.pick(&[1, 2, 5]);
        self.broker.damage(&at, offset, times);
        self.world.lock().counts.damaged += 1;
    }

    /// The faults are over; everything must come to its end.
    async fn finish(&mut self) {
        self.broker.hold_writes(false);
        while self.broker.held_writes() > 0 {
            self.broker.settle_write(0, WriteVerdict::Acknowledged);
        }
        for index in 0..self.group.members.len() {
            self.group.readmit(index);
            let member = &self.group.members[index];
            for id in std::iter::once(&member.id).chain(member.retry_id.get()) {
                self.broker
                    .member(*id)
                    .set_faults(|faults| *faults = crate::client::memory::Faults::default());
            }
            member.tell(Command::Resume(TOPIC.into()));
        }
        if self.up() == 0 {
            self.group.join();
        }
        let wakers = self.world.lock().release();
        wakers.into_iter().for_each(std::task::Waker::wake);
        for round in 0..LAST_ROUNDS {
            self.world.lock().step += 1;
            for index in 0..self.group.members.len() {
                for _ in 0..2 {
                    self.group.members[index].half_round();
                }
                for _ in 0..20 {
                    let mut random = self.random.fork();
                    if !self.group.members[index].run_one(&mut random) {
                        break;
                    }
                }
                self.group.members[index].commit();
            }
            self.group.coordinate(&mut self.random);
            self.check_commits();
            if self.is_broken() {
                return;
            }
            self.advance(if round % 4 == 0 { 100 } else { 1 }).await;
            if round % 50 == 49 && self.is_finished() {
                break;
            }
        }
        self.world.lock().check_end();
        self.stop_all().await;
    }

    fn is_finished(&self) -> bool {
        let mut world = self.world.lock();
        world.check_end();
        let is_finished = world.violation.is_none();
        world.violation = None;
        is_finished
    }

    /// A stop in order, at the end.
    async fn stop_all(&mut self) {
        if self.is_broken() {
            return;
        }
        for member in &mut self.group.members {
            member.stop();
        }
        for _ in 0..200 {
            for index in 0..self.group.members.len() {
                for _ in 0..2 {
                    self.group.members[index].half_round();
                }
                let mut random = self.random.fork();
                for _ in 0..10 {
                    self.group.members[index].run_one(&mut random);
                }
            }
            if self.group.members.iter().all(SimMember::is_gone) {
                break;
            }
            self.advance(100).await;
        }
        if !self.group.members.iter().all(SimMember::is_gone) {
            self.world
                .lock()
                .violate(Check::Stop, "a member did not stop");
        }
        self.check_commits();
    }
}

#[cfg(test)]
mod tests {
    use super::run;

    #[test]
    fn a_seed_gives_the_same_run_again() {
        for seed in 0..5 {
            assert_eq!(
                format!("{:?}", run(seed, true)),
                format!("{:?}", run(seed, true))
            );
        }
    }
}
