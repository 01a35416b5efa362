//! Retry topics when something is wrong with them: deleted, damaged, foreign or missing records, brokers that are away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering as Atomic};
use std::time::Duration;

use super::{Bench, Seen, TOPIC, at};
use crate::client::Polled;
use crate::client::memory::{Faults, MemberId};
use crate::error::ClientError;
use crate::record::TopicPartition;
use crate::{Handler, RecordMetadata, Retry, Text};

const WAIT: Duration = Duration::from_secs(600);
const RETRY: &str = "g.t.retry.10m";

fn parked(partition: i32) -> TopicPartition {
    TopicPartition::new(RETRY, partition)
}

/// A handler that notes each value with its attempt, and fails until it is healed.
fn parking(seen: &Seen, is_healed: &Arc<AtomicBool>) -> Handler {
    let (seen, is_healed) = (seen.clone(), Arc::clone(is_healed));
    Handler::new(TOPIC, move |text: Text, record: RecordMetadata| {
        let (seen, is_healed) = (seen.clone(), Arc::clone(&is_healed));
        async move {
            let text = text.into_string().unwrap();
            seen.push(format!("{text}#{}", record.attempt()));
            if is_healed.load(Atomic::SeqCst) {
                Ok(())
            } else {
                Err("no")
            }
        }
    })
    .retry(Retry::NONE)
    .retry_topics([WAIT])
}

/// A service with a handler that parks.
struct Service {
    seen: Seen,
    is_healed: Arc<AtomicBool>,
    bench: Bench,
}

impl Service {
    async fn start() -> Self {
        let (seen, is_healed) = (Seen::default(), Arc::new(AtomicBool::new(false)));
        let bench = Bench::start(parking(&seen, &is_healed)).await;
        Self {
            seen,
            is_healed,
            bench,
        }
    }

    /// The same, with one record of the key `a` parked.
    async fn with_one_parked() -> Self {
        let mut service = Self::start().await;
        service.bench.append("a", "a1");
        service.pass(1).await;
        assert_eq!(service.bench.broker.read(RETRY).len(), 1);
        service
    }

    async fn pass(&mut self, seconds: u64) {
        self.bench.pass(Duration::from_secs(seconds)).await;
    }

    fn heal(&self) {
        self.is_healed.store(true, Atomic::SeqCst);
    }

    async fn give_back(&mut self) {
        self.bench.broker.tell(Polled::Revoked(vec![at(0)]));
        self.pass(2).await;
        assert_eq!(self.bench.broker.committed(&at(0)), Some(1));
    }

    fn take_over(&self) {
        self.bench.broker.tell(Polled::Assigned(vec![at(0)]));
    }

    /// Breaks the client that reads the retry topics.
    fn break_client(&self, change: impl FnOnce(&mut Faults)) {
        let broker = &self.bench.broker.broker;
        broker.member(MemberId(1)).set_faults(change);
    }
}

#[tokio::test(start_paused = true)]
async fn all_retry_topics_are_asked_for_with_one_question_that_fails() {
    let mut service = Service::start().await;
    service.pass(1).await;
    service.break_client(|faults| faults.questions = Some(ClientError::TimedOut("x".into())));
    let before = service.bench.broker.broker.questions();
    let partitions = (1..51).map(at).collect();
    service.bench.broker.tell(Polled::Assigned(partitions));

    service.bench.rounds(1).await;

    // The other is for the committed offsets of the sources.
    assert_eq!(service.bench.broker.broker.questions() - before, 2);
}
