//! librdkafka: the only module that names the `rdkafka` crate.

mod cluster;
mod consumer;
mod context;
mod ends;
mod errors;
mod producer;

use std::collections::BTreeMap;

use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, ClientContext};
use tracing::Level;
use tracing::level_filters::LevelFilter;

use crate::config::secret::scrubbed;
use crate::error::ClientError;

pub(crate) use cluster::KafkaCluster;
pub(crate) use consumer::KafkaConsumer;
pub(crate) use producer::KafkaProducerClient;

/// What librdkafka should log, so that `context::log` has something to pass on and librdkafka does no work for nothing.
fn log_level(ours: LevelFilter) -> RDKafkaLogLevel {
    match ours.into_level() {
        Some(Level::TRACE) => RDKafkaLogLevel::Debug,
        Some(Level::DEBUG) => RDKafkaLogLevel::Info,
        Some(Level::INFO) => RDKafkaLogLevel::Warning,
        _ => RDKafkaLogLevel::Critical,
    }
}

/// Makes a client; an error never tells a secret among the properties, which librdkafka would quote.
fn create<Context, Client: FromClientConfigAndContext<Context>>(
    properties: &BTreeMap<String, String>,
    context: Context,
) -> Result<Client, ClientError>
where
    Context: ClientContext,
{
    let mut config = ClientConfig::new();
    config.set_log_level(log_level(LevelFilter::current()));
    for (name, value) in properties {
        config.set(name, value);
    }
    config.create_with_context(context).map_err(|error| {
        let text = match error {
            KafkaError::ClientConfig(_, text, ..) | KafkaError::ClientCreation(text) => text,
            other => other.to_string(),
        };
        ClientError::Settings(scrubbed(&text, properties))
    })
}
