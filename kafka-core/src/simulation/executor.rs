//! Runs the tasks of a member one by one, in an order that the simulation decides.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use super::random::Random;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

#[derive(Default)]
struct Tasks {
    all: Vec<Option<Task>>,
    /// Woken and not run since.
    ready: Vec<usize>,
    is_closed: bool,
}

/// The tasks of one member; clones are the same.
#[derive(Clone, Default)]
pub(crate) struct TaskQueue(Arc<Mutex<Tasks>>);

impl TaskQueue {
    fn tasks(&self) -> MutexGuard<'_, Tasks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks();
        if !tasks.is_closed {
            let id = tasks.all.len();
            tasks.all.push(Some(Box::pin(task)));
            tasks.ready.push(id);
        }
    }

    /// Runs one of the tasks that were woken; false if there is none.
    pub(super) fn run_one(&self, random: &mut Random) -> bool {
        let mut tasks = self.tasks();
        if tasks.ready.is_empty() {
            return false;
        }
        let at = random.below(tasks.ready.len());
        let id = tasks.ready.swap_remove(at);
        let Some(mut task) = tasks.all[id].take() else {
            return true;
        };
        drop(tasks);
        let waker = Waker::from(Arc::new(TaskWaker {
            queue: self.clone(),
            id,
        }));
        match task.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(()) => drop(task),
            Poll::Pending => {
                let mut tasks = self.tasks();
                if !tasks.is_closed {
                    tasks.all[id] = Some(task);
                }
            }
        }
        true
    }

    /// Drops every task where it stands.
    pub(super) fn close(&self) {
        let mut tasks = self.tasks();
        tasks.is_closed = true;
        tasks.ready.clear();
        let dropped = std::mem::take(&mut tasks.all);
        drop(tasks);
        // Their destructors may wake and lock.
        drop(dropped);
    }
}

impl fmt::Debug for TaskQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TaskQueue")
    }
}

struct TaskWaker {
    queue: TaskQueue,
    id: usize,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        let mut tasks = self.queue.tasks();
        if !tasks.is_closed && !tasks.ready.contains(&self.id) {
            tasks.ready.push(self.id);
        }
    }
}
