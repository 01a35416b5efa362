//! The producer: what it writes, where, and what it says of what it could not write.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kafka_runtime::{
    ClientOptions, Compression, Handler, KafkaManager, KafkaProducer, MessagePayload, ProduceError,
    ProducerOptions, Text,
};
use test_support::{KafkaCluster, Suite, TestResult, unique_name};

use crate::common::{BoxError, LIMIT, config, create, start};

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .test(
            "producer::results_are_in_the_order_of_the_payloads",
            in_order,
        )
        .test(
            "producer::everything_of_a_payload_is_written",
            everything_is_written,
        )
        .test(
            "producer::every_compression_arrives_at_a_handler",
            every_compression,
        )
        .test(
            "producer::a_key_goes_where_javas_producer_sends_it",
            as_java,
        )
        .test("producer::order_within_a_partition_is_kept", order_is_kept)
        .test(
            "producer::each_failure_is_told_by_record",
            failures_by_record,
        )
        .rig_test(
            "producer::without_a_broker_it_gives_up_in_time",
            without_a_broker,
        )
}

fn producer(
    cluster: &KafkaCluster,
    properties: &[(&str, &str)],
) -> Result<KafkaProducer, BoxError> {
    let manager = KafkaManager::new(ClientOptions {
        bootstrap_servers: Some(vec![cluster.bootstrap_servers().to_owned()]),
        ssl: false,
        properties: properties
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect::<BTreeMap<_, _>>(),
        ..Default::default()
    });
    Ok(manager.create_producer("p", ProducerOptions::default())?)
}

async fn in_order(cluster: &KafkaCluster) -> TestResult {
    let topic = unique_name("in-order");
    create(cluster, &topic, 3).await?;
    let producer = producer(cluster, &[])?;

    let payloads = [2, 0, 2, 1, 0].map(|p| {
        MessagePayload::new("x")
            .partition(p)
            .timestamp_ms(1_000 + i64::from(p))
    });
    let written = producer.send(&topic, payloads.to_vec()).await?;

    let places: Vec<_> = written
        .iter()
        .map(|record| {
            (
                &*record.topic,
                record.partition,
                record.offset.0,
                record.timestamp.millis(),
            )
        })
        .collect();
    let place = |partition: i32, offset| {
        (
            topic.as_str(),
            partition,
            offset,
            Some(1_000 + i64::from(partition)),
        )
    };
    assert_eq!(
        places,
        [
            place(2, 0),
            place(0, 0),
            place(2, 1),
            place(1, 0),
            place(0, 1)
        ]
    );
    Ok(())
}

async fn everything_is_written(cluster: &KafkaCluster) -> TestResult {
    let topic = unique_name("everything");
    let topics = create(cluster, &topic, 1).await?;
    let producer = producer(cluster, &[])?;
    producer.connect().await?;
    assert!(producer.is_connected());

    let full = MessagePayload::new([0xff, 0])
        .key([0xfe])
        .header("a", "1")
        .header("a", [0xff])
        .timestamp_ms(7);
    producer
        .send(
            &topic,
            vec![
                full,
                MessagePayload::tombstone("k"),
                MessagePayload::new(""),
            ],
        )
        .await?;

    let records = topics.read_all(&topic).await?;
    assert_eq!(records[0].key, Some(vec![0xfe]));
    assert_eq!(records[0].value, Some(vec![0xff, 0]));
    assert_eq!(records[0].timestamp, Some(7));
    let headers = [
        ("a".into(), Some(b"1".to_vec())),
        ("a".into(), Some(vec![0xff])),
    ];
    assert_eq!(records[0].headers, headers);
    assert_eq!(
        (records[1].key_text(), &records[1].value),
        ("k".into(), &None)
    );
    assert_eq!(
        (&records[2].key, &records[2].value),
        (&None, &Some(Vec::new()))
    );
    Ok(())
}

async fn every_compression(cluster: &KafkaCluster) -> TestResult {
    let topic = unique_name("compression");
    create(cluster, &topic, 1).await?;
    let config = config(cluster, "compression");
    let codecs = [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];
    for compression in codecs {
        let options = ProducerOptions {
            compression,
            ..Default::default()
        };
        let producer = KafkaProducer::new(config.clone(), &options)?;
        let value = compression.as_str().repeat(100);
        producer
            .send(&topic, vec![MessagePayload::new(value); 10])
            .await?;
    }

    let (hand_over, mut arrived) = tokio::sync::mpsc::unbounded_channel();
    let handler = Handler::new(&topic, move |text: Text| {
        let handed = hand_over.send(text.into_string());
        async move { handed.map_err(|error| error.to_string()) }
    });
    let running = start(cluster, &unique_name("compression"), [handler])?;
    let mut counts = BTreeMap::new();
    for _ in 0..10 * codecs.len() {
        let value = tokio::time::timeout(LIMIT, arrived.recv()).await?;
        *counts.entry(value.flatten()).or_insert(0) += 1;
    }

    let expected = codecs.map(|codec| (Some(codec.as_str().repeat(100)), 10));
    assert_eq!(counts, BTreeMap::from(expected));
    running.stop().await
}

