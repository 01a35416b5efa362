//! The rig, tried on itself: clients behind the proxy of one node.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use test_support::{
    ApiKey, Direction, KafkaCluster, NewRecord, Suite, TestResult, Topics, eventually, unique_name,
};

const TEN_SECONDS: Duration = Duration::from_secs(10);

/// How long nothing comes that is not to come; a record takes 10 ms.
const SILENCE: Duration = Duration::from_millis(500);

type Error = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    // One at a time: the proxy is the same for all.
    Suite::new(KafkaCluster::builder().proxied(true))
        .one_at_a_time()
        .rig_test("a_client_of_a_proxy_stays_behind_it", stays_behind)
        .rig_test("a_held_fetch_keeps_records_back", held_fetch)
        .rig_test("a_client_outlives_a_reset", reset)
        .rig_test("a_client_outlives_resets_at_random", random_resets)
        .rig_test("an_answer_may_be_lost_after_the_deed", lost_answer)
        .rig_test("a_flipped_bit_fails_the_checksum", flipped_bit)
        .rig_test("a_proxy_outlives_its_node", killed_node)
        .run()
}

/// Returns the cluster as a client behind the proxy sees it, with a new topic.
async fn proxied(cluster: &KafkaCluster) -> Result<(Topics, String), Error> {
    cluster.proxy(1)?.heal();
    let topic = unique_name("proxied");
    let beside = Topics::new(cluster.bootstrap_servers())?;
    beside.create(&topic, 1).await?;
    Ok((Topics::new(&cluster.proxied_bootstrap_servers()?)?, topic))
}

/// Returns a consumer behind the proxy that reads partition 0 of `topic`.
fn consumer(cluster: &KafkaCluster, topic: &str) -> Result<BaseConsumer, Error> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.proxied_bootstrap_servers()?)
        .set("group.id", unique_name("group"))
        .set("check.crcs", "true")
        .set("fetch.wait.max.ms", "10")
        .create()?;
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(topic, 0, Offset::Beginning)?;
    consumer.assign(&partitions)?;
    Ok(consumer)
}

/// Returns the next value, or an error of this partition.
fn next(consumer: &BaseConsumer, limit: Duration) -> Result<String, KafkaError> {
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline {
        match consumer.poll(Duration::from_millis(20)) {
            Some(Ok(message)) => {
                let value = message.payload().unwrap_or_default();
                return Ok(String::from_utf8_lossy(value).into_owned());
            }
            // The connection alone: librdkafka makes another.
            None
            | Some(Err(KafkaError::MessageConsumption(
                RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::AllBrokersDown,
            ))) => {}
            Some(Err(error)) => return Err(error),
        }
    }
    Err(KafkaError::NoMessageReceived)
}

async fn stays_behind(cluster: &KafkaCluster) -> TestResult {
    let (topics, topic) = proxied(cluster).await?;
    let before = cluster.proxy(1)?.counters();

    topics.produce(NewRecord::to(&topic).value("v")).await?;
    assert_eq!(topics.read_all(&topic).await?.len(), 1);

    let after = cluster.proxy(1)?.counters();
    for key in [ApiKey::PRODUCE, ApiKey::METADATA, ApiKey::FETCH] {
        assert!(after.requests(key) > before.requests(key), "{key:?}");
    }
    Ok(())
}

async fn held_fetch(cluster: &KafkaCluster) -> TestResult {
    let (topics, topic) = proxied(cluster).await?;
    let proxy = cluster.proxy(1)?;
    let consumer = consumer(cluster, &topic)?;
    topics.produce(NewRecord::to(&topic).value("1")).await?;
    assert_eq!(next(&consumer, TEN_SECONDS)?, "1");

    let held = proxy.counters().held;
    proxy.hold(ApiKey::FETCH);
    eventually(TEN_SECONDS, async || proxy.counters().held > held).await?;
    topics.produce(NewRecord::to(&topic).value("2")).await?;
    let nothing = next(&consumer, SILENCE);
    assert_eq!(nothing, Err(KafkaError::NoMessageReceived));

    proxy.release(ApiKey::FETCH);
    assert_eq!(next(&consumer, TEN_SECONDS)?, "2");
    Ok(())
}

