//! The imperative surface: clients that are made, connected, started and disconnected by hand, over the same engine.
//!
//! For services that decide at run time what they consume. Everything else is shorter with `#[topic_handler]`.

mod consumer;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::config::{ClientOptions, Config, ConfigError, ConsumerOptions, ProducerOptions};
use crate::error::{ClientError, RunError};
use crate::observe::{Observer, Observers, TracingObserver};
use crate::producer::KafkaProducer;

pub use consumer::{ConsumerState, KafkaConsumer, SubscribeOptions};

/// Makes and keeps the clients of one cluster, by name.
///
/// ```no_run
/// # async fn example() -> anyhow::Result<()> {
/// use kafka_core::{ClientOptions, ConsumerOptions, KafkaManager, MessagePayload, ProducerOptions};
///
/// let manager = KafkaManager::new(ClientOptions {
///     client_id: "your-service-name".into(),
///     ..Default::default()
/// });
/// let consumer = manager.create_consumer("main", ConsumerOptions {
///     group_id: "your-service-group".into(),
///     ..Default::default()
/// })?;
/// consumer.connect().await?;
/// consumer.register_handler("user.actions", |action: serde_json::Value| async move {
///     println!("{}", action["type"]);
/// })?;
/// consumer.start_with_handlers().await?;
///
/// let producer = manager.create_producer("main", ProducerOptions::default())?;
/// producer.send("user.events", vec![MessagePayload::new("{}").key("user-7")]).await?;
/// manager.disconnect_all().await?;
/// # Ok(())
/// # }
/// ```
pub struct KafkaManager {
    config: Config,
    observers: Vec<Arc<dyn Observer>>,
    clients: Mutex<Clients>,
}

#[derive(Default)]
struct Clients {
    consumers: BTreeMap<String, KafkaConsumer>,
    producers: BTreeMap<String, KafkaProducer>,
}

/// Why a manager could not make a client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManagerError {
    /// The options contradict each other or are incomplete.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There is a client of this name already.
    #[error(
        "there is a {kind} named \"{name}\" already: ask for it by name, or give this one another"
    )]
    NameTaken {
        /// `consumer` or `producer`.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// The client could not be made.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl KafkaManager {
    /// Makes a manager. Nothing is checked or connected before the first client is made.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "options are written in the call"
    )]
    pub fn new(options: ClientOptions) -> Self {
        Self::from_config(options.to_config())
    }

    /// Makes a manager from a configuration, for example [`Config::from_env`].
    pub fn from_config(config: Config) -> Self {
        Self {
            config,
            observers: vec![Arc::new(TracingObserver)],
            clients: Mutex::default(),
        }
    }

    /// Adds an observer to the consumers that are made from now on.
    #[must_use]
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observers.push(Arc::new(observer));
        self
    }

    /// Makes a consumer.
    ///
    /// # Errors
    /// The options are contradictory or incomplete, or the name is taken.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "options are written in the call"
    )]
    pub fn create_consumer(
        &self,
        name: impl Into<String>,
        options: ConsumerOptions,
    ) -> Result<KafkaConsumer, ManagerError> {
        let config = options.to_config(&self.config);
        config.validate()?;
        let group_id = config.require_group_id()?.to_owned();
        let observers = Observers::new(self.observers.clone());
        let consumer = KafkaConsumer::new(config, group_id.into(), observers);
        let name = name.into();
        let mut clients = self.clients();
        if clients.consumers.contains_key(&name) {
            return Err(ManagerError::NameTaken {
                kind: "consumer",
                name,
            });
        }
        clients.consumers.insert(name, consumer.clone());
        Ok(consumer)
    }

    /// Makes a producer; it connects with its first record, or with [`KafkaProducer::connect`].
    ///
    /// # Errors
    /// The options are contradictory or incomplete, or the name is taken.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "options are written in the call"
    )]
    pub fn create_producer(
        &self,
        name: impl Into<String>,
        options: ProducerOptions,
    ) -> Result<KafkaProducer, ManagerError> {
        let producer = KafkaProducer::new(self.config.clone(), &options)?;
        let name = name.into();
        let mut clients = self.clients();
        if clients.producers.contains_key(&name) {
            return Err(ManagerError::NameTaken {
                kind: "producer",
                name,
            });
        }
        clients.producers.insert(name, producer.clone());
        Ok(producer)
    }

    /// Returns the consumer of this name.
    pub fn consumer(&self, name: &str) -> Option<KafkaConsumer> {
        self.clients().consumers.get(name).cloned()
    }

    /// Returns the producer of this name.
    pub fn producer(&self, name: &str) -> Option<KafkaProducer> {
        self.clients().producers.get(name).cloned()
    }

    /// Disconnects every client: consumers finish what runs, commit and leave; producers send what is queued. The
    /// manager forgets them.
    ///
    /// # Errors
    /// The first thing that went wrong; the other clients are disconnected all the same.
    pub async fn disconnect_all(&self) -> Result<(), RunError> {
        let clients = std::mem::take(&mut *self.clients());
        let mut first_error = None;
        // Consumers first: their handlers may still be sending.
        for result in futures_util::future::join_all(
            clients.consumers.values().map(KafkaConsumer::disconnect),
        )
        .await
        {
            if let Err(error) = result {
                first_error.get_or_insert(error);
            }
        }
        for producer in clients.producers.values() {
            if let Err(error) = producer.disconnect().await {
                first_error.get_or_insert(RunError::Producer(error));
            }
        }
        first_error.map_or(Ok(()), Err)
    }

    fn clients(&self) -> MutexGuard<'_, Clients> {
        // Held for a look-up or an insertion, which do not panic.
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for KafkaManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clients = self.clients();
        f.debug_struct("KafkaManager")
            .field("config", &self.config)
            .field("consumers", &clients.consumers)
            .field("producers", &clients.producers)
            .finish_non_exhaustive()
    }
}
