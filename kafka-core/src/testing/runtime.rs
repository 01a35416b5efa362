//! A runtime that a test drives: the real engine, round by round, in the test's own task.

use std::fmt::{self, Write as _};
use std::panic::Location;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::builder::TestRuntimeBuilder;
use super::by_hand::misuse;
use super::clients::Brokers;
use super::clock::{self, Limit, Stillness, TooLong};
use super::group::TestGroup;
use super::journal::{Handled, Journal, Retried, Skipped, TestEvent};
use super::member::{Member, Trace};
use super::record::{DeadLetter, TestRecord};
use crate::client::Polled;
use crate::client::factory::ClientFactory;
use crate::config::Config;
use crate::engine::monitor::GroupState;
use crate::error::{ClientError, RunError};
use crate::producer::{KafkaProducer, MessagePayload, ProduceError, ProducedRecord};
use crate::record::{Offset, TopicPartition};
use crate::runtime::{Control, Prepared};

/// Each partition has this many lanes at most, on every machine: a test runs the same everywhere.
const CORES: usize = 4;
/// Rounds in which nothing changed before nothing will: what one round does may need two more to show.
const QUIET_ROUNDS: usize = 3;
/// How often there is a round while the clock advances; the engine stores offsets as often.
const STEP: Duration = Duration::from_millis(100);
/// At most about this many rounds for one call of `advance`.
const MOST_ROUNDS: u32 = 1000;
/// Events in a report.
const REPORTED: usize = 60;
/// What a stop may take beyond the grace, of the test's clock: cancelled calls end, producers are flushed.
const STOP_MARGIN: Duration = Duration::from_secs(5);

type Caller = &'static Location<'static>;

/// A runtime on a broker in memory, driven by a test. See the [module](crate::testing).
pub struct TestRuntime {
    builder: TestRuntimeBuilder,
    brokers: Brokers,
    journal: Journal,
    control: Control,
    producer: KafkaProducer,
    members: Vec<Member>,
    config: Config,
    /// The first one, as `run()` would return it.
    error: Option<RunError>,
    refused_commits: Option<ClientError>,
    holds_commits: bool,
    is_stopping: bool,
    round_at: Instant,
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Starting.
impl TestRuntime {
    /// Starts to put a test's runtime together.
    pub fn builder() -> TestRuntimeBuilder {
        TestRuntimeBuilder::default()
    }

    pub(super) async fn start(
        builder: TestRuntimeBuilder,
        caller: Caller,
    ) -> Result<Self, RunError> {
        let brokers = Brokers::new();
        for (topic, partitions) in &builder.topics {
            brokers.create_topic(topic, *partitions);
        }
        let config = Config::new();
        let mut test = Self {
            journal: Journal::new(),
            control: Control::default(),
            producer: KafkaProducer::over(Arc::new(brokers.clone()), config.clone()),
            members: Vec::new(),
            config,
            error: None,
            refused_commits: None,
            holds_commits: false,
            is_stopping: false,
            round_at: now(),
            builder,
            brokers,
        };
        test.join(caller).await?;
        Ok(test)
    }

