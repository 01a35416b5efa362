//! Starts and ends the engine of one group: a thread for its client, tasks for its lanes.

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use crate::client::Cluster;
use crate::client::factory::ClientFactory;
use crate::config::{Config, GroupProtocol};
use crate::engine::backpressure::Budget;
use crate::engine::monitor::{GroupState, GroupStatus, Monitor};
use crate::engine::poll::{self, Command, Engine, EngineConfig, Parts};
use crate::engine::pulse::Pulse;
use crate::engine::route::{FirstError, GroupServices, Routes};
use crate::engine::spawn::Spawner;
use crate::error::RunError;
use crate::extract::Services;
use crate::failure::dead_letter::{DeadLetters, WriteRoom};
use crate::failure::retry_topic::MOST_PARKED;
use crate::observe::Observers;
use crate::producer::KafkaProducer;

/// What the groups of a runtime share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) factory: Arc<dyn ClientFactory>,
    pub(crate) cluster: Arc<dyn Cluster>,
    pub(crate) services: Arc<Services>,
    pub(crate) producer: KafkaProducer,
    pub(crate) observers: Observers,
    /// Lanes are spread over these.
    pub(crate) cores: usize,
}

/// Returns how many cores there are for the lanes.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A group's engine, and what it is told and asked through.
pub(crate) struct GroupParts {
    pub(crate) engine: Engine,
    pub(crate) handle: GroupHandle,
    /// Why it ends, if it ends by itself.
    #[cfg_attr(
        not(any(test, feature = "testing")),
        expect(dead_code, reason = "the poll thread looks for itself")
    )]
    pub(crate) failed: Arc<FirstError>,
}

/// A group that was started: tells its engine what to do.
#[derive(Debug, Clone)]
pub(crate) struct GroupHandle {
    commands: Sender<Command>,
    monitor: Arc<Monitor>,
}

impl GroupHandle {
    /// Starts a group's engine; it joins from its own thread.
    pub(crate) fn start(
        shared: &Shared,
        group_id: &Arc<str>,
        routes: Routes,
    ) -> Result<Self, RunError> {
        let GroupParts { engine, handle, .. } = Self::engine(shared, group_id, routes)?;
        let thread = std::thread::Builder::new().name(format!("kafka-poll {group_id}"));
        let spawned = thread.spawn(move || poll::run(engine));
        match spawned {
            Ok(_) => Ok(handle),
            Err(error) => Err(RunError::Panicked {
                group_id: group_id.to_string(),
                text: format!("no thread: {error}"),
            }),
        }
    }

    /// Makes a group's engine; it joins with its first round.
    pub(crate) fn engine(
        shared: &Shared,
        group_id: &Arc<str>,
        routes: Routes,
    ) -> Result<GroupParts, RunError> {
        let client = |source| RunError::Client {
            group_id: group_id.to_string(),
            source,
        };
        let consumer = shared.factory.consumer(group_id).map_err(client)?;
        let monitor = Arc::new(Monitor::new(Arc::clone(group_id)));
        let producer = Arc::clone(shared.producer.client());
        let observers = shared.observers.clone();
        let failed = Arc::new(FirstError::default());
        let (engine, commands) = Engine::new(Parts {
            consumer,
            config: EngineConfig {
                budget: Budget {
                    records: shared.config.max_in_flight_records,
                    bytes: shared.config.max_in_flight_bytes,
                },
                drain_timeout: shared.config.drain_timeout,
                shutdown_grace: shared.config.shutdown_grace,
                on_out_of_range: shared.config.on_out_of_range,
                session_timeout: shared.config.session_timeout_or_default(),
                heartbeat_interval: shared.config.heartbeat_interval_or_default(),
                commit_interval: shared.config.commit_interval,
                is_told_of_silence: shared.config.group_protocol != GroupProtocol::Consumer,
                cores: shared.cores,
                most_parked: MOST_PARKED,
            },
            group: GroupServices {
                group_id: Arc::clone(group_id),
                services: Arc::clone(&shared.services),
                dead_letters: Arc::new(DeadLetters {
                    producer: Arc::clone(&producer),
                    cluster: Arc::clone(&shared.cluster),
                    observers: observers.clone(),
                    error_text: shared.config.dead_letter_error_text,
                    created: tokio::sync::Mutex::default(),
                    room: WriteRoom::default(),
                    group_id: Arc::clone(group_id),
                    failed: Arc::clone(&failed),
                }),
                observers,
                failed: Arc::clone(&failed),
                pulse: Arc::new(Pulse::new(shared.config.session_timeout_or_default())),
                max_call_age: shared.config.max_call_age,
            },
            routes,
            spawner: Spawner::Tokio(tokio::runtime::Handle::current()),
            monitor: Arc::clone(&monitor),
            retry_consumer: Box::new({
                let factory = Arc::clone(&shared.factory);
                let retry_group = format!("{group_id}.retry");
                move || factory.consumer(&retry_group)
            }),
            // What cannot be sent in time is the handlers' own: dead letters were waited for.
            flush: Box::new(move |wait: Duration| drop(producer.flush(wait))),
        });
        Ok(GroupParts {
            engine,
            handle: Self { commands, monitor },
            failed,
        })
    }

    /// Tells the engine; it has no ears any more once it has ended.
    pub(crate) fn tell(&self, command: Command) {
        let _ = self.commands.send(command);
    }

    /// Takes note that the engine has ended; the poll thread does it by itself.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn end(&self, result: Result<(), RunError>) {
        self.monitor.end(result);
    }

    /// Starts nothing more of a topic, from now on.
    pub(crate) fn drain(&self, topic: &str) {
        self.monitor.drain(topic);
    }

    pub(crate) fn status(&self) -> GroupStatus {
        self.monitor.status()
    }

    pub(crate) fn state(&self) -> GroupState {
        self.monitor.state()
    }

    /// Waits for the end of the group, and returns how it ended. Cancel-safe.
    pub(crate) async fn result(&self) -> Result<(), RunError> {
        self.reached(GroupState::Stopped).await;
        self.monitor.result().unwrap_or(Ok(()))
    }

    /// Waits until the group is in this state or a later one. Cancel-safe.
    pub(crate) async fn reached(&self, state: GroupState) {
        self.monitor.reached(state).await;
    }
}
