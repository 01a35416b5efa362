//! A runtime that a test drives: the real engine, round by round, in the test's own task.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::builder::TestRuntimeBuilder;
use super::by_hand::misuse;
use super::clients::Brokers;
use super::clock::{self, Limit, Stillness, TooLong};
use super::journal::Journal;
use super::member::{Member, Trace};
use crate::client::factory::ClientFactory;
use crate::config::Config;
use crate::error::{ClientError, RunError};
use crate::producer::{KafkaProducer, MessagePayload, ProducedRecord};
use crate::runtime::{Control, Prepared};

/// Each partition has this many lanes at most, on every machine: a test runs the same everywhere.
const CORES: usize = 4;
/// Rounds in which nothing changed before nothing will: what one round does may need two more to show.
const QUIET_ROUNDS: usize = 3;
/// How often there is a round while the clock advances; the engine stores offsets as often.
const STEP: Duration = Duration::from_millis(100);
/// At most about this many rounds for one call of `advance`.
const MOST_ROUNDS: u32 = 1000;
/// What a stop may take beyond the grace, of the test's clock: cancelled calls end, producers are flushed.
const STOP_MARGIN: Duration = Duration::from_secs(5);

/// Where the test has called the kit.
pub(super) type Caller = &'static Location<'static>;

/// A runtime on a broker in memory, driven by a test. See the [module](crate::testing).
pub struct TestRuntime {
    builder: TestRuntimeBuilder,
    pub(super) brokers: Brokers,
    pub(super) journal: Journal,
    pub(super) control: Control,
    pub(super) producer: KafkaProducer,
    pub(super) members: Vec<Member>,
    config: Config,
    /// The first one, as `run()` would return it.
    pub(super) error: Option<RunError>,
    pub(super) refused_commits: Option<ClientError>,
    pub(super) holds_commits: bool,
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
                    let why = format!("it waited until {what}; the clock stood still meanwhile");
                    self.took_too_long("eventually()", caller, &why);
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
                 its other tasks: a lock, std::thread::sleep, a loop that never waits. Most likely it is a handler: \
                 give such work to tokio::task::spawn_blocking. Records in flight are of {busy:?}."
            )
        })
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.builder.limit
    }

    /// Short enough for the engine not to think that the process was suspended, and few enough.
    fn step(&self, time: Duration) -> Duration {
        let longest = self.config.session_timeout_or_default() / 3;
        let longest = longest.max(Duration::from_millis(1));
        (time / MOST_ROUNDS).clamp(STEP.min(longest), longest)
    }

    /// Rounds with the clock held, until nothing changes any more.
    pub(super) async fn settle(&mut self, what: &str, caller: Caller) {
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
            if was_patient || busy == 0 || busy <= self.journal.waiting_for_time() {
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
