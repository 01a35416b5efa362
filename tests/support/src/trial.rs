//! A test binary whose tests share one cluster, or say why they could not run.
//!
//! The built-in harness must know what to ignore when it compiles. Whether Kafka can run
//! here is known only later, and a test that returns early would count as passed. So a
//! binary with `harness = false` runs its tests through a [`Suite`].

use std::env;
use std::error::Error;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use tokio::runtime::{Builder, Runtime};

use crate::{ClusterBuilder, KafkaCluster, RigError};

/// What a test returns; any error fits through `?`.
pub type TestResult = Result<(), Box<dyn Error + Send + Sync>>;

/// What the tests of a suite share, described: it is started for the first that runs.
pub trait Rig: Clone + std::fmt::Debug + Send + Sync + 'static {
    /// What it is once it runs. Dropping it ends it.
    type Running: Send + Sync + 'static;

    /// Returns why it cannot be started on this machine, if it cannot.
    fn obstacle(&self) -> Option<RigError>;

    /// Starts it. May block.
    ///
    /// # Errors
    ///
    /// Why it did not start.
    fn start(self) -> Result<Self::Running, RigError>;

    /// Uses somebody else's Kafka instead, by its bootstrap servers; `None` if this needs more than that.
    fn external(_bootstrap_servers: &str) -> Option<Self::Running> {
        None
    }
}

impl Rig for ClusterBuilder {
    type Running = KafkaCluster;

    fn obstacle(&self) -> Option<RigError> {
        self.obstacle()
    }

    fn start(self) -> Result<KafkaCluster, RigError> {
        self.start()
    }

    fn external(bootstrap_servers: &str) -> Option<KafkaCluster> {
        Some(KafkaCluster::external(bootstrap_servers))
    }
}

type TestBody<T> = Box<dyn FnOnce(&T, Duration) -> TestResult + Send>;

enum Body<T> {
    /// Needs no cluster, so none is started for it.
    Local(Box<dyn FnOnce() -> TestResult + Send>),
    Cluster(TestBody<T>),
}

/// Long enough for a rebalance after a lost session, short enough for a CI log.
const DEFAULT_LIMIT: Duration = Duration::from_secs(90);

/// The tests of a binary and the cluster that they share, or another [`Rig`].
///
/// The cluster starts with the first test that runs and ends before the binary does. Three
/// variables say where it comes from:
///
/// - `KAFKA_BOOTSTRAP_SERVERS`: use this cluster; tests added with
///   [`rig_test`](Self::rig_test) are ignored, and all whose rig is more than a cluster.
/// - Without Java or Maven all tests are ignored, with that reason behind their names …
/// - … unless `KAFKA_RIG=required`: then they fail.
///
/// ```no_run
/// use std::process::ExitCode;
/// use test_support::{KafkaCluster, Suite, TestResult};
///
/// fn main() -> ExitCode {
///     Suite::new(KafkaCluster::builder())
///         .test("a_record_is_handled_once", a_record_is_handled_once)
///         .run()
/// }
///
/// async fn a_record_is_handled_once(cluster: &KafkaCluster) -> TestResult {
///     let _ = cluster.bootstrap_servers();
///     Ok(())
/// }
/// ```
#[must_use = "a suite does nothing until it runs"]
pub struct Suite<R: Rig = ClusterBuilder> {
    rig: R,
    tests: Vec<Test<R::Running>>,
    limit: Duration,
    one_at_a_time: bool,
}

struct Test<T> {
    name: String,
    needs: Needs,
    body: Body<T>,
    /// Shown before its name.
    kind: String,
    is_ignored: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    Nothing,
    AnyCluster,
    OwnCluster,
}

/// Where the cluster of this run comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    External(String),
    Rig,
    Missing(String),
}

impl<R: Rig> Suite<R> {
    /// Starts a suite whose tests share what `rig` describes: `KafkaCluster::builder()`, `Pipeline::builder()`.
    pub fn new(rig: R) -> Self {
        Self {
            rig,
            tests: Vec::new(),
            limit: DEFAULT_LIMIT,
            one_at_a_time: false,
        }
    }

    /// Sets how long one test may take before it fails; 90 s without.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs the tests one after the other, for those that kill the nodes they share.
    pub fn one_at_a_time(mut self) -> Self {
        self.one_at_a_time = true;
        self
    }

