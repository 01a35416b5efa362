//! The imperative surface: clients by hand, handlers that come and go while it runs.

use std::time::Duration;

use kafka_runtime::{
    ClientOptions, ConnectRetry, ConsumerOptions, DatabaseEvent, Environment, Handler,
    KafkaManager, ManagerError, MessagePayload, ProducedRecord, ProducerOptions, Record, Retry,
    RunError, SubscribeOptions, Text,
};
use serde::{Deserialize, Serialize};
use test_support::{KafkaCluster, NewRecord, Suite, TestResult, eventually, unique_name};

use crate::common::{LIMIT, Log, committed, create};

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .rig_test(
            "imperative::the_program_of_the_contract_works",
            the_contract,
        )
        .test(
            "imperative::handlers_come_and_go_while_it_runs",
            handlers_come_and_go,
        )
        .test(
            "imperative::a_handler_that_is_replaced_goes_on_where_the_old_one_was",
            handler_is_replaced,
        )
        .test(
            "imperative::run_takes_records_as_they_are",
            run_takes_records,
        )
        .test("imperative::run_typed_decodes", run_typed_decodes)
        .test(
            "imperative::a_consumer_may_be_started_again",
            a_consumer_may_be_started_again,
        )
        .test("imperative::what_is_wrong_is_told", what_is_wrong_is_told)
        .test(
            "imperative::a_failed_record_is_parked_as_anywhere",
            parked_as_anywhere,
        )
}

pub(crate) fn manager(cluster: &KafkaCluster) -> KafkaManager {
    KafkaManager::new(ClientOptions {
        client_id: "your-service-name".into(),
        environment: Environment::Development,
        bootstrap_servers: Some(vec![cluster.bootstrap_servers().to_owned()]),
        ssl: false,
        retry: ConnectRetry {
            initial_retry_time: Duration::from_millis(100),
            retries: 8,
        },
        ..Default::default()
    })
}

fn group(group_id: &str) -> ConsumerOptions {
    ConsumerOptions {
        group_id: group_id.into(),
        ..Default::default()
    }
}

#[derive(Deserialize)]
struct Session {
    id: i64,
}

#[derive(Serialize)]
struct Login<'a> {
    user: &'a str,
}

