//! The engine on the in-memory broker: one thread, paused time, the test decides who goes next.

mod filter;
mod retries;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering as Atomic};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::backpressure::Budget;
use super::monitor::{GroupState, Monitor};
use super::poll::{Command, Engine, EngineConfig, Parts};
use super::pulse::Pulse;
use super::route::{FirstError, GroupServices, Routes};
use super::spawn::Spawner;
use crate::client::memory::{MemberId, MemoryBroker, Stored};
use crate::client::{Cluster, Polled};
use crate::error::{ClientError, RunError};
use crate::extract::Services;
use crate::failure::dead_letter::{DeadLetters, WriteRoom};
use crate::failure::retry_topic::MOST_PARKED;
use crate::observe::{Observers, Suspicion};
use crate::producer::{ProduceError, ProducerClient};
use crate::record::{Offset, TopicPartition};
use crate::start::activate;
use crate::{
    Breaker, CancellationToken, FailurePolicy, Handler, MessagePayload, Ordering, PermanentError,
    Record, RecordMetadata, Retry, Start, Text,
};

pub(super) const TOPIC: &str = "t";
pub(super) const DEAD: &str = "g.t.dlq";
pub(super) const DRAIN: Duration = Duration::from_secs(5);
pub(super) const GRACE: Duration = Duration::from_secs(10);
const SESSION: Duration = Duration::from_secs(45);

pub(super) fn at(partition: i32) -> TopicPartition {
    TopicPartition::new(TOPIC, partition)
}