    /// Checks and starts every group.
    async fn join(&mut self, caller: Caller) -> Result<(), RunError> {
        self.members.clear();
        (self.error, self.is_stopping) = (None, false);
        let runtime = self.builder.build(&self.journal)?;
        for (topic, _) in runtime.groups().iter().flat_map(|group| &group.topics) {
            if !self.brokers.has_topic(topic) {
                self.brokers.create_topic(topic, 1);
            }
        }
        let factory: Arc<dyn ClientFactory> = Arc::new(self.brokers.clone());
        let client = |source| RunError::Client {
            group_id: String::new(),
            source,
        };
        let cluster = factory.cluster().map_err(client)?;
        let held = self.hold("start()", caller);
        let Prepared {
            mut shared,
            groups,
            control,
            ..
        } = runtime.prepare(factory, cluster).await?;
        drop(held);
        shared.cores = CORES;
        for group in &groups {
            let member = Member::join(&shared, group, &self.brokers)?;
            member.set_faults(self.refused_commits.as_ref());
            control.add(&member.handle);
            self.members.push(member);
        }
        control.all_added();
        self.control = control;
        self.producer = shared.producer;
        self.config = shared.config;
        self.round_at = now();
        self.settle("start()", caller).await;
        Ok(())
    }
}

/// Letting things happen.
impl TestRuntime {
    /// Writes a record where a handler reads it. It is handled with the next [`idle`](Self::idle) or
    /// [`advance`](Self::advance).
    ///
    /// # Panics
    /// The topic is not there, or the partition is not.
    #[track_caller]
    pub fn produce(&self, topic: &str, payload: MessagePayload) -> ProducedRecord {
        if !self.brokers.has_topic(topic) {
            misuse(&format!(
                "no handler reads topic {topic:?}, so nobody would notice its records; there are {:?}; if that is \
                 meant, create it: test.create_topic({topic:?}, 1)",
                self.brokers.topics()
            ));
        }
        match self.brokers.append(topic, payload) {
            Ok(written) => written,
            Err(error) => misuse(&format!(
                "{error}; give it more: TestRuntime::builder().topic({topic:?}, 4)"
            )),
        }
    }

    /// Creates a topic, or adds partitions to it. Groups with a pattern for it are assigned it with the next
    /// [`idle`](Self::idle).
    pub fn create_topic(&self, topic: &str, partitions: i32) {
        self.brokers.create_topic(topic, partitions);
    }

    /// Waits until nothing moves without time passing: everything that was written is fetched, every call that can end
    /// has ended, what was given up is in its dead letter topic, and what is finished is committed.
    ///
    /// The test's clock stands still meanwhile. So a retry that waits for its time, a call that sleeps, and a call that
    /// waits for ever are left as they are. A call that waits for something outside of tokio's tasks and timers (a
    /// socket, `spawn_blocking`) is given [`patience`](TestRuntimeBuilder::patience) of real time for each step.
    ///
    /// # Panics
    /// Things still move after [`real_time_limit`](TestRuntimeBuilder::real_time_limit); it says what was going on.
    #[track_caller]
    pub fn idle(&mut self) -> impl Future<Output = ()> {
        let caller = Location::caller();
        async move { self.settle("idle()", caller).await }
    }

    /// Lets time pass, then is [`idle`](Self::idle): retries become due, calls that sleep wake up, timeouts fire.
    ///
    /// Each timer fires at its own time, in order; the poll thread's rounds are 100 ms apart (more for more than 100 s).
    ///
    /// # Panics
    /// As [`idle`](Self::idle). A blocking task holds the clock, by tokio's rules: one that never ends is such a case.
    #[track_caller]
    pub fn advance(&mut self, time: Duration) -> impl Future<Output = ()> {
        let caller = Location::caller();
        async move {
            self.settle("advance()", caller).await;
            let mut limit = Limit::start(self.builder.limit);
            let end = tokio::time::Instant::now() + time;
            let step = self.step(time);
            loop {
                let left = end.saturating_duration_since(tokio::time::Instant::now());
                if left.is_zero() {
                    break;
                }
                if limit
                    .keep(tokio::time::sleep(left.min(step)))
                    .await
                    .is_err()
                {
                    self.took_too_long("advance()", caller, "the clock is held by a blocking task");
                }
                self.round(now());
            }
            self.settle("advance()", caller).await;
        }
    }

    /// Waits in real time until the condition holds, with everything of [`idle`](Self::idle) going on: for handlers
    /// that do real I/O. The test's clock stands still.
    ///
    /// # Panics
    /// It does not hold within [`real_time_limit`](TestRuntimeBuilder::real_time_limit).
    #[track_caller]
    pub fn eventually(
        &mut self,
        what: &str,
        mut condition: impl FnMut(&Self) -> bool,
    ) -> impl Future<Output = ()> {
        let caller = Location::caller();
        async move {
            let until = self.deadline();
            while !condition(self) {
                self.settle("eventually()", caller).await;
                if Instant::now() > until {
                    self.took_too_long("eventually()", caller, &format!(
                        "it waited until {what}, with the test's clock standing still (advance() moves it)"
                    ));
                }
            }
        }
    }

