//! Records that fail: tried again, parked, skipped, or the end of the run.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering as Atomic};
use std::time::Duration;

use kafka_runtime::{
    Classify, DEAD_LETTER_HEADER_PREFIX, ErrorClass, FailurePolicy, Handler, Key, Outcome,
    PermanentError, Raw, RecordMetadata, Retry, RetryableError, RunError, Runtime, State, Text,
    classify, topic_handler,
};
use test_support::{
    KafkaCluster, NewRecord, StoredRecord, Suite, TestResult, Topics, eventually, unique_name,
};
use tokio::sync::Semaphore;

use crate::common::{
    BoxError, Events, LIMIT, Log, Running, attribute_handler, committed, config, create, start,
};

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .test(
            "failure::a_failed_record_is_tried_again_and_its_key_waits",
            tried_again,
        )
        .test("failure::errors_decide_their_own_fate", errors_decide)
        .rig_test(
            "failure::an_error_type_of_a_handler_classifies_itself",
            typed_error,
        )
        .test("failure::a_handler_may_skip_a_record", handler_skips)
        .test(
            "failure::a_dead_letter_is_the_record_byte_for_byte",
            byte_for_byte,
        )
        .test(
            "failure::a_dead_letter_with_our_headers_gets_them_replaced",
            headers_are_replaced,
        )
        .test(
            "failure::dead_letter_topics_have_the_partitions_of_their_source",
            dead_letter_partitions,
        )
        .test(
            "failure::a_deleted_dead_letter_topic_is_created_again",
            deleted_dead_letter_topic,
        )
        .test(
            "failure::a_poison_key_does_not_stall_other_keys",
            poison_key,
        )
        .test(
            "failure::with_ordering_partition_a_failed_record_holds_its_partition",
            ordering_partition_waits,
        )
        .test("failure::policy_skip_goes_on", policy_skip)
        .test("failure::policy_stop_names_the_record", policy_stop)
        .test("failure::a_panic_is_that_records_failure", panics)
        .test("failure::an_attempt_has_a_timeout", timeouts)
}

pub(crate) fn quick(attempts: u32) -> Retry {
    Retry {
        attempts,
        initial: Duration::from_millis(20),
        max: Duration::from_millis(100),
    }
}

fn ours(record: &StoredRecord, name: &str) -> Option<String> {
    record.header_text(&format!("{DEAD_LETTER_HEADER_PREFIX}{name}"))
}

/// Waits until a topic has this many records; returns them.
pub(crate) async fn records(
    topics: &Topics,
    topic: &str,
    count: usize,
) -> Result<Vec<StoredRecord>, BoxError> {
    let mut found = Vec::new();
    eventually(LIMIT, async || {
        found = topics.read_all(topic).await.unwrap_or_default();
        found.len() >= count
    })
    .await?;
    Ok(found)
}

async fn tried_again(cluster: &KafkaCluster) -> TestResult {
    let (topic, group) = (unique_name("retry"), unique_name("group"));
    let topics = create(cluster, &topic, 1).await?;
    for value in ["fails", "waits"] {
        topics
            .produce(NewRecord::to(&topic).key("k").value(value))
            .await?;
    }
    let (log, events) = (Log::<String>::default(), Events::default());

    let seen = log.clone();
    let handler = Handler::new(&topic, move |text: Text, record: RecordMetadata| {
        let text = text.into_string().unwrap_or_default();
        seen.push(format!("{text} {}", record.attempt()));
        std::future::ready(if text == "fails" && record.attempt() < 4 {
            Err(format!("attempt {}", record.attempt()))
        } else {
            Ok(())
        })
    })
    .retry(quick(8));
    let builder = Runtime::builder()
        .config(config(cluster, &group))
        .handlers([handler])
        .observer(events.clone());
    let running = Running::start(builder)?;

    assert_eq!(
        log.reaches(5).await?,
        ["fails 1", "fails 2", "fails 3", "fails 4", "waits 1"]
    );
    assert_eq!(events.with("Retrying").len(), 3);
    committed(&topics, &group, &topic, &[2]).await?;
    running.stop().await
}

#[derive(Debug, thiserror::Error)]
#[error("the card was declined")]
struct Declined;

