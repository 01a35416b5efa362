//! Puts a service together: collects handlers, checks them, starts a group's engine for each, and stops in order.
//!
//! The order of a stop: stop feeding, wait for what runs (`shutdown_grace`), cancel the rest, flush the producer,
//! store and commit, leave the group, close the client on a thread that can be abandoned, return.

pub(crate) mod checks;
pub(crate) mod connect;
mod control;
pub(crate) mod group;
pub(crate) mod lag;
mod shutdown;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use futures_util::stream::{FuturesUnordered, StreamExt};

use self::group::{GroupHandle, Shared};
use crate::client::Cluster;
use crate::client::factory::{ClientFactory, factory};
use crate::config::Config;
use crate::error::RunError;
use crate::extract::{Services, States};
use crate::handler::Handler;
use crate::observe::{Event, Observer, Observers, TracingObserver};
use crate::outcome::{Classifier, Classifiers, Classify};
use crate::producer::KafkaProducer;
use crate::registration::{registered, registered_classifiers};
use crate::start::{Given, GroupPlan, Plan, Problem, StartError, plan};
use crate::table::StartTable;

pub use control::Control;
pub use shutdown::shutdown_signal;

/// Runs every handler that the linker collected, configured from the environment, until SIGTERM or SIGINT.
///
/// ```no_run
/// # async fn example() -> anyhow::Result<()> {
/// kafka_core::run().await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// See [`RunError`]. Everything that is wrong with handlers and configuration is told at once, in
/// [`RunError::Start`]; so is everything that is wrong with the topics, once a broker has answered.
pub async fn run() -> Result<(), RunError> {
    Runtime::builder().build()?.run().await
}

/// Puts a [`Runtime`] together.
///
/// ```no_run
/// # async fn fulfil(_order: serde_json::Value) {}
/// # async fn example() -> anyhow::Result<()> {
/// use kafka_core::{Config, Handler, Runtime, registered};
///
/// let runtime = Runtime::builder()
///     .config(Config::from_env()?.group_id("analytics"))
///     .state(String::from("a clone of this for every State<String>"))
///     .handlers(registered())
///     .handler(Handler::new("orders.events", fulfil))
///     .build()?;
/// runtime.run().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct RuntimeBuilder {
    config: Option<Config>,
    handlers: Option<Vec<Handler>>,
    more_handlers: Vec<Handler>,
    states: States,
    classifiers: Classifiers,
    observers: Vec<Arc<dyn Observer>>,
    is_silent: bool,
    /// Win over the process's environment in templates and `enabled_if`.
    variables: BTreeMap<String, String>,
    problems: Vec<Problem>,
}

impl RuntimeBuilder {
    /// Sets the configuration. Default: [`Config::from_env`].
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = Some(config);
        self
    }

    /// Gives a value to every handler that takes `State<T>`; each call gets a clone. One of each type.
    #[must_use]
    pub fn state<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        if !self.states.insert(value) {
            self.problems
                .push(Problem::StateTwice(std::any::type_name::<T>()));
        }
        self
    }

    /// Sets the handlers. Default: [`registered`], all that the linker collected.
    #[must_use]
    pub fn handlers(mut self, handlers: impl IntoIterator<Item = Handler>) -> Self {
        self.handlers = Some(handlers.into_iter().collect());
        self
    }

    /// Adds a handler.
    #[must_use]
    pub fn handler(mut self, handler: Handler) -> Self {
        self.more_handlers.push(handler);
        self
    }

    /// Recognises an error type inside other errors, such as `anyhow::Error`: what `#[classify]` does.
    #[must_use]
    pub fn classify<E: Classify + std::error::Error + Send + Sync + 'static>(mut self) -> Self {
        self.classifiers.add(Classifier::of::<E>());
        self
    }

    /// Adds an observer.
    #[must_use]
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observers.push(Arc::new(observer));
        self
    }

    /// Leaves out the [`TracingObserver`] that a runtime has by default.
    #[must_use]
    pub fn without_tracing(mut self) -> Self {
        self.is_silent = true;
        self
    }

    /// Gives templates and `enabled_if` a variable of the environment: a test cannot set one beside other threads.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn variable(mut self, name: String, value: String) -> Self {
        self.variables.insert(name, value);
        self
    }

    /// Keeps only these handlers. Returns the names of all that there are.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn retain_handlers(&mut self, names: &[String]) -> Vec<String> {
        let mut handlers = self.handlers.take().unwrap_or_else(registered);
        handlers.append(&mut self.more_handlers);
        let all = handlers.iter().map(|h| h.options.name.clone()).collect();
        handlers.retain(|handler| names.contains(&handler.options.name));
        self.handlers = Some(handlers);
        all
    }

    /// Returns the configuration that was given.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn given_config(&self) -> Option<&Config> {
        self.config.as_ref()
    }

    /// Checks everything that can be checked without a network.
    ///
    /// # Errors
    /// All problems at once, each with the place of the handler and what to do.
    pub fn build(self) -> Result<Runtime, StartError> {
        let mut problems = self.problems;
        let mut is_unread = false;
        let config = match self.config.map_or_else(Config::from_env, Ok) {
            Ok(config) => config,
            Err(error) => {
                problems.push(Problem::Config(error.to_string()));
                is_unread = true;
                Config::new()
            }
        };
        if !is_unread && let Err(error) = config.validate() {
            problems.push(Problem::Config(error.to_string()));
        }
        let mut handlers = self.handlers.unwrap_or_else(registered);
        handlers.extend(self.more_handlers);
        let planned = plan(&Given {
            handlers: &handlers,
            group_id: config.group_id.as_deref(),
            states: &self.states,
            lookup: &|name| {
                let given = self.variables.get(name).cloned();
                given.or_else(|| std::env::var(name).ok())
            },
        });
        let plan = match planned {
            Ok(plan) if problems.is_empty() => plan,
            Ok(_) => return Err(StartError { problems }),
            Err(mut found) => {
                if is_unread && std::env::var_os("KAFKA_GROUP_ID").is_some() {
                    // It is in the configuration that could not be read.
                    found.retain(|problem| !matches!(problem, Problem::NoGroup { .. }));
                }
                problems.extend(found);
                return Err(StartError { problems });
            }
        };
        let mut classifiers = self.classifiers;
        registered_classifiers().for_each(|classifier| classifiers.add(classifier));
        let mut observers = self.observers;
        if !self.is_silent {
            observers.insert(0, Arc::new(TracingObserver));
        }
        Ok(Runtime {
            config,
            plan,
            states: self.states,
            classifiers,
            observers: Observers::new(observers),
            control: Control::default(),
        })
    }
}

