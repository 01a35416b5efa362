//! Reaches into a runtime while it runs: started, pause, resume, status, shutdown.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::group::GroupHandle;
use super::lag;
use crate::client::Cluster;
use crate::engine::monitor::{GroupState, GroupStatus};
use crate::engine::poll::Command;
use crate::error::ClientError;
use crate::extract::CancellationToken;
use crate::record::TopicPartition;

/// A handle to a runtime. Cloning it is cheap; it may outlive the runtime, and does nothing then.
///
/// ```no_run
/// # fn example(runtime: kafka_core::Runtime) {
/// let control = runtime.control();
/// control.pause("orders.events");
/// for group in control.status() {
///     println!("{}: {:?}, {} in flight", group.group_id, group.state, group.in_flight());
/// }
/// control.shutdown();
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Control(Arc<Inner>);

#[derive(Default)]
struct Inner {
    shutdown: CancellationToken,
    /// Fires when every group is in `groups`.
    started: CancellationToken,
    groups: Mutex<Groups>,
}

#[derive(Default)]
struct Groups {
    handles: Vec<GroupHandle>,
    /// Kept for groups that start later.
    paused: HashSet<String>,
    cluster: Option<Arc<dyn Cluster>>,
}

impl Control {
    /// Waits until every group has been assigned its partitions (perhaps none): for a readiness probe, or a test that
    /// writes records to handlers. Cancel-safe. Waits for ever if the runtime does not start; `run()` says why.
    pub async fn started(&self) {
        self.0.started.cancelled().await;
        let handles = self.groups().handles.clone();
        for group in handles {
            group.reached(GroupState::Running).await;
        }
    }

    /// Stops fetching from a topic, in every group. The records that were fetched are still handled, and the member
    /// stays in its group.
    pub fn pause(&self, topic: impl Into<String>) {
        let topic = topic.into();
        let mut groups = self.groups();
        groups.paused.insert(topic.clone());
        for group in &groups.handles {
            group.tell(Command::Pause(topic.clone()));
        }
    }

    /// Fetches from a topic again.
    pub fn resume(&self, topic: impl Into<String>) {
        let topic = topic.into();
        let mut groups = self.groups();
        groups.paused.remove(&topic);
        for group in &groups.handles {
            group.tell(Command::Resume(topic.clone()));
        }
    }

    /// Returns what each group is doing; empty before the start.
    pub fn status(&self) -> Vec<GroupStatus> {
        self.groups()
            .handles
            .iter()
            .map(GroupHandle::status)
            .collect()
    }

    /// Asks the cluster how far each assigned partition is behind: records written and not committed.
    ///
    /// # Errors
    /// The cluster did not answer.
    pub async fn lag(&self) -> Result<Vec<(TopicPartition, i64)>, ClientError> {
        let cluster = self.groups().cluster.clone();
        match cluster {
            Some(cluster) => lag::of(&cluster, self.status()).await,
            None => Ok(Vec::new()),
        }
    }

    /// Asks the runtime to stop: what runs may finish, then it commits, leaves, and `run()` returns.
    pub fn shutdown(&self) {
        self.0.shutdown.cancel();
    }

    pub(super) async fn is_asked_to_stop(&self) {
        self.0.shutdown.cancelled().await;
    }

    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn is_shut_down(&self) -> bool {
        self.0.shutdown.is_cancelled()
    }

    pub(super) fn set_cluster(&self, cluster: &Arc<dyn Cluster>) {
        self.groups().cluster = Some(Arc::clone(cluster));
    }

    pub(crate) fn add(&self, group: &GroupHandle) {
        let mut groups = self.groups();
        for topic in &groups.paused {
            group.tell(Command::Pause(topic.clone()));
        }
        groups.handles.push(group.clone());
    }

    pub(crate) fn all_added(&self) {
        self.0.started.cancel();
    }

    pub(super) fn stop_groups(&self) {
        for group in &self.groups().handles {
            group.tell(Command::Stop);
        }
    }

    fn groups(&self) -> MutexGuard<'_, Groups> {
        // Held while commands are queued, which does not panic.
        self.0.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control")
            .field("groups", &self.status())
            .finish()
    }
}