    fn hold(&self, what: &str, caller: Caller) -> Stillness {
        let (what, control, limit) = (what.to_owned(), self.control.clone(), self.builder.limit);
        Stillness::hold(self.deadline(), move || {
            let groups = control.status();
            let busy = groups.iter().flat_map(|group| &group.partitions);
            let busy: Vec<_> = busy
                .filter(|partition| partition.in_flight > 0)
                .map(|partition| partition.partition.to_string())
                .collect();
            format!(
                "kafka_runtime::testing: {what} at {caller}: for {limit:?} something has kept the test's thread from \
                 its other tasks: a lock, std::thread::sleep, a loop that never waits; most likely in a handler, of a \
                 record of {}. Give such work to tokio::task::spawn_blocking.",
                busy.join(", ")
            )
        })
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.builder.limit
    }

    /// Short enough for the engine not to think that the process was suspended, and few enough.
    fn step(&self, time: Duration) -> Duration {
        let longest = self.config.session_timeout_or_default() / 3;
        (time / MOST_ROUNDS).clamp(STEP.min(longest), longest)
    }

    /// Rounds with the clock held, until nothing changes any more.
    async fn settle(&mut self, what: &str, caller: Caller) {
        clock::pause(caller);
        self.catch_up();
        let still = self.hold(what, caller);
        let (mut quiet, mut was_patient) = (0, false);
        loop {
            let before = self.trace();
            self.assign_new();
            self.poll(now());
            if still.rest(Duration::ZERO).await.is_err() {
                self.took_too_long(what, caller, "something still moves");
            }
            self.finish_round(now());
            if self.trace() != before {
                (quiet, was_patient) = (0, false);
                continue;
            }
            quiet += 1;
            if quiet < QUIET_ROUNDS {
                continue;
            }
            let busy: usize = self.members.iter().map(Member::busy_calls).sum();
            if was_patient || busy <= self.journal.waiting_for_time() {
                return;
            }
            // Something is waited for, and it need not be the clock.
            if let Err(TooLong) = still.rest(self.builder.patience).await {
                self.took_too_long(what, caller, "something still moves");
            }
            (quiet, was_patient) = (QUIET_ROUNDS - 1, true);
        }
    }

    /// Has the rounds that a poll thread would have had while the test moved the clock by itself.
    fn catch_up(&mut self) {
        let behind = now().saturating_duration_since(self.round_at);
        let step = self.step(behind);
        while self.round_at + step < now() {
            self.round(self.round_at + step);
        }
    }

    fn round(&mut self, now: Instant) {
        self.assign_new();
        self.poll(now);
        self.finish_round(now);
    }

    fn assign_new(&mut self) {
        self.members.iter_mut().for_each(Member::assign_new);
    }

    fn poll(&mut self, now: Instant) {
        self.round_at = now;
        for member in &mut self.members {
            member.poll(now);
        }
    }

    fn finish_round(&mut self, now: Instant) {
        let mut must_stop = self.control.is_shut_down();
        for member in &mut self.members {
            if let Some(Err(error)) = member.advance(now) {
                self.error.get_or_insert(error);
            }
            if !self.holds_commits {
                member.commit(now);
            }
        }
        must_stop |= self.error.is_some();
        if must_stop && !self.is_stopping {
            self.is_stopping = true;
            self.members.iter().for_each(Member::stop);
        }
    }

    fn trace(&self) -> (usize, u64, Vec<Trace>) {
        let members = self.members.iter().map(Member::trace).collect();
        (self.journal.progress(), self.brokers.writes(), members)
    }