async fn reset(cluster: &KafkaCluster) -> TestResult {
    let (topics, topic) = proxied(cluster).await?;
    let proxy = cluster.proxy(1)?;
    let consumer = consumer(cluster, &topic)?;
    topics.produce(NewRecord::to(&topic).value("1")).await?;
    assert_eq!(next(&consumer, TEN_SECONDS)?, "1");

    let resets = proxy.counters().resets;
    proxy.reset_connections();
    // That of the consumer and that of the producer.
    eventually(TEN_SECONDS, async || proxy.counters().resets >= resets + 2).await?;

    topics.produce(NewRecord::to(&topic).value("2")).await?;
    assert_eq!(next(&consumer, TEN_SECONDS)?, "2");
    Ok(())
}

async fn random_resets(cluster: &KafkaCluster) -> TestResult {
    let (topics, topic) = proxied(cluster).await?;
    let proxy = cluster.proxy(1)?;
    let resets = proxy.counters().resets;

    proxy.reset_connections_after(Duration::from_millis(100)..=Duration::from_millis(300), 1);
    for number in 0..20 {
        let record = NewRecord::to(&topic).value(number.to_string());
        topics.produce(record).await?;
    }
    eventually(TEN_SECONDS, async || proxy.counters().resets > resets).await?;
    proxy.heal();

    assert!(topics.read_all(&topic).await?.len() >= 20);
    Ok(())
}

async fn lost_answer(cluster: &KafkaCluster) -> TestResult {
    let (topics, topic) = proxied(cluster).await?;
    let beside = Topics::new(cluster.bootstrap_servers())?;
    let proxy = cluster.proxy(1)?;
    topics.produce(NewRecord::to(&topic).value("1")).await?;

    let before = proxy.counters();
    proxy.cut(Direction::ToClient);
    let producing = {
        let record = NewRecord::to(&topic).value("2");
        tokio::spawn(async move { topics.produce(record).await })
    };
    // The record can be seen before its answer is on the way.
    eventually(TEN_SECONDS, async || {
        let ends = beside.end_offsets(&topic).await;
        let is_written = ends.is_ok_and(|ends| ends == [(0, 2)].into());
        is_written
            && proxy.counters().lost_answers(ApiKey::PRODUCE) > before.lost_answers(ApiKey::PRODUCE)
    })
    .await?;
    assert!(!producing.is_finished());

    // The client does not know, and asks again; the broker knows an idempotent write when it sees it twice.
    proxy.mend(Direction::ToClient);
    assert_eq!(producing.await??, (0, 1));
    assert_eq!(beside.end_offsets(&topic).await?, [(0, 2)].into());
    let after = proxy.counters();
    assert!(after.requests(ApiKey::PRODUCE) >= before.requests(ApiKey::PRODUCE) + 2);
    Ok(())
}

async fn flipped_bit(cluster: &KafkaCluster) -> TestResult {
    let (topics, topic) = proxied(cluster).await?;
    let proxy = cluster.proxy(1)?;
    let flips = proxy.counters().flips;
    proxy.flip_fetched(1);
    let record = NewRecord::to(&topic).value("a value long enough to be hit");
    topics.produce(record).await?;
    let consumer = consumer(cluster, &topic)?;

    let spoilt = next(&consumer, TEN_SECONDS);

    let bad = KafkaError::MessageConsumption(RDKafkaErrorCode::BadMessage);
    assert_eq!(spoilt, Err(bad));
    assert_eq!(proxy.counters().flips, flips + 1);
    // What lies at the broker is whole. librdkafka 2.12 fetches it again only because the batch is
    // small and alone: see `flip_fetched`.
    assert_eq!(
        next(&consumer, TEN_SECONDS)?,
        "a value long enough to be hit"
    );
    Ok(())
}

async fn killed_node(cluster: &KafkaCluster) -> TestResult {
    let (topics, topic) = proxied(cluster).await?;
    topics.produce(NewRecord::to(&topic).value("1")).await?;

    cluster.node(1)?.kill();
    cluster.node(1)?.start_again()?;

    topics.produce(NewRecord::to(&topic).value("2")).await?;
    assert_eq!(topics.read_all(&topic).await?.len(), 2);
    Ok(())
}
