//! Puts a [`TestRuntime`] together: what a runtime's builder takes, and what a test may say besides.

use std::fmt;
use std::time::Duration;

use super::journal::Journal;
use super::runtime::TestRuntime;
use super::{by_hand, clock};
use crate::config::Config;
use crate::error::RunError;
use crate::handler::Handler;
use crate::observe::Observer;
use crate::outcome::Classify;
use crate::runtime::{Runtime, RuntimeBuilder};
use crate::start::StartError;

/// Puts a [`TestRuntime`] together: the methods of [`RuntimeBuilder`], and what only a test may say.
///
/// Without any call it runs every handler that the linker collected, in the group `test`.
#[derive(Clone)]
#[must_use]
pub struct TestRuntimeBuilder {
    runtime: RuntimeBuilder,
    only: Option<Vec<String>>,
    pub(super) topics: Vec<(String, i32)>,
    pub(super) patience: Duration,
    pub(super) limit: Duration,
}

impl Default for TestRuntimeBuilder {
    fn default() -> Self {
        Self {
            runtime: Runtime::builder(),
            only: None,
            topics: Vec::new(),
            patience: Duration::from_millis(20),
            limit: Duration::from_secs(30),
        }
    }
}

impl TestRuntimeBuilder {
    /// Sets the configuration. What it does not say is filled in: the group `test`, and a broker that nobody asks.
    /// The environment is not read.
    pub fn config(mut self, config: Config) -> Self {
        self.runtime = self.runtime.config(config);
        self
    }

    /// Gives a value to every handler that takes `State<T>`; see [`RuntimeBuilder::state`].
    pub fn state<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.runtime = self.runtime.state(value);
        self
    }

    /// Sets the handlers. Default: [`registered`](crate::registered), all that the linker collected for this test
    /// binary.
    pub fn handlers(mut self, handlers: impl IntoIterator<Item = Handler>) -> Self {
        self.runtime = self.runtime.handlers(handlers);
        self
    }

    /// Adds a handler.
    pub fn handler(mut self, handler: Handler) -> Self {
        self.runtime = self.runtime.handler(handler);
        self
    }

    /// Keeps, of all handlers, only those of these names: of the function, or of `name = ".."`. A test of one handler
    /// then needs no states and topics of the others. Of several with one name, all are kept; tell them apart with
    /// [`handlers`](Self::handlers) and [`Handler::place`].
    pub fn only<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.only = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Recognises an error type inside other errors; see [`RuntimeBuilder::classify`].
    pub fn classify<E: Classify + std::error::Error + Send + Sync + 'static>(mut self) -> Self {
        self.runtime = self.runtime.classify::<E>();
        self
    }

    /// Adds an observer.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.runtime = self.runtime.observer(observer);
        self
    }

    /// Leaves out the [`TracingObserver`](crate::TracingObserver) that a runtime has by default.
    pub fn without_tracing(mut self) -> Self {
        self.runtime = self.runtime.without_tracing();
        self
    }

    /// Sets a variable for `${NAME:default}` and `enabled_if`, over those of the process.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.runtime = self.runtime.variable(name.into(), value.into());
        self
    }

    /// Creates a topic with so many partitions before the start. The topics of the handlers need no call: they are
    /// created with one partition.
    pub fn topic(mut self, name: impl Into<String>, partitions: i32) -> Self {
        self.topics.push((name.into(), partitions));
        self
    }

    /// Sets how long, of real time, a call that waits is given by [`idle`](TestRuntime::idle) each time before it is
    /// taken to wait for the test's clock or for ever. Default: 20 ms. More if handlers do real I/O or use
    /// `spawn_blocking`; or wait with [`eventually`](TestRuntime::eventually).
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Sets how long, of real time, any wait of the kit may take before it panics and says what it was waiting for.
    /// Default: 30 s.
    pub fn real_time_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Checks and starts everything as [`Runtime::run`] does, and returns when every group has its partitions.
    ///
    /// # Errors
    /// Those of [`Runtime::run`]: everything that is wrong with the handlers is told at once.
    ///
    /// # Panics
    /// Not on a current-thread runtime of tokio; or [`only`](Self::only) names a handler that is not there.
    #[track_caller]
    pub fn start(self) -> impl Future<Output = Result<TestRuntime, RunError>> {
        let caller = std::panic::Location::caller();
        async move {
            clock::pause(caller);
            TestRuntime::start(self, caller).await
        }
    }

    /// Makes the runtime that is started: each start has its own permits and breakers, and the same states.
    pub(super) fn build(&self, journal: &Journal) -> Result<Runtime, StartError> {
        let mut runtime = self.runtime.clone();
        if let Some(only) = &self.only {
            let all = runtime.retain_handlers(only);
            if let Some(missing) = only.iter().find(|name| !all.contains(name)) {
                by_hand::misuse(&format!(
                    "only(..) names the handler {missing:?}, which is not there; there are {all:?}"
                ));
            }
        }
        let mut config = runtime.given_config().cloned().unwrap_or_default();
        if config.group_id.is_none() {
            config = config.group_id("test");
        }
        if config.bootstrap_servers.is_none() && config.environment.is_none() {
            config = config.bootstrap_servers("localhost:9092");
        }
        runtime.config(config).observer(journal.clone()).build()
    }
}

impl fmt::Debug for TestRuntimeBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestRuntimeBuilder")
            .field("runtime", &self.runtime)
            .field("topics", &self.topics)
            .finish_non_exhaustive()
    }
}
