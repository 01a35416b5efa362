//! What a handler may take, by attribute and by hand, and which calls may run side by side.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_runtime::{
    CancellationToken, Change, DatabaseEvent, DecodeError, FromRecord, Handler, Headers, Json,
    JsonOrText, KafkaProducer, Key, MessagePayload, Ordering, Raw, Record, RecordMetadata, Runtime,
    State, Text, topic_handler,
};
use serde::Deserialize;
use test_support::{KafkaCluster, NewRecord, Suite, TestResult, Topics, eventually, unique_name};
use tokio::sync::{Barrier, Semaphore};

use crate::common::{
    Gauge, LIMIT, Log, Running, attribute_handler, committed, config, create, random, start,
};

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .rig_test(
            "handlers::one_handler_takes_everything_there_is",
            one_handler_takes_everything,
        )
        .rig_test(
            "handlers::a_payload_may_borrow_from_the_record",
            a_payload_may_borrow,
        )
        .rig_test("handlers::decode_names_a_function", decode_names_a_function)
        .test(
            "handlers::every_change_of_a_database_arrives",
            every_change_of_a_database_arrives,
        )
        .test("handlers::a_tombstone_is_none", a_tombstone_is_none)
        .test("handlers::json_text_raw_and_both", json_text_raw_and_both)
        .test(
            "handlers::an_own_type_decodes_itself",
            an_own_type_decodes_itself,
        )
        .test(
            "handlers::records_of_a_key_are_handled_in_order",
            records_of_a_key_in_order,
        )
        .test(
            "handlers::a_key_does_not_wait_for_another",
            a_key_does_not_wait_for_another,
        )
        .test(
            "handlers::ordering_partition_runs_one_at_a_time",
            ordering_partition,
        )
        .test("handlers::ordering_none_waits_for_nothing", ordering_none)
        .test(
            "handlers::concurrency_is_reached_and_never_exceeded",
            concurrency_is_a_bound,
        )
        .test(
            "handlers::partitions_share_the_concurrency",
            partitions_share_the_concurrency,
        )
        .test(
            "handlers::the_first_record_comes_soon",
            the_first_record_comes_soon,
        )
}

#[derive(Debug, Deserialize)]
struct User {
    id: i64,
    email: String,
}

#[derive(Debug, Deserialize)]
struct UserKey {
    id: i64,
}

type Seen = Log<String>;

#[topic_handler(
    "it.public.users",
    group = "it-everything",
    ordering = "key",
    concurrency = 256,
    timeout = "30s",
    retry(attempts = 8, initial = "100ms", max = "30s"),
    on_failure = "dead_letter",
    dead_letter = "it-everything.users.dlq"
)]
async fn on_user(
    event: DatabaseEvent<User>,
    key: Key<UserKey>,
    headers: Headers,
    record: RecordMetadata,
    seen: State<Seen>,
    producer: KafkaProducer,
    cancel: CancellationToken,
) -> anyhow::Result<()> {
    let Change::Create { after } = &event.change else {
        anyhow::bail!("not a create");
    };
    let trace = headers.get("trace").map(String::from_utf8_lossy);
    producer
        .send_one(
            "it.greetings",
            MessagePayload::new(format!("hello {}", after.email)).key("7"),
        )
        .await?;
    seen.push(format!(
        "{} {} key {} table {} trace {:?} of {} at {}[{}]@{} {:?} attempt {} in {} cancelled {}",
        after.id,
        after.email,
        key.0.id,
        event.source.table,
        trace.as_deref(),
        headers.len(),
        record.topic(),
        record.partition(),
        record.offset(),
        record.timestamp().millis(),
        record.attempt(),
        record.group(),
        cancel.is_cancelled(),
    ));
    Ok(())
}

