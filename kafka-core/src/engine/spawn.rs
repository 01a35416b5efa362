//! Where lanes run: tasks on the service's own tokio runtime, or in the hands of a simulation.

use tokio::runtime::Handle;

#[cfg(feature = "simulation")]
use crate::simulation::executor::TaskQueue;

/// Spawns the tasks of a runtime.
#[derive(Clone, Debug)]
pub(crate) enum Spawner {
    /// On a tokio runtime.
    Tokio(Handle),
    /// Run one by one, by whoever holds the queue.
    #[cfg(feature = "simulation")]
    Queue(TaskQueue),
}

impl Spawner {
    /// Runs a lane. It yields by itself after a turn, so tokio's budget would only cut its turns short.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        match self {
            Self::Tokio(handle) => drop(handle.spawn(tokio::task::unconstrained(task))),
            #[cfg(feature = "simulation")]
            Self::Queue(queue) => queue.spawn(tokio::task::unconstrained(task)),
        }
    }
}
