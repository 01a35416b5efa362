//! What the tests share: a runtime at work, and what it did.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kafka_runtime::{
    Config, Control, Event, GroupState, Handler, Observer, RunError, Runtime, RuntimeBuilder,
    StartError, registered,
};
use test_support::{KafkaCluster, NotInTime, Topics, eventually};
use tokio::task::JoinHandle;

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Until everything that a test waits for has come about. Long: two cores are shared by many.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// Returns the configuration of a service that uses this cluster.
pub(crate) fn config(cluster: &KafkaCluster, group_id: &str) -> Config {
    Config::new()
        .bootstrap_servers(cluster.bootstrap_servers())
        .ssl(false)
        .group_id(group_id)
}

/// Starts a service with these handlers in this group.
pub(crate) fn start(
    cluster: &KafkaCluster,
    group_id: &str,
    handlers: impl IntoIterator<Item = Handler>,
) -> Result<Running, StartError> {
    Running::start(
        Runtime::builder()
            .config(config(cluster, group_id))
            .handlers(handlers),
    )
}

/// Returns the handler of this name that an attribute registered.
pub(crate) fn attribute_handler(name: &str) -> Result<Handler, BoxError> {
    let found = registered().into_iter().find(|h| h.name() == name);
    found.ok_or_else(|| format!("no handler {name} is registered").into())
}

/// Creates a topic, or takes it as it is.
pub(crate) async fn create(
    cluster: &KafkaCluster,
    topic: &str,
    partitions: i32,
) -> Result<Topics, BoxError> {
    let topics = Topics::new(cluster.bootstrap_servers())?;
    topics.create(topic, partitions).await?;
    Ok(topics)
}

/// A runtime at work.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) control: Control,
    task: JoinHandle<Result<(), RunError>>,
}

impl Running {
    /// Builds it, and runs it until it is stopped.
    pub(crate) fn start(builder: RuntimeBuilder) -> Result<Self, StartError> {
        let runtime = builder.build()?;
        let control = runtime.control();
        let task = tokio::spawn(runtime.run_until(std::future::pending()));
        Ok(Self { control, task })
    }

    /// Asks it to stop, and returns how it ended.
    pub(crate) async fn stop(self) -> Result<(), BoxError> {
        self.control.shutdown();
        Ok(self.ended().await??)
    }

    /// Waits until it ends by itself.
    pub(crate) async fn ended(self) -> Result<Result<(), RunError>, BoxError> {
        Ok(tokio::time::timeout(LIMIT, self.task).await??)
    }

    /// Waits until every group reads this many partitions.
    pub(crate) async fn is_assigned(&self, partitions: usize) -> Result<(), NotInTime> {
        eventually(LIMIT, async || {
            let groups = self.control.status();
            !groups.is_empty()
                && groups.iter().all(|group| {
                    group.state == GroupState::Running && group.partitions.len() == partitions
                })
        })
        .await
    }
}

/// Waits until a group has committed these offsets of a topic: partition 0 first.
pub(crate) async fn committed(
    topics: &Topics,
    group_id: &str,
    topic: &str,
    offsets: &[i64],
) -> Result<(), BoxError> {
    let mut last = None;
    let waited = eventually(LIMIT, async || {
        let found = topics.committed_offsets(group_id, topic).await;
        let is_so = found.as_ref().is_ok_and(|found| {
            found
                .values()
                .copied()
                .eq(offsets.iter().copied().filter(|offset| *offset >= 0))
        });
        last = Some(found);
        is_so
    })
    .await;
    waited.map_err(|error| format!("{error}: committed {last:?}, not {offsets:?}").into())
}

/// What handlers saw, in the order in which they saw it. Clones are the same.
#[derive(Debug)]
pub(crate) struct Log<T>(Arc<Mutex<Vec<T>>>);

impl<T> Clone for Log<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Log<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Clone> Log<T> {
    pub(crate) fn push(&self, entry: T) {
        self.entries().push(entry);
    }

    pub(crate) fn all(&self) -> Vec<T> {
        self.entries().clone()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries().len()
    }

    /// Waits until it has this many entries; returns them.
    #[track_caller]
    pub(crate) fn reaches(&self, len: usize) -> impl Future<Output = Result<Vec<T>, BoxError>> {
        let waited = eventually(LIMIT, async move || self.len() >= len);
        async move {
            match waited.await {
                Ok(()) => Ok(self.all()),
                Err(error) => Err(format!("{error}: {} of {len} entries", self.len()).into()),
            }
        }
    }

    fn entries(&self) -> MutexGuard<'_, Vec<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many calls run, and how many ran at most.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gauge(Arc<(AtomicUsize, AtomicUsize)>);

impl Gauge {
    pub(crate) fn enter(&self) -> Inside {
        let now = self.0.0.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.1.fetch_max(now, Ordering::SeqCst);
        Inside(self.clone())
    }

    pub(crate) fn now(&self) -> usize {
        self.0.0.load(Ordering::SeqCst)
    }

    pub(crate) fn most(&self) -> usize {
        self.0.1.load(Ordering::SeqCst)
    }
}

/// A call that runs.
#[derive(Debug)]
pub(crate) struct Inside(Gauge);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Keeps the events that a test asks for, as text.
#[derive(Clone, Default)]
pub(crate) struct Events(pub(crate) Log<String>);

impl Events {
    pub(crate) fn with(&self, word: &str) -> Vec<String> {
        let all = self.0.all();
        all.into_iter()
            .filter(|event| event.contains(word))
            .collect()
    }
}

impl Observer for Events {
    fn observe(&self, event: &Event<'_>) {
        self.0.push(format!("{event:?}"));
    }
}

/// A number from 0 to `below`, another one each time.
pub(crate) fn random(below: u64) -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0) % below
}
