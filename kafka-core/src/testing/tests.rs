//! The kit, and with it the runtime as a user sees it.

mod filter;
mod secrets;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering as Atomic};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::debezium::Table;
use super::{TestEvent, TestProducer, TestRuntime};
use crate::{
    Batch, BatchOutcome, Breaker, CancellationToken, Change, Classify, ClientError, Config,
    DatabaseEvent, ErrorClass, FailureKind, FailurePolicy, GroupState, Handler, HandlerContext,
    Headers, KafkaProducer, Key, MessagePayload, Ordering, Outcome, PermanentError, Problem,
    ProduceError, Record, RecordMetadata, Retry, RunError, State, Text, Timestamp,
};

/// What handlers saw, in order; clones are the same.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    fn push(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// Notes each value. `bad…` fails, `worse…` fails for good, `skip…` is skipped.
async fn on_order(order: Text, State(seen): State<Seen>) -> anyhow::Result<Outcome> {
    let order = order.as_str().unwrap_or("null").to_owned();
    seen.push(&*order);
    anyhow::ensure!(!order.starts_with("bad"), "not today");
    anyhow::ensure!(!order.starts_with("worse"), PermanentError::new("never"));
    if order.starts_with("skip") {
        return Ok(Outcome::skip("as asked"));
    }
    Ok(Outcome::Ack)
}

fn orders() -> Handler {
    Handler::new("orders", on_order)
        .with_name("on_order")
        .retry(Retry {
            attempts: 3,
            initial: Duration::from_millis(100),
            max: Duration::from_secs(1),
        })
}

fn value(value: &str) -> MessagePayload {
    MessagePayload::new(value).key(value)
}

