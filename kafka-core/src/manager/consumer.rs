//! A consumer by hand: handlers come and go while it runs.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use regex_lite::Regex;
use tokio::sync::watch;

use crate::client::Cluster;
use crate::client::factory::factory;
use crate::config::Config;
use crate::engine::monitor::{GroupState, GroupStatus};
use crate::engine::poll::Command;
use crate::engine::route::ActiveHandler;
use crate::error::{ClientError, ConnectError, RunError};
use crate::extract::{Services, States};
use crate::handler::{Handler, HandlerFn, Start};
use crate::observe::{Event, Observers};
use crate::outcome::Classifiers;
use crate::producer::KafkaProducer;
use crate::record::TopicPartition;
use crate::registration::registered_classifiers;
use crate::runtime::group::{self, GroupHandle, Shared};
use crate::runtime::{checks, connect, lag};
use crate::start::{Given, GroupPlan, Problem, StartError, plan};
use crate::table::StartTable;

/// What to consume with [`KafkaConsumer::run`] and [`KafkaConsumer::run_typed`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// The topics.
    pub topics: Vec<String>,
    /// Where a group without a committed offset begins: at the oldest record (true), or with new ones (false, the
    /// default, as in `KafkaJS`).
    pub from_beginning: bool,
}

/// What a consumer is doing, for troubleshooting.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConsumerState {
    /// A broker answered, and it was not disconnected since.
    pub is_connected: bool,
    /// It consumes.
    pub is_running: bool,
    /// The topics with a handler.
    pub topics: Vec<String>,
    /// Assignment, records in flight and last error, once it was started.
    pub group: Option<GroupStatus>,
}

/// A member of a consumer group, driven by hand. Cloning it is cheap; all clones are the same consumer.
///
/// Made by [`KafkaManager::create_consumer`](crate::KafkaManager::create_consumer). Records go the same way as with
/// `#[topic_handler]`: per-key order, retries, dead letters, commits of finished records only.
#[derive(Clone)]
pub struct KafkaConsumer(Arc<Inner>);

struct Inner {
    config: Config,
    group_id: Arc<str>,
    observers: Observers,
    now: Mutex<Now>,
    /// The connection. Held while questions are asked, and while it is given up: one at a time, in order.
    connection: tokio::sync::Mutex<Option<Shared>>,
    /// Changes with every disconnect: a connect or a start that still asks its questions ends then.
    disconnects: watch::Sender<u64>,
}

/// What any method may look at.
#[derive(Default)]
struct Now {
    /// By topic or pattern, `${…}` filled in.
    handlers: BTreeMap<String, Registered>,
    /// Counts the changes of `handlers`.
    changes: u64,
    subscribed: Option<SubscribeOptions>,
    running: Option<GroupHandle>,
    cluster: Option<Arc<dyn Cluster>>,
}

/// A handler of one topic or pattern. It stays the same object while it is registered, so that the engine can tell a
/// handler that was kept from one that was replaced.
struct Registered {
    handler: Handler,
    active: Arc<ActiveHandler>,
    pattern: Option<Regex>,
}

impl Now {
    /// What the group does with the handlers that are registered now.
    fn plan(&self, group_id: &Arc<str>) -> (GroupPlan, StartTable) {
        let mut plan = GroupPlan::of_group(Arc::clone(group_id));
        let mut table = StartTable::default();
        for (name, registered) in &self.handlers {
            let active = Arc::clone(&registered.active);
            table
                .rows
                .push(registered.handler.start_row(name, group_id));
            if let Some(pattern) = &registered.pattern {
                plan.routes.add_pattern(pattern.clone(), active);
            } else {
                let topic: Arc<str> = name.as_str().into();
                plan.routes
                    .add_topic(Arc::clone(&topic), Arc::clone(&active));
                plan.topics.push((topic, active));
            }
        }
        (plan, table)
    }
}

impl KafkaConsumer {
    pub(super) fn new(config: Config, group_id: Arc<str>, observers: Observers) -> Self {
        Self(Arc::new(Inner {
            config,
            group_id,
            observers,
            now: Mutex::default(),
            connection: tokio::sync::Mutex::default(),
            disconnects: watch::Sender::new(0),
        }))
    }