async fn one_handler_takes_everything(cluster: &KafkaCluster) -> TestResult {
    let topics = create(cluster, "it.public.users", 1).await?;
    topics.create("it.greetings", 1).await?;
    topics
        .produce(
            NewRecord::to("it.public.users")
                .key(r#"{"id":7}"#)
                .value(
                    r#"{"before":null,"after":{"id":7,"email":"a@b.c"},"op":"c","ts_ms":1,
                        "source":{"schema":"public","table":"users"}}"#,
                )
                .header("trace", "t-1")
                .header("other", "x")
                .timestamp(1_700_000_000_000),
        )
        .await?;
    let seen = Seen::default();

    let running = Running::start(
        Runtime::builder()
            .config(config(cluster, "unused"))
            .state(seen.clone())
            .handlers([attribute_handler("on_user")?]),
    )?;

    assert_eq!(
        seen.reaches(1).await?,
        [
            "7 a@b.c key 7 table users trace Some(\"t-1\") of 2 at it.public.users[0]@0 \
             Some(1700000000000) attempt 1 in it-everything cancelled false"
        ]
    );
    let greetings = topics.read_all("it.greetings").await?;
    assert_eq!(greetings[0].value_text(), "hello a@b.c");
    running.stop().await?;
    committed(&topics, "it-everything", "it.public.users", &[1]).await
}

#[derive(Deserialize)]
struct Note<'a> {
    #[serde(borrow)]
    text: Cow<'a, str>,
}

#[topic_handler("it.notes", group = "it-notes")]
async fn on_note(note: Note<'_>, seen: State<Seen>) {
    tokio::task::yield_now().await;
    let kind = match note.text {
        Cow::Borrowed(_) => "borrowed",
        Cow::Owned(_) => "owned",
    };
    seen.push(format!("{kind} {}", note.text));
}

async fn a_payload_may_borrow(cluster: &KafkaCluster) -> TestResult {
    let topics = create(cluster, "it.notes", 1).await?;
    for text in [r#"{"text":"plain"}"#, r#"{"text":"with \"escape\""}"#] {
        topics
            .produce(NewRecord::to("it.notes").key("k").value(text))
            .await?;
    }
    let seen = Seen::default();

    let running = Running::start(
        Runtime::builder()
            .config(config(cluster, "unused"))
            .state(seen.clone())
            .handlers([attribute_handler("on_note")?]),
    )?;

    let expected = ["borrowed plain", "owned with \"escape\""];
    assert_eq!(seen.reaches(2).await?, expected);
    running.stop().await
}

struct Csv(Vec<String>);

fn csv(record: &Record) -> Result<Csv, DecodeError> {
    let text = Text::from_record(record)?.into_string().unwrap_or_default();
    Ok(Csv(text.split(',').map(str::to_owned).collect()))
}

#[topic_handler("it.csv", group = "it-csv", decode = csv)]
async fn on_csv(row: Csv, seen: State<Seen>) {
    seen.push(row.0.join("|"));
}

async fn decode_names_a_function(cluster: &KafkaCluster) -> TestResult {
    let topics = create(cluster, "it.csv", 1).await?;
    topics
        .produce(NewRecord::to("it.csv").value("a,b,c"))
        .await?;
    let seen = Seen::default();

    let running = Running::start(
        Runtime::builder()
            .config(config(cluster, "unused"))
            .state(seen.clone())
            .handlers([attribute_handler("on_csv")?]),
    )?;

    assert_eq!(seen.reaches(1).await?, ["a|b|c"]);
    running.stop().await
}