#[classify]
impl Classify for Declined {
    fn classify(&self) -> ErrorClass {
        ErrorClass::Permanent
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the database is busy")]
struct Busy;

impl Classify for Busy {
    fn classify(&self) -> ErrorClass {
        ErrorClass::Retryable
    }
}

async fn errors_decide(cluster: &KafkaCluster) -> TestResult {
    let (topic, group) = (unique_name("classes"), unique_name("group"));
    let topics = create(cluster, &topic, 1).await?;
    let kinds = [
        "permanent",
        "declined",
        "deep",
        "retryable",
        "busy",
        "plain",
    ];
    for kind in kinds {
        topics
            .produce(NewRecord::to(&topic).key(kind).value(kind))
            .await?;
    }

    let handler = Handler::new(&topic, |text: Text| async move {
        Err::<(), anyhow::Error>(match text.as_str() {
            Some("permanent") => PermanentError::new("no").into(),
            Some("declined") => anyhow::Error::from(Declined).context("while paying"),
            Some("deep") => anyhow::anyhow!("low")
                .context(PermanentError::new("no"))
                .context("up"),
            Some("retryable") => RetryableError::new("later").into(),
            Some("busy") => Busy.into(),
            _ => anyhow::anyhow!("says nothing"),
        })
    })
    .retry(quick(3));
    let builder = Runtime::builder()
        .config(config(cluster, &group))
        .handlers([handler])
        .classify::<Busy>();
    let running = Running::start(builder)?;
    let letters = records(&topics, &format!("{group}.{topic}.dlq"), kinds.len()).await?;
    running.stop().await?;

    let mut fates: Vec<_> = letters
        .iter()
        .map(|letter| {
            (
                letter.value_text(),
                ours(letter, "class"),
                ours(letter, "attempts"),
            )
        })
        .collect();
    fates.sort();
    let fate = |kind: &str, class: &str, attempts: &str| {
        (
            kind.to_owned(),
            Some(class.to_owned()),
            Some(attempts.to_owned()),
        )
    };
    assert_eq!(
        fates,
        [
            fate("busy", "retryable", "3"),
            fate("declined", "permanent", "1"),
            fate("deep", "permanent", "1"),
            fate("permanent", "permanent", "1"),
            fate("plain", "unclassified", "3"),
            fate("retryable", "retryable", "3"),
        ]
    );
    Ok(())
}

#[derive(Debug, thiserror::Error)]
#[error("refused")]
struct Refused;

impl Classify for Refused {
    fn classify(&self) -> ErrorClass {
        ErrorClass::Permanent
    }
}

/// Nobody registered `Refused`: the attribute sees that it classifies itself.
#[topic_handler("it.refused", group = "it-refused", on_failure = "skip")]
async fn refuses(_: Raw, attempts: State<Arc<AtomicUsize>>) -> Result<(), Refused> {
    attempts.fetch_add(1, Atomic::SeqCst);
    Err(Refused)
}

async fn typed_error(cluster: &KafkaCluster) -> TestResult {
    let topics = create(cluster, "it.refused", 1).await?;
    topics
        .produce(NewRecord::to("it.refused").value("x"))
        .await?;
    let attempts = Arc::new(AtomicUsize::new(0));

    let running = Running::start(
        Runtime::builder()
            .config(config(cluster, "unused"))
            .state(Arc::clone(&attempts))
            .handlers([attribute_handler("refuses")?]),
    )?;
    committed(&topics, "it-refused", "it.refused", &[1]).await?;
    running.stop().await?;

    assert_eq!(attempts.load(Atomic::SeqCst), 1);
    Ok(())
}

async fn handler_skips(cluster: &KafkaCluster) -> TestResult {
    let (topic, group) = (unique_name("skips"), unique_name("group"));
    let topics = create(cluster, &topic, 1).await?;
    topics.produce(NewRecord::to(&topic).value("x")).await?;
    let events = Events::default();

    let handler = Handler::new(&topic, |_: Raw| async { Outcome::skip("not for us") });
    let builder = Runtime::builder()
        .config(config(cluster, &group))
        .handlers([handler])
        .observer(events.clone());
    let running = Running::start(builder)?;
    committed(&topics, &group, &topic, &[1]).await?;
    running.stop().await?;

    let skipped = events.with("Skipped");
    assert_eq!(skipped.len(), 1);
    assert!(skipped[0].contains("not for us"), "{skipped:?}");
    assert!(
        topics
            .read_all(&format!("{group}.{topic}.dlq"))
            .await?
            .is_empty()
    );
    Ok(())
}

async fn byte_for_byte(cluster: &KafkaCluster) -> TestResult {
    let (topic, group) = (unique_name("bytes"), unique_name("group"));
    let topics = create(cluster, &topic, 1).await?;
    let with_all = NewRecord::to(&topic)
        .key([0, 0xff, b'k'])
        .value([0xfe, 0, 0xff])
        .header("trace", "first")
        .header("trace", [0xff, 0])
        .null_header("none")
        .header("empty", "")
        .timestamp(1_700_000_000_000);
    let with_nothing = NewRecord::to(&topic).timestamp(1_700_000_000_001);
    for record in [with_all, with_nothing] {
        topics.produce(record).await?;
    }

    let handler = Handler::new(&topic, |_: Raw| async { Err::<(), _>("secret text") })
        .with_name("refuse_all")
        .retry(quick(2));
    let running = start(cluster, &group, [handler])?;
    let mut letters = records(&topics, &format!("{group}.{topic}.dlq"), 2).await?;
    committed(&topics, &group, &topic, &[2]).await?;
    running.stop().await?;

    letters.sort_by_key(|letter| ours(letter, "offset"));
    let sources = topics.read_all(&topic).await?;
    for (source, letter) in sources.iter().zip(&letters) {
        assert_eq!((&letter.key, &letter.value), (&source.key, &source.value));
        let (theirs, added) = letter.headers.split_at(source.headers.len());
        assert_eq!(theirs, source.headers);
        assert!(
            added
                .iter()
                .all(|(name, _)| name.starts_with(DEAD_LETTER_HEADER_PREFIX))
        );
        let found: Vec<_> = [
            "topic",
            "partition",
            "offset",
            "timestamp",
            "group",
            "handler",
        ]
        .into_iter()
        .chain(["attempts", "class", "error"])
        .map(|name| ours(letter, name).unwrap_or_default())
        .collect();
        let (offset, timestamp) = (source.offset.to_string(), source.timestamp.unwrap_or(0));
        assert_eq!(
            found,
            [
                &topic,
                "0",
                &offset,
                &timestamp.to_string(),
                &group,
                "refuse_all",
                "2",
                "unclassified",
                ""
            ]
        );
    }
    Ok(())
}

async fn headers_are_replaced(cluster: &KafkaCluster) -> TestResult {
    let (topic, group) = (unique_name("forged"), unique_name("group"));
    let topics = create(cluster, &topic, 1).await?;
    let forged = format!("{DEAD_LETTER_HEADER_PREFIX}attempts");
    topics
        .produce(
            NewRecord::to(&topic)
                .header(&forged, "999")
                .header("kept", "1")
                .header(&forged, "998"),
        )
        .await?;

    let handler = Handler::new(&topic, |_: Raw| async { Err::<(), _>("no") })
        .retry(Retry::NONE)
        .dead_letter(format!("{group}.parked"));
    let running = start(cluster, &group, [handler])?;
    let letters = records(&topics, &format!("{group}.parked"), 1).await?;
    running.stop().await?;

    let named: Vec<_> = letters[0]
        .headers
        .iter()
        .filter(|(name, _)| *name == forged)
        .collect();
    assert_eq!(named, [&(forged.clone(), Some(b"1".to_vec()))]);
    assert_eq!(letters[0].header_text("kept").as_deref(), Some("1"));
    Ok(())
}

async fn dead_letter_partitions(cluster: &KafkaCluster) -> TestResult {
    let (topic, group) = (unique_name("parts"), unique_name("group"));
    let topics = create(cluster, &topic, 5).await?;

    let handler = Handler::new(&topic, |_: Raw| async {});
    let running = start(cluster, &group, [handler])?;
    running.is_assigned(5).await?;
    running.stop().await?;

    let found = topics.describe(&format!("{group}.{topic}.dlq")).await?;
    assert_eq!(found.map(|partitions| partitions.len()), Some(5));
    Ok(())
}

async fn deleted_dead_letter_topic(cluster: &KafkaCluster) -> TestResult {
    let (topic, group) = (unique_name("again"), unique_name("group"));
    let topics = create(cluster, &topic, 2).await?;
    let handler = Handler::new(&topic, |_: Raw| async { Err::<(), _>("no") }).retry(Retry::NONE);
    // For so long librdkafka believes that a missing topic is on its way; 30 s by default.
    let config = config(cluster, &group).property("topic.metadata.propagation.max.ms", "500");
    let running = Running::start(Runtime::builder().config(config).handlers([handler]))?;
    running.is_assigned(2).await?;
    let dead_letters = format!("{group}.{topic}.dlq");

    topics.delete(&dead_letters).await?;
    topics
        .produce(NewRecord::to(&topic).partition(0).value("x"))
        .await?;

    committed(&topics, &group, &topic, &[1]).await?;
    let found = topics.describe(&dead_letters).await?;
    assert_eq!(found.map(|partitions| partitions.len()), Some(2));
    assert_eq!(
        records(&topics, &dead_letters, 1).await?[0].value_text(),
        "x"
    );
    running.stop().await
}

async fn poison_key(cluster: &KafkaCluster) -> TestResult {
    let (topic, group) = (unique_name("poison"), unique_name("group"));
    let topics = create(cluster, &topic, 1).await?;
    let keys = ["poison", "a", "b", "poison", "a", "b"];
    for (number, key) in keys.iter().enumerate() {
        topics
            .produce(NewRecord::to(&topic).key(*key).value(number.to_string()))
            .await?;
    }
    let (log, cured) = (Log::<String>::default(), Arc::new(Semaphore::new(0)));

    let (seen, cure) = (log.clone(), Arc::clone(&cured));
    let handler = Handler::new(&topic, move |number: usize, Key(key): Key<String>| {
        let result = if key == "poison" && cure.available_permits() == 0 {
            Err("poison")
        } else {
            seen.push(format!("{key} {number}"));
            Ok(())
        };
        std::future::ready(result)
    })
    .retry(quick(100_000));
    let running = start(cluster, &group, [handler])?;

    let mut others = log.reaches(4).await?;
    others.sort();
    assert_eq!(others, ["a 1", "a 4", "b 2", "b 5"]);
    assert!(topics.committed_offsets(&group, &topic).await?.is_empty());
    cured.add_permits(1);
    assert_eq!(log.reaches(6).await?[4..], ["poison 0", "poison 3"]);
    committed(&topics, &group, &topic, &[6]).await?;
    running.stop().await
}

async fn ordering_partition_waits(cluster: &KafkaCluster) -> TestResult {
    let (topic, group) = (unique_name("blocks"), unique_name("group"));
    let topics = create(cluster, &topic, 1).await?;
    for number in 0..3 {
        let record = NewRecord::to(&topic)
            .key(number.to_string())
            .value(number.to_string());
        topics.produce(record).await?;
    }
    let log = Log::<(usize, u32)>::default();

    let seen = log.clone();
    let handler = Handler::new(&topic, move |number: usize, record: RecordMetadata| {
        seen.push((number, record.attempt()));
        std::future::ready(if number == 0 && record.attempt() < 3 {
            Err("no")
        } else {
            Ok(())
        })
    })
    .ordering(kafka_runtime::Ordering::Partition)
    .retry(quick(8));
    let running = start(cluster, &group, [handler])?;

    assert_eq!(
        log.reaches(5).await?,
        [(0, 1), (0, 2), (0, 3), (1, 1), (2, 1)]
    );
    running.stop().await
}

async fn policy_skip(cluster: &KafkaCluster) -> TestResult {
    let (topic, group) = (unique_name("skip"), unique_name("group"));
    let topics = create(cluster, &topic, 1).await?;
    for value in ["bad", "good"] {
        topics
            .produce(NewRecord::to(&topic).key("k").value(value))
            .await?;
    }
    let (log, events) = (Log::<String>::default(), Events::default());

    let seen = log.clone();
    let handler = Handler::new(&topic, move |text: Text| {
        seen.push(text.as_str().unwrap_or_default().to_owned());
        std::future::ready(if text.as_str() == Some("bad") {
            Err("no")
        } else {
            Ok(())
        })
    })
    .retry(quick(2))
    .on_failure(FailurePolicy::Skip);
    let builder = Runtime::builder()
        .config(config(cluster, &group))
        .handlers([handler])
        .observer(events.clone());
    let running = Running::start(builder)?;
    committed(&topics, &group, &topic, &[2]).await?;
    running.stop().await?;

    assert_eq!(log.all(), ["bad", "bad", "good"]);
    assert_eq!(events.with("Skipped").len(), 1);
    assert_eq!(
        topics.describe(&format!("{group}.{topic}.dlq")).await?,
        None
    );
    Ok(())
}

async fn policy_stop(cluster: &KafkaCluster) -> TestResult {
    let (topic, group) = (unique_name("stops"), unique_name("group"));
    let topics = create(cluster, &topic, 1).await?;
    topics.produce(NewRecord::to(&topic).value("x")).await?;

    let handler = Handler::new(&topic, |_: Raw| async { Err::<(), _>("out of ink") })
        .with_name("print")
        .retry(quick(3))
        .on_failure(FailurePolicy::Stop);
    let result = start(cluster, &group, [handler])?.ended().await?;

    let error = result.err().ok_or("it ended well")?;
    let RunError::RecordFailed {
        handler, record, ..
    } = &error
    else {
        return Err(error.into());
    };
    assert_eq!((handler.as_str(), record.offset.0), ("print", 0));
    let text = error.to_string();
    for part in ["print", topic.as_str(), "out of ink", "unclassified"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(topics.committed_offsets(&group, &topic).await?.is_empty());
    Ok(())
}

async fn panics(cluster: &KafkaCluster) -> TestResult {
    let (topic, group) = (unique_name("panics"), unique_name("group"));
    let topics = create(cluster, &topic, 1).await?;
    for value in ["at once", "later", "fine"] {
        topics
            .produce(NewRecord::to(&topic).key(value).value(value))
            .await?;
    }
    let log = Log::<String>::default();

    let seen = log.clone();
    let handler = Handler::new(&topic, move |text: Text| {
        let text = text.into_string().unwrap_or_default();
        // `resume_unwind` is a panic without a message on standard error.
        if text == "at once" {
            std::panic::resume_unwind(Box::new("before the future"));
        }
        let seen = seen.clone();
        async move {
            tokio::task::yield_now().await;
            if text == "later" {
                std::panic::resume_unwind(Box::new("inside the future"));
            }
            seen.push(text);
        }
    })
    .retry(quick(2));
    let running = start(cluster, &group, [handler])?;
    let letters = records(&topics, &format!("{group}.{topic}.dlq"), 2).await?;
    committed(&topics, &group, &topic, &[3]).await?;
    running.stop().await?;

    assert_eq!(log.all(), ["fine"]);
    for letter in letters {
        assert_eq!(ours(&letter, "class").as_deref(), Some("panic"));
        assert_eq!(ours(&letter, "attempts").as_deref(), Some("2"));
    }
    Ok(())
}

async fn timeouts(cluster: &KafkaCluster) -> TestResult {
    let (topic, group) = (unique_name("timeouts"), unique_name("group"));
    let topics = create(cluster, &topic, 1).await?;
    for value in ["hangs", "fine"] {
        topics
            .produce(NewRecord::to(&topic).key(value).value(value))
            .await?;
    }
    let log = Log::<String>::default();

    let seen = log.clone();
    let handler = Handler::new(&topic, move |text: Text| {
        let seen = seen.clone();
        async move {
            seen.push(text.as_str().unwrap_or_default().to_owned());
            if text.as_str() == Some("hangs") {
                std::future::pending::<()>().await;
            }
        }
    })
    .timeout(Duration::from_millis(100))
    .retry(quick(2));
    let running = start(cluster, &group, [handler])?;
    let letters = records(&topics, &format!("{group}.{topic}.dlq"), 1).await?;
    committed(&topics, &group, &topic, &[2]).await?;
    running.stop().await?;

    assert_eq!(ours(&letters[0], "class").as_deref(), Some("timeout"));
    assert_eq!(log.all().iter().filter(|text| *text == "hangs").count(), 2);
    Ok(())
}
