//! librdkafka: the only module that names the `rdkafka` crate.

mod cluster;
mod consumer;
mod context;
mod errors;
mod producer;

use std::collections::BTreeMap;

use rdkafka::ClientConfig;

pub(crate) use cluster::KafkaCluster;
pub(crate) use consumer::KafkaConsumer;
pub(crate) use producer::KafkaProducerClient;

/// librdkafka's settings from ours.
fn client_config(properties: &BTreeMap<String, String>) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (name, value) in properties {
        config.set(name, value);
    }
    config
}
