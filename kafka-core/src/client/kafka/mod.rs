//! librdkafka: the only module that names the `rdkafka` crate.

mod cluster;
mod consumer;
mod context;
mod errors;
mod producer;

use std::collections::BTreeMap;

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, ClientContext};

use crate::config::secret::scrubbed;
use crate::error::ClientError;

pub(crate) use cluster::KafkaCluster;
pub(crate) use consumer::KafkaConsumer;
pub(crate) use producer::KafkaProducerClient;

/// Makes a client; an error never tells a secret among the properties, which librdkafka would quote.
fn create<Context, Client: FromClientConfigAndContext<Context>>(
    properties: &BTreeMap<String, String>,
    context: Context,
) -> Result<Client, ClientError>
where
    Context: ClientContext,
{
    let mut config = ClientConfig::new();
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
