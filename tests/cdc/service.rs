//! A service at work on the changes, and what its handlers saw.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kafka_runtime::{Control, GroupStatus, Handler, RunError, Runtime, registered};
use test_support::{Topics, eventually};
use tokio::task::JoinHandle;

use crate::stage::{BoxError, LIMIT, Stage};

/// A runtime that consumes the changes of a stage until it is stopped.
#[derive(Debug)]
pub(crate) struct Service {
    /// What the handlers have as their state.
    pub(crate) seen: Seen,
    pub(crate) control: Control,
    task: JoinHandle<Result<(), RunError>>,
}

impl Service {
    /// Starts a service with these handlers, which has seen nothing yet.
    pub(crate) async fn start(
        stage: &Stage<'_>,
        handlers: impl IntoIterator<Item = Handler>,
    ) -> Result<Self, BoxError> {
        Self::start_again(stage, handlers, Seen::default()).await
    }

    /// Starts a service that goes on where one of the same stage has stopped, with what that one has seen.
    pub(crate) async fn start_again(
        stage: &Stage<'_>,
        handlers: impl IntoIterator<Item = Handler>,
        seen: Seen,
    ) -> Result<Self, BoxError> {
        let handlers: Vec<Handler> = handlers.into_iter().collect();
        for topic in handlers.iter().flat_map(Handler::topics) {
            if stage.topics.describe(topic).await?.is_none() {
                create(&stage.topics, topic).await?;
            }
        }
        let config = stage.config(&Self::group_id(stage));
        let runtime = Runtime::builder()
            .config(config.dead_letter_error_text(true))
            .state(seen.clone())
            .handlers(handlers)
            .build()?;
        let control = runtime.control();
        let task = tokio::spawn(runtime.run_until(std::future::pending()));
        Ok(Self {
            seen,
            control,
            task,
        })
    }

    /// Returns the group of handlers that name no other.
    pub(crate) fn group_id(stage: &Stage<'_>) -> String {
        format!("{}-service", stage.connector.prefix())
    }

    /// Returns how many records were acked without a call, because their handlers do not want them.
    pub(crate) fn filtered(&self, group_id: &str) -> u64 {
        let groups = self.control.status();
        let of_group = groups.iter().filter(|group| *group.group_id == *group_id);
        of_group.map(GroupStatus::filtered).sum()
    }

    /// Asks it to stop, and waits until it has: what was handled is committed.
    pub(crate) async fn stop(self) -> Result<Seen, BoxError> {
        self.control.shutdown();
        tokio::time::timeout(LIMIT, self.task).await???;
        Ok(self.seen)
    }
}

/// Creates a topic, unless the connector was faster.
async fn create(topics: &Topics, topic: &str) -> Result<(), BoxError> {
    match topics.create(topic, 1).await {
        Err(_) if topics.describe(topic).await?.is_some() => Ok(()),
        created => Ok(created?),
    }
}

/// Returns the handler of this name that an attribute registered.
pub(crate) fn attribute_handler(name: &str) -> Result<Handler, BoxError> {
    let found = registered()
        .into_iter()
        .find(|handler| handler.name() == name);
    found.ok_or_else(|| format!("no handler {name} is registered").into())
}

/// Lines that handlers wrote, in the order in which they did. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    pub(crate) fn push(&self, line: impl Into<String>) {
        self.lines().push(line.into());
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.lines().clone()
    }

    /// Waits until this line is there, and returns all. The last of what a test does, in a topic with one partition: all
    /// before it is there too.
    #[track_caller]
    pub(crate) fn until(&self, line: &str) -> impl Future<Output = Result<Vec<String>, BoxError>> {
        let waited = eventually(LIMIT, async move || {
            self.lines().iter().any(|seen| seen == line)
        });
        async move {
            match waited.await {
                Ok(()) => Ok(self.all()),
                Err(error) => Err(format!("{error}: no {line:?} in {:#?}", self.all()).into()),
            }
        }
    }

    /// Waits until there are this many lines.
    #[track_caller]
    pub(crate) fn count(&self, lines: usize) -> impl Future<Output = Result<(), BoxError>> {
        let waited = eventually(LIMIT, async move || self.lines().len() >= lines);
        async move {
            match waited.await {
                Ok(()) => Ok(()),
                Err(error) => {
                    Err(format!("{error}: {} of {lines} lines", self.lines().len()).into())
                }
            }
        }
    }

    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
