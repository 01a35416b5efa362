//! Retry topics when something is wrong with them: deleted, damaged, foreign or missing records, brokers that are away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering as Atomic};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::{Bench, Broker, DEAD, Seen, TOPIC, at, gated};
use crate::client::Polled;
use crate::client::memory::{Faults, MemberId, MemoryBroker};
use crate::config::OutOfRange;
use crate::engine::backpressure::Budget;
use crate::engine::monitor::GroupState;
use crate::error::{ClientError, RunError};
use crate::producer::ProduceError;
use crate::record::{Offset, TopicPartition};
use crate::runtime::checks::ensure_retry_topic;
use crate::{Handler, MessagePayload, RecordMetadata, Retry, Text};

const WAIT: Duration = Duration::from_mins(10);
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
        if seconds < 20 {
            return self.bench.pass(Duration::from_secs(seconds)).await;
        }
        for _ in 0..seconds {
            tokio::time::advance(Duration::from_secs(1)).await;
            self.bench.rounds(2).await;
            // As the client does by itself.
            let Broker { broker, member } = &self.bench.broker;
            broker.member(*member).commit();
            self.commit_parked();
        }
    }

    /// Lets time pass until something has happened that takes a thread of its own.
    async fn pass_until(&mut self, has_happened: impl Fn(&Self) -> bool) {
        for _ in 0..100_000 {
            if self.bench.monitor.state() == GroupState::Running && has_happened(self) {
                return;
            }
            self.bench.pass(Duration::from_millis(100)).await;
            std::thread::yield_now();
        }
        panic!("it has not happened");
    }

    fn heal(&self) {
        self.is_healed.store(true, Atomic::SeqCst);
    }

    async fn give_back(&mut self) {
        self.give_back_at(Some(1)).await;
    }

    async fn give_back_at(&mut self, committed: Option<i64>) {
        self.bench.broker.tell(Polled::Revoked(vec![at(0)]));
        self.pass(2).await;
        assert_eq!(self.bench.broker.committed(&at(0)), committed);
    }

    fn take_over(&self) {
        self.bench.broker.tell(Polled::Assigned(vec![at(0)]));
    }

    /// Lets the client that reads the retry topics commit.
    fn commit_parked(&self) {
        self.bench.broker.broker.member(MemberId(1)).commit();
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

#[tokio::test(start_paused = true)]
async fn a_group_ends_that_finds_its_parked_records_deleted() {
    let mut service = Service::with_one_parked().await;
    service.give_back().await;
    service.bench.broker.broker.truncate(&parked(0), Offset(1));

    service.take_over();
    service.pass(2).await;

    let failed = service.bench.failed.take();
    let Some(RunError::Client { source, .. }) = failed else {
        panic!("{failed:?}");
    };
    assert_eq!(
        source.to_string(),
        "offset out of range: g.t.retry.10m[0]: committed offset 0 is outside of what the broker has, 1 to 1: what was \
         parked there is lost"
    );
}

#[tokio::test(start_paused = true)]
async fn a_group_goes_on_behind_parked_records_that_were_deleted_if_it_is_to() {
    let mut service = Service::with_one_parked().await;
    service.bench.engine.config.on_out_of_range = OutOfRange::Earliest;
    service.give_back().await;
    service.bench.broker.broker.truncate(&parked(0), Offset(1));
    service.heal();

    service.take_over();
    service.bench.append("a", "a2");
    service.pass(2).await;

    service.commit_parked();
    assert_eq!(service.seen.all(), ["a1#1", "a2#1"]);
    assert_eq!(service.bench.broker.committed_parked(), Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_retry_topic_that_was_made_anew_is_out_of_range() {
    let mut service = Service::with_one_parked().await;
    service.heal();
    service.pass(610).await;
    service.give_back().await;
    assert_eq!(service.bench.broker.committed_parked(), Some(1));
    service.bench.broker.broker.make_anew(&parked(0));

    service.take_over();
    service.pass(2).await;

    assert!(service.bench.failed.is_set());
}

#[tokio::test(start_paused = true)]
async fn records_deleted_while_they_are_parked_end_the_group() {
    let mut service = Service::with_one_parked().await;
    service.bench.broker.broker.truncate(&parked(0), Offset(1));

    service.pass(610).await;

    assert!(service.bench.failed.is_set());
}

#[tokio::test(start_paused = true)]
async fn the_key_of_records_deleted_while_they_are_parked_goes_on_if_it_is_to() {
    let mut service = Service::with_one_parked().await;
    service.bench.engine.config.on_out_of_range = OutOfRange::Earliest;
    service.bench.broker.broker.truncate(&parked(0), Offset(1));
    service.heal();
    service.bench.append("a", "a2");

    service.pass(610).await;
    service.bench.append("a", "a3");
    service.pass(2).await;

    assert_eq!(service.seen.all(), ["a1#1", "a2#1", "a3#1"]);
    assert!(!service.bench.failed.is_set());
}

#[tokio::test(start_paused = true)]
async fn a_position_is_committed_again_although_nothing_moves() {
    let mut service = Service::start().await;
    service.pass(1).await;
    service.commit_parked();
    assert_eq!(service.bench.broker.committed_parked(), Some(0));
    service.bench.broker.broker.forget_commits("g.retry");

    service.pass(3610).await;
    service.commit_parked();

    assert_eq!(service.bench.broker.committed_parked(), Some(0));
}

#[tokio::test(start_paused = true)]
async fn what_is_parked_is_handled_although_the_group_begins_anew_and_its_source_is_deleted() {
    let mut service = Service::with_one_parked().await;
    service.give_back().await;
    service.bench.broker.broker.forget_commits("g");
    service.bench.broker.broker.forget_commits("g.retry");
    service.bench.broker.broker.truncate(&at(0), Offset(1));
    service.heal();

    service.take_over();
    service.pass(610).await;

    assert_eq!(service.seen.all(), ["a1#1", "a1#2"]);
}

#[tokio::test]
async fn retry_topics_are_created_to_keep_what_they_are_given() {
    let broker = MemoryBroker::default();

    ensure_retry_topic(&broker, RETRY, 2).unwrap();

    let settings = broker.settings(RETRY);
    for (name, value) in [("retention.ms", "-1"), ("cleanup.policy", "delete")] {
        assert!(settings.contains(&(name.into(), value.into())), "{name}");
    }
    ensure_retry_topic(&broker, RETRY, 3).unwrap();
    assert_eq!(broker.partitions_of(RETRY).len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_retry_topic_whose_leader_is_away_is_not_taken_for_read_through() {
    let mut service = Service::with_one_parked().await;
    service.give_back().await;
    service.heal();
    service.take_over();
    service.bench.rounds(1).await;
    service.break_client(|faults| faults.is_cut_off = true);
    service.bench.append("a", "a2");
    service.pass(60).await;
    assert_eq!(service.seen.all(), ["a1#1"]);

    service.break_client(|faults| faults.is_cut_off = false);
    service.pass(610).await;

    assert_eq!(service.seen.all(), ["a1#1", "a1#2", "a2#1"]);
}

#[tokio::test(start_paused = true)]
async fn a_retry_topic_with_nothing_before_its_end_is_read_through() {
    let mut service = Service::with_one_parked().await;
    service.give_back().await;
    service.bench.broker.broker.skip(&parked(0), 1);
    service.heal();
    service.take_over();
    service.bench.append("b", "b1");

    service.pass(15).await;

    assert_eq!(service.seen.all(), ["a1#1", "b1#1"]);
}

/// A record in a retry topic that says such things of itself.
fn forged(offset: &str, attempts: &str) -> MessagePayload {
    let headers = [
        ("topic", TOPIC),
        ("partition", "0"),
        ("offset", offset),
        ("timestamp", "0"),
        ("attempts", attempts),
        ("due", "0"),
        ("owner", "somebody"),
        ("takeover", "0@0"),
    ];
    let payload = MessagePayload::new("forged").key("z").partition(0);
    let with = |payload: MessagePayload, (name, value): &(&str, &str)| {
        payload.header(format!("kafka_runtime.retry.{name}"), *value)
    };
    headers.iter().fold(payload, with)
}

#[tokio::test(start_paused = true)]
async fn a_record_that_no_source_has_holds_nothing_back() {
    let mut service = Service::start().await;
    service.pass(1).await;
    let broker = service.bench.broker.broker.clone();
    broker.append(&parked(0), forged("999999999", "1"));
    service.pass(1).await;
    service.bench.append("a", "a1");
    service.pass(1).await;
    service.heal();
    service.pass(610).await;

    for _ in 0..3 {
        service.give_back().await;
        service.take_over();
        service.pass(3).await;
    }

    assert_eq!(service.seen.all(), ["a1#1", "a1#2"]);
    assert_eq!(service.bench.broker.committed_parked(), Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_count_of_attempts_that_is_too_large_does_not_overflow() {
    let mut service = Service::start().await;
    service.heal();
    service.bench.append("a", "a1");
    service.pass(1).await;
    service.give_back().await;
    let broker = service.bench.broker.broker.clone();
    broker.append(&parked(0), forged("0", "4294967295"));
    broker.append(&parked(0), forged("0", "-1"));

    service.take_over();
    service.pass(2).await;

    assert!(!service.bench.failed.is_set());
    service.bench.append("b", "b1");
    service.pass(1).await;
    assert_eq!(service.seen.all().last().unwrap(), "b1#1");
}

#[tokio::test(start_paused = true)]
async fn what_follows_a_parked_record_waits_in_its_place_where_no_more_may_be_parked() {
    let mut service = Service::start().await;
    service.bench.engine.config.most_parked = 2;
    service.give_back_at(None).await;
    service.take_over();
    service.pass(1).await;
    for value in ["a1", "a2", "a3"] {
        service.bench.append("a", value);
    }
    service.pass(1).await;
    service.heal();
    service.bench.append("b", "b1");
    service.pass(5).await;
    assert_eq!(service.bench.broker.read(RETRY).len(), 2);
    assert_eq!(service.seen.all(), ["a1#1", "b1#1"]);

    service.pass(610).await;
    assert_eq!(service.seen.all(), ["a1#1", "b1#1", "a1#2", "a2#1", "a3#1"]);
}

#[tokio::test(start_paused = true)]
async fn a_damaged_batch_of_a_retry_topic_puts_its_source_aside_and_no_other() {
    let mut service = Service::with_one_parked().await;
    service.give_back().await;
    service.heal();
    let broker = service.bench.broker.broker.clone();
    broker.damage(&parked(0), Offset(0), u32::MAX);
    let both = vec![at(0), at(1)];
    service.bench.broker.tell(Polled::Assigned(both));
    service.bench.append("b", "b1");
    service.bench.broker.append(&at(1), Some("c"), Some("c1"));
    service.pass(40).await;

    assert_eq!(service.seen.all(), ["a1#1", "c1#1"]);
    let status = service.bench.monitor.status();
    assert!(!status.is_ready());
    assert!(matches!(status.last_error, Some(ClientError::Corrupt(_))));
    let aside = status.partitions.iter().filter(|p| p.is_quarantined);
    let aside: Vec<_> = aside.map(|p| p.partition.clone()).collect();
    assert_eq!(aside, [at(0)]);

    // Somebody mends it.
    broker.damage(&parked(0), Offset(0), 0);
    service.pass(660).await;
    let mut seen = service.seen.all();
    seen.sort();
    assert_eq!(seen, ["a1#1", "a1#2", "b1#1", "c1#1"]);
    assert!(service.bench.monitor.status().is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_parked_record_that_is_damaged_while_it_waits_is_not_passed() {
    let mut service = Service::with_one_parked().await;
    service.bench.append("b", "b1");
    service.pass(1).await;
    service.heal();
    let broker = service.bench.broker.broker.clone();
    broker.damage(&parked(0), Offset(0), 5);

    service.pass(602).await;
    assert_eq!(service.seen.all(), ["a1#1", "b1#1"]);
    service.pass(120).await;

    assert_eq!(service.seen.all(), ["a1#1", "b1#1", "a1#2", "b1#2"]);
}

#[tokio::test(start_paused = true)]
async fn retry_topics_share_the_budget_with_their_sources() {
    let (seen, gate) = (Seen::default(), Arc::new(Semaphore::new(0)));
    let handler = gated(&seen, &gate).retry_topics([WAIT]);
    let budget = Budget {
        records: 8,
        bytes: 1 << 20,
    };
    let mut bench = Bench::joining(&handler, budget);
    bench.broker.tell(Polled::Assigned(vec![at(0)]));
    bench.rounds(5).await;

    for key in ["a", "b", "c", "d", "e"] {
        bench.append(key, key);
    }
    bench.rounds(3).await;
    assert!(!bench.broker.is_paused(&at(0)));
    bench.append("f", "f");
    bench.rounds(3).await;

    // The last two are for the retry topic.
    assert!(bench.broker.is_paused(&at(0)));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_gains_partitions_is_read_when_its_retry_topics_have_them() {
    let mut service = Service::start().await;
    service.heal();
    let broker = service.bench.broker.broker.clone();
    ensure_retry_topic(&broker, RETRY, 1).unwrap();
    broker.skip(&at(0), 0);
    service.bench.broker.append(&at(1), Some("b"), Some("b1"));
    broker.refuse_changes(true);
    service.bench.broker.tell(Polled::Assigned(vec![at(1)]));
    service
        .pass_until(|service| !service.bench.monitor.status().is_ready())
        .await;
    let status = service.bench.monitor.status();
    assert!(!status.is_ready());
    let error = status.last_error.unwrap().to_string();
    assert!(
        error.contains("cannot be given more: not permitted"),
        "{error}"
    );
    assert!(service.seen.all().is_empty());

    broker.refuse_changes(false);
    service.pass_until(|service| service.seen.len() > 0).await;

    assert_eq!(service.seen.all(), ["b1#1"]);
    assert!(service.bench.monitor.status().is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_too_large_to_be_parked_is_given_up() {
    let mut service = Service::start().await;
    service.pass(1).await;
    service.bench.broker.refuse_writes(RETRY, Some(too_large()));
    service.bench.append("a", "a1");
    service.pass(5).await;

    assert_eq!(service.bench.broker.read(DEAD).len(), 1);
    assert_eq!(service.bench.broker.stored(&at(0)), Some(1));
    service.heal();
    service.bench.append("a", "a2");
    service.pass(1).await;
    assert_eq!(service.seen.all(), ["a1#1", "a2#1"]);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_too_large_to_follow_a_parked_one_waits_for_it() {
    let mut service = Service::with_one_parked().await;
    service.heal();
    service.bench.broker.refuse_writes(RETRY, Some(too_large()));
    service.bench.append("a", "a2");
    service.pass(300).await;
    assert_eq!(service.seen.all(), ["a1#1"]);

    service.pass(310).await;

    assert_eq!(service.seen.all(), ["a1#1", "a1#2", "a2#1"]);
    assert!(service.bench.broker.read(DEAD).is_empty());
}

fn too_large() -> ProduceError {
    ProduceError::TooLarge {
        topic: RETRY.into(),
        bytes: 2_000_000,
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_copy_of_what_lay_parked_stays_until_that_is_finished() {
    let (seen, is_healed) = (Seen::default(), Arc::new(AtomicBool::new(false)));
    let handler = parking(&seen, &is_healed).retry_topics([WAIT, Duration::from_hours(1)]);
    let mut service = Service {
        bench: Bench::start(handler).await,
        seen,
        is_healed,
    };
    service.bench.append("a", "a1");
    service.pass(1).await;
    service.give_back().await;
    service.heal();
    service.take_over();
    service.pass(1).await;
    let next = TopicPartition::new("g.t.retry.1h", 0);
    let broker = service.bench.broker.broker.clone();
    // The one before moves it on, and is no member any more.
    broker.append(&next, forged("0", "2"));
    service.pass(30).await;
    assert_eq!(broker.committed("g.retry", &next), Some(Offset(0)));

    service.pass(610).await;

    assert_eq!(service.seen.all(), ["a1#1", "a1#2"]);
    assert_eq!(broker.committed("g.retry", &next), Some(Offset(1)));
}