    #[expect(clippy::panic, reason = "a test that does not end is worse")]
    fn took_too_long(&self, what: &str, caller: Caller, why: &str) -> ! {
        panic!(
            "kafka_runtime::testing: {what} at {caller} did not come to an end within {:?} of real time: {why}.\nA \
             handler that wakes itself for ever, that writes to a topic it reads, or that blocks? If it is only slow: \
             TestRuntime::builder().real_time_limit(..)",
            self.builder.limit
        )
    }
}

/// Looking at what happened.
impl TestRuntime {
    /// Returns the committed offset of a partition: the next one that a restart reads. `None` before the first commit.
    ///
    /// # Panics
    /// No handler reads the topic, or handlers of several groups do: say which, `test.in_group("g").committed(..)`.
    #[track_caller]
    pub fn committed(&self, topic: &str, partition: i32) -> Option<i64> {
        let member = self.the_reader(topic);
        self.committed_by(member, topic, partition)
    }

    pub(super) fn committed_by(&self, member: &Member, topic: &str, partition: i32) -> Option<i64> {
        let at = TopicPartition::new(topic, partition);
        let committed = self.brokers.memory().committed(&member.group_id, &at);
        committed.map(|offset| offset.0)
    }

    /// Returns the records of a topic, by partition and offset: what handlers and the test have written there. None if
    /// there is no such topic.
    pub fn records(&self, topic: &str) -> Vec<TestRecord> {
        self.brokers.records(topic)
    }

    /// Returns what was given up of a topic and written to a dead letter topic, of every group.
    ///
    /// # Panics
    /// No handler reads the topic.
    #[track_caller]
    pub fn dead_letters(&self, topic: &str) -> Vec<DeadLetter> {
        let mut letters = Vec::new();
        for member in self.readers(topic) {
            letters.extend(self.dead_letters_of(member, topic));
        }
        letters
    }

    pub(super) fn dead_letters_of(&self, member: &Member, topic: &str) -> Vec<DeadLetter> {
        let Some(handler) = member.routes.of_topic(topic) else {
            return Vec::new();
        };
        let dead = handler.dead_letter_topic(&member.group_id, topic);
        let letters = self.records(&dead).into_iter();
        let mut letters: Vec<_> = letters
            .filter_map(DeadLetter::read)
            .filter(|letter| letter.topic == topic && *letter.group == *member.group_id)
            .collect();
        for letter in &mut letters {
            let texts = self.journal.pick(|event| match event {
                TestEvent::DeadLettered {
                    record,
                    handler,
                    error,
                    ..
                } if *handler == letter.handler
                    && record.topic == letter.topic
                    && record.partition == letter.partition
                    && record.offset == letter.offset =>
                {
                    Some(error.clone())
                }
                _ => None,
            });
            if let Some(text) = texts.into_iter().next_back() {
                letter.error = text;
            }
        }
        letters
    }

    /// Returns the calls that ended well, in the order in which they ended.
    ///
    /// # Panics
    /// No handler reads the topic.
    #[track_caller]
    pub fn handled(&self, topic: &str) -> Vec<Handled> {
        self.readers(topic);
        self.journal.pick(|event| match event {
            TestEvent::Handled(call) if call.record.topic == topic => Some(call.clone()),
            _ => None,
        })
    }

    /// Returns the attempts that failed and were followed by another one, or will be.
    ///
    /// # Panics
    /// No handler reads the topic.
    #[track_caller]
    pub fn retried(&self, topic: &str) -> Vec<Retried> {
        self.readers(topic);
        self.journal.pick(|event| match event {
            TestEvent::Retried(call) if call.record.topic == topic => Some(call.clone()),
            _ => None,
        })
    }

    /// Returns the records that were skipped, by their handler or by the policy `skip`.
    ///
    /// # Panics
    /// No handler reads the topic.
    #[track_caller]
    pub fn skipped(&self, topic: &str) -> Vec<Skipped> {
        self.readers(topic);
        self.journal.pick(|event| match event {
            TestEvent::Skipped(call) if call.record.topic == topic => Some(call.clone()),
            _ => None,
        })
    }

    /// Returns everything that happened, in order, restarts included.
    pub fn events(&self) -> Vec<TestEvent> {
        self.journal.all()
    }

    /// Returns the runtime's control: pause, resume, status, lag, shutdown. What it is told is done with the next
    /// [`idle`](Self::idle). A restart makes another.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Returns the producer that handlers take, for code under test that writes outside of any handler.
    pub fn producer(&self) -> KafkaProducer {
        self.producer.clone()
    }