    /// Adds a test that needs no more than a cluster's address.
    ///
    /// It runs on a tokio runtime of its own, on a thread that it may block.
    pub fn test<F>(self, name: impl Into<String>, test: F) -> Self
    where
        F: AsyncFnOnce(&R::Running) -> TestResult + Send + 'static,
    {
        self.add(name.into(), Needs::AnyCluster, test)
    }

    /// Adds a test that needs a cluster of this rig: its nodes, TLS or broker properties.
    pub fn rig_test<F>(self, name: impl Into<String>, test: F) -> Self
    where
        F: AsyncFnOnce(&R::Running) -> TestResult + Send + 'static,
    {
        self.add(name.into(), Needs::OwnCluster, test)
    }

    /// Adds a test that needs no cluster, and bounds its time by itself.
    pub fn local_test<F>(self, name: impl Into<String>, test: F) -> Self
    where
        F: FnOnce() -> TestResult + Send + 'static,
    {
        self.push(name.into(), Needs::Nothing, Body::Local(Box::new(test)))
    }

    /// Says something about the test that was added last: it stands before its name in what is
    /// printed.
    pub fn remark(mut self, remark: impl Into<String>) -> Self {
        if let Some(test) = self.tests.last_mut() {
            test.kind = remark.into();
        }
        self
    }

    /// Does not run the test that was added last, and prints the reason before its name.
    pub fn ignore(mut self, reason: impl Into<String>) -> Self {
        if let Some(test) = self.tests.last_mut() {
            test.is_ignored = true;
        }
        self.remark(reason)
    }

    fn add<F>(self, name: String, needs: Needs, test: F) -> Self
    where
        F: AsyncFnOnce(&R::Running) -> TestResult + Send + 'static,
    {
        let body: TestBody<R::Running> =
            Box::new(move |cluster, limit| block_on(limit, test(cluster)));
        self.push(name, needs, Body::Cluster(body))
    }

    fn push(mut self, name: String, needs: Needs, body: Body<R::Running>) -> Self {
        self.tests.push(Test {
            name,
            needs,
            body,
            kind: String::new(),
            is_ignored: false,
        });
        self
    }

    /// Runs what the command line asks for (`--help` lists it) and stops the cluster.
    pub fn run(self) -> ExitCode {
        let mut arguments = Arguments::from_args();
        if self.one_at_a_time {
            arguments.test_threads = Some(1);
        }
        let source = Source::of_this_run(&self.rig);
        // The trials hold it weakly, so that dropping it below ends the cluster whatever
        // the harness still has of them.
        let shared = Arc::new(SharedCluster::new(source.clone(), self.rig));
        let limit = self.limit;
        let trials = self
            .tests
            .into_iter()
            .map(|test| test.into_trial(&source, Arc::downgrade(&shared), limit))
            .collect();

        let conclusion = libtest_mimic::run(&arguments, trials);
        drop(shared); // before the exit, which runs no destructors
        conclusion.exit_code()
    }
}

impl<R: Rig> std::fmt::Debug for Suite<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.tests.iter().map(|test| &test.name).collect();
        f.debug_struct("Suite")
            .field("rig", &self.rig)
            .field("tests", &names)
            .finish_non_exhaustive()
    }
}

impl<T: Send + Sync + 'static> Test<T> {
    fn into_trial<R: Rig<Running = T>>(
        self,
        source: &Source,
        shared: Weak<SharedCluster<R>>,
        limit: Duration,
    ) -> Trial {
        let trial = Trial::test(self.name, move || {
            let result = match self.body {
                Body::Local(body) => body(),
                Body::Cluster(body) => {
                    let cluster = shared
                        .upgrade()
                        .ok_or_else(|| Failed::from("the suite is over"))?
                        .get()?;
                    body(&cluster, limit)
                }
            };
            result.map_err(|error| Failed::from(with_causes(error.as_ref())))
        });
        if self.is_ignored {
            return trial.with_kind(self.kind).with_ignored_flag(true);
        }
        let needs = match source {
            Source::External(servers)
                if self.needs == Needs::AnyCluster && R::external(servers).is_none() =>
            {
                Needs::OwnCluster
            }
            _ => self.needs,
        };
        match source.obstacle_for(needs) {
            None => trial.with_kind(self.kind),
            Some(reason) => trial.with_kind(reason).with_ignored_flag(true),
        }
    }
}