async fn every_change_of_a_database_arrives(cluster: &KafkaCluster) -> TestResult {
    let (topic, group) = (unique_name("changes"), unique_name("group"));
    let topics = create(cluster, &topic, 1).await?;
    let row = |id: i32| format!(r#"{{"id":{id},"email":"x"}}"#);
    for event in [
        format!(r#"{{"before":null,"after":{},"op":"r"}}"#, row(1)),
        format!(r#"{{"before":null,"after":{},"op":"c"}}"#, row(2)),
        format!(r#"{{"before":{},"after":{},"op":"u"}}"#, row(3), row(4)),
        format!(r#"{{"before":{},"after":null,"op":"d"}}"#, row(5)),
        r#"{"op":"t","source":{}}"#.to_owned(),
        r#"{"op":"z","source":{}}"#.to_owned(),
    ] {
        topics
            .produce(NewRecord::to(&topic).key("k").value(event))
            .await?;
    }
    let seen = Seen::default();

    let log = seen.clone();
    let handler = Handler::new(&topic, move |event: DatabaseEvent<User>| {
        let log = log.clone();
        async move {
            let code = event.op().code();
            let id = event.after().map(|row| row.id);
            let before = event
                .before()
                .map(|row| row.parse().map(|row: User| row.id));
            log.push(format!("{code} {id:?} {:?}", before.transpose()?));
            Ok::<_, DecodeError>(())
        }
    });
    let running = start(cluster, &group, [handler])?;

    assert_eq!(
        seen.reaches(6).await?,
        [
            "r Some(1) None",
            "c Some(2) None",
            "u Some(4) Some(3)",
            "d None Some(5)",
            "t None None",
            "? None None"
        ]
    );
    running.stop().await
}

async fn a_tombstone_is_none(cluster: &KafkaCluster) -> TestResult {
    let (topic, group) = (unique_name("tombstones"), unique_name("group"));
    let topics = create(cluster, &topic, 1).await?;
    topics
        .produce(
            NewRecord::to(&topic)
                .key("7")
                .value(r#"{"id":7,"email":"e"}"#),
        )
        .await?;
    topics.produce(NewRecord::to(&topic).key("7")).await?;
    let seen = Seen::default();

    let log = seen.clone();
    let handler = Handler::new(&topic, move |user: Option<User>, Key(key): Key<i64>| {
        let log = log.clone();
        async move { log.push(format!("{key} {:?}", user.map(|user| user.id))) }
    });
    let running = start(cluster, &group, [handler])?;

    assert_eq!(seen.reaches(2).await?, ["7 Some(7)", "7 None"]);
    running.stop().await
}

/// Runs a handler over values of one key; returns what it logged.
async fn handled<Args: 'static>(
    cluster: &KafkaCluster,
    values: &[Option<&[u8]>],
    handler: impl AsyncHandler<Args>,
) -> Result<Vec<String>, crate::common::BoxError> {
    let (topic, group) = (unique_name("payloads"), unique_name("group"));
    let topics = create(cluster, &topic, 1).await?;
    for value in values {
        let record = NewRecord::to(&topic).key("k");
        let record = match value {
            Some(value) => record.value(*value),
            None => record,
        };
        topics.produce(record).await?;
    }
    let seen = Seen::default();
    let running = start(cluster, &group, [handler.on(&topic, seen.clone())])?;
    let entries = seen.reaches(values.len()).await?;
    running.stop().await?;
    Ok(entries)
}

/// Makes a handler of a function from payload to text.
trait AsyncHandler<Args> {
    fn on(self, topic: &str, seen: Seen) -> Handler;
}

impl<T, F> AsyncHandler<(T,)> for F
where
    T: for<'m> FromRecord<'m> + Send + 'static,
    F: Fn(T) -> String + Send + Sync + 'static,
{
    fn on(self, topic: &str, seen: Seen) -> Handler {
        Handler::new(topic, move |payload: T| {
            seen.push(self(payload));
            std::future::ready(())
        })
    }
}

async fn json_text_raw_and_both(cluster: &KafkaCluster) -> TestResult {
    let json = handled(cluster, &[Some(b"[1,2]")], |Json(v): Json<Vec<u8>>| {
        format!("{v:?}")
    });
    assert_eq!(json.await?, ["[1, 2]"]);

    let text = handled(cluster, &[Some(b"hi"), Some(b""), None], |t: Text| {
        format!("{:?}", t.as_str())
    });
    assert_eq!(text.await?, ["Some(\"hi\")", "Some(\"\")", "None"]);

    let raw = handled(cluster, &[Some(&[0xff, 0]), Some(b""), None], |r: Raw| {
        format!("{:?}", r.bytes())
    });
    assert_eq!(raw.await?, ["Some([255, 0])", "Some([])", "None"]);

    let values: &[Option<&[u8]>] = &[Some(b"7"), Some(b"seven")];
    let both = handled(cluster, values, |v: JsonOrText<u8>| match v {
        JsonOrText::Json(number) => format!("json {number}"),
        JsonOrText::Text(text) => format!("text {text}"),
    });
    assert_eq!(both.await?, ["json 7", "text seven"]);
    Ok(())
}

struct Reading(u32);

impl FromRecord<'_> for Reading {
    fn from_record(record: &Record) -> Result<Self, DecodeError> {
        let bytes = record
            .value()
            .ok_or(DecodeError::custom("a reading has a value"))?;
        let bytes = bytes
            .try_into()
            .map_err(|_| DecodeError::custom("a reading has 4 bytes"))?;
        Ok(Self(u32::from_be_bytes(bytes)))
    }
}

async fn an_own_type_decodes_itself(cluster: &KafkaCluster) -> TestResult {
    let entries = handled(cluster, &[Some(&[0, 0, 1, 2])], |r: Reading| {
        r.0.to_string()
    })
    .await?;

    assert_eq!(entries, ["258"]);
    Ok(())
}

/// Writes `numbers` records of each key, the keys taking turns; the value is the number.
async fn produce_numbers(topics: &Topics, topic: &str, keys: usize, numbers: usize) -> TestResult {
    let records = (0..numbers).flat_map(|number| {
        (0..keys).map(move |key| {
            NewRecord::to(topic)
                .key(format!("key-{key}"))
                .value(number.to_string())
        })
    });
    topics.produce_all(records).await?;
    Ok(())
}

async fn records_of_a_key_in_order(cluster: &KafkaCluster) -> TestResult {
    const KEYS: usize = 40;
    const NUMBERS: usize = 50;
    let (topic, group) = (unique_name("order"), unique_name("group"));
    let topics = create(cluster, &topic, 4).await?;
    produce_numbers(&topics, &topic, KEYS, NUMBERS).await?;
    let (log, gauge) = (Log::<(String, usize, bool)>::default(), Gauge::default());

    let (seen, running_calls) = (log.clone(), gauge.clone());
    let handler = Handler::new(&topic, move |number: usize, Key(key): Key<String>| {
        let (seen, running_calls) = (seen.clone(), running_calls.clone());
        async move {
            let _inside = running_calls.enter();
            seen.push((key.clone(), number, false));
            for _ in 0..random(4) {
                tokio::task::yield_now().await;
            }
            if random(8) == 0 {
                tokio::time::sleep(Duration::from_millis(random(4))).await;
            }
            seen.push((key, number, true));
        }
    });
    let running = start(cluster, &group, [handler])?;
    let entries = log.reaches(2 * KEYS * NUMBERS).await?;
    running.stop().await?;

    let mut by_key: BTreeMap<String, Vec<(usize, bool)>> = BTreeMap::new();
    for (key, number, is_end) in entries {
        by_key.entry(key).or_default().push((number, is_end));
    }
    // Each began after the one before it had ended, and none is missing or there twice.
    let expected: Vec<_> = (0..NUMBERS).flat_map(|n| [(n, false), (n, true)]).collect();
    assert_eq!(by_key.len(), KEYS);
    for (key, entries) in by_key {
        assert_eq!(entries, expected, "{key}");
    }
    assert!(gauge.most() > 4, "only {} at once", gauge.most());
    Ok(())
}

async fn a_key_does_not_wait_for_another(cluster: &KafkaCluster) -> TestResult {
    let (topic, group) = (unique_name("parallel"), unique_name("group"));
    let topics = create(cluster, &topic, 1).await?;
    for key in ["first", "second"] {
        topics
            .produce(NewRecord::to(&topic).key(key).value("0"))
            .await?;
    }
    let (log, second_is_done) = (Seen::default(), Arc::new(Semaphore::new(0)));

    let seen = log.clone();
    let handler = Handler::new(&topic, move |_: Raw, Key(key): Key<String>| {
        let (seen, done) = (seen.clone(), Arc::clone(&second_is_done));
        async move {
            if key == "first" {
                let _ = done.acquire().await;
            }
            seen.push(key);
            done.add_permits(1);
        }
    });
    let running = start(cluster, &group, [handler])?;

    assert_eq!(log.reaches(2).await?, ["second", "first"]);
    running.stop().await
}

async fn ordering_partition(cluster: &KafkaCluster) -> TestResult {
    let (topic, group) = (unique_name("by-partition"), unique_name("group"));
    let topics = create(cluster, &topic, 2).await?;
    produce_numbers(&topics, &topic, 20, 20).await?;
    let (log, gauges) = (
        Log::<(i32, i64)>::default(),
        [Gauge::default(), Gauge::default()],
    );

    let (seen, inside) = (log.clone(), gauges.clone());
    let handler = Handler::new(&topic, move |_: Raw, record: RecordMetadata| {
        let (seen, inside) = (seen.clone(), inside.clone());
        async move {
            let _inside = inside[usize::from(record.partition() == 1)].enter();
            tokio::task::yield_now().await;
            seen.push((record.partition(), record.offset()));
        }
    })
    .ordering(Ordering::Partition);
    let running = start(cluster, &group, [handler])?;
    let entries = log.reaches(400).await?;
    running.stop().await?;

    assert_eq!(gauges.each_ref().map(Gauge::most), [1, 1]);
    for partition in [0, 1] {
        let offsets: Vec<_> = entries.iter().filter(|(p, _)| *p == partition).collect();
        assert!(!offsets.is_empty());
        let expected = (0_i64..).map(|offset| (partition, offset));
        assert!(
            offsets
                .into_iter()
                .copied()
                .eq(expected.take(entries.iter().filter(|(p, _)| *p == partition).count()))
        );
    }
    Ok(())
}

async fn ordering_none(cluster: &KafkaCluster) -> TestResult {
    let (topic, group) = (unique_name("unordered"), unique_name("group"));
    let topics = create(cluster, &topic, 1).await?;
    produce_numbers(&topics, &topic, 1, 2).await?;
    let (log, second_is_done) = (Log::<u8>::default(), Arc::new(Semaphore::new(0)));

    let seen = log.clone();
    let handler = Handler::new(&topic, move |number: u8| {
        let (seen, done) = (seen.clone(), Arc::clone(&second_is_done));
        async move {
            if number == 0 {
                let _ = done.acquire().await;
            }
            seen.push(number);
            done.add_permits(1);
        }
    })
    .ordering(Ordering::None);
    let running = start(cluster, &group, [handler])?;

    assert_eq!(log.reaches(2).await?, [1, 0]);
    running.stop().await?;
    committed(&topics, &group, &topic, &[2]).await
}

async fn concurrency_is_a_bound(cluster: &KafkaCluster) -> TestResult {
    let (topic, group) = (unique_name("bound"), unique_name("group"));
    let topics = create(cluster, &topic, 3).await?;
    produce_numbers(&topics, &topic, 30, 2).await?;
    let (log, gauge) = (Log::<()>::default(), Gauge::default());
    // Only if three run at once, always, does it ever open twenty times.
    let three = Arc::new(Barrier::new(3));

    let (seen, inside) = (log.clone(), gauge.clone());
    let handler = Handler::new(&topic, move |_: Raw| {
        let (seen, inside, three) = (seen.clone(), inside.clone(), Arc::clone(&three));
        async move {
            let _inside = inside.enter();
            three.wait().await;
            tokio::task::yield_now().await;
            seen.push(());
        }
    })
    .ordering(Ordering::None)
    .concurrency(3);
    let running = start(cluster, &group, [handler])?;
    log.reaches(60).await?;
    running.stop().await?;

    assert_eq!(gauge.most(), 3);
    Ok(())
}

async fn partitions_share_the_concurrency(cluster: &KafkaCluster) -> TestResult {
    let (topic, group) = (unique_name("fair"), unique_name("group"));
    let topics = create(cluster, &topic, 4).await?;
    for partition in 0..4 {
        let records = (0..300).map(|n| {
            let record = NewRecord::to(&topic).partition(partition);
            record.key(n.to_string()).value("x")
        });
        topics.produce_all(records).await?;
    }
    let log = Log::<i32>::default();

    let seen = log.clone();
    let handler = Handler::new(&topic, move |_: Raw, at: RecordMetadata| {
        let seen = seen.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            seen.push(at.partition());
        }
    })
    .concurrency(2);
    let running = start(cluster, &group, [handler])?;
    // Long before one of them could be done, each has had a good share.
    let entries = log.reaches(290).await?;
    running.stop().await?;

    for partition in 0..4 {
        let count = entries.iter().filter(|p| **p == partition).count();
        assert!(count > 20, "{count} of partition {partition} so far");
    }
    Ok(())
}

async fn the_first_record_comes_soon(cluster: &KafkaCluster) -> TestResult {
    let (topic, group) = (unique_name("soon"), unique_name("group"));
    let topics = create(cluster, &topic, 1).await?;
    topics.produce(NewRecord::to(&topic).value("1")).await?;
    let log = Log::<Duration>::default();
    let begun = Instant::now();

    let seen = log.clone();
    let handler = Handler::new(&topic, move |_: Raw| {
        seen.push(begun.elapsed());
        std::future::ready(())
    });
    let running = start(cluster, &group, [handler])?;
    eventually(LIMIT, async || log.len() == 1).await?;
    let took = log.all()[0];
    running.stop().await?;

    #[expect(
        clippy::print_stderr,
        reason = "a figure to watch, too coarse to assert"
    )]
    {
        eprintln!("from run() to the first record: {took:?}");
    }
    assert!(took < Duration::from_secs(10), "{took:?}");
    Ok(())
}