/// Where `org.apache.kafka.clients.producer.internals.BuiltInPartitioner` sends these keys with 8 partitions: murmur2,
/// sign bit cleared, modulo 8. The hashes are those of Kafka's own `UtilsTest`.
async fn as_java(cluster: &KafkaCluster) -> TestResult {
    let topic = unique_name("java");
    create(cluster, &topic, 8).await?;
    let producer = producer(cluster, &[])?;
    let hashes: [(&str, i32); 6] = [
        ("21", -973_932_308),
        ("foobar", -790_332_482),
        ("a-little-bit-long-string", -985_981_536),
        ("a-little-bit-longer-string", -1_486_304_829),
        (
            "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
            -58_897_971,
        ),
        ("abc", 479_470_107),
    ];

    for (key, hash) in hashes {
        let written = producer
            .send_one(&topic, MessagePayload::new("x").key(key))
            .await?;
        assert_eq!(written.partition, (hash & 0x7fff_ffff) % 8, "{key}");
    }
    Ok(())
}

async fn order_is_kept(cluster: &KafkaCluster) -> TestResult {
    let topic = unique_name("ordered");
    let topics = create(cluster, &topic, 1).await?;
    // 20,000 records: twice what may wait at once.
    let producer = producer(cluster, &[])?;

    let payloads = (0..20_000)
        .map(|n: i32| MessagePayload::new(n.to_string()))
        .collect();
    let written = producer.send(&topic, payloads).await?;

    assert!(written.iter().map(|record| record.offset.0).eq(0..20_000));
    let values = topics.read_all(&topic).await?;
    assert!(
        values
            .iter()
            .map(test_support::StoredRecord::value_text)
            .eq((0..20_000).map(|n| n.to_string()))
    );
    Ok(())
}

async fn failures_by_record(cluster: &KafkaCluster) -> TestResult {
    let (topic, small, missing) = (
        unique_name("two"),
        unique_name("small"),
        unique_name("none"),
    );
    let topics = create(cluster, &topic, 2).await?;
    topics
        .create_with(&small, 1, &[("max.message.bytes", "2000")])
        .await?;
    let properties = [
        ("topic.metadata.propagation.max.ms", "500"),
        ("delivery.timeout.ms", "10000"),
    ];
    let producer = producer(cluster, &properties)?;

    // Larger than the client takes, than the broker takes, and a partition that is not there, between good ones.
    let payloads = vec![
        MessagePayload::new("good").partition(0),
        MessagePayload::new("x".repeat(2_000_000)),
        MessagePayload::new("lost").partition(7),
        MessagePayload::new("good too").partition(1),
    ];
    let error = producer
        .send(&topic, payloads)
        .await
        .err()
        .ok_or("all were written")?;
    assert!(
        error
            .to_string()
            .starts_with("2 of 4 records were not written"),
        "{error}"
    );
    let [Ok(first), Err(large), Err(no_partition), Ok(last)] = &error.results[..] else {
        return Err(error.into());
    };
    assert_eq!((first.partition, last.partition), (0, 1));
    assert!(
        matches!(
            large,
            ProduceError::TooLarge {
                bytes: 2_000_000..,
                ..
            }
        ),
        "{large:?}"
    );
    let no_seven = ProduceError::UnknownPartition {
        topic: topic.clone(),
        partition: 7,
    };
    assert_eq!(*no_partition, no_seven);
    assert_eq!(topics.read_all(&topic).await?.len(), 2);

    let refused = producer
        .send_one(&small, MessagePayload::new("x".repeat(5_000)))
        .await;
    assert!(
        matches!(refused, Err(ProduceError::TooLarge { .. })),
        "{refused:?}"
    );
    let unknown = producer.send_one(&missing, MessagePayload::new("x")).await;
    assert_eq!(
        unknown,
        Err(ProduceError::UnknownTopic {
            topic: missing.clone()
        })
    );
    let json = producer
        .send_json(&topic, "k", &BTreeMap::from([((1, 2), 3)]))
        .await;
    assert_eq!(json, Err(ProduceError::NotJson));

    // It is as good as before.
    producer.send_one(&topic, MessagePayload::new("x")).await?;
    Ok(())
}

async fn without_a_broker(_: &KafkaCluster) -> TestResult {
    let cluster = tokio::task::spawn_blocking(|| KafkaCluster::builder().start()).await??;
    let topic = unique_name("gone");
    create(&cluster, &topic, 1).await?;
    let producer = producer(&cluster, &[("delivery.timeout.ms", "1500")])?;
    producer.send_one(&topic, MessagePayload::new("x")).await?;
    cluster.node(1)?.kill();

    let begun = Instant::now();
    let result = producer.send_one(&topic, MessagePayload::new("x")).await;

    assert_eq!(result, Err(ProduceError::TimedOut { topic }));
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    Ok(())
}