async fn the_contract(cluster: &KafkaCluster) -> TestResult {
    let topics = create(cluster, "auth.public.sessions", 2).await?;
    topics.create("user.events", 3).await?;
    let row = r#"{"before":null,"after":{"id":7},"op":"c"}"#;
    topics
        .produce(NewRecord::to("auth.public.sessions").key("7").value(row))
        .await?;
    let log = Log::<Option<i64>>::default();
    let user_id = String::from("user-7");

    let manager = manager(cluster);
    let consumer = manager.create_consumer(
        "main",
        ConsumerOptions {
            group_id: "your-service-group".into(),
            session_timeout: Duration::from_secs(30),
            heartbeat_interval: Duration::from_secs(3),
            ..Default::default()
        },
    )?;
    let producer = manager.create_producer(
        "main",
        ProducerOptions {
            max_in_flight_requests: 1,
            idempotent: true,
            ..Default::default()
        },
    )?;
    assert!(!consumer.is_connected() && !consumer.is_running() && !producer.is_connected());

    consumer.connect().await?;
    assert!(consumer.is_connected());
    let seen = log.clone();
    consumer.register_handler(
        "auth.public.sessions",
        move |event: DatabaseEvent<Session>| {
            let seen = seen.clone();
            async move {
                seen.push(event.after().map(|session| session.id));
                Ok::<_, anyhow::Error>(())
            }
        },
    )?;
    consumer.start_with_handlers().await?;
    assert!(consumer.is_running() && consumer.has_handler("auth.public.sessions"));
    assert_eq!(consumer.registered_topics(), ["auth.public.sessions"]);
    assert_eq!(log.reaches(1).await?, [Some(7)]);

    let metadata: Vec<ProducedRecord> = producer
        .send(
            "user.events",
            vec![
                MessagePayload::new(r#"{"event":"user_login"}"#)
                    .key(user_id.as_str())
                    .header("source", "auth"),
            ],
        )
        .await?;
    let sent = producer
        .send_json("user.events", &user_id, &Login { user: "7" })
        .await?;
    assert!(producer.is_connected());
    assert_eq!(
        (&*metadata[0].topic, metadata[0].offset.0),
        ("user.events", 0)
    );
    assert_eq!((sent.partition, sent.offset.0), (metadata[0].partition, 1));
    assert!(
        metadata[0]
            .timestamp
            .millis()
            .is_some_and(|ms| ms > 1_700_000_000_000)
    );
    let records = topics.read_all("user.events").await?;
    assert_eq!(records[0].header_text("source").as_deref(), Some("auth"));
    assert_eq!(records[1].value_text(), r#"{"user":"7"}"#);

    let state = consumer.state();
    assert!(state.is_connected && state.is_running);
    let group = state.group.ok_or("no group")?;
    assert_eq!((group.partitions.len(), group.in_flight()), (2, 0));
    assert!(consumer.lag().await?.iter().all(|(_, lag)| *lag >= 0));
    assert!(manager.consumer("main").is_some() && manager.producer("main").is_some());
    manager.disconnect_all().await?;
    assert!(manager.consumer("main").is_none() && manager.producer("main").is_none());
    assert!(!consumer.is_running() && !consumer.is_connected() && !producer.is_connected());
    let offsets = topics
        .committed_offsets("your-service-group", "auth.public.sessions")
        .await?;
    assert_eq!(offsets.values().sum::<i64>(), 1);
    let late = producer
        .send_one("user.events", MessagePayload::new("x"))
        .await;
    assert_eq!(late, Err(kafka_runtime::ProduceError::Disconnected));
    Ok(())
}

fn logging(topic: &str, tag: &'static str, log: &Log<String>) -> Handler {
    let seen = log.clone();
    Handler::new(topic, move |text: Text| {
        seen.push(format!("{tag} {}", text.as_str().unwrap_or_default()));
        std::future::ready(())
    })
}

async fn handlers_come_and_go(cluster: &KafkaCluster) -> TestResult {
    let (one, two, group_id) = (unique_name("one"), unique_name("two"), unique_name("group"));
    let topics = create(cluster, &one, 1).await?;
    topics.create(&two, 1).await?;
    let put =
        async |topic: &str, value: &str| topics.produce(NewRecord::to(topic).value(value)).await;
    let log = Log::default();
    let manager = manager(cluster);
    let consumer = manager.create_consumer("c", group(&group_id))?;
    consumer.register(logging(&one, "one", &log))?;
    consumer.start_with_handlers().await?;
    put(&one, "1").await?;
    log.reaches(1).await?;

    // Comes while it runs.
    put(&two, "2").await?;
    consumer.register(logging(&two, "two", &log))?;
    assert_eq!(log.reaches(2).await?[1], "two 2");
    committed(&topics, &group_id, &two, &[1]).await?;

    // Goes while it runs; the other goes on.
    assert!(consumer.unregister_handler(&one));
    assert!(!consumer.unregister_handler(&one) && !consumer.has_handler(&one));
    put(&one, "3").await?;
    put(&two, "4").await?;
    assert_eq!(log.reaches(3).await?[2], "two 4");

    // All go: it runs on without any, and takes one again.
    consumer.clear_handlers();
    assert!(consumer.registered_topics().is_empty() && consumer.is_running());
    eventually(LIMIT, async || {
        consumer
            .state()
            .group
            .is_some_and(|group| group.partitions.is_empty())
    })
    .await?;
    consumer.register(logging(&one, "again", &log))?;
    assert_eq!(log.reaches(4).await?[3], "again 3");
    manager.disconnect_all().await?;
    committed(&topics, &group_id, &one, &[2]).await
}

async fn handler_is_replaced(cluster: &KafkaCluster) -> TestResult {
    let (topic, group_id) = (unique_name("replaced"), unique_name("group"));
    let topics = create(cluster, &topic, 1).await?;
    let log = Log::default();
    let manager = manager(cluster);
    let consumer = manager.create_consumer("c", group(&group_id))?;
    consumer.register(logging(&topic, "old", &log))?;
    consumer.start_with_handlers().await?;
    topics.produce(NewRecord::to(&topic).value("1")).await?;
    log.reaches(1).await?;

    consumer.unregister_handler(&topic);
    consumer.register(logging(&topic, "new", &log))?;
    topics.produce(NewRecord::to(&topic).value("2")).await?;

    assert_eq!(log.reaches(2).await?, ["old 1", "new 2"]);
    committed(&topics, &group_id, &topic, &[2]).await?;
    Ok(manager.disconnect_all().await?)
}

async fn run_takes_records(cluster: &KafkaCluster) -> TestResult {
    let (one, two, group_id) = (unique_name("one"), unique_name("two"), unique_name("group"));
    let topics = create(cluster, &one, 1).await?;
    topics.create(&two, 1).await?;
    for topic in [&one, &two] {
        topics
            .produce(NewRecord::to(topic).key("k").value([0xff]).header("h", "1"))
            .await?;
    }
    let log = Log::<(String, i64, Option<Vec<u8>>, usize)>::default();
    let manager = manager(cluster);
    let consumer = manager.create_consumer("c", group(&group_id))?;

    consumer.subscribe(SubscribeOptions {
        topics: vec![one.clone(), two.clone()],
        from_beginning: true,
    });
    let seen = log.clone();
    consumer
        .run(move |record: Record| {
            let value = record.value().map(<[u8]>::to_vec);
            let topic = record.topic().to_owned();
            seen.push((topic, record.offset().0, value, record.headers().len()));
            std::future::ready(())
        })
        .await?;

    let mut entries = log.reaches(2).await?;
    entries.sort();
    assert_eq!(
        entries,
        [one, two].map(|topic| (topic, 0, Some(vec![0xff]), 1))
    );
    Ok(manager.disconnect_all().await?)
}

async fn run_typed_decodes(cluster: &KafkaCluster) -> TestResult {
    let (topic, group_id) = (unique_name("typed"), unique_name("group"));
    let topics = create(cluster, &topic, 1).await?;
    topics
        .produce(NewRecord::to(&topic).value(r#"{"id":1}"#))
        .await?;
    let log = Log::<i64>::default();
    let manager = manager(cluster);
    let consumer = manager.create_consumer("c", group(&group_id))?;

    // Not from the beginning, as in KafkaJS: what is there already is not for this group.
    consumer.subscribe(SubscribeOptions {
        topics: vec![topic.clone()],
        ..Default::default()
    });
    let seen = log.clone();
    consumer
        .run_typed::<Session>(move |session: Session| {
            seen.push(session.id);
            std::future::ready(())
        })
        .await?;
    topics
        .produce(NewRecord::to(&topic).value(r#"{"id":2}"#))
        .await?;

    assert_eq!(log.reaches(1).await?, [2]);
    Ok(manager.disconnect_all().await?)
}

async fn a_consumer_may_be_started_again(cluster: &KafkaCluster) -> TestResult {
    let (topic, group_id) = (unique_name("restart"), unique_name("group"));
    let topics = create(cluster, &topic, 1).await?;
    let log = Log::default();
    let manager = manager(cluster);
    let consumer = manager.create_consumer("c", group(&group_id))?;
    consumer.register(logging(&topic, "h", &log))?;

    for round in 1..=2 {
        consumer.start_with_handlers().await?;
        consumer.start_with_handlers().await?; // it runs: nothing to do
        topics
            .produce(NewRecord::to(&topic).value(round.to_string()))
            .await?;
        log.reaches(round).await?;
        consumer.disconnect().await?;
        assert!(!consumer.is_running() && consumer.has_handler(&topic));
    }

    assert_eq!(log.all(), ["h 1", "h 2"]);
    Ok(())
}

async fn what_is_wrong_is_told(cluster: &KafkaCluster) -> TestResult {
    let (topic, group_id) = (unique_name("wrong"), unique_name("group"));
    let manager = manager(cluster);
    let consumer = manager.create_consumer("c", group(&group_id))?;
    let log = Log::default();

    let again = manager.create_consumer("c", group(&group_id));
    assert!(matches!(again, Err(ManagerError::NameTaken { .. })));
    let nameless = manager.create_consumer("d", ConsumerOptions::default());
    assert!(matches!(nameless, Err(ManagerError::Config(_))));

    consumer.register(logging(&topic, "h", &log))?;
    let twice = consumer
        .register(logging(&topic, "h", &log))
        .err()
        .ok_or("registered")?;
    assert!(twice.to_string().contains("has two handlers"), "{twice}");

    let started = consumer
        .start_with_handlers()
        .await
        .err()
        .ok_or("started")?;
    assert!(matches!(&started, RunError::Start(error) if error.to_string().contains(&topic)));
    assert!(!consumer.is_running());

    // Once the topic is there it starts.
    create(cluster, &topic, 1).await?;
    consumer.start_with_handlers().await?;
    Ok(manager.disconnect_all().await?)
}

async fn parked_as_anywhere(cluster: &KafkaCluster) -> TestResult {
    let (topic, group_id) = (unique_name("parked"), unique_name("group"));
    let topics = create(cluster, &topic, 1).await?;
    topics
        .produce(NewRecord::to(&topic).key("k").value("v"))
        .await?;
    let manager = manager(cluster);
    let consumer = manager.create_consumer("c", group(&group_id))?;
    let refuse = Handler::new(&topic, |_: Text| async { Err::<(), _>("no") }).retry(Retry::NONE);
    consumer.register(refuse)?;

    consumer.start_with_handlers().await?;
    committed(&topics, &group_id, &topic, &[1]).await?;

    let letters = topics.read_all(&format!("{group_id}.{topic}.dlq")).await?;
    assert_eq!((letters.len(), letters[0].value_text()), (1, "v".into()));
    Ok(manager.disconnect_all().await?)
}
