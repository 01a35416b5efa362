//! Brokers that are away: at the start, for a while, and for good. Each test has a broker of its own to hurt.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use kafka_runtime::{
    ClientError, Config, ConnectError, ConnectRetry, Handler, KafkaManager, Raw, RunError, Runtime,
    Text,
};
use test_support::{KafkaCluster, NewRecord, Suite, TestResult, Topics, eventually, unique_name};

use crate::common::{BoxError, LIMIT, Log, Running, committed, config, start};

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .test(
            "outage::without_a_broker_a_start_ends_with_the_addresses_tried",
            no_broker_at_all,
        )
        .rig_test("outage::a_broker_that_comes_late_is_found", late_broker)
        .rig_test(
            "outage::a_broker_may_go_and_come_back_while_handlers_run",
            broker_goes_and_comes_back,
        )
        .rig_test(
            "outage::a_stop_takes_bounded_time_without_a_broker",
            stop_without_a_broker,
        )
}

/// Returns addresses where nobody listens.
fn nobody(count: usize) -> Result<Vec<String>, BoxError> {
    let listeners: Vec<_> = (0..count)
        .map(|_| TcpListener::bind("127.0.0.1:0"))
        .collect::<Result<_, _>>()?;
    let addresses = listeners.iter().map(TcpListener::local_addr);
    Ok(addresses
        .map(|address| address.map(|a| a.to_string()))
        .collect::<Result<_, _>>()?)
}

async fn own_cluster() -> Result<KafkaCluster, BoxError> {
    Ok(tokio::task::spawn_blocking(|| KafkaCluster::builder().start()).await??)
}

async fn no_broker_at_all(_: &KafkaCluster) -> TestResult {
    let addresses = nobody(2)?;
    let retry = ConnectRetry {
        initial_retry_time: Duration::from_millis(50),
        retries: 2,
    };
    let config = Config::new()
        .bootstrap_servers(addresses.clone())
        .ssl(false)
        .group_id("g")
        .request_timeout(Duration::from_millis(500))
        .connect_retry(retry);
    let is_told = |error: &ConnectError| {
        let text = error.to_string();
        assert!(
            addresses.iter().all(|address| text.contains(address)),
            "{text}"
        );
        matches!(
            error,
            ConnectError::GaveUp { brokers, attempts: 3, source: ClientError::Unreachable(_) }
                if *brokers == addresses
        )
    };

    let begun = Instant::now();
    let runtime = Runtime::builder()
        .config(config.clone())
        .handlers([Handler::new("t", |_: Raw| async {})]);
    let result = Running::start(runtime)?.ended().await?;
    assert!(
        matches!(&result, Err(RunError::Connect(error)) if is_told(error)),
        "{result:?}"
    );

    let manager = KafkaManager::from_config(config);
    let consumer = manager.create_consumer(
        "main",
        kafka_runtime::ConsumerOptions {
            group_id: "g".into(),
            ..Default::default()
        },
    )?;
    let error = consumer.connect().await.err().ok_or("connected")?;
    assert!(is_told(&error), "{error:?}");
    let error = manager.create_producer("main", kafka_runtime::ProducerOptions::default())?;
    let error = error.connect().await.err().ok_or("connected")?;
    assert!(is_told(&error), "{error:?}");

    let took = begun.elapsed();
    assert!(took < Duration::from_secs(8), "{took:?}");
    Ok(())
}

fn logging(topic: &str, log: &Log<String>) -> Handler {
    let seen = log.clone();
    Handler::new(topic, move |text: Text| {
        seen.push(text.into_string().unwrap_or_default());
        std::future::ready(())
    })
}

async fn late_broker(_: &KafkaCluster) -> TestResult {
    let cluster = own_cluster().await?;
    let topics = Topics::new(cluster.bootstrap_servers())?;
    topics.create("late", 1).await?;
    topics.produce(NewRecord::to("late").value("1")).await?;
    cluster.node(1)?.stop()?;
    let log = Log::default();

    let config = config(&cluster, "late").request_timeout(Duration::from_millis(500));
    let running = Running::start(
        Runtime::builder()
            .config(config)
            .handlers([logging("late", &log)]),
    )?;
    // It has tried, and has not given up.
    tokio::time::timeout(Duration::from_secs(1), log.reaches(1))
        .await
        .err()
        .ok_or("handled")?;
    cluster.node(1)?.start_again()?;

    assert_eq!(log.reaches(1).await?, ["1"]);
    running.stop().await
}

async fn broker_goes_and_comes_back(_: &KafkaCluster) -> TestResult {
    let cluster = own_cluster().await?;
    let topics = Topics::new(cluster.bootstrap_servers())?;
    topics.create("outage", 2).await?;
    let produce = async |numbers: std::ops::Range<i32>| {
        let records = numbers.map(|n| {
            NewRecord::to("outage")
                .key(n.to_string())
                .value(n.to_string())
        });
        topics.produce_all(records).await
    };
    let log = Log::default();
    let running = start(&cluster, "outage", [logging("outage", &log)])?;
    running.is_assigned(2).await?;
    produce(0..20).await?;
    log.reaches(20).await?;
    assert_eq!(running.control.status()[0].last_error, None);

    cluster.node(1)?.kill();
    eventually(LIMIT, async || {
        let error = running.control.status()[0].last_error.clone();
        matches!(error, Some(ClientError::Unreachable(_)))
    })
    .await?;
    cluster.node(1)?.start_again()?;
    produce(20..40).await?;

    log.reaches(40).await?;
    eventually(LIMIT, async || {
        running.control.status()[0].last_error.is_none()
    })
    .await?;
    running.stop().await?;
    let ends = topics.end_offsets("outage").await?;
    assert_eq!(topics.committed_offsets("outage", "outage").await?, ends);
    let mut numbers: Vec<i32> = log
        .all()
        .iter()
        .map(|n| n.parse())
        .collect::<Result<_, _>>()?;
    numbers.sort_unstable();
    numbers.dedup();
    assert!(numbers.into_iter().eq(0..40));
    Ok(())
}

async fn stop_without_a_broker(_: &KafkaCluster) -> TestResult {
    let cluster = own_cluster().await?;
    let topics = Topics::new(cluster.bootstrap_servers())?;
    let group = unique_name("group");
    topics.create("gone", 1).await?;
    topics.produce(NewRecord::to("gone").value("1")).await?;
    let log = Log::default();
    let config = config(&cluster, &group).shutdown_grace(Duration::from_secs(1));
    let running = Running::start(
        Runtime::builder()
            .config(config)
            .handlers([logging("gone", &log)]),
    )?;
    log.reaches(1).await?;
    committed(&topics, &group, "gone", &[1]).await?;

    // Accepts what it is sent, and never answers.
    cluster.node(1)?.suspend()?;
    let begun = Instant::now();
    running.stop().await?;

    let took = begun.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}");
    Ok(())
}
