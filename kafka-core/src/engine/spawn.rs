//! Where lanes run: tasks on the service's own tokio runtime, counted so that a stop can wait for them.

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// Spawns the tasks of a runtime.
#[derive(Clone, Debug)]
pub(crate) struct Spawner {
    handle: Handle,
    tasks: TaskTracker,
}

impl Spawner {
    /// Spawns on the tokio runtime that `handle` belongs to.
    pub(crate) fn new(handle: Handle) -> Self {
        Self {
            handle,
            tasks: TaskTracker::new(),
        }
    }

    /// Runs a lane. It yields by itself after a turn, so tokio's budget would only cut its turns short.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks
            .spawn_on(tokio::task::unconstrained(task), &self.handle);
    }
}
