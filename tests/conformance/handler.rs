//! The handler of most cases: a record's value says what becomes of it, and every call is noted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kafka_runtime::{Event, Handler, Observer, PermanentError, Record, RecordMetadata};
use tokio::sync::Semaphore;

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) member: u8,
    pub(crate) key: Option<String>,
    pub(crate) value: Option<String>,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) attempt: u32,
}

#[derive(Debug, Default)]
struct Noted {
    started: Vec<Call>,
    finished: Vec<Call>,
    /// Calls that run, by key.
    running: BTreeMap<Option<String>, usize>,
    /// The most calls that ran together: of one key, and of all.
    most: (usize, usize),
}

/// What handlers were called with, and a gate for them to wait at. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Calls {
    noted: Arc<Mutex<Noted>>,
    gate: Arc<Semaphore>,
}

impl Calls {
    pub(crate) fn new() -> Self {
        Self {
            noted: Arc::default(),
            gate: Arc::new(Semaphore::new(0)),
        }
    }

    /// Makes a handler. The words of a value decide, one after the other:
    ///
    /// | | |
    /// |---|---|
    /// | `gated` | waits until [`open`](Self::open) |
    /// | `shut` | fails until then |
    /// | `fails2` | fails twice |
    /// | `permanent`, `panics`, `hangs` | does so |
    /// | anything else | is fine, after some turns of the scheduler |
    pub(crate) fn handler(&self, topic: &str) -> Handler {
        self.handler_of(1, topic)
    }

    /// The handler of one of several members.
    pub(crate) fn handler_of(&self, member: u8, topic: &str) -> Handler {
        let calls = self.clone();
        Handler::new(topic, move |record: Record, at: RecordMetadata| {
            let calls = calls.clone();
            async move {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let call = Call {
                    member,
                    key: record.key().map(text),
                    value: record.value().map(text),
                    partition: at.partition(),
                    offset: at.offset(),
                    attempt: at.attempt(),
                };
                let running = calls.enter(call.clone());
                let result = calls.act(&call).await;
                drop(running);
                if result.is_ok() {
                    calls.noted().finished.push(call);
                }
                result
            }
        })
    }

    async fn act(&self, call: &Call) -> anyhow::Result<()> {
        for word in call.value.as_deref().unwrap_or_default().split_whitespace() {
            match word {
                "gated" => drop(self.gate.acquire().await?),
                "shut" => anyhow::ensure!(self.gate.available_permits() > 0, "shut"),
                "fails2" => anyhow::ensure!(call.attempt > 2, "attempt {}", call.attempt),
                "permanent" => return Err(PermanentError::new("never").into()),
                // A panic without a message on standard error.
                "panics" => std::panic::resume_unwind(Box::new("as asked")),
                "hangs" => std::future::pending().await,
                _ => {
                    for _ in 0..5 {
                        tokio::task::yield_now().await;
                    }
                }
            }
        }
        Ok(())
    }

    /// Lets all that wait at the gate go on, now and later.
    pub(crate) fn open(&self) {
        self.gate.add_permits(1_000);
    }

    pub(crate) fn started(&self) -> Vec<Call> {
        self.noted().started.clone()
    }

    pub(crate) fn finished(&self) -> Vec<Call> {
        self.noted().finished.clone()
    }

    /// The values of the calls that began, with their attempts, in order.
    pub(crate) fn attempts(&self) -> Vec<(String, u32)> {
        let started = self.started().into_iter();
        started
            .map(|call| (call.value.unwrap_or_default(), call.attempt))
            .collect()
    }

    /// The values of the calls that ended well, in order.
    pub(crate) fn values(&self) -> Vec<String> {
        let finished = self.finished().into_iter();
        finished
            .map(|call| call.value.unwrap_or_default())
            .collect()
    }

    /// The most calls that ran together of one key.
    pub(crate) fn most_of_a_key(&self) -> usize {
        self.noted().most.0
    }

    /// The most calls that ran together.
    pub(crate) fn most(&self) -> usize {
        self.noted().most.1
    }

    fn enter(&self, call: Call) -> Running {
        let mut noted = self.noted();
        let key = call.key.clone();
        noted.started.push(call);
        *noted.running.entry(key.clone()).or_default() += 1;
        let (of_key, all) = (noted.running[&key], noted.running.values().sum());
        noted.most = (noted.most.0.max(of_key), noted.most.1.max(all));
        Running {
            calls: self.clone(),
            key,
        }
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that runs, until it is dropped.
struct Running {
    calls: Calls,
    key: Option<String>,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(count) = self.calls.noted().running.get_mut(&self.key) {
            *count -= 1;
        }
    }
}

/// Keeps what observers are told, as text. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Events(Arc<Mutex<Vec<String>>>);

impl Events {
    pub(crate) fn all(&self) -> Vec<String> {
        let events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        events.clone()
    }
}

impl Observer for Events {
    fn observe(&self, event: &Event<'_>) {
        let mut events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        events.push(format!("{event:?}"));
    }
}