impl Source {
    fn of_this_run<R: Rig>(rig: &R) -> Self {
        let variable = |name| env::var(name).ok().filter(|value| !value.is_empty());
        if let Some(servers) = variable("KAFKA_BOOTSTRAP_SERVERS") {
            return Self::External(servers);
        }
        let is_required = variable("KAFKA_RIG").is_some_and(|value| value == "required");
        match rig.obstacle() {
            Some(RigError::MissingTool(what)) if !is_required => Self::Missing(what),
            Some(error) if !is_required => Self::Missing(error.to_string()),
            // If there is one, the start fails with it, and the tests with the start.
            _ => Self::Rig,
        }
    }

    /// Returns why a test cannot run.
    fn obstacle_for(&self, needs: Needs) -> Option<String> {
        match (self, needs) {
            (_, Needs::Nothing) => None,
            (Self::Missing(reason), _) => Some(reason.clone()),
            (Self::External(_), Needs::OwnCluster) => {
                Some("needs a cluster of its own, KAFKA_BOOTSTRAP_SERVERS is set".into())
            }
            (Self::External(_) | Self::Rig, _) => None,
        }
    }
}

/// The cluster of a suite: nothing until the first test asks for it.
struct SharedCluster<R: Rig> {
    source: Source,
    rig: R,
    /// Held while the cluster starts: the other tests wait.
    state: Mutex<State<R::Running>>,
}

enum State<T> {
    NotStarted,
    Running(Arc<T>),
    Failed,
}

impl<R: Rig> SharedCluster<R> {
    fn new(source: Source, rig: R) -> Self {
        Self {
            source,
            rig,
            state: Mutex::new(State::NotStarted),
        }
    }

    fn get(&self) -> Result<Arc<R::Running>, Failed> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &*state {
            State::Running(cluster) => return Ok(Arc::clone(cluster)),
            State::Failed => {
                return Err("the shared cluster did not start, another failure says why".into());
            }
            State::NotStarted => {}
        }
        let started = match &self.source {
            // `--ignored` brings a test here although something is missing.
            Source::External(servers) => match R::external(servers) {
                Some(external) => Ok(external),
                None => self.rig.clone().start(),
            },
            Source::Rig | Source::Missing(_) => self.rig.clone().start(),
        };
        match started {
            Ok(cluster) => {
                let cluster = Arc::new(cluster);
                *state = State::Running(Arc::clone(&cluster));
                Ok(cluster)
            }
            Err(error) => {
                *state = State::Failed;
                Err(with_causes(&error).into())
            }
        }
    }
}

fn block_on(limit: Duration, test: impl Future<Output = TestResult>) -> TestResult {
    let runtime = TestRuntime::new()?;
    runtime.block_on(async {
        match tokio::time::timeout(limit, test).await {
            Ok(result) => result,
            Err(_) => Err(format!("the test did not end within {limit:?}").into()),
        }
    })
}

/// Leaves blocked threads behind when it is dropped, instead of waiting for them for ever:
/// a failed test may have a consumer that cannot be closed.
struct TestRuntime(Option<Runtime>);

impl TestRuntime {
    fn new() -> std::io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    fn block_on(&self, test: impl Future<Output = TestResult>) -> TestResult {
        match &self.0 {
            Some(runtime) => runtime.block_on(test),
            None => unreachable!("only drop takes the runtime"),
        }
    }
}

impl Drop for TestRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Returns the message with those of its sources.
fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str("\n  because: ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Needs, RigError, Source, block_on, with_causes};

    #[test]
    fn without_java_no_test_runs_and_the_reason_is_known() {
        let source = Source::Missing("no Java 17 on PATH".into());

        for needs in [Needs::AnyCluster, Needs::OwnCluster] {
            assert_eq!(
                source.obstacle_for(needs).as_deref(),
                Some("no Java 17 on PATH")
            );
        }
        assert_eq!(source.obstacle_for(Needs::Nothing), None);
    }

    #[test]
    fn somebody_elses_cluster_serves_tests_that_need_only_an_address() {
        let source = Source::External("kafka:9092".into());

        assert_eq!(source.obstacle_for(Needs::AnyCluster), None);
        assert!(source.obstacle_for(Needs::OwnCluster).is_some());
    }

    #[test]
    fn a_test_that_hangs_fails() {
        let result = block_on(Duration::from_millis(1), std::future::pending());

        assert!(result.is_err());
    }

    #[test]
    fn a_failure_shows_its_causes() {
        let error = RigError::io("run mvn")(std::io::ErrorKind::NotFound.into());

        assert_eq!(
            with_causes(&error),
            "cannot run mvn\n  because: entity not found"
        );
    }
}