    /// Connects: waits until a broker answers, with the configured retries. Does nothing if it is connected.
    ///
    /// # Errors
    /// No broker answered, or one refused: the error names the brokers that were tried.
    pub async fn connect(&self) -> Result<(), ConnectError> {
        let mut connection = self.0.connection.lock().await;
        self.connect_locked(&mut connection).await.map(drop)
    }

    async fn connect_locked<'a>(
        &self,
        connection: &'a mut Option<Shared>,
    ) -> Result<&'a Shared, ConnectError> {
        match connection {
            Some(shared) => Ok(shared),
            none => {
                let shared = self.unless_disconnected(self.make_shared()).await??;
                Ok(none.insert(shared))
            }
        }
    }

    /// Waits for a question, for as long as nobody disconnects.
    async fn unless_disconnected<T>(
        &self,
        question: impl Future<Output = T>,
    ) -> Result<T, ConnectError> {
        let mut disconnects = self.0.disconnects.subscribe();
        tokio::select! {
            answer = question => Ok(answer),
            _ = disconnects.changed() => Err(ConnectError::Disconnected),
        }
    }

    async fn make_shared(&self) -> Result<Shared, ConnectError> {
        let config = &self.0.config;
        let factory = factory(config);
        let cluster = connect::cluster(config, &factory).await?;
        let producer = factory
            .producer(None)
            .map_err(|source| ConnectError::Refused {
                brokers: config.addresses().iter().map(str::to_owned).collect(),
                source,
            })?;
        let producer = KafkaProducer::over(producer, config.clone());
        let mut classifiers = Classifiers::default();
        registered_classifiers().for_each(|classifier| classifiers.add(classifier));
        self.now().cluster = Some(Arc::clone(&cluster));
        Ok(Shared {
            config: config.clone(),
            factory,
            cluster,
            services: Arc::new(Services {
                states: States::default(),
                classifiers,
                producer: Some(producer.clone()),
            }),
            producer,
            observers: self.0.observers.clone(),
            cores: group::cores(),
        })
    }

    /// True from a successful [`connect`](Self::connect) to [`disconnect`](Self::disconnect), while brokers answer.
    pub fn is_connected(&self) -> bool {
        let now = self.now();
        let is_unreachable = |group: &GroupHandle| {
            matches!(group.status().last_error, Some(ClientError::Unreachable(_)))
        };
        now.cluster.is_some() && !now.running.as_ref().is_some_and(is_unreachable)
    }

    /// Finishes what runs, commits, leaves the group. Does nothing if it is not connected. Handlers stay registered.
    ///
    /// # Errors
    /// The consumer had ended with this error before.
    ///
    /// # Cancellation
    /// Cancel-safe: called again, it goes on waiting.
    pub async fn disconnect(&self) -> Result<(), RunError> {
        self.0.disconnects.send_modify(|count| *count += 1);
        let mut connection = self.0.connection.lock().await;
        let group = self.now().running.clone();
        let result = match group {
            Some(group) => {
                group.tell(Command::Stop);
                group.result().await
            }
            None => Ok(()),
        };
        let mut now = self.now();
        (now.running, now.cluster) = (None, None);
        *connection = None;
        result
    }

    /// Registers a handler for a topic: an async function or closure with an owned payload, then extractors.
    ///
    /// While the consumer runs, the topic is subscribed at once.
    ///
    /// # Errors
    /// The topic has a handler already, its name is not legal, or the handler needs a state (which only
    /// [`Runtime`](crate::Runtime) has).
    #[track_caller]
    pub fn register_handler<Args: 'static>(
        &self,
        topic: impl Into<String>,
        handler: impl HandlerFn<Args>,
    ) -> Result<(), StartError> {
        self.register(Handler::new(topic, handler))
    }

    /// Registers a handler with its options.
    ///
    /// # Errors
    /// As [`register_handler`](Self::register_handler).
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a handler is given away, as in `Runtime::builder().handler(..)`"
    )]
    pub fn register(&self, handler: Handler) -> Result<(), StartError> {
        let mut now = self.now();
        let routes = self
            .routes_of(&handler)
            .map_err(|problems| StartError { problems })?;
        let problems: Vec<Problem> = routes
            .iter()
            .filter_map(|(name, _)| {
                Some(Problem::TopicTwice {
                    topic: name.clone(),
                    group: self.0.group_id.to_string(),
                    first: now.handlers.get(name)?.handler.place(),
                    second: handler.place(),
                })
            })
            .collect();
        if !problems.is_empty() {
            return Err(StartError { problems });
        }
        now.handlers.extend(routes);
        self.update(&mut now);
        Ok(())
    }

    /// Checks a handler; returns it by topic and pattern. None at all if it is switched off by its `enabled_if`.
    fn routes_of(&self, handler: &Handler) -> Result<Vec<(String, Registered)>, Vec<Problem>> {
        let planned = plan(&Given {
            handlers: std::slice::from_ref(handler),
            group_id: Some(&self.0.group_id),
            states: &States::default(),
            lookup: &|name| std::env::var(name).ok(),
        });
        let group = match planned {
            Ok(found) => found.groups.into_iter().next(),
            Err(found) if matches!(found[..], [Problem::AllDisabled { .. }]) => None,
            Err(found) => return Err(found),
        };
        let Some(group) = group else {
            return Ok(Vec::new());
        };
        if group.group_id != self.0.group_id {
            return Err(vec![Problem::BadOption {
                place: handler.place(),
                handler: handler.name().to_owned(),
                reason: format!(
                    "its group is {}, but this consumer is a member of {}: make a consumer for that group, or leave \
                     the group out",
                    group.group_id, self.0.group_id
                ),
            }]);
        }
        let registered = |active: &Arc<ActiveHandler>, pattern: Option<&Regex>| Registered {
            handler: handler.clone(),
            active: Arc::clone(active),
            pattern: pattern.cloned(),
        };
        let topics = group.topics.iter();
        let topics = topics.map(|(topic, active)| (topic.to_string(), registered(active, None)));
        let patterns = group.routes.patterns().iter();
        let patterns = patterns.map(|(pattern, active)| {
            (
                pattern.as_str().to_owned(),
                registered(active, Some(pattern)),
            )
        });
        Ok(topics.chain(patterns).collect())
    }

    /// Removes the handler of a topic; false if there was none. While the consumer runs, the topic is left at once, and
    /// its records that have not started are left to the next handler.
    pub fn unregister_handler(&self, topic: &str) -> bool {
        let mut now = self.now();
        let removed = now.handlers.remove(topic).is_some();
        if removed {
            if let Some(group) = &now.running {
                group.drain(topic);
            }
            self.update(&mut now);
        }
        removed
    }

    /// Removes every handler.
    pub fn clear_handlers(&self) {
        let mut now = self.now();
        if let Some(group) = &now.running {
            now.handlers.keys().for_each(|topic| group.drain(topic));
        }
        now.handlers.clear();
        self.update(&mut now);
    }

    /// Returns the topics (and patterns) that have a handler, sorted.
    pub fn registered_topics(&self) -> Vec<String> {
        self.now().handlers.keys().cloned().collect()
    }

    /// True if the topic has a handler.
    pub fn has_handler(&self, topic: &str) -> bool {
        self.now().handlers.contains_key(topic)
    }

    /// True while it consumes.
    pub fn is_running(&self) -> bool {
        let now = self.now();
        now.running
            .as_ref()
            .is_some_and(|group| group.state() < GroupState::Stopping)
    }

    /// Starts to consume all topics that have a handler; returns once the group has assigned partitions.
    ///
    /// Connects first if that was not done.
    ///
    /// # Errors
    /// All that is wrong with the handlers and their topics, at once; or no connection.
    pub async fn start_with_handlers(&self) -> Result<(), RunError> {
        let group = self.started_group().await?;
        group.reached(GroupState::Running).await;
        match group.state() {
            GroupState::Joining | GroupState::Running => Ok(()),
            GroupState::Stopping | GroupState::Stopped => group.result().await,
        }
    }

    /// Returns the group that runs, or starts it.
    async fn started_group(&self) -> Result<GroupHandle, RunError> {
        let mut connection = self.0.connection.lock().await;
        if self.is_running()
            && let Some(group) = &self.now().running
        {
            return Ok(group.clone());
        }
        let (plan, table, changes) = {
            let now = self.now();
            let (plan, table) = now.plan(&self.0.group_id);
            (plan, table, now.changes)
        };
        if table.rows.is_empty() {
            let problems = vec![Problem::NoHandlers];
            return Err(StartError { problems }.into());
        }
        let shared = self.connect_locked(&mut connection).await?;
        let groups = [plan];
        let asked = checks::topics(&shared.cluster, &groups, self.0.config.missing_topics);
        let problems = self.unless_disconnected(asked).await?;
        if !problems.is_empty() {
            return Err(StartError { problems }.into());
        }
        self.0.observers.emit(&Event::Starting { table: &table });
        let [GroupPlan { routes, .. }] = groups;
        let group = GroupHandle::start(shared, &self.0.group_id, routes)?;
        let mut now = self.now();
        now.running = Some(group.clone());
        if now.changes != changes {
            // Handlers came or went while the cluster was asked.
            group.tell(Command::Routes(now.plan(&self.0.group_id).0.routes));
        }
        Ok(group)
    }

    /// Says what [`run`](Self::run) and [`run_typed`](Self::run_typed) consume.
    pub fn subscribe(&self, options: SubscribeOptions) {
        self.now().subscribed = Some(options);
    }

    /// Consumes the subscribed topics with one handler, which is given each record as it is: take
    /// [`Record`](crate::Record), or [`Raw`](crate::Raw) and extractors. Returns once the group has assigned
    /// partitions.
    ///
    /// # Errors
    /// As [`start_with_handlers`](Self::start_with_handlers).
    #[track_caller]
    pub fn run<Args: 'static>(
        &self,
        handler: impl HandlerFn<Args>,
    ) -> impl Future<Output = Result<(), RunError>> + Send {
        let options = self.now().subscribed.clone().unwrap_or_default();
        let start = if options.from_beginning {
            Start::Earliest
        } else {
            Start::Latest
        };
        let registered = match options.topics.split_first() {
            None => Err(StartError {
                problems: vec![Problem::NoHandlers],
            }),
            Some((first, rest)) => {
                let handler = Handler::new(first.clone(), handler).start(start);
                self.register(
                    rest.iter()
                        .fold(handler, |handler, topic| handler.topic(topic.clone())),
                )
            }
        };
        let this = self.clone();
        async move {
            registered?;
            this.start_with_handlers().await
        }
    }

    /// Consumes the subscribed topics with one handler of decoded records. Returns once the group has assigned
    /// partitions.
    ///
    /// # Errors
    /// As [`start_with_handlers`](Self::start_with_handlers).
    #[track_caller]
    pub fn run_typed<T>(
        &self,
        handler: impl HandlerFn<(T,)>,
    ) -> impl Future<Output = Result<(), RunError>> + Send
    where
        T: 'static,
    {
        self.run(handler)
    }

    /// Waits until the consumer has ended, by [`disconnect`](Self::disconnect) or by itself. Waits for ever if it was
    /// not started. Cancel-safe.
    ///
    /// # Errors
    /// It ended by itself, for this reason.
    pub async fn ended(&self) -> Result<(), RunError> {
        let group = self.now().running.clone();
        match group {
            Some(group) => group.result().await,
            None => std::future::pending().await,
        }
    }

    /// Returns what it is doing.
    pub fn state(&self) -> ConsumerState {
        let group = self.now().running.as_ref().map(GroupHandle::status);
        ConsumerState {
            is_connected: self.is_connected(),
            is_running: self.is_running(),
            topics: self.registered_topics(),
            group,
        }
    }

    /// Asks the cluster how far each assigned partition is behind: records written and not committed.
    ///
    /// # Errors
    /// The cluster did not answer.
    pub async fn lag(&self) -> Result<Vec<(TopicPartition, i64)>, ClientError> {
        let (cluster, group) = {
            let now = self.now();
            (now.cluster.clone(), now.running.clone())
        };
        match (cluster, group) {
            (Some(cluster), Some(group)) => lag::of(&cluster, vec![group.status()]).await,
            _ => Ok(Vec::new()),
        }
    }

    /// Gives the handlers to a consumer that runs.
    fn update(&self, now: &mut Now) {
        now.changes += 1;
        let Some(group) = &now.running else {
            return;
        };
        let (plan, _) = now.plan(&self.0.group_id);
        group.tell(Command::Routes(plan.routes));
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        // Held for look-ups and insertions, which do not panic.
        self.0.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for KafkaConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaConsumer")
            .field("group_id", &self.0.group_id)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
