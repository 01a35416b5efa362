//! The cluster that the examples run on, and how they end.
//!
//! With `KAFKA_BOOTSTRAP_SERVERS` set it is that one, and topics `demo.*` are created there; else it is a broker inside
//! the process, so that every example runs with nothing installed.

#![allow(dead_code, reason = "not every example needs all of it")]

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_runtime::{
    Config, Control, EmbeddedBroker, KafkaManager, KafkaProducer, MessagePayload, MissingTopics,
    ProducedRecord, ProducerOptions, Runtime,
};

/// A cluster to try things on.
pub(crate) enum Cluster {
    Real,
    Embedded(EmbeddedBroker),
}

/// Finds or starts the cluster.
pub(crate) fn cluster() -> anyhow::Result<Cluster> {
    match std::env::var("KAFKA_BOOTSTRAP_SERVERS") {
        Ok(_) => Ok(Cluster::Real),
        Err(_) => Ok(Cluster::Embedded(EmbeddedBroker::start()?)),
    }
}

impl Cluster {
    /// How to reach it; `KAFKA_GROUP_ID` wins over `group_id`.
    pub(crate) fn config(&self, group_id: &str) -> anyhow::Result<Config> {
        let config = match self {
            Self::Real => Config::from_env()?.missing_topics(self.missing_topics()),
            Self::Embedded(broker) => broker.config(),
        };
        let group_id = std::env::var("KAFKA_GROUP_ID").unwrap_or_else(|_| group_id.to_owned());
        Ok(config.group_id(group_id))
    }

    /// Its addresses, for options that want them by themselves.
    pub(crate) fn bootstrap_servers(&self) -> anyhow::Result<Vec<String>> {
        let servers = match self {
            Self::Real => std::env::var("KAFKA_BOOTSTRAP_SERVERS")?,
            Self::Embedded(broker) => broker.bootstrap_servers().to_owned(),
        };
        Ok(servers.split(',').map(str::to_owned).collect())
    }

    /// The embedded broker makes every topic it is asked for; others are asked to create them.
    pub(crate) fn missing_topics(&self) -> MissingTopics {
        match self {
            Self::Real => MissingTopics::Create {
                partitions: 4,
                replication: 1,
            },
            Self::Embedded(_) => MissingTopics::Auto,
        }
    }

    /// A producer that belongs to no runtime.
    pub(crate) fn producer(&self) -> anyhow::Result<KafkaProducer> {
        let manager = KafkaManager::from_config(self.config("none")?);
        Ok(manager.create_producer("example", ProducerOptions::default())?)
    }

    /// Runs the handlers until they are done with these records.
    pub(crate) async fn run(
        &self,
        runtime: Runtime,
        records: Vec<(&str, MessagePayload)>,
    ) -> anyhow::Result<()> {
        let (control, producer) = (runtime.control(), self.producer()?);
        run_script(runtime, async {
            let written = send(&producer, records).await?;
            done(&control, &written).await;
            Ok(())
        })
        .await
    }
}

/// Writes records; those of one topic are in flight together, in order.
pub(crate) async fn send(
    producer: &KafkaProducer,
    records: Vec<(&str, MessagePayload)>,
) -> anyhow::Result<Vec<ProducedRecord>> {
    let mut of_topic = BTreeMap::<_, Vec<_>>::new();
    for (topic, payload) in records {
        of_topic.entry(topic).or_default().push(payload);
    }
    let mut written = Vec::new();
    for (topic, payloads) in of_topic {
        written.extend(producer.send(topic, payloads).await?);
    }
    Ok(written)
}

/// Starts the runtime, runs the script, and stops the runtime.
pub(crate) async fn run_script(
    runtime: Runtime,
    script: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let control = runtime.control();
    let run = async { Ok(runtime.run().await?) };
    let script = async {
        control.started().await;
        let result = script.await;
        control.shutdown();
        result
    };
    tokio::try_join!(run, script).map(drop)
}

/// Waits until every group that reads their partitions is done with these records, however they ended.
pub(crate) async fn done(control: &Control, records: &[ProducedRecord]) {
    let is_done = |record: &ProducedRecord| {
        let groups = control.status();
        let mut readers = groups
            .iter()
            .flat_map(|group| &group.partitions)
            .filter(|p| {
                p.partition.topic == record.topic && p.partition.partition == record.partition
            });
        readers.all(|p| p.committed.is_some_and(|next| next > record.offset))
    };
    until(|| records.iter().all(is_done)).await;
}

/// Waits until something holds.
pub(crate) async fn until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