/// What handlers saw, in the order in which they began.
#[derive(Clone, Default)]
pub(super) struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    pub(super) fn push(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    pub(super) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub(super) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// The broker with the one member that most tests have.
#[derive(Clone)]
pub(super) struct Broker {
    broker: MemoryBroker,
    member: MemberId,
}

impl Broker {
    pub(super) fn append(&self, at: &TopicPartition, key: Option<&str>, value: Option<&str>) {
        let payload = MessagePayload::of_bytes(key.map(str::as_bytes), value.map(str::as_bytes));
        self.broker.append(at, payload);
    }

    pub(super) fn tell(&self, event: Polled) {
        self.broker.member(self.member).tell(event);
    }

    pub(super) fn committed(&self, at: &TopicPartition) -> Option<i64> {
        self.broker.committed("g", at).map(|offset| offset.0)
    }

    /// What is committed of the retry topic.
    pub(super) fn committed_parked(&self) -> Option<i64> {
        let at = TopicPartition::new("g.t.retry.10m", 0);
        self.broker.committed("g.retry", &at).map(|offset| offset.0)
    }

    /// What was handed over, committed or not yet.
    pub(super) fn stored(&self, at: &TopicPartition) -> Option<i64> {
        let stored = self.broker.member(self.member).stored(at);
        stored.map(|offset| offset.0)
    }

    pub(super) fn is_paused(&self, at: &TopicPartition) -> bool {
        self.broker.member(self.member).is_paused(at)
    }

    pub(super) fn unassigned(&self) -> Vec<TopicPartition> {
        self.broker.member(self.member).unassigned()
    }

    pub(super) fn answers(&self) -> Vec<Vec<TopicPartition>> {
        self.broker.member(self.member).answers()
    }

    pub(super) fn refuse_seeks(&self, refuse: bool) {
        self.broker
            .member(self.member)
            .set_faults(|faults| faults.seeks = refuse);
    }

    /// No broker answers, or all do again.
    pub(super) fn away(&self, is_away: bool) {
        let error = is_away.then(|| ClientError::TimedOut("away".into()));
        self.broker.member(self.member).set_faults(|faults| {
            faults.commits.clone_from(&error);
            faults.questions = error;
        });
    }

    pub(super) fn subscription(&self) -> Vec<String> {
        self.broker.member(self.member).subscription()
    }

    pub(super) fn refuse_writes(&self, topic: &str, error: Option<ProduceError>) {
        self.broker.refuse_writes(topic, error);
    }

    /// Returns the records of a topic's partition 0.
    pub(super) fn read(&self, topic: &str) -> Vec<Stored> {
        self.broker
            .records(&TopicPartition::new(topic, 0), Offset(0))
    }
}

pub(super) struct Bench {
    pub(super) engine: Engine,
    pub(super) commands: Sender<Command>,
    pub(super) broker: Broker,
    pub(super) monitor: Arc<Monitor>,
    pub(super) failed: Arc<FirstError>,
    pub(super) is_done: bool,
}

impl Bench {
    /// Starts an engine with one handler, with partition 0 assigned.
    pub(super) async fn start(handler: Handler) -> Self {
        let mut bench = Self::joining(
            &handler,
            Budget {
                records: 1000,
                bytes: 1 << 20,
            },
        );
        bench.broker.tell(Polled::Assigned(vec![at(0)]));
        bench.rounds(1).await;
        bench
    }

    pub(super) fn joining(handler: &Handler, budget: Budget) -> Self {
        let broker = MemoryBroker::default();
        let (member, consumer) = broker.join("g");
        let client: Arc<dyn ProducerClient> = Arc::new(broker.clone());
        let cluster: Arc<dyn Cluster> = Arc::new(broker.clone());
        let monitor = Arc::new(Monitor::new("g".into()));
        let failed = Arc::new(FirstError::default());
        let observers = Observers::default();
        let (engine, commands) = Engine::new(Parts {
            consumer,
            config: EngineConfig {
                budget,
                drain_timeout: DRAIN,
                shutdown_grace: GRACE,
                cores: 2,
                on_out_of_range: crate::OutOfRange::Fail,
                session_timeout: SESSION,
                heartbeat_interval: Duration::from_secs(3),
                commit_interval: Duration::from_secs(1),
                is_told_of_silence: true,
                most_parked: MOST_PARKED,
            },
            group: GroupServices {
                group_id: "g".into(),
                services: Arc::new(Services::default()),
                dead_letters: Arc::new(DeadLetters {
                    producer: client,
                    cluster,
                    observers: observers.clone(),
                    error_text: false,
                    created: tokio::sync::Mutex::default(),
                    room: WriteRoom::default(),
                    group_id: "g".into(),
                    failed: Arc::clone(&failed),
                }),
                observers,
                failed: Arc::clone(&failed),
                pulse: Arc::new(Pulse::new(SESSION)),
                max_call_age: Duration::from_secs(30),
            },
            routes: routes(handler),
            spawner: Spawner::Tokio(tokio::runtime::Handle::current()),
            monitor: Arc::clone(&monitor),
            retry_consumer: Box::new({
                let broker = broker.clone();
                move || Ok(broker.join("g.retry").1)
            }),
            flush: Box::new(|_| {}),
        });
        Self {
            engine,
            commands,
            broker: Broker { broker, member },
            monitor,
            failed,
            is_done: false,
        }
    }

    /// Rounds of the poll thread, with the lanes' turns between them.
    pub(super) async fn rounds(&mut self, rounds: usize) {
        for _ in 0..rounds {
            let now = tokio::time::Instant::now().into_std();
            self.engine.poll(now);
            self.settle().await;
            self.is_done |= self.engine.advance(now);
            self.settle().await;
        }
    }

    pub(super) async fn settle(&self) {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }

    /// Lets time pass, in rounds.
    pub(super) async fn pass(&mut self, time: Duration) {
        let step = Duration::from_millis(100);
        let mut passed = Duration::ZERO;
        while passed < time {
            tokio::time::advance(step).await;
            passed += step;
            self.rounds(1).await;
        }
    }

    pub(super) fn append(&self, key: &str, value: &str) {
        self.broker.append(&at(0), Some(key), Some(value));
    }
}

pub(super) fn routes(handler: &Handler) -> Routes {
    let mut routes = Routes::default();
    routes.add_topic(TOPIC.into(), activate(handler, None));
    routes
}

/// A handler that notes each value and finishes at once.
fn noting(seen: &Seen) -> Handler {
    let seen = seen.clone();
    Handler::new(TOPIC, move |text: Text| {
        seen.push(text.as_str().unwrap());
        async {}
    })
}

/// A handler that notes each value, then waits for a permit of the gate.
fn gated(seen: &Seen, gate: &Arc<Semaphore>) -> Handler {
    let (seen, gate) = (seen.clone(), Arc::clone(gate));
    Handler::new(TOPIC, move |text: Text| {
        let (seen, gate) = (seen.clone(), Arc::clone(&gate));
        async move {
            seen.push(text.as_str().unwrap());
            gate.acquire().await.unwrap().forget();
        }
    })
}

/// A handler that fails for every value that begins with `bad`.
fn failing(seen: &Seen) -> Handler {
    let seen = seen.clone();
    Handler::new(TOPIC, move |text: Text, record: RecordMetadata| {
        let seen = seen.clone();
        async move {
            let text = text.into_string().unwrap();
            seen.push(format!("{text}#{}", record.attempt()));
            if text.starts_with("bad") {
                Err("no")
            } else {
                Ok(())
            }
        }
    })
    .retry(Retry {
        attempts: 3,
        initial: Duration::from_millis(100),
        max: Duration::from_secs(1),
    })
}

#[tokio::test(start_paused = true)]
async fn finished_records_are_stored_and_gaps_are_stepped_over() {
    let seen = Seen::default();
    let mut bench = Bench::start(noting(&seen)).await;
    bench.append("a", "1");
    bench.broker.broker.skip(&at(0), 10);
    bench.append("b", "2");

    bench.pass(Duration::from_millis(300)).await;

    assert_eq!(seen.len(), 2);
    assert_eq!(bench.broker.stored(&at(0)), Some(12));
    assert_eq!(bench.monitor.state(), GroupState::Running);
}

#[tokio::test(start_paused = true)]
async fn a_key_waits_for_its_running_call_and_others_go_on() {
    let (seen, gate) = (Seen::default(), Arc::new(Semaphore::new(0)));
    let mut bench = Bench::start(gated(&seen, &gate)).await;
    for value in ["a1", "a2", "a3"] {
        bench.append("a", value);
    }
    bench.append("b", "b1");
    bench.rounds(2).await;

    let mut first = seen.all();
    first.sort();
    assert_eq!(first, ["a1", "b1"]);
    gate.add_permits(1);
    bench.rounds(1).await;
    gate.add_permits(9);
    bench.pass(Duration::from_millis(200)).await;

    let of_a: Vec<_> = seen
        .all()
        .into_iter()
        .filter(|v| v.starts_with('a'))
        .collect();
    assert_eq!(of_a, ["a1", "a2", "a3"]);
    assert_eq!(bench.broker.stored(&at(0)), Some(4));
}

/// A handler that does not end for values that begin with `hang`, and fails for those that begin with `bad`.
fn troubled(seen: &Seen) -> Handler {
    let seen = seen.clone();
    Handler::new(TOPIC, move |text: Text| {
        let seen = seen.clone();
        async move {
            let text = text.into_string().unwrap();
            if text.starts_with("hang") {
                std::future::pending::<()>().await;
            }
            if text.starts_with("bad") {
                return Err("no");
            }
            seen.push(text);
            Ok(())
        }
    })
    .retry(Retry {
        attempts: 100,
        initial: Duration::from_hours(1),
        max: Duration::from_hours(1),
    })
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_long_does_not_keep_its_neighbours_in_memory() {
    for trouble in ["hang", "bad"] {
        let seen = Seen::default();
        let mut bench = Bench::start(troubled(&seen)).await;
        let value = "x".repeat(10_000);
        bench.append("slow", trouble);
        bench.pass(Duration::from_secs(1)).await;

        // Each poll has one record that waits among twenty that do not; the share is 1 MiB.
        for _ in 0..20 {
            bench.append("slow", "behind");
            for key in 0..20 {
                bench.append(&format!("k{key}"), &value);
            }
            bench.pass(Duration::from_secs(1)).await;
        }

        assert_eq!(seen.len(), 400, "{trouble}");
        let held = bench.monitor.status().partitions[0].held_bytes;
        assert!(held < 20_000, "{trouble}: {held}");
        assert!(!bench.broker.is_paused(&at(0)), "{trouble}");
    }
}

#[tokio::test(start_paused = true)]
async fn large_records_are_not_taken_far_past_the_share() {
    let (seen, gate) = (Seen::default(), Arc::new(Semaphore::new(0)));
    let mut bench = Bench::start(gated(&seen, &gate)).await;
    let value = "x".repeat(100_000);
    for key in 0..100 {
        bench.append(&format!("k{key}"), &value);
    }

    bench.pass(Duration::from_secs(1)).await;

    // A share of 1 MiB, and at most one poll of as much; the buffers of batches grow by doubling.
    let held = bench.monitor.status().partitions[0].held_bytes;
    assert!(held < 4 << 20, "{held}");
    assert!(bench.broker.is_paused(&at(0)));
}

#[tokio::test(start_paused = true)]
async fn an_unfinished_record_holds_back_the_commit() {
    let (seen, gate) = (Seen::default(), Arc::new(Semaphore::new(0)));
    let slow = gated(&seen, &gate);
    let mut bench = Bench::start(slow).await;
    bench.append("a", "1");
    bench.append("b", "2");
    bench.pass(Duration::from_millis(200)).await;

    gate.add_permits(1);
    bench.pass(Duration::from_millis(200)).await;
    let after_one = bench.broker.stored(&at(0));
    gate.add_permits(1);
    bench.pass(Duration::from_millis(200)).await;

    // Whichever of the two finished first: never past the other.
    assert!(matches!(after_one, None | Some(1)), "{after_one:?}");
    assert_eq!(bench.broker.stored(&at(0)), Some(2));
}

#[tokio::test(start_paused = true)]
async fn partition_order_runs_one_at_a_time_and_no_order_all_at_once() {
    for (ordering, at_once) in [
        (Ordering::Partition, 1),
        (Ordering::Key, 5),
        (Ordering::None, 5),
    ] {
        let (seen, gate) = (Seen::default(), Arc::new(Semaphore::new(0)));
        let mut bench = Bench::start(gated(&seen, &gate).ordering(ordering)).await;
        for n in 0..5 {
            bench.append(&format!("k{n}"), "v");
        }

        bench.rounds(2).await;

        assert_eq!(seen.len(), at_once, "{ordering:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn records_without_a_key_wait_for_nothing() {
    let (seen, gate) = (Seen::default(), Arc::new(Semaphore::new(0)));
    let mut bench = Bench::start(gated(&seen, &gate)).await;
    for _ in 0..5 {
        bench.broker.append(&at(0), None, Some("v"));
    }

    bench.rounds(2).await;

    assert_eq!(seen.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn concurrency_bounds_the_running_calls() {
    let (seen, gate) = (Seen::default(), Arc::new(Semaphore::new(0)));
    let mut bench = Bench::start(gated(&seen, &gate).concurrency(3)).await;
    for n in 0..10 {
        bench.append(&format!("k{n}"), "v");
    }

    bench.rounds(3).await;
    assert_eq!(seen.len(), 3);
    gate.add_permits(2);
    bench.rounds(3).await;
    assert_eq!(seen.len(), 5);
    gate.add_permits(10);
    bench.pass(Duration::from_millis(300)).await;

    assert_eq!(seen.len(), 10);
    assert_eq!(bench.broker.stored(&at(0)), Some(10));
}

#[tokio::test(start_paused = true)]
async fn a_long_chain_of_one_key_does_not_recurse() {
    let (seen, gate) = (Seen::default(), Arc::new(Semaphore::new(0)));
    let mut bench = Bench::joining(
        &gated(&seen, &gate),
        Budget {
            records: 1_000_000,
            bytes: 1 << 30,
        },
    );
    bench.broker.tell(Polled::Assigned(vec![at(0)]));
    for _ in 0..50_000 {
        bench.append("one", "v");
    }
    bench.rounds(120).await;

    gate.add_permits(1_000_000);
    bench.pass(Duration::from_secs(1)).await;

    assert_eq!(seen.len(), 50_000);
    assert_eq!(bench.broker.stored(&at(0)), Some(50_000));
}

#[tokio::test(start_paused = true)]
async fn a_poison_record_is_retried_then_dead_lettered_and_stalls_its_key_only() {
    let seen = Seen::default();
    let mut bench = Bench::start(failing(&seen)).await;
    bench.append("a", "bad");
    bench.append("a", "after");
    bench.append("b", "other");
    bench.rounds(2).await;

    assert!(seen.all().contains(&"other#1".to_owned()));
    assert!(!seen.all().contains(&"after#1".to_owned()));
    bench.pass(Duration::from_secs(3)).await;

    let of_a: Vec<_> = seen
        .all()
        .into_iter()
        .filter(|v| !v.starts_with("other"))
        .collect();
    assert_eq!(of_a, ["bad#1", "bad#2", "bad#3", "after#1"]);
    let dead = bench.broker.read(DEAD);
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].key.as_deref(), Some(&b"a"[..]));
    assert_eq!(dead[0].value.as_deref(), Some(&b"bad"[..]));
    let headers: HashMap<_, _> = dead[0].headers.iter().cloned().collect();
    assert_eq!(
        headers["kafka_runtime.dead_letter.offset"].as_deref(),
        Some(&b"0"[..])
    );
    assert_eq!(
        headers["kafka_runtime.dead_letter.attempts"].as_deref(),
        Some(&b"3"[..])
    );
    assert!(!headers.contains_key("kafka_runtime.dead_letter.error"));
    assert_eq!(bench.broker.stored(&at(0)), Some(3));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_stored_past_a_dead_letter_that_was_not_written() {
    let seen = Seen::default();
    let handler = failing(&seen).retry(Retry::NONE);
    let mut bench = Bench::start(handler).await;
    bench
        .broker
        .refuse_writes(DEAD, Some(ProduceError::TimedOut { topic: DEAD.into() }));
    bench.append("a", "bad");
    bench.append("b", "good");
    bench.pass(Duration::from_secs(5)).await;

    assert_eq!(bench.broker.stored(&at(0)), None);
    bench.broker.refuse_writes(DEAD, None);
    bench.pass(Duration::from_secs(31)).await;

    assert_eq!(bench.broker.read(DEAD).len(), 1);
    assert_eq!(bench.broker.stored(&at(0)), Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_producer_that_is_dead_for_good_ends_the_group() {
    let seen = Seen::default();
    let handler = failing(&seen).retry(Retry::NONE);
    let mut bench = Bench::start(handler).await;
    let fatal = ProduceError::Client {
        topic: DEAD.into(),
        source: ClientError::Fatal("sequence numbers are out of order".into()),
    };
    bench.broker.refuse_writes(DEAD, Some(fatal));
    bench.append("a", "good");
    bench.append("b", "bad");
    bench.pass(Duration::from_secs(1)).await;

    let error = bench.failed.take().expect("an error of the group");
    assert!(error.to_string().contains("sequence numbers"), "{error}");
    assert_eq!(bench.broker.stored(&at(0)), Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_permanent_error_and_a_bad_payload_are_not_retried() {
    let calls = Arc::new(AtomicUsize::new(0));
    let handler = Handler::new(TOPIC, {
        let calls = Arc::clone(&calls);
        move |_: u64| {
            calls.fetch_add(1, Atomic::Relaxed);
            async { Err::<(), _>(PermanentError::new("no")) }
        }
    });
    let mut bench = Bench::start(handler).await;
    bench.append("a", "7");
    bench.append("b", "not a number");

    bench.pass(Duration::from_millis(300)).await;

    assert_eq!(calls.load(Atomic::Relaxed), 1);
    assert_eq!(bench.broker.read(DEAD).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_the_failure_of_one_record() {
    let handler = Handler::new(TOPIC, |text: Text| {
        assert!(text.as_str() != Some("at the call"), "at the call");
        async move { assert!(text.as_str() != Some("in the call"), "in the call") }
    })
    .retry(Retry::NONE);
    let mut bench = Bench::start(handler).await;
    for value in ["at the call", "in the call", "fine"] {
        bench.append(value, value);
    }

    bench.pass(Duration::from_millis(300)).await;

    assert_eq!(bench.broker.read(DEAD).len(), 2);
    assert_eq!(bench.broker.stored(&at(0)), Some(3));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_takes_too_long_is_dropped() {
    let (seen, gate) = (Seen::default(), Arc::new(Semaphore::new(0)));
    let handler = gated(&seen, &gate)
        .timeout(Duration::from_secs(1))
        .retry(Retry::NONE);
    let mut bench = Bench::start(handler).await;
    bench.append("a", "slow");

    bench.pass(Duration::from_millis(800)).await;
    assert!(bench.broker.read(DEAD).is_empty());
    bench.pass(Duration::from_millis(600)).await;

    let headers: HashMap<_, _> = bench.broker.read(DEAD)[0].headers.iter().cloned().collect();
    assert_eq!(
        headers["kafka_runtime.dead_letter.class"].as_deref(),
        Some(&b"timeout"[..])
    );
}

#[tokio::test(start_paused = true)]
async fn the_policy_stop_ends_the_group_and_commits_nothing_past_the_record() {
    let seen = Seen::default();
    let handler = failing(&seen)
        .retry(Retry::NONE)
        .on_failure(FailurePolicy::Stop);
    let mut bench = Bench::start(handler).await;
    bench.append("a", "good");
    bench.append("a", "bad");
    bench.append("b", "good");

    bench.pass(Duration::from_secs(1)).await;

    assert!(bench.is_done);
    assert_eq!(bench.broker.committed(&at(0)), Some(1));
    let error = bench.failed.take().unwrap();
    assert!(
        matches!(&error, RunError::RecordFailed { record, .. } if record.offset.0 == 1),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_revoke_waits_for_running_calls_stores_then_answers() {
    let (seen, gate) = (Seen::default(), Arc::new(Semaphore::new(0)));
    let mut bench = Bench::start(gated(&seen, &gate)).await;
    bench.append("a", "running");
    bench.append("a", "waiting");
    bench.rounds(2).await;

    bench.broker.tell(Polled::Revoked(vec![at(0)]));
    bench.pass(Duration::from_secs(2)).await;
    assert!(bench.broker.unassigned().is_empty());
    gate.add_permits(5);
    bench.pass(Duration::from_millis(200)).await;

    assert_eq!(bench.broker.unassigned(), [at(0)]);
    assert_eq!(seen.all(), ["running"]);
    assert_eq!(bench.broker.committed(&at(0)), Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_revoke_does_not_wait_for_a_retry() {
    let seen = Seen::default();
    let patient = Retry {
        attempts: 9,
        initial: Duration::from_mins(10),
        max: Duration::from_mins(10),
    };
    let mut bench = Bench::start(failing(&seen).retry(patient)).await;
    bench.append("a", "bad");
    bench.rounds(2).await;

    bench.broker.tell(Polled::Revoked(vec![at(0)]));
    bench.pass(Duration::from_millis(300)).await;

    assert_eq!(bench.broker.unassigned(), [at(0)]);
    assert_eq!(bench.broker.committed(&at(0)), None);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_outlives_the_drain_is_cancelled_then_dropped_and_not_committed() {
    let (seen, cancelled) = (Seen::default(), Seen::default());
    let handler = Handler::new(TOPIC, {
        let (seen, cancelled) = (seen.clone(), cancelled.clone());
        move |_: Text, cancel: CancellationToken| {
            let (seen, cancelled) = (seen.clone(), cancelled.clone());
            async move {
                seen.push("began");
                cancel.cancelled().await;
                cancelled.push("told");
                std::future::pending::<()>().await;
            }
        }
    });
    let mut bench = Bench::start(handler).await;
    bench.append("a", "v");
    bench.rounds(2).await;
    bench.broker.tell(Polled::Revoked(vec![at(0)]));

    bench
        .pass(DRAIN.saturating_sub(Duration::from_secs(1)))
        .await;
    assert_eq!((cancelled.len(), bench.broker.unassigned().len()), (0, 0));
    bench.pass(Duration::from_millis(1500)).await;

    assert_eq!(cancelled.all(), ["told"]);
    assert_eq!(bench.broker.unassigned(), [at(0)]);
    assert_eq!(bench.broker.committed(&at(0)), None);
}

#[tokio::test(start_paused = true)]
async fn after_a_loss_nothing_is_stored_and_calls_are_dropped() {
    let (seen, gate) = (Seen::default(), Arc::new(Semaphore::new(0)));
    let mut bench = Bench::start(gated(&seen, &gate)).await;
    bench.append("a", "1");
    bench.rounds(2).await;

    bench.broker.tell(Polled::Lost(vec![at(0)]));
    bench.rounds(1).await;
    gate.add_permits(1);
    bench.pass(Duration::from_millis(300)).await;

    assert_eq!(bench.broker.unassigned(), [at(0)]);
    assert_eq!(
        (bench.broker.stored(&at(0)), bench.broker.committed(&at(0))),
        (None, None)
    );
    // The call was dropped before it could take the permit.
    assert_eq!(gate.available_permits(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_partition_handed_back_is_read_again_from_the_commit() {
    let seen = Seen::default();
    let mut bench = Bench::start(noting(&seen)).await;
    bench.append("a", "1");
    bench.pass(Duration::from_millis(200)).await;
    bench.broker.tell(Polled::Revoked(vec![at(0)]));
    bench.rounds(3).await;
    bench.append("a", "2");

    bench.broker.tell(Polled::Assigned(vec![at(0)]));
    bench.pass(Duration::from_millis(300)).await;

    assert_eq!(seen.all(), ["1", "2"]);
    assert_eq!(bench.broker.stored(&at(0)), Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_superseded_revoke_keeps_what_was_finished_and_is_never_answered_late() {
    let (seen, gate) = (Seen::default(), Arc::new(Semaphore::new(1)));
    let mut bench = Bench::start(gated(&seen, &gate)).await;
    bench.broker.tell(Polled::Assigned(vec![at(1)]));
    bench.append("a", "1");
    bench.append("a", "2");
    bench.rounds(3).await;
    bench.broker.tell(Polled::Revoked(vec![at(0), at(1)]));
    bench.rounds(2).await;

    // The group went on without our answer: partition 0 is ours again, 1 is somebody else's.
    bench.broker.tell(Polled::Assigned(vec![at(0)]));
    bench.rounds(2).await;
    gate.add_permits(9);
    bench.pass(Duration::from_secs(10)).await;

    assert_eq!(bench.broker.unassigned(), [at(0), at(1)]);
    // Record 1 was finished before, record 2 begins again in the new epoch.
    assert_eq!(seen.all(), ["1", "2", "2"]);
    assert_eq!(bench.broker.stored(&at(0)), Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_full_partition_is_paused_and_resumed_when_a_good_part_is_free() {
    let (seen, gate) = (Seen::default(), Arc::new(Semaphore::new(0)));
    let budget = Budget {
        records: 10,
        bytes: 1 << 20,
    };
    let mut bench = Bench::joining(&gated(&seen, &gate), budget);
    bench.broker.tell(Polled::Assigned(vec![at(0)]));
    for n in 0..10 {
        bench.append(&format!("k{n}"), "v");
    }

    bench.rounds(3).await;
    assert!(bench.broker.is_paused(&at(0)));
    // Three of ten: half of what is not its own part.
    gate.add_permits(2);
    bench.rounds(2).await;
    assert!(bench.broker.is_paused(&at(0)));
    gate.add_permits(1);
    bench.rounds(2).await;

    assert!(!bench.broker.is_paused(&at(0)));
}

#[tokio::test(start_paused = true)]
async fn lanes_that_do_not_come_back_are_waited_for_once() {
    let seen = Seen::default();
    let budget = Budget {
        records: 10,
        bytes: 1 << 20,
    };
    let mut bench = Bench::joining(&noting(&seen), budget);
    bench.broker.tell(Polled::Assigned(vec![at(0), at(1)]));
    bench.rounds(1).await;
    let now = tokio::time::Instant::now().into_std();
    for _ in 0..2 {
        for n in 0..5 {
            bench.append(&format!("k{n}"), "v");
        }

        // Half of everything, and no lane has a turn.
        bench.engine.poll(now);
        assert!(bench.engine.is_ahead());
        bench.engine.give_up_waiting();
        bench.engine.advance(now);
        assert!(!bench.engine.is_ahead());

        // They have come back: the next time, they are waited for again.
        bench.rounds(2).await;
    }
    assert_eq!(seen.len(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_topic_paused_by_hand_stays_assigned_and_is_not_read() {
    let seen = Seen::default();
    let mut bench = Bench::start(noting(&seen)).await;

    bench.commands.send(Command::Pause(TOPIC.into())).unwrap();
    bench.rounds(1).await;
    bench.append("a", "1");
    bench.rounds(3).await;
    assert_eq!(seen.len(), 0);
    bench.commands.send(Command::Resume(TOPIC.into())).unwrap();
    bench.rounds(2).await;

    assert_eq!(seen.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stop_finishes_what_runs_and_starts_nothing_more() {
    let (seen, gate) = (Seen::default(), Arc::new(Semaphore::new(0)));
    let mut bench = Bench::start(gated(&seen, &gate)).await;
    bench.append("a", "running");
    bench.append("a", "waiting");
    bench.rounds(2).await;

    bench.commands.send(Command::Stop).unwrap();
    bench.pass(Duration::from_secs(1)).await;
    assert!(!bench.is_done);
    gate.add_permits(9);
    bench.pass(Duration::from_millis(200)).await;

    assert!(bench.is_done);
    assert_eq!(seen.all(), ["running"]);
    assert_eq!(bench.broker.committed(&at(0)), Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_within_the_grace_even_if_a_call_hangs() {
    let (seen, gate) = (Seen::default(), Arc::new(Semaphore::new(0)));
    let mut bench = Bench::start(gated(&seen, &gate)).await;
    bench.append("a", "hangs");
    bench.rounds(2).await;

    bench.commands.send(Command::Stop).unwrap();
    bench
        .pass(GRACE.saturating_sub(Duration::from_secs(1)))
        .await;
    assert!(!bench.is_done);
    bench.pass(Duration::from_secs(2)).await;

    assert!(bench.is_done);
    assert_eq!(bench.broker.stored(&at(0)), None);
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_nobody_can_reach_stops() {
    let mut bench = Bench::start(noting(&Seen::default())).await;
    let (unused, _) = std::sync::mpsc::channel();

    bench.commands = unused;
    bench.rounds(2).await;

    assert!(bench.is_done);
}

#[tokio::test(start_paused = true)]
async fn a_handler_can_be_replaced_while_its_topic_stays_assigned() {
    let (old, new, gate) = (
        Seen::default(),
        Seen::default(),
        Arc::new(Semaphore::new(1)),
    );
    let mut bench = Bench::start(gated(&old, &gate)).await;
    for value in ["1", "2", "3"] {
        bench.append("a", value);
    }
    bench.pass(Duration::from_millis(200)).await;
    assert_eq!(old.all(), ["1", "2"]);

    bench
        .commands
        .send(Command::Routes(routes(&noting(&new))))
        .unwrap();
    bench.pass(Duration::from_millis(300)).await;

    assert_eq!(new.all(), ["2", "3"]);
    assert_eq!(bench.broker.stored(&at(0)), Some(3));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_is_kept_goes_on_undisturbed_when_others_change() {
    let (seen, gate) = (Seen::default(), Arc::new(Semaphore::new(0)));
    let kept = routes(&gated(&seen, &gate));
    let mut bench = Bench::start(noting(&Seen::default())).await;
    bench.commands.send(Command::Routes(kept.clone())).unwrap();
    bench.append("a", "1");
    bench.rounds(2).await;

    let mut more = kept;
    more.add_topic("other".into(), activate(&noting(&Seen::default()), None));
    bench.commands.send(Command::Routes(more)).unwrap();
    bench.rounds(2).await;
    gate.add_permits(1);
    bench.pass(Duration::from_millis(200)).await;

    assert_eq!(seen.all(), ["1"]);
    assert_eq!(bench.broker.subscription(), ["other", TOPIC]);
    assert_eq!(bench.broker.stored(&at(0)), Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_paused_topic_can_be_resumed_after_its_handler_was_replaced() {
    let seen = Seen::default();
    let mut bench = Bench::start(noting(&Seen::default())).await;
    bench.commands.send(Command::Pause(TOPIC.into())).unwrap();
    bench
        .commands
        .send(Command::Routes(routes(&noting(&seen))))
        .unwrap();
    bench.rounds(1).await;

    bench.commands.send(Command::Resume(TOPIC.into())).unwrap();
    bench.append("a", "1");
    bench.rounds(2).await;

    assert_eq!(seen.all(), ["1"]);
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_broker_is_forgotten_when_one_answers_again() {
    let mut bench = Bench::start(noting(&Seen::default())).await;

    bench
        .broker
        .tell(Polled::Error(ClientError::Unreachable("away".into())));
    bench.engine.poll(tokio::time::Instant::now().into_std());
    assert!(bench.monitor.status().last_error.is_some());
    bench.pass(Duration::from_secs(1)).await;

    assert!(bench.monitor.status().last_error.is_none());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_skipped_if_the_client_cannot_go_back_for_a_new_handler() {
    let (old, new, gate) = (
        Seen::default(),
        Seen::default(),
        Arc::new(Semaphore::new(1)),
    );
    let mut bench = Bench::start(gated(&old, &gate)).await;
    for value in ["1", "2", "3"] {
        bench.append("a", value);
    }
    bench.pass(Duration::from_millis(200)).await;
    bench.broker.refuse_seeks(true);
    bench
        .commands
        .send(Command::Routes(routes(&noting(&new))))
        .unwrap();
    bench.append("a", "4");
    bench.pass(Duration::from_millis(500)).await;

    assert_eq!((new.len(), bench.broker.stored(&at(0))), (0, Some(1)));
    bench.broker.refuse_seeks(false);
    bench.pass(Duration::from_millis(500)).await;

    assert_eq!(new.all(), ["2", "3", "4"]);
    assert_eq!(bench.broker.stored(&at(0)), Some(4));
}

#[tokio::test(start_paused = true)]
async fn an_assignment_during_a_stop_is_answered_with_nothing() {
    let (seen, gate) = (Seen::default(), Arc::new(Semaphore::new(0)));
    let mut bench = Bench::start(gated(&seen, &gate)).await;
    bench.append("a", "1");
    bench.rounds(2).await;
    bench.commands.send(Command::Stop).unwrap();

    bench.broker.tell(Polled::Assigned(vec![at(1)]));
    bench.rounds(2).await;

    assert_eq!(bench.broker.answers(), [vec![at(0)], vec![]]);
}

#[tokio::test(start_paused = true)]
async fn a_destructor_that_panics_ends_the_group_and_does_not_leave_a_partition_waiting() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            assert!(std::thread::panicking(), "a destructor");
        }
    }
    let seen = Seen::default();
    let handler = Handler::new(TOPIC, {
        let seen = seen.clone();
        move |_: Text| {
            let seen = seen.clone();
            async move {
                let _bomb = Bomb;
                seen.push("began");
                std::future::pending::<()>().await;
            }
        }
    });
    let mut bench = Bench::start(handler).await;
    bench.append("a", "1");
    bench.rounds(2).await;
    bench.broker.tell(Polled::Lost(vec![at(0)]));
    bench.rounds(2).await;

    bench.broker.tell(Polled::Assigned(vec![at(0)]));
    bench.rounds(4).await;

    // It is told as what it is: a defect that ends the group, and not a partition that waits for ever.
    assert!(bench.failed.is_set());
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_is_removed_is_called_no_more() {
    let seen = Seen::default();
    let mut bench = Bench::start(noting(&seen)).await;

    bench
        .commands
        .send(Command::Routes(Routes::default()))
        .unwrap();
    bench.rounds(1).await;
    bench.append("a", "1");
    bench.rounds(3).await;

    assert!(bench.broker.subscription().is_empty());
    assert_eq!(seen.len(), 0);
    assert_eq!(bench.broker.stored(&at(0)), None);
}

#[tokio::test(start_paused = true)]
async fn a_group_that_starts_at_the_end_commits_that_at_once() {
    let seen = Seen::default();
    let mut bench = Bench::joining(
        &noting(&seen).start(Start::Latest),
        Budget {
            records: 10,
            bytes: 1 << 20,
        },
    );
    bench.append("a", "old");
    bench.broker.tell(Polled::Assigned(vec![at(0)]));

    bench.rounds(2).await;
    assert_eq!(bench.broker.stored(&at(0)), Some(1));
    bench.append("a", "new");
    bench.rounds(2).await;

    assert_eq!(seen.all(), ["new"]);
}

#[tokio::test(start_paused = true)]
async fn a_fatal_client_error_ends_the_group() {
    let mut bench = Bench::start(noting(&Seen::default())).await;

    bench
        .broker
        .tell(Polled::Error(ClientError::Unreachable("away".into())));
    bench.rounds(2).await;
    assert!(!bench.is_done);
    bench
        .broker
        .tell(Polled::Error(ClientError::Fatal("fenced".into())));
    bench.pass(Duration::from_millis(300)).await;

    assert!(bench.is_done);
    assert!(matches!(bench.failed.take(), Some(RunError::Client { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_value_above_max_payload_is_not_decoded() {
    let seen = Seen::default();
    let mut bench = Bench::start(noting(&seen).max_payload(3)).await;
    bench.append("a", "1234");
    bench.append("b", "123");

    bench.pass(Duration::from_millis(300)).await;

    assert_eq!(seen.all(), ["123"]);
    assert_eq!(
        bench.broker.read(DEAD)[0].value.as_deref(),
        Some(&b"1234"[..])
    );
}

#[tokio::test(start_paused = true)]
async fn a_record_of_the_dead_letter_topic_is_never_written_back_to_it() {
    let handler = Handler::new(DEAD, |_: Record| async { Err::<(), _>("no") })
        .retry(Retry::NONE)
        .dead_letter(DEAD);
    let mut routes = Routes::default();
    routes.add_topic(DEAD.into(), activate(&handler, Some(DEAD.into())));
    let mut bench = Bench::joining(
        &handler,
        Budget {
            records: 10,
            bytes: 1 << 20,
        },
    );
    bench.commands.send(Command::Routes(routes)).unwrap();
    let dead = TopicPartition::new(DEAD, 0);
    bench.broker.append(&dead, None, Some("v"));
    bench.broker.tell(Polled::Assigned(vec![dead.clone()]));

    bench.pass(Duration::from_secs(1)).await;

    assert!(bench.is_done);
    assert_eq!(bench.broker.read(DEAD).len(), 1);
    assert_eq!(bench.broker.stored(&dead), None);
}

#[tokio::test(start_paused = true)]
async fn what_was_lost_before_it_was_committed_is_no_reason_to_doubt_the_rest() {
    let seen = Seen::default();
    let mut bench = Bench::start(noting(&seen)).await;
    bench.append("a", "1");
    bench.pass(Duration::from_millis(300)).await;
    assert_eq!(bench.broker.stored(&at(0)), Some(1));

    bench.broker.tell(Polled::Lost(vec![at(0)]));
    bench.rounds(2).await;
    bench.broker.tell(Polled::Assigned(vec![at(1)]));
    bench.pass(SESSION + Duration::from_secs(5)).await;
    bench.broker.append(&at(1), Some("b"), Some("2"));
    bench.pass(Duration::from_secs(1)).await;

    assert_eq!(seen.all(), ["1", "2"]);
}

/// The coordinator is away; nothing can be committed, since the first call does not end.
async fn silent_group(is_told_of_silence: bool) -> Seen {
    let (seen, gate) = (Seen::default(), Arc::new(Semaphore::new(0)));
    let mut bench = Bench::start(gated(&seen, &gate)).await;
    bench.engine.config.is_told_of_silence = is_told_of_silence;
    bench.append("a", "1");
    bench.pass(SESSION).await;
    bench.broker.away(true);
    bench.pass(SESSION + Duration::from_secs(5)).await;
    assert_eq!(bench.monitor.status().is_ready(), is_told_of_silence);
    bench.append("b", "2");
    bench.pass(Duration::from_secs(1)).await;
    seen
}

/// How ready the member is after this long without a commit, with something to commit.
async fn without_commits(time: Duration) -> bool {
    let seen = Seen::default();
    let mut bench = Bench::start(noting(&seen)).await;
    bench.append("a", "1");
    bench.pass(time).await;
    assert_eq!(bench.broker.stored(&at(0)), Some(1));
    bench.monitor.status().is_ready()
}

#[tokio::test(start_paused = true)]
async fn a_group_that_waits_a_session_for_a_dead_member_is_not_doubted() {
    assert!(without_commits(SESSION + Duration::from_secs(5)).await);
}

#[tokio::test(start_paused = true)]
async fn a_group_that_takes_note_of_no_commit_for_two_sessions_is_doubted() {
    assert!(!without_commits(2 * SESSION + Duration::from_secs(5)).await);
}

/// During one rebalance after the other nothing is committed: each of them is a sign of the group.
#[tokio::test(start_paused = true)]
async fn a_group_that_rebalances_is_not_doubted() {
    let seen = Seen::default();
    let mut bench = Bench::start(noting(&seen)).await;
    bench.append("a", "1");
    for _ in 0..3 {
        bench.pass(SESSION).await;
        bench.broker.tell(Polled::Assigned(Vec::new()));
    }
    bench.pass(SESSION).await;
    assert!(bench.monitor.status().is_ready());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_started_when_a_group_without_a_session_check_is_silent() {
    assert_eq!(silent_group(false).await.all(), ["1"]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_checks_its_session_is_not_second_guessed() {
    assert_eq!(silent_group(true).await.all(), ["1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn a_group_that_answers_is_trusted_while_there_is_nothing_to_commit() {
    let (seen, gate) = (Seen::default(), Arc::new(Semaphore::new(0)));
    let mut bench = Bench::start(gated(&seen, &gate)).await;
    bench.engine.config.is_told_of_silence = false;
    bench.append("a", "1");
    bench.pass(3 * SESSION).await;
    bench.append("b", "2");
    bench.pass(Duration::from_secs(1)).await;

    assert_eq!(seen.all(), ["1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_replaced_handler_finished_is_committed_without_further_records() {
    let seen = Seen::default();
    let mut bench = Bench::start(noting(&seen)).await;
    bench.append("a", "1");
    // Acked, and not stored yet.
    bench.rounds(1).await;

    let mut routes = Routes::default();
    routes.add_topic(TOPIC.into(), activate(&noting(&seen), Some(DEAD.into())));
    bench.commands.send(Command::Routes(routes)).unwrap();
    bench.pass(Duration::from_millis(300)).await;

    assert_eq!(bench.broker.stored(&at(0)), Some(1));
}

#[tokio::test(start_paused = true)]
async fn records_that_only_follow_a_parked_one_do_not_use_up_what_a_breaker_lets_through() {
    let (seen, is_healed) = (Seen::default(), Arc::new(AtomicBool::new(false)));
    let handler = {
        let (seen, is_healed) = (seen.clone(), Arc::clone(&is_healed));
        Handler::new(TOPIC, move |text: Text| {
            let (seen, is_healed) = (seen.clone(), Arc::clone(&is_healed));
            async move {
                seen.push(text.into_string().unwrap());
                is_healed.load(Atomic::SeqCst).then_some(()).ok_or("no")
            }
        })
        .ordering(Ordering::Key)
        .retry(Retry::NONE)
        .retry_topics([Duration::from_mins(10)])
        .breaker(Breaker {
            ratio: 0.5,
            records: 2,
        })
    };
    let mut bench = Bench::start(handler).await;
    bench.pass(Duration::from_millis(300)).await;
    bench.append("a", "a1");
    bench.append("b", "b1");
    bench.pass(Duration::from_millis(300)).await;
    assert_eq!(seen.len(), 2, "both are parked, the breaker is open");
    is_healed.store(true, Atomic::SeqCst);

    for n in 2..30 {
        bench.append("a", &format!("a{n}"));
        bench.append("b", &format!("b{n}"));
    }
    for n in 0..8 {
        bench.append(&format!("c{n}"), "c");
    }
    bench.pass(Duration::from_secs(4)).await;

    assert_eq!(seen.all().iter().filter(|text| *text == "c").count(), 8);
}

#[derive(Debug)]
struct Rude;

impl std::fmt::Display for Rude {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("rude")
    }
}

impl std::error::Error for Rude {}

#[tokio::test(start_paused = true)]
async fn an_error_whose_text_panics_is_still_an_error_of_its_record() {
    let handler = Handler::new(TOPIC, |_: Text| async { Err::<(), _>(Rude) })
        .retry(Retry::NONE)
        .on_failure(FailurePolicy::Stop);
    let mut bench = Bench::start(handler).await;
    bench.append("a", "1");
    bench.pass(Duration::from_secs(1)).await;

    let failed = bench.failed.take();

    assert!(
        matches!(failed, Some(RunError::RecordFailed { .. })),
        "{failed:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_finished_before_a_doubt_is_committed_if_the_group_then_wants_it_back() {
    let seen = Seen::default();
    let mut bench = Bench::start(noting(&seen)).await;
    bench.pass(Duration::from_millis(100)).await;
    bench.append("a", "1");
    // Acked, and not stored yet.
    bench.rounds(2).await;
    assert_eq!(seen.len(), 1);
    let now = tokio::time::Instant::now().into_std();
    bench.engine.suspect(Suspicion::Silence(SESSION), now);
    bench.rounds(1).await;
    assert_eq!(bench.broker.stored(&at(0)), None);

    bench.broker.tell(Polled::Revoked(vec![at(0)]));
    bench.rounds(3).await;

    assert_eq!(bench.broker.committed(&at(0)), Some(1));
}
