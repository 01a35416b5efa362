//! How far groups are behind: the end of each partition, less the next offset to commit.

use std::sync::Arc;

use super::connect::{QUESTION, blocking};
use crate::client::Cluster;
use crate::engine::monitor::GroupStatus;
use crate::error::ClientError;
use crate::record::TopicPartition;

/// Asks the cluster for the end of every assigned partition.
pub(crate) async fn of(
    cluster: &Arc<dyn Cluster>,
    groups: Vec<GroupStatus>,
) -> Result<Vec<(TopicPartition, i64)>, ClientError> {
    let cluster = Arc::clone(cluster);
    blocking(move || {
        let partitions = groups.into_iter().flat_map(|group| group.partitions);
        partitions
            .map(|status| {
                let (oldest, end) = cluster.ends(&status.partition, QUESTION)?;
                let next = status.committed.unwrap_or(oldest);
                Ok((status.partition, (end.0 - next.0).max(0)))
            })
            .collect()
    })
    .await
}