    /// Returns why the runtime has ended by itself; `None` while it runs, or if it was told to stop.
    pub fn error(&self) -> Option<&RunError> {
        self.error.as_ref()
    }

    /// Looks at one of several groups.
    ///
    /// # Panics
    /// There is no such group.
    #[track_caller]
    pub fn in_group(&mut self, group_id: &str) -> TestGroup<'_> {
        let index = self
            .members
            .iter()
            .position(|member| *member.group_id == *group_id);
        match index {
            Some(index) => TestGroup::new(self, index),
            None => misuse(&format!(
                "there is no group {group_id:?}; there are {:?}",
                self.members
                    .iter()
                    .map(|member| &*member.group_id)
                    .collect::<Vec<_>>()
            )),
        }
    }

    pub(super) fn members(&self) -> &[Member] {
        &self.members
    }

    /// Returns the groups that read a topic: at least one.
    #[track_caller]
    fn readers(&self, topic: &str) -> Vec<&Member> {
        let readers: Vec<_> = self.members.iter().filter(|m| m.reads(topic)).collect();
        if readers.is_empty() {
            misuse(&format!(
                "no handler reads topic {topic:?}; the handlers read {:?}",
                self.control
                    .status()
                    .into_iter()
                    .flat_map(|group| group.topics)
                    .collect::<Vec<_>>()
            ));
        }
        readers
    }

    #[track_caller]
    fn the_reader(&self, topic: &str) -> &Member {
        let readers = self.readers(topic);
        if let [one] = readers[..] {
            return one;
        }
        let groups: Vec<_> = readers.iter().map(|member| &*member.group_id).collect();
        misuse(&format!(
            "topic {topic:?} is read by the groups {groups:?}: say which, test.in_group({:?})",
            groups[0]
        ))
    }
}

/// Rebalances. The groups rebalance one partition at a time (cooperatively), whatever the configuration says.
impl TestRuntime {
    /// The group wants a partition back, as when another member joins; then [`idle`](Self::idle).
    ///
    /// It is given back when its running calls have ended. Those that wait for time hold it up: let
    /// [`advance`](Self::advance) pass the rest of `drain_timeout`, and they are dropped.
    ///
    /// # Panics
    /// No group has the partition.
    #[track_caller]
    pub fn revoke(&mut self, topic: &str, partition: i32) -> impl Future<Output = ()> {
        let caller = Location::caller();
        let owners = self.owners(None, topic, partition);
        self.revoke_from(owners, topic, partition, caller)
    }

    /// The group assigns a partition that was revoked or lost; then [`idle`](Self::idle). It is read from the committed
    /// offset on.
    ///
    /// # Panics
    /// A group that reads it has it already.
    #[track_caller]
    pub fn assign(&mut self, topic: &str, partition: i32) -> impl Future<Output = ()> {
        let caller = Location::caller();
        self.readers(topic);
        let readers = (0..self.members.len()).filter(|n| self.members[*n].reads(topic));
        let readers = readers.collect();
        self.assign_to(readers, topic, partition, caller)
    }

    /// Every group says that this member is none any more, as after a session timeout: all partitions are somebody
    /// else's, nothing more of them is committed; then [`idle`](Self::idle). [`assign`](Self::assign) gives them back.
    #[track_caller]
    pub fn lose(&mut self) -> impl Future<Output = ()> {
        let caller = Location::caller();
        self.lose_of((0..self.members.len()).collect(), caller)
    }

    /// Returns the groups that have a partition: at least one.
    #[track_caller]
    pub(super) fn owners(&self, of: Option<usize>, topic: &str, partition: i32) -> Vec<usize> {
        let at = TopicPartition::new(topic, partition);
        let all = (0..self.members.len()).filter(|n| of.is_none_or(|only| only == *n));
        let owners: Vec<_> = all.filter(|n| self.members[*n].has(&at)).collect();
        if owners.is_empty() {
            misuse(&format!("no group has {at}"));
        }
        owners
    }