async fn started(seen: &Seen) -> TestRuntime {
    let builder = TestRuntime::builder().handlers([orders()]);
    builder.state(seen.clone()).start().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_is_handled_is_committed_once_it_is_idle_and_no_time_passes() {
    let seen = Seen::default();
    let mut test = started(&seen).await;
    let before = tokio::time::Instant::now();
    let written = test.produce("orders", value("1"));
    test.produce("orders", value("2"));
    assert_eq!(test.committed("orders", 0), None);

    test.idle().await;

    assert_eq!(tokio::time::Instant::now(), before);
    assert_eq!(written.offset.0, 0);
    assert_eq!(test.committed("orders", 0), Some(2));
    let handled = test.handled("orders");
    assert_eq!(handled.len(), 2);
    assert_eq!(handled[0].record.to_string(), "orders[0]@0");
    assert_eq!((&*handled[0].handler, handled[0].attempt), ("on_order", 1));
    assert_eq!(test.control().status()[0].state, GroupState::Running);
    test.stop().await.unwrap();
}

#[tokio::test]
async fn the_clock_is_paused_by_the_kit_if_nobody_has() {
    let mut test = started(&Seen::default()).await;
    test.produce("orders", value("bad"));
    let real = Instant::now();

    test.advance(Duration::from_mins(10)).await;

    assert_eq!(test.dead_letters("orders").len(), 1);
    assert!(real.elapsed() < Duration::from_secs(20));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_flavor_is_told_what_to_write() {
    let start =
        tokio::spawn(async { drop(TestRuntime::builder().handlers([orders()]).start().await) });

    let panic = start.await.unwrap_err().into_panic();

    let message = panic.downcast_ref::<String>().unwrap();
    assert!(
        message.contains("#[tokio::test(start_paused = true)]"),
        "{message}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_retry_waits_for_its_time_then_the_record_is_dead_lettered() {
    let seen = Seen::default();
    let mut test = started(&seen).await;
    test.produce("orders", value("bad").header("trace", "t-1"));
    test.produce("orders", value("good"));

    test.idle().await;
    assert_eq!(test.retried("orders").len(), 1);
    assert_eq!(test.committed("orders", 0), None);
    test.advance(Duration::from_secs(2)).await;

    let letters = test.dead_letters("orders");
    assert_eq!(letters.len(), 1);
    let letter = &letters[0];
    assert_eq!(letter.record.topic, "test.orders.dlq");
    assert_eq!(letter.record.text(), Some("bad"));
    assert_eq!(letter.record.key_text(), Some("bad"));
    assert_eq!(letter.record.header_text("trace"), Some("t-1"));
    assert_eq!(
        (letter.partition, letter.offset, letter.attempts),
        (0, 0, 3)
    );
    assert_eq!((&*letter.group, &*letter.handler), ("test", "on_order"));
    assert_eq!(
        (letter.class, &*letter.error),
        (FailureKind::Unclassified, "not today")
    );
    assert_eq!(test.retried("orders").len(), 2);
    assert_eq!(test.committed("orders", 0), Some(2));
}

#[tokio::test(start_paused = true)]
async fn permanent_errors_skips_and_policies_are_told_apart() {
    let seen = Seen::default();
    let lenient = Handler::new("audit", on_order)
        .with_name("on_audit")
        .on_failure(FailurePolicy::Skip);
    let builder = TestRuntime::builder().handlers([orders(), lenient]);
    let mut test = builder.state(seen.clone()).start().await.unwrap();
    test.produce("orders", value("worse"));
    test.produce("orders", value("skip"));
    test.produce("audit", value("worse"));

    test.idle().await;

    assert_eq!(test.dead_letters("orders")[0].class, FailureKind::Permanent);
    assert_eq!(
        test.skipped("orders")[0].reason.as_deref(),
        Some("as asked")
    );
    let by_policy = test.skipped("audit")[0].failure.clone();
    assert_eq!(
        by_policy,
        Some((FailureKind::Permanent, "never".to_owned()))
    );
    assert!(test.dead_letters("audit").is_empty());
    assert_eq!(test.committed("audit", 0), Some(1));
}

#[derive(Debug, thiserror::Error)]
#[error("declined")]
struct Declined;

impl Classify for Declined {
    fn classify(&self) -> ErrorClass {
        ErrorClass::Permanent
    }
}

#[tokio::test(start_paused = true)]
async fn panics_timeouts_and_classified_errors_are_told_apart() {
    let handler = Handler::new("calls", |call: Text| async move {
        match call.as_str() {
            Some("panics") => panic!("as asked"),
            Some("hangs") => std::future::pending::<anyhow::Result<()>>().await,
            _ => Err(anyhow::Error::new(Declined)),
        }
    });
    let handler = handler
        .timeout(Duration::from_secs(5))
        .retry(Retry::NONE)
        .ordering(Ordering::Partition);
    let builder = TestRuntime::builder().handlers([handler]);
    let mut test = builder.classify::<Declined>().start().await.unwrap();
    for call in ["panics", "declines", "hangs"] {
        test.produce("calls", value(call));
    }
    test.idle().await;
    assert_eq!(test.committed("calls", 0), Some(2));

    test.advance(Duration::from_secs(5)).await;

    let letters = test.dead_letters("calls");
    let classes: Vec<_> = letters.iter().map(|letter| letter.class).collect();
    let expected = [
        FailureKind::Panic,
        FailureKind::Permanent,
        FailureKind::Timeout,
    ];
    assert_eq!(classes, expected);
}

#[tokio::test(start_paused = true)]
async fn the_policy_stop_ends_the_runtime_with_the_error_of_run() {
    let seen = Seen::default();
    let builder = TestRuntime::builder().handlers([
        orders().on_failure(FailurePolicy::Stop),
        Handler::new("audit", on_order).group("other"),
    ]);
    let mut test = builder.state(seen.clone()).start().await.unwrap();
    test.produce("orders", value("worse"));
    test.idle().await;

    assert!(matches!(test.error(), Some(RunError::RecordFailed { .. })));
    assert!(
        test.control()
            .status()
            .iter()
            .all(|g| g.state == GroupState::Stopped)
    );
    let ended = test.stop().await;
    assert!(matches!(ended, Err(RunError::RecordFailed { record, .. }) if record.offset.0 == 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_at_start_is_the_error_of_run() {
    let audit = || Handler::new("audit", |_: Text| async {});
    let builder = TestRuntime::builder().handlers([orders(), audit(), audit()]);
    let error = builder.start().await.unwrap_err();

    let RunError::Start(error) = error else {
        panic!("{error}");
    };
    let problems = &error.problems;
    assert!(
        problems
            .iter()
            .any(|p| matches!(p, Problem::MissingState { .. }))
    );
    assert!(
        problems
            .iter()
            .any(|p| matches!(p, Problem::TopicTwice { .. })),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn sleeping_and_hanging_calls_do_not_keep_it_from_being_idle() {
    let gate = Arc::new(Semaphore::new(0));
    let waiting = Arc::clone(&gate);
    let slow = Handler::new("slow", |_: Text| tokio::time::sleep(Duration::from_mins(3)));
    let hanging = Handler::new("hanging", move |_: Text| {
        let gate = Arc::clone(&waiting);
        async move { gate.acquire().await.unwrap().forget() }
    });
    let mut test = TestRuntime::builder()
        .handlers([slow, hanging])
        .start()
        .await
        .unwrap();
    test.produce("slow", value("1"));
    test.produce("hanging", value("1"));
    let real = Instant::now();

    test.idle().await;
    assert!(real.elapsed() < Duration::from_secs(5));
    assert!(test.handled("slow").is_empty() && test.handled("hanging").is_empty());

    test.advance(Duration::from_mins(3)).await;
    assert_eq!(test.handled("slow").len(), 1);
    assert!(
        test.events()
            .iter()
            .any(|e| matches!(e, TestEvent::CallHangs { offset: 0, .. }))
    );
    gate.add_permits(1);
    test.idle().await;
    assert_eq!(test.handled("hanging").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn blocking_work_is_waited_for() {
    let handler = Handler::new("files", |_: Text| async {
        tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(60))).await
    });
    let builder = TestRuntime::builder().handlers([handler]);
    let mut test = builder
        .patience(Duration::from_millis(200))
        .start()
        .await
        .unwrap();
    test.produce("files", value("1"));

    test.idle().await;

    assert_eq!(test.committed("files", 0), Some(1));
}

#[tokio::test(start_paused = true)]
async fn what_comes_from_another_thread_is_waited_for_until_a_condition_holds() {
    let handler = Handler::new("calls", |_: Text| async {
        let (send, answer) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            send.send(()).unwrap();
        });
        answer.await
    });
    let mut test = TestRuntime::builder()
        .handlers([handler])
        .start()
        .await
        .unwrap();
    test.produce("calls", value("1"));

    test.eventually("the call has ended", |test| {
        !test.handled("calls").is_empty()
    })
    .await;

    assert_eq!(test.committed("calls", 0), Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_feeds_itself_is_told() {
    let test = tokio::spawn(async {
        let echo = Handler::new("echo", |text: Text, producer: KafkaProducer| async move {
            let text = text.into_string().unwrap_or_default();
            producer
                .send_one("echo", MessagePayload::new(text))
                .await
                .map(drop)
        });
        let builder = TestRuntime::builder().handlers([echo]);
        let limit = Duration::from_millis(300);
        let mut test = builder.real_time_limit(limit).start().await.unwrap();
        test.produce("echo", value("1"));
        test.idle().await;
    });

    let panic = test.await.unwrap_err().into_panic();

    let message = panic.downcast_ref::<String>().unwrap();
    assert!(
        message.contains("idle() at") && message.contains("writes to a topic it reads"),
        "{message}"
    );
    assert!(message.contains("tests.rs:"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn a_blocking_task_that_never_ends_does_not_hang_the_test() {
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let test = tokio::spawn(async move {
        let builder = TestRuntime::builder().handlers([orders()]);
        let builder = builder.state(Seen::default());
        let limit = Duration::from_millis(200);
        let mut test = builder.real_time_limit(limit).start().await.unwrap();
        drop(tokio::task::spawn_blocking(move || ended.recv()));
        test.advance(Duration::from_secs(1)).await;
    });

    let panic = test.await.unwrap_err().into_panic();

    drop(end);
    let message = panic.downcast_ref::<String>().unwrap();
    assert!(
        message.contains("the clock is held by a blocking task"),
        "{message}"
    );
}

#[tokio::test(start_paused = true)]
async fn several_groups_are_asked_by_name() {
    let seen = Seen::default();
    let builder = TestRuntime::builder().state(seen.clone()).handlers([
        orders().group("billing"),
        Handler::new("orders", |_: Text| async {
            Err::<(), _>(PermanentError::new("no"))
        })
        .group("audit"),
    ]);
    let mut test = builder.topic("orders", 2).start().await.unwrap();
    test.produce("orders", MessagePayload::new("1").partition(1));
    test.idle().await;

    assert_eq!(test.in_group("billing").committed("orders", 1), Some(1));
    assert_eq!(test.in_group("audit").dead_letters("orders").len(), 1);
    assert_eq!(test.dead_letters("orders").len(), 1);
    assert_eq!(test.dead_letters("orders")[0].partition, 1);
    test.in_group("audit").revoke("orders", 0).await;
    assert_eq!(test.in_group("audit").status().partitions.len(), 1);
    assert_eq!(test.in_group("billing").status().partitions.len(), 2);
    // Billing has it still.
    test.assign("orders", 0).await;
    test.in_group("audit").lose().await;
    assert!(test.in_group("audit").status().partitions.is_empty());
    let ambiguous = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        test.committed("orders", 0);
    }));
    let message = ambiguous.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("in_group(\"audit\")"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn a_pattern_is_assigned_the_topics_that_appear() {
    let seen = Seen::default();
    let handler = Handler::matching("^orders[.]", on_order);
    let builder = TestRuntime::builder()
        .handlers([handler])
        .state(seen.clone());
    let mut test = builder.start().await.unwrap();
    test.create_topic("orders.eu", 2);
    test.produce("orders.eu", value("1"));

    test.idle().await;

    assert_eq!(seen.all(), ["1"]);
    assert_eq!(test.handled("orders.eu").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn handlers_write_to_the_same_broker() {
    let copy = Handler::new(
        "orders",
        |text: Text, key: Key<String>, kafka: KafkaProducer| async move {
            let copy = MessagePayload::new(text.into_string().unwrap()).key(key.0);
            kafka.send_one("audit", copy).await.map(drop)
        },
    );
    let seen = Seen::default();
    let audit = Handler::new("audit", on_order);
    let builder = TestRuntime::builder()
        .state(seen.clone())
        .handlers([copy, audit]);
    let mut test = builder.start().await.unwrap();
    test.produce("orders", value("1"));

    test.idle().await;

    let audit = test.records("audit");
    assert_eq!(
        (audit[0].text(), audit[0].key_text()),
        (Some("1"), Some("1"))
    );
    assert!(audit[0].timestamp_ms > 1_700_000_000_000);
    assert_eq!(seen.all(), ["1"]);
    assert!(test.records("nowhere").is_empty());
    let written = test.producer().send_one("elsewhere", value("2")).await;
    assert_eq!(written.unwrap().offset.0, 0);
}

#[tokio::test(start_paused = true)]
async fn control_pauses_resumes_and_shuts_down() {
    let seen = Seen::default();
    let mut test = started(&seen).await;
    test.control().pause("orders");
    test.idle().await;
    test.produce("orders", value("1"));
    test.idle().await;
    assert!(seen.all().is_empty());

    test.control().resume("orders");
    test.idle().await;
    assert_eq!(seen.all(), ["1"]);
    assert_eq!(test.control().lag().await.unwrap()[0].1, 0);

    test.control().shutdown();
    test.idle().await;
    assert_eq!(test.control().status()[0].state, GroupState::Stopped);
    test.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_service_whose_breaker_is_open_is_not_ready() {
    let is_broken = Arc::new(AtomicBool::new(true));
    let asked = Arc::clone(&is_broken);
    let handler = Handler::new("orders", move |_: Text| {
        let fails = asked.load(Atomic::Relaxed);
        async move { if fails { Err("no database") } else { Ok(()) } }
    })
    .with_name("on_order")
    .retry(Retry::NONE)
    .breaker(Breaker {
        ratio: 0.5,
        records: 4,
    });
    let builder = TestRuntime::builder().handlers([handler]);
    let mut test = builder.start().await.unwrap();
    test.idle().await;
    assert!(test.control().is_ready());

    for _ in 0..10 {
        test.produce("orders", value("1"));
    }
    test.idle().await;
    assert_eq!(test.control().status()[0].open_breakers, ["on_order"]);
    assert!(!test.control().is_ready());

    is_broken.store(false, Atomic::Relaxed);
    test.advance(Duration::from_mins(1)).await;
    assert!(test.control().is_ready());
    assert_eq!(test.committed("orders", 0), Some(10));
}

#[tokio::test(start_paused = true)]
async fn a_revoke_waits_for_its_calls_and_a_drain_timeout_drops_them() {
    let cancelled = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&cancelled);
    let handler = Handler::new("slow", move |_: Text, cancel: CancellationToken| {
        let cancelled = Arc::clone(&counted);
        async move {
            cancel.cancelled().await;
            cancelled.fetch_add(1, Atomic::Relaxed);
            std::future::pending::<()>().await;
        }
    });
    let mut test = TestRuntime::builder()
        .handlers([handler])
        .start()
        .await
        .unwrap();
    test.produce("slow", value("1"));
    test.idle().await;

    test.revoke("slow", 0).await;
    assert_eq!(test.control().status()[0].partitions.len(), 1);
    test.create_topic("slow", 2);
    test.advance(Duration::from_secs(6)).await;

    test.revoke("slow", 1).await;
    assert_eq!(test.control().status()[0].partitions.len(), 0);
    assert_eq!(cancelled.load(Atomic::Relaxed), 1);
    assert!(
        test.events()
            .iter()
            .any(|e| matches!(e, TestEvent::Revoked { dropped: 1, .. }))
    );
    assert_eq!(test.committed("slow", 0), None);
    test.assign("slow", 0).await;
    assert_eq!(test.control().status()[0].in_flight(), 1);
    // The grace passes on the test's clock.
    test.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_was_not_committed_before_a_loss_or_a_kill_is_handled_again() {
    let seen = Seen::default();
    let mut test = started(&seen).await;
    test.produce("orders", value("1"));
    test.idle().await;

    test.hold_commits();
    test.produce("orders", value("2"));
    test.idle().await;
    test.lose().await;
    assert_eq!(test.committed("orders", 0), Some(1));
    test.assign("orders", 0).await;
    assert_eq!(seen.all(), ["1", "2", "2"]);

    test.kill_and_restart().await.unwrap();
    assert_eq!(seen.all(), ["1", "2", "2", "2"]);
    assert_eq!(test.committed("orders", 0), Some(1));

    // A stop commits all the same.
    test.restart().await.unwrap();
    assert_eq!(test.committed("orders", 0), Some(2));
    assert_eq!(seen.all().len(), 4);
    test.release_commits();
    test.produce("orders", value("3"));
    test.idle().await;
    assert_eq!(test.committed("orders", 0), Some(3));
}

#[tokio::test(start_paused = true)]
async fn a_kill_drops_the_calls_that_run() {
    let running = Arc::new(());
    let held = Arc::clone(&running);
    let handler = Handler::new("slow", move |_: Text| {
        let held = Arc::clone(&held);
        async move {
            std::future::pending::<()>().await;
            drop(held);
        }
    });
    let mut test = TestRuntime::builder()
        .handlers([handler])
        .start()
        .await
        .unwrap();
    test.produce("slow", value("1"));
    test.idle().await;
    let before = Arc::strong_count(&running);

    test.kill_and_restart().await.unwrap();

    assert_eq!(Arc::strong_count(&running), before);
    assert_eq!(test.control().status()[0].in_flight(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refused_dead_letter_is_tried_again_and_holds_back_the_commit() {
    let mut test = started(&Seen::default()).await;
    let full = ProduceError::TimedOut {
        topic: "test.orders.dlq".into(),
    };
    test.refuse_writes("test.orders.dlq", full);
    test.produce("orders", value("worse"));
    test.advance(Duration::from_secs(3)).await;
    assert!(test.dead_letters("orders").is_empty());
    assert_eq!(test.committed("orders", 0), None);
    let delays = test.events().into_iter();
    assert!(
        delays
            .filter(|e| matches!(e, TestEvent::DeadLetterDelayed { .. }))
            .count()
            > 1
    );

    test.accept_writes("test.orders.dlq");
    test.advance(Duration::from_mins(1)).await;

    assert_eq!(test.dead_letters("orders").len(), 1);
    assert_eq!(test.committed("orders", 0), Some(1));
}

#[tokio::test(start_paused = true)]
async fn refused_commits_are_tried_again() {
    let mut test = started(&Seen::default()).await;
    test.refuse_commits(ClientError::TimedOut("test".into()));
    test.produce("orders", value("1"));
    test.idle().await;
    assert_eq!(test.committed("orders", 0), None);
    assert!(
        test.events()
            .iter()
            .any(|e| matches!(e, TestEvent::ClientError { .. }))
    );

    test.accept_commits();
    test.advance(Duration::from_secs(1)).await;

    assert_eq!(test.committed("orders", 0), Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_member_that_is_refused_as_none_handles_nothing_until_it_is_told() {
    let seen = Seen::default();
    let mut test = started(&seen).await;
    test.refuse_commits(ClientError::NotAMember("test".into()));
    test.produce("orders", value("1"));
    test.idle().await;
    test.produce("orders", value("2"));
    test.idle().await;
    assert_eq!(seen.all(), ["1"]);

    test.accept_commits();
    test.lose().await;
    test.assign("orders", 0).await;

    assert_eq!(seen.all(), ["1", "1", "2"]);
    assert_eq!(test.committed("orders", 0), Some(2));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_fetched_or_written_while_brokers_are_away() {
    let seen = Seen::default();
    let mut test = started(&seen).await;
    test.disconnect_brokers();
    test.produce("orders", value("1"));
    let producer = test.producer();
    let write = tokio::spawn(async move { producer.send_one("audit", value("2")).await });
    test.advance(Duration::from_secs(30)).await;
    assert!(seen.all().is_empty() && test.records("audit").is_empty());
    let unreachable = test.control().status()[0].last_error.clone();
    assert!(matches!(unreachable, Some(ClientError::Unreachable(_))));

    test.reconnect_brokers();
    test.advance(Duration::from_secs(2)).await;

    assert_eq!(seen.all(), ["1"]);
    assert_eq!(test.committed("orders", 0), Some(1));
    assert_eq!(test.control().status()[0].last_error, None);
    assert!(write.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn retention_that_overtakes_a_group_is_an_offset_out_of_range() {
    let mut test = started(&Seen::default()).await;
    test.produce("orders", value("1"));
    test.idle().await;
    test.revoke("orders", 0).await;
    test.produce("orders", value("2"));
    test.produce("orders", value("3"));

    test.delete_records("orders", 0, 2);
    test.assign("orders", 0).await;

    let ended = test.stop().await;
    let out_of_range = |error: &RunError| {
        matches!(
            error,
            RunError::Client {
                source: ClientError::OffsetOutOfRange(_),
                ..
            }
        )
    };
    assert!(ended.as_ref().is_err_and(out_of_range), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn time_that_passes_outside_of_the_kit_is_no_suspended_process() {
    let seen = Seen::default();
    let mut test = started(&seen).await;
    tokio::time::sleep(Duration::from_hours(1)).await;
    test.produce("orders", value("1"));

    test.idle().await;

    assert_eq!(seen.all(), ["1"]);
    assert!(
        !test
            .events()
            .iter()
            .any(|e| matches!(e, TestEvent::Fenced { .. }))
    );
}

#[tokio::test(start_paused = true)]
async fn only_some_of_the_handlers_with_variables_of_their_own() {
    let seen = Seen::default();
    let templated = Handler::new("${KIT_TEST_TOPIC:other}", on_order).with_name("templated");
    let builder = TestRuntime::builder()
        .handlers([orders(), templated])
        .state(seen.clone());
    let builder = builder.only(["templated"]).env("KIT_TEST_TOPIC", "mine");
    let mut test = builder.start().await.unwrap();
    test.produce("mine", value("1"));
    test.idle().await;

    assert_eq!(seen.all(), ["1"]);
    let unknown = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        test.produce("orders", value("1"));
    }));
    let message = unknown.unwrap_err().downcast::<String>().unwrap();
    assert!(
        message.contains("test.create_topic(\"orders\", 1)"),
        "{message}"
    );
}

#[tokio::test(start_paused = true)]
async fn memory_that_is_full_pauses_and_goes_on() {
    let seen = Seen::default();
    let config = Config::new().group_id("small").max_in_flight_records(4);
    let handler = Handler::new("slow", |_: Text| tokio::time::sleep(Duration::from_secs(1)));
    let builder = TestRuntime::builder().handlers([handler.concurrency(2)]);
    let mut test = builder.config(config).state(seen).start().await.unwrap();
    for n in 0..20 {
        test.produce("slow", value(&n.to_string()));
        test.idle().await;
    }
    assert!(
        test.events()
            .iter()
            .any(|e| matches!(e, TestEvent::Paused { .. }))
    );

    test.advance(Duration::from_mins(1)).await;

    assert_eq!(test.committed("slow", 0), Some(20));
}

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct User {
    id: i64,
    email: String,
}

fn user(email: &str) -> User {
    User {
        id: 7,
        email: email.to_owned(),
    }
}

#[tokio::test(start_paused = true)]
async fn records_of_debezium_arrive_as_events() {
    let seen = Seen::default();
    let handler = Handler::new(
        "auth.public.users",
        |event: Option<DatabaseEvent<User>>,
         key: Key<Option<serde_json::Value>>,
         State(seen): State<Seen>| async move {
            let Some(event) = event else {
                return seen.push(format!("tombstone {:?}", key.0.map(|key| key.to_string())));
            };
            assert_eq!(event.source.table, "users");
            seen.push(match event.change {
                Change::Create { after } => format!("c {}", after.email),
                Change::Read { after } => format!("r {}", after.email),
                Change::Update { before, after } => {
                    let before = before.map(|before| before.parse().unwrap().email);
                    format!("u {before:?} {}", after.email)
                }
                Change::Delete { before } => format!("d {}", before.unwrap().parse().unwrap().id),
                other => format!("{other:?}"),
            });
        },
    );
    let builder = TestRuntime::builder()
        .handlers([handler])
        .state(seen.clone());
    let mut test = builder.start().await.unwrap();
    let (users, ada) = (Table::new("auth.public.users"), user("a@b.c"));
    for payload in [
        users.read(&ada),
        users.create(&ada),
        users.update(&ada, &user("x@y.z")),
        users.update(&(), &user("x@y.z")),
        users.delete(&ada),
        users.tombstone(&ada),
        users.truncate(),
    ] {
        test.produce(users.topic(), payload);
        test.idle().await;
    }

    assert_eq!(
        seen.all(),
        [
            "r a@b.c",
            "c a@b.c",
            "u Some(\"a@b.c\") x@y.z",
            "u None x@y.z",
            "d 7",
            "tombstone Some(\"{\\\"id\\\":7}\")",
            "Truncate",
        ]
    );
}

#[test]
fn events_by_hand_have_rows_and_a_source() {
    let event = DatabaseEvent::update((), user("x@y.z")).in_table("auth.public.users");
    assert!(event.before().is_none());
    assert_eq!(
        (&*event.source.schema, &*event.source.db),
        ("public", "auth")
    );
    assert!(event.source.lsn.is_some() && event.ts_ms.is_some());

    let event = DatabaseEvent::<User>::delete(user("x@y.z")).at_ms(5);
    assert_eq!(event.before().unwrap().parse().unwrap(), user("x@y.z"));
    assert_eq!((event.ts_ms, event.source.ts_ms), (Some(5), Some(5)));
}

#[tokio::test]
async fn a_handler_is_called_by_hand_with_every_extractor() {
    async fn handle(
        _: Text,
        Key(key): Key<String>,
        headers: Headers,
        meta: RecordMetadata,
        State(seen): State<Seen>,
        kafka: KafkaProducer,
        cancel: CancellationToken,
    ) -> Result<(), ProduceError> {
        seen.push(format!("{key} {} {}", headers.len(), meta.group()));
        assert!(!cancel.is_cancelled());
        kafka.send_one("out", value("done")).await.map(drop)
    }
    let (seen, kafka) = (Seen::default(), TestProducer::new());
    let record = Record::for_test("in", None, None)
        .with_place(3, 41)
        .with_timestamp(Timestamp::CreateTime(5));
    let meta = HandlerContext::for_test()
        .with_group("billing")
        .with_attempt(2)
        .metadata(&record);
    assert_eq!(
        (meta.partition(), meta.offset(), meta.attempt()),
        (3, 41, 2)
    );

    let headers = Headers::for_test(&[("a", b"1")]);
    let (state, producer) = (State(seen.clone()), kafka.producer());
    let text = Text::new("x");
    handle(
        text,
        Key("k".into()),
        headers,
        meta,
        state,
        producer,
        CancellationToken::new(),
    )
    .await
    .unwrap();

    assert_eq!(seen.all(), ["k 1 billing"]);
    assert_eq!(kafka.records("out")[0].text(), Some("done"));
}

#[tokio::test(start_paused = true)]
async fn the_report_says_what_happened() {
    let mut test = started(&Seen::default()).await;
    test.produce("orders", value("worse"));
    test.idle().await;

    let report = test.to_string();

    assert!(
        report.contains("group test was assigned orders[0]"),
        "{report}"
    );
    assert!(
        report.contains("orders[0]@0 given up by on_order after 1 attempts (permanent): never"),
        "{report}"
    );
    assert!(
        report.contains("group test: Running; orders[0] committed 1"),
        "{report}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_pattern_does_not_catch_what_its_own_group_writes() {
    let handler = Handler::matching("^.*orders.*", |_: Text| async { Err::<(), _>("no") })
        .retry(Retry::NONE)
        .retry_topics([Duration::from_secs(1)]);
    let mut test = TestRuntime::builder()
        .handlers([handler])
        .topic("orders", 1)
        .topic("orders.dlq", 1)
        .start()
        .await
        .unwrap();

    test.produce("orders", MessagePayload::new("x"));
    test.produce("orders.dlq", MessagePayload::new("not ours"));
    for _ in 0..6 {
        test.idle().await;
        test.advance(Duration::from_secs(1)).await;
    }

    assert_eq!(test.dead_letters("orders").len(), 1);
    assert_eq!(test.dead_letters("orders.dlq").len(), 1);
    assert_eq!(
        test.brokers.topics(),
        [
            "orders",
            "orders.dlq",
            "test.orders.dlq",
            "test.orders.dlq.dlq",
            "test.orders.dlq.retry.1s",
            "test.orders.retry.1s",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_parked_record_comes_back_when_it_is_due_and_its_key_follows_it() {
    let seen = Seen::default();
    let handler = orders()
        .retry(Retry::NONE)
        .retry_topics([Duration::from_mins(1)]);
    let builder = TestRuntime::builder().handlers([handler]);
    let mut test = builder.state(seen.clone()).start().await.unwrap();
    let of_key = |value: &str| MessagePayload::new(value).key("7");

    test.produce("orders", of_key("bad"));
    test.produce("orders", of_key("later"));
    test.produce("orders", value("other"));
    test.idle().await;
    assert_eq!(seen.all(), ["bad", "other"]);
    let parked = test.parked("orders");
    let of = |n: usize| (parked[n].record.text(), parked[n].attempts, parked[n].class);
    assert_eq!(of(0), (Some("bad"), 1, Some(FailureKind::Unclassified)));
    assert_eq!(of(1), (Some("later"), 0, None));
    assert_eq!(test.committed("orders", 0), Some(3));

    test.advance(Duration::from_mins(2)).await;
    assert_eq!(seen.all(), ["bad", "other", "bad", "later"]);
    assert_eq!(test.dead_letters("orders")[0].attempts, 2);
    test.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_record_of_a_batch_that_failed_is_tried_again_alone() {
    let sizes = Seen::default();
    let handler = {
        let sizes = sizes.clone();
        Handler::batch("orders", move |batch: Batch<Text>| {
            sizes.push(batch.len().to_string());
            let verdict = |text: &Text| match text.as_str() {
                Some("bad") => Err("no"),
                _ => Ok(()),
            };
            let outcome: BatchOutcome = batch.payloads().map(verdict).collect();
            async { outcome }
        })
    };
    let handler = handler.linger(Duration::ZERO).retry(Retry {
        attempts: 2,
        ..Retry::DEFAULT
    });
    let mut test = TestRuntime::builder()
        .handlers([handler])
        .start()
        .await
        .unwrap();

    for text in ["a", "bad", "b"] {
        test.produce("orders", value(text));
    }
    test.idle().await;
    assert_eq!(test.committed("orders", 0), Some(1));
    test.advance(Duration::from_secs(1)).await;

    assert_eq!(sizes.all(), ["3", "1"]);
    assert_eq!(test.dead_letters("orders")[0].record.text(), Some("bad"));
    assert_eq!(test.committed("orders", 0), Some(3));
}

#[tokio::test(start_paused = true)]
async fn a_damaged_record_puts_its_partition_aside_until_it_is_repaired() {
    let seen = Seen::default();
    let builder = TestRuntime::builder()
        .handlers([orders()])
        .topic("orders", 2);
    let mut test = builder.state(seen.clone()).start().await.unwrap();
    test.damage_record("orders", 0, 1);

    for text in ["a", "b"] {
        test.produce("orders", value(text).partition(0));
    }
    test.idle().await;
    test.advance(Duration::from_secs(20)).await;
    test.produce("orders", value("c").partition(1));
    test.idle().await;
    assert_eq!(seen.all(), ["a", "c"]);
    assert!(!test.control().is_ready());
    assert_eq!(test.committed("orders", 0), Some(1));

    test.repair_record("orders", 0, 1);
    test.advance(Duration::from_mins(2)).await;
    assert_eq!(seen.all(), ["a", "c", "b"]);
    assert!(test.control().is_ready());
}
