//! Where scenarios run: three nodes, one after the other.

use std::time::Instant;

use test_support::{KafkaCluster, Topics};
use tokio::runtime::{Handle, Runtime};

use super::interrupt::Interrupt;
use super::progress::progress;

/// A cluster, and what looks at it.
pub(crate) struct Stage {
    pub(crate) cluster: KafkaCluster,
    pub(crate) tokio: Handle,
    pub(crate) topics: Topics,
    pub(crate) interrupt: Interrupt,
}

impl Stage {
    /// Starts three nodes.
    pub(crate) fn set(
        version: &str,
        tokio: &Runtime,
        interrupt: &Interrupt,
    ) -> anyhow::Result<Self> {
        let started = Instant::now();
        progress(&format!("starting Apache Kafka {version} (3 nodes) …"));
        let cluster = KafkaCluster::builder()
            .nodes(3)
            .proxied(true)
            // It has no rules until dead letters are denied.
            .authorizer(true)
            .version(version)
            // With KIP-848 it is not the members that say how long they may be silent.
            .property("group.consumer.session.timeout.ms", "6000")
            .property("log.cleaner.backoff.ms", "500")
            .start()?;
        progress(&format!(
            "ready after {:.1} s",
            started.elapsed().as_secs_f32()
        ));
        Ok(Self {
            topics: Topics::new(cluster.bootstrap_servers())?,
            cluster,
            tokio: tokio.handle().clone(),
            interrupt: interrupt.clone(),
        })
    }
}