    pub(super) async fn revoke_from(
        &mut self,
        members: Vec<usize>,
        topic: &str,
        partition: i32,
        caller: Caller,
    ) {
        let at = TopicPartition::new(topic, partition);
        for n in members {
            let view = self.members[n].view();
            view.tell(Polled::Revoked(vec![at.clone()]));
        }
        self.settle("revoke()", caller).await;
    }

    #[track_caller]
    pub(super) fn assign_to(
        &mut self,
        members: Vec<usize>,
        topic: &str,
        partition: i32,
        caller: Caller,
    ) -> impl Future<Output = ()> {
        let at = TopicPartition::new(topic, partition);
        for n in &members {
            let member = &self.members[*n];
            if member.has(&at) {
                misuse(&format!(
                    "group {} has {at} already. If it was revoked, its calls still run: let them end, or pass \
                     drain_timeout with test.advance(..)",
                    member.group_id
                ));
            }
        }
        for n in members {
            let view = self.members[n].view();
            view.tell(Polled::Assigned(vec![at.clone()]));
        }
        async move { self.settle("assign()", caller).await }
    }

    pub(super) async fn lose_of(&mut self, members: Vec<usize>, caller: Caller) {
        for n in members {
            // What is lost is all that it has when it hears of it.
            self.members[n].view().tell(Polled::Lost(Vec::new()));
        }
        self.settle("lose()", caller).await;
    }
}

/// Faults.
impl TestRuntime {
    /// Makes every write to a topic fail with this, of handlers and of dead letters; a dead letter is then tried again.
    pub fn refuse_writes(&mut self, topic: &str, error: ProduceError) {
        self.brokers.memory().refuse_writes(topic, Some(error));
    }

    /// Lets writes to a topic succeed again.
    pub fn accept_writes(&mut self, topic: &str) {
        self.brokers.memory().refuse_writes(topic, None);
    }

    /// Deletes the records of a partition below an offset, as retention does. A group whose committed offset is below it
    /// finds itself out of range (`on_out_of_range`) with its next assignment or restart.
    pub fn delete_records(&mut self, topic: &str, partition: i32, before: i64) {
        let at = TopicPartition::new(topic, partition);
        self.brokers.memory().truncate(&at, Offset(before));
    }

    /// Makes every commit fail with this. After [`ClientError::NotAMember`] the runtime doubts that it has its
    /// partitions, and handles nothing until [`lose`](Self::lose) or [`assign`](Self::assign), or the session timeout.
    pub fn refuse_commits(&mut self, error: ClientError) {
        self.refused_commits = Some(error);
        self.set_faults();
    }

    /// Lets commits succeed again.
    pub fn accept_commits(&mut self) {
        self.refused_commits = None;
        self.set_faults();
    }

    /// Keeps finished offsets uncommitted, as if `commit_interval` did not end: what
    /// [`kill_and_restart`](Self::kill_and_restart) then finds handled and not committed is handled again. Partitions
    /// that are given back, and a stop, still commit. A runtime that sees no commit for a session timeout (45 s of the
    /// test's clock) doubts that it has its partitions, here as in production.
    pub fn hold_commits(&mut self) {
        self.holds_commits = true;
    }

    /// Commits again, with the next [`idle`](Self::idle).
    pub fn release_commits(&mut self) {
        self.holds_commits = false;
    }

    /// Makes every broker unreachable: nothing is fetched or committed, writes wait (and fail after 2 minutes of the
    /// test's clock, librdkafka's `delivery.timeout.ms`). [`produce`](Self::produce) still writes: it is the test's.
    pub fn disconnect_brokers(&mut self) {
        self.brokers.set_reachable(false);
        self.set_faults();
        self.members.iter().for_each(Member::tell_unreachable);
    }

    /// Makes the brokers reachable again.
    pub fn reconnect_brokers(&mut self) {
        self.brokers.set_reachable(true);
        self.set_faults();
    }

    fn set_faults(&self) {
        for member in &self.members {
            member.set_faults(self.refused_commits.as_ref());
        }
    }
}

