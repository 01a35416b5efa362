//! Makes the clients of a runtime: librdkafka's, or those of the in-memory broker.

use std::sync::Arc;

use super::{Cluster, Consumer};
use crate::config::{Config, ProducerOptions};
use crate::error::ClientError;
use crate::producer::ProducerClient;

/// Makes clients for one configuration.
pub(crate) trait ClientFactory: Send + Sync {
    /// A member of a group; it joins when it subscribes.
    fn consumer(&self, group_id: &str) -> Result<Box<dyn Consumer>, ClientError>;

    /// A producer; without options, one that loses and doubles nothing.
    fn producer(
        &self,
        options: Option<&ProducerOptions>,
    ) -> Result<Arc<dyn ProducerClient>, ClientError>;

    /// A client for questions.
    fn cluster(&self) -> Result<Arc<dyn Cluster>, ClientError>;
}

/// Returns the factory of a configuration.
#[cfg(feature = "rdkafka")]
pub(crate) fn factory(config: &Config) -> Arc<dyn ClientFactory> {
    Arc::new(Librdkafka(config.clone()))
}

/// Returns a factory that can only say what is missing.
#[cfg(not(feature = "rdkafka"))]
pub(crate) fn factory(_: &Config) -> Arc<dyn ClientFactory> {
    Arc::new(NoClient)
}

#[cfg(feature = "rdkafka")]
struct Librdkafka(Config);

#[cfg(feature = "rdkafka")]
impl ClientFactory for Librdkafka {
    fn consumer(&self, group_id: &str) -> Result<Box<dyn Consumer>, ClientError> {
        let properties = self.0.consumer_properties(group_id);
        Ok(Box::new(super::kafka::KafkaConsumer::new(&properties)?))
    }

    fn producer(
        &self,
        options: Option<&ProducerOptions>,
    ) -> Result<Arc<dyn ProducerClient>, ClientError> {
        let properties = self
            .0
            .producer_properties_with(options.unwrap_or(&ProducerOptions::default()));
        Ok(Arc::new(super::kafka::KafkaProducerClient::new(
            &properties,
        )?))
    }

    fn cluster(&self) -> Result<Arc<dyn Cluster>, ClientError> {
        let properties = self.0.admin_properties();
        Ok(Arc::new(super::kafka::KafkaCluster::new(&properties)?))
    }
}

#[cfg(not(feature = "rdkafka"))]
struct NoClient;

#[cfg(not(feature = "rdkafka"))]
fn no_client<T>() -> Result<T, ClientError> {
    Err(ClientError::Settings(
        "kafka-runtime was built without its feature `rdkafka`, so it has no client".into(),
    ))
}

#[cfg(not(feature = "rdkafka"))]
impl ClientFactory for NoClient {
    fn consumer(&self, _: &str) -> Result<Box<dyn Consumer>, ClientError> {
        no_client()
    }

    fn producer(
        &self,
        _: Option<&ProducerOptions>,
    ) -> Result<Arc<dyn ProducerClient>, ClientError> {
        no_client()
    }

    fn cluster(&self) -> Result<Arc<dyn Cluster>, ClientError> {
        no_client()
    }
}
