//! Hurts the way between workers and brokers.

use anyhow::bail;
use test_support::KafkaCluster;

use super::fault::Network;

/// Whether the rig can do it: it has no proxy yet.
pub(crate) const IS_THERE: bool = false;

/// Returns the addresses by which the workers find this way.
pub(crate) fn servers(cluster: &KafkaCluster) -> anyhow::Result<String> {
    let _ = cluster;
    bail!("the rig has no proxy")
}

/// Does what the fault says to all connections, those that are open, too.
pub(crate) fn hurt(cluster: &KafkaCluster, fault: Network) -> anyhow::Result<()> {
    let _ = (cluster, fault);
    bail!("the rig has no proxy")
}

/// Ends all faults.
pub(crate) fn heal(cluster: &KafkaCluster) {
    let _ = cluster;
}