impl fmt::Debug for RuntimeBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuntimeBuilder")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// A service's handlers, checked and ready to run.
pub struct Runtime {
    config: Config,
    plan: Plan,
    states: States,
    classifiers: Classifiers,
    observers: Observers,
    control: Control,
}

impl Runtime {
    /// Starts to put a runtime together.
    pub fn builder() -> RuntimeBuilder {
        RuntimeBuilder::default()
    }

    /// Returns a handle that works while the runtime runs.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Runs until SIGTERM or SIGINT; a second signal ends the process at once.
    ///
    /// # Errors
    /// See [`RunError`].
    pub async fn run(self) -> Result<(), RunError> {
        self.run_until(shutdown_signal()).await
    }

    /// Runs until the future ends, or `control().shutdown()` is called, or something goes wrong.
    ///
    /// # Errors
    /// See [`RunError`].
    ///
    /// # Cancellation
    /// Not cancel-safe: dropped before its end, the groups go on until their threads notice that the process ends. Ask
    /// it to stop instead.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) -> Result<(), RunError> {
        let control = self.control.clone();
        let stop = async {
            tokio::select! {
                () = shutdown => {}
                () = control.is_asked_to_stop() => {}
            }
        };
        tokio::pin!(stop);
        // Until the groups are started, dropping what is done is all that a stop takes.
        let mut running = tokio::select! {
            () = &mut stop => return Ok(()),
            running = self.start() => running?,
        };
        let mut first_error = None;
        loop {
            tokio::select! {
                () = &mut stop => break,
                Some(result) = running.next() => {
                    if let Err(error) = result {
                        first_error = Some(error);
                        break;
                    }
                }
                else => break,
            }
        }
        control.stop_groups();
        while let Some(result) = running.next().await {
            if let Err(error) = result {
                first_error.get_or_insert(error);
            }
        }
        first_error.map_or(Ok(()), Err)
    }

    /// Checks the cluster, then starts a group's engine for each.
    async fn start(
        self,
    ) -> Result<FuturesUnordered<impl Future<Output = Result<(), RunError>>>, RunError> {
        let factory = factory(&self.config);
        let cluster = connect::cluster(&self.config, &factory).await?;
        let Prepared {
            shared,
            groups,
            control,
            table,
        } = self.prepare(factory, cluster).await?;
        show(&table);
        let running = FuturesUnordered::new();
        for GroupPlan {
            group_id, routes, ..
        } in groups
        {
            match GroupHandle::start(&shared, &group_id, routes) {
                Ok(group) => {
                    control.add(&group);
                    running.push(async move { group.result().await });
                }
                Err(error) => {
                    control.stop_groups();
                    running.for_each(|_| async {}).await;
                    return Err(error);
                }
            }
        }
        control.all_added();
        Ok(running)
    }

    /// Checks the topics, and makes what the groups share. The test kit goes on from here by itself.
    pub(crate) async fn prepare(
        self,
        factory: Arc<dyn ClientFactory>,
        cluster: Arc<dyn Cluster>,
    ) -> Result<Prepared, RunError> {
        let problems =
            checks::topics(&cluster, &self.plan.groups, self.config.missing_topics).await;
        if !problems.is_empty() {
            return Err(StartError { problems }.into());
        }
        self.observers.emit(&Event::Starting {
            table: &self.plan.table,
        });
        let producer = factory.producer(None).map_err(|error| StartError {
            problems: vec![Problem::Config(error.to_string())],
        })?;
        let producer = KafkaProducer::over(producer, self.config.clone());
        self.control.set_cluster(&cluster);
        let shared = Shared {
            services: Arc::new(Services {
                states: self.states,
                classifiers: self.classifiers,
                producer: Some(producer.clone()),
            }),
            config: self.config,
            factory,
            cluster,
            producer,
            observers: self.observers,
            cores: group::cores(),
        };
        Ok(Prepared {
            shared,
            groups: self.plan.groups,
            control: self.control,
            table: self.plan.table,
        })
    }

    /// Returns the groups that will be started.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn groups(&self) -> &[GroupPlan] {
        &self.plan.groups
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// A runtime whose topics were checked: what it takes to start its groups.
pub(crate) struct Prepared {
    pub(crate) shared: Shared,
    pub(crate) groups: Vec<GroupPlan>,
    pub(crate) control: Control,
    pub(crate) table: StartTable,
}

/// Shows the start table on standard error, if no observer can show it.
fn show(table: &StartTable) {
    if tracing::level_filters::LevelFilter::current() == tracing::level_filters::LevelFilter::OFF {
        #[expect(
            clippy::print_stderr,
            reason = "without a subscriber, nobody else says what is started"
        )]
        {
            eprintln!("{table}");
        }
    }
}