/// Ending, and starting again.
impl TestRuntime {
    /// Stops as at SIGTERM: what runs may finish, within `shutdown_grace` of the test's clock, which passes as needed;
    /// then it commits and leaves.
    ///
    /// # Errors
    /// What [`Runtime::run`](crate::Runtime::run) would return.
    #[track_caller]
    pub fn stop(mut self) -> impl Future<Output = Result<(), RunError>> {
        let caller = Location::caller();
        async move { self.end("stop()", caller).await }
    }

    /// Stops as [`stop`](Self::stop) does, then starts again with the same handlers, states and faults: from the
    /// committed offsets on.
    ///
    /// # Errors
    /// What the run that was stopped would return; the next one has been started all the same.
    #[track_caller]
    pub fn restart(&mut self) -> impl Future<Output = Result<(), RunError>> {
        let caller = Location::caller();
        async move {
            let ended = self.end("restart()", caller).await;
            self.join(caller).await?;
            ended
        }
    }

    /// Ends as `kill -9` does, then starts again with the same handlers, states and faults: calls are dropped where
    /// they stand, nothing more is committed, and what was not committed is handled again.
    ///
    /// What handlers have spawned goes on: it is the test's process that still runs.
    ///
    /// [`idle`](Self::idle) commits, so what it has seen finished is not handled again: call
    /// [`hold_commits`](Self::hold_commits) before, to prove that handling it twice does no harm.
    ///
    /// # Errors
    /// It cannot start again; it could before, so a test may `unwrap`.
    #[track_caller]
    pub fn kill_and_restart(&mut self) -> impl Future<Output = Result<(), RunError>> {
        let caller = Location::caller();
        async move {
            self.members.iter_mut().for_each(Member::kill);
            // Its calls are dropped before the next member begins.
            self.settle("kill_and_restart()", caller).await;
            self.join(caller).await
        }
    }

    async fn end(&mut self, what: &str, caller: Caller) -> Result<(), RunError> {
        self.is_stopping = true;
        self.members.iter().for_each(Member::stop);
        self.settle(what, caller).await;
        let mut limit = Limit::start(self.builder.limit);
        let until = now() + self.config.shutdown_grace + STOP_MARGIN;
        while !self.members.iter().all(Member::is_over) {
            let slept = limit.keep(tokio::time::sleep(STEP / 2)).await;
            if slept.is_err() || now() > until {
                self.took_too_long(what, caller, "a group does not stop");
            }
            self.round(now());
        }
        // Calls that were dropped are gone before the test goes on.
        self.settle(what, caller).await;
        self.error.clone().map_or(Ok(()), Err)
    }
}

/// What happened, and where the groups are: for the message of an assertion. A test that panics prints it by itself.
impl fmt::Display for TestRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "what happened (seconds of the test's clock):")?;
        self.journal.report(f, REPORTED)?;
        writeln!(f, "where it is:")?;
        for member in &self.members {
            let status = member.handle.status();
            write!(f, "  group {}: {:?}", status.group_id, status.state)?;
            if let Some(error) = &status.last_error {
                write!(f, ", {error}")?;
            }
            for partition in &status.partitions {
                let at = &partition.partition;
                let committed = self.brokers.memory().committed(&member.group_id, at);
                write!(f, "; {at}")?;
                match committed {
                    Some(offset) => write!(f, " committed {offset}")?,
                    None => f.write_str(" nothing committed")?,
                }
                if partition.in_flight > 0 {
                    write!(f, ", {} in flight", partition.in_flight)?;
                }
                if partition.is_paused {
                    f.write_str(", paused")?;
                }
            }
            if status.state == GroupState::Running && status.partitions.is_empty() {
                f.write_str("; no partitions")?;
            }
            f.write_char('\n')?;
        }
        if let Some(error) = &self.error {
            writeln!(f, "  it ended: {error}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for TestRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Drop for TestRuntime {
    fn drop(&mut self) {
        #[expect(
            clippy::print_stderr,
            reason = "an assertion has failed, and this is what it should have said"
        )]
        if std::thread::panicking() {
            eprintln!("{self}");
        }
    }
}
