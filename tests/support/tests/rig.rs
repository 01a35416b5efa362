//! The rig, tried on itself: one node with TLS, shared by these tests.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::{ClientConfig, ClientContext};
use test_support::{
    ApiKey, KafkaCluster, NewRecord, PASSWORD, RigError, Suite, TestResult, Tls, Topics, USER,
    eventually, unique_name,
};

const TEN_SECONDS: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    Suite::new(KafkaCluster::builder().tls(true).authorizer(true))
        .test("a_record_is_read_back_as_produced", read_back)
        .test("many_records_keep_their_order", many_records)
        .test("committed_offsets_are_the_next_to_read", committed_offsets)
        .test("a_deleted_topic_is_gone", deleted_topic)
        .test("a_topic_that_exists_is_refused", existing_topic)
        .test("a_topic_has_the_properties_given", topic_properties)
        .test("partitions_can_be_added", more_partitions)
        .test("deleted_records_are_gone", deleted_records)
        .test("only_what_was_committed_is_read", transactions)
        .rig_test("writes_can_be_denied_and_allowed", denied_writes)
        .rig_test("without_an_authorizer_nothing_is_denied", no_authorizer)
        .rig_test("kafka_4_has_rules_and_proxies_too", kafka_4)
        .rig_test("nodes_can_run_for_throughput", throughput)
        .rig_test("scram_with_the_right_password_connects", scram)
        .rig_test("plain_with_the_right_password_connects", plain)
        .rig_test("a_wrong_password_does_not_connect", wrong_password)
        .rig_test("tls_connects_by_address", tls)
        .rig_test("a_certificate_of_an_unknown_ca_is_refused", unknown_ca)
        .rig_test("a_certificate_for_another_host_is_refused", wrong_host)
        .rig_test("a_refused_property_is_shown", refused_property)
        .run()
}

async fn read_back(cluster: &KafkaCluster) -> TestResult {
    let topics = Topics::new(cluster.bootstrap_servers())?;
    let topic = unique_name("read-back");
    topics.create(&topic, 2).await?;

    let record = NewRecord::to(&topic)
        .partition(1)
        .key("k")
        .value("v")
        .header("a", "1")
        .null_header("b")
        .timestamp(1_700_000_000_000);
    assert_eq!(topics.produce(record).await?, (1, 0));
    let tombstone = NewRecord::to(&topic).partition(1).key("k");
    assert_eq!(topics.produce(tombstone).await?, (1, 1));

    let records = topics.read_all(&topic).await?;
    assert_eq!(records.len(), 2);
    assert_eq!(records[0].value_text(), "v");
    assert_eq!(records[0].timestamp, Some(1_700_000_000_000));
    assert_eq!(
        records[0].headers,
        [("a".into(), Some(b"1".to_vec())), ("b".into(), None)]
    );
    assert_eq!(records[1].value, None);
    assert_eq!(topics.end_offsets(&topic).await?, [(0, 0), (1, 2)].into());
    Ok(())
}

async fn many_records(cluster: &KafkaCluster) -> TestResult {
    let topics = Topics::new(cluster.bootstrap_servers())?;
    let topic = unique_name("many");
    topics.create(&topic, 1).await?;
    let values: Vec<String> = (0..25_000).map(|number| number.to_string()).collect();

    topics
        .produce_all(
            values
                .iter()
                .map(|v| NewRecord::to(&topic).value(v.as_str())),
        )
        .await?;

    let read: Vec<String> = topics
        .read_all(&topic)
        .await?
        .iter()
        .map(test_support::StoredRecord::value_text)
        .collect();
    assert!(read == values, "{} records, or another order", read.len());
    Ok(())
}

async fn committed_offsets(cluster: &KafkaCluster) -> TestResult {
    let topics = Topics::new(cluster.bootstrap_servers())?;
    let (topic, group_id) = (unique_name("committed"), unique_name("group"));
    topics.create(&topic, 2).await?;
    assert!(
        topics
            .committed_offsets(&group_id, &topic)
            .await?
            .is_empty()
    );
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .set("group.id", &group_id)
        .create()?;

    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(&topic, 1, Offset::Offset(7))?;
    consumer.commit(&offsets, CommitMode::Sync)?;

    eventually(TEN_SECONDS, async || {
        topics
            .committed_offsets(&group_id, &topic)
            .await
            .is_ok_and(|committed| committed == [(1, 7)].into())
    })
    .await?;
    Ok(())
}

async fn deleted_topic(cluster: &KafkaCluster) -> TestResult {
    let topics = Topics::new(cluster.bootstrap_servers())?;
    let topic = unique_name("deleted");
    topics.create(&topic, 1).await?;

    topics.delete(&topic).await?;

    assert_eq!(topics.describe(&topic).await?, None);
    Ok(())
}

async fn existing_topic(cluster: &KafkaCluster) -> TestResult {
    let topics = Topics::new(cluster.bootstrap_servers())?;
    let topic = unique_name("existing");
    topics.create(&topic, 1).await?;

    let again = topics.create(&topic, 1).await;

    assert!(matches!(again, Err(RigError::Refused { .. })));
    Ok(())
}

async fn topic_properties(cluster: &KafkaCluster) -> TestResult {
    let topics = Topics::new(cluster.bootstrap_servers())?;
    let topic = unique_name("properties");
    let limited = [("cleanup.policy", "compact"), ("max.message.bytes", "1000")];
    topics.create_with(&topic, 1, &limited).await?;

    let large = NewRecord::to(&topic).key("k").value(vec![0; 2000]);
    assert!(topics.produce(large).await.is_err());
    let without_key = NewRecord::to(&topic).value("v");
    assert!(topics.produce(without_key).await.is_err());
    topics.produce(NewRecord::to(&topic).key("k")).await?;
    Ok(())
}

async fn more_partitions(cluster: &KafkaCluster) -> TestResult {
    let topics = Topics::new(cluster.bootstrap_servers())?;
    let topic = unique_name("grows");
    topics.create(&topic, 1).await?;

    topics.create_partitions(&topic, 3).await?;

    let partitions = topics.describe(&topic).await?.ok_or("gone")?;
    assert_eq!(partitions.len(), 3);
    let fewer = topics.create_partitions(&topic, 2).await;
    assert!(matches!(fewer, Err(RigError::Refused { .. })), "{fewer:?}");
    Ok(())
}

async fn deleted_records(cluster: &KafkaCluster) -> TestResult {
    let topics = Topics::new(cluster.bootstrap_servers())?;
    let topic = unique_name("deleted-records");
    topics.create(&topic, 1).await?;
    let record = |value: &str| NewRecord::to(&topic).value(value);
    topics.produce_all(["0", "1", "2"].map(record)).await?;

    topics.delete_records(&topic, 0, 2).await?;

    assert_eq!(topics.start_offsets(&topic).await?, [(0, 2)].into());
    let left = topics.read_all(&topic).await?;
    assert!(
        matches!(&left[..], [one] if one.value_text() == "2"),
        "{left:?}"
    );
    assert!(topics.delete_records(&topic, 0, 9).await.is_err());
    topics.delete_records(&topic, 0, -1).await?;
    assert_eq!(topics.start_offsets(&topic).await?, [(0, 3)].into());
    Ok(())
}

async fn transactions(cluster: &KafkaCluster) -> TestResult {
    let topics = Topics::new(cluster.bootstrap_servers())?;
    let topic = unique_name("transactions");
    topics.create(&topic, 1).await?;
    let record = |value: &str| NewRecord::to(&topic).value(value);

    let aborted = topics.produce_aborted([record("a"), record("b")]).await?;
    let committed = topics.produce_committed([record("c")]).await?;

    // Each end of a transaction takes an offset.
    assert_eq!((aborted, committed), (vec![(0, 0), (0, 1)], vec![(0, 3)]));
    assert_eq!(topics.end_offsets(&topic).await?, [(0, 5)].into());
    let read = topics.read_all(&topic).await?;
    assert!(
        matches!(&read[..], [one] if one.value_text() == "c"),
        "{read:?}"
    );
    Ok(())
}

async fn denied_writes(cluster: &KafkaCluster) -> TestResult {
    let topics = Topics::new(cluster.bootstrap_servers())?;
    let (denied, other) = (unique_name("denied"), unique_name("other"));
    for topic in [&denied, &other] {
        topics.create(topic, 1).await?;
    }
    let produce = async |topic: &str| topics.produce(NewRecord::to(topic).value("v")).await;
    produce(&denied).await?;

    cluster.deny_write(&denied)?;
    cluster.deny_write(&denied)?; // again, which changes nothing
    let refused = produce(&denied).await;
    let is_told = matches!(
        &refused,
        Err(RigError::Client { source, .. })
            if source.rdkafka_error_code() == Some(RDKafkaErrorCode::TopicAuthorizationFailed)
    );
    assert!(is_told, "{refused:?}");
    assert_eq!(topics.read_all(&denied).await?.len(), 1);
    produce(&other).await?;

    cluster.allow_write(&denied)?;
    // A client that was refused believes it until it asks for metadata again.
    eventually(TEN_SECONDS, async || produce(&denied).await.is_ok()).await?;
    Ok(())
}

async fn no_authorizer(_: &KafkaCluster) -> TestResult {
    let cluster = KafkaCluster::builder().start()?;

    let refused = cluster.deny_write("t");

    assert!(
        matches!(refused, Err(RigError::NotDone { code: 54, .. })),
        "{refused:?}"
    );
    Ok(())
}

async fn kafka_4(_: &KafkaCluster) -> TestResult {
    let cluster = KafkaCluster::builder()
        .version("4.1.1")
        .authorizer(true)
        .proxied(true)
        .start()?;
    let topics = Topics::new(&cluster.proxied_bootstrap_servers()?)?;
    let record = || NewRecord::to("t").value("v");
    topics.create("t", 1).await?;
    topics.produce(record()).await?;

    cluster.deny_write("t")?;
    assert!(topics.produce(record()).await.is_err());
    cluster.allow_write("t")?;

    // A client that was refused believes it until it asks for metadata again.
    eventually(TEN_SECONDS, async || topics.produce(record()).await.is_ok()).await?;
    assert_eq!(cluster.proxy(1)?.counters().requests(ApiKey::PRODUCE), 3);
    assert_eq!(topics.read_all("t").await?.len(), 2);
    Ok(())
}

async fn throughput(_: &KafkaCluster) -> TestResult {
    let cluster = KafkaCluster::builder().for_throughput().start()?;
    let topics = Topics::new(cluster.bootstrap_servers())?;

    topics.create("t", 1).await?;
    topics.produce(NewRecord::to("t").value("v")).await?;
    Ok(())
}

async fn scram(cluster: &KafkaCluster) -> TestResult {
    connect(&sasl(cluster.tls()?, "SCRAM-SHA-512", PASSWORD))
}

async fn plain(cluster: &KafkaCluster) -> TestResult {
    connect(&sasl(cluster.tls()?, "PLAIN", PASSWORD))
}

async fn tls(cluster: &KafkaCluster) -> TestResult {
    let tls = cluster.tls()?;
    connect(&ssl(tls.ssl_bootstrap(), tls.ca_pem_path()))
}

async fn wrong_password(cluster: &KafkaCluster) -> TestResult {
    let config = sasl(cluster.tls()?, "SCRAM-SHA-512", "not-it");
    refused_for(&config, "Authentication failed")
}

async fn unknown_ca(cluster: &KafkaCluster) -> TestResult {
    let tls = cluster.tls()?;
    let config = ssl(tls.ssl_bootstrap(), tls.other_ca_pem_path());
    refused_for(&config, "certificate verify failed")
}

async fn wrong_host(cluster: &KafkaCluster) -> TestResult {
    let tls = cluster.tls()?;
    let mut config = ssl(tls.wrong_host_bootstrap(), tls.ca_pem_path());
    refused_for(&config, "certificate verify failed")?;

    // The name is all that is wrong with it.
    config.set("ssl.endpoint.identification.algorithm", "none");
    connect(&config)
}

async fn refused_property(_: &KafkaCluster) -> TestResult {
    let refused = KafkaCluster::builder()
        .property("num.partitions", "many")
        .start();

    let message = refused.map_err(|error| error.to_string());
    assert!(matches!(message, Err(text) if text.contains("Invalid value many")));
    Ok(())
}

fn ssl(servers: &str, ca: &Path) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", servers)
        .set("security.protocol", "ssl")
        .set("ssl.ca.location", ca.display().to_string());
    config
}

fn sasl(tls: &Tls, mechanism: &str, password: &str) -> ClientConfig {
    let mut config = ssl(tls.sasl_ssl_bootstrap(), tls.ca_pem_path());
    config
        .set("security.protocol", "sasl_ssl")
        .set("sasl.mechanism", mechanism)
        .set("sasl.username", USER)
        .set("sasl.password", password);
    config
}

/// Succeeds if a broker answers.
fn connect(config: &ClientConfig) -> TestResult {
    let consumer: BaseConsumer = config.create()?;
    consumer.fetch_metadata(None, TEN_SECONDS)?;
    Ok(())
}

/// Succeeds if no broker answers and the client is told `reason`. The failed call itself
/// would only tell of a timeout.
fn refused_for(config: &ClientConfig, reason: &str) -> TestResult {
    let consumer: BaseConsumer<Reasons> = config.create_with_context(Reasons::default())?;
    let deadline = Instant::now() + TEN_SECONDS;
    while Instant::now() < deadline {
        let answer = consumer.fetch_metadata(None, Duration::from_millis(100));
        assert!(answer.is_err(), "connected");
        consumer.poll(Duration::from_millis(10));
        if consumer.context().contain(reason) {
            return Ok(());
        }
    }
    Err(format!("no {reason:?} in {:?}", consumer.context()).into())
}

/// What the client says about its connections.
#[derive(Debug, Default)]
struct Reasons(Mutex<Vec<String>>);

impl Reasons {
    fn contain(&self, expected: &str) -> bool {
        self.0
            .lock()
            .is_ok_and(|reasons| reasons.iter().any(|reason| reason.contains(expected)))
    }
}

impl ClientContext for Reasons {
    fn error(&self, _error: KafkaError, reason: &str) {
        if let Ok(mut reasons) = self.0.lock() {
            reasons.push(reason.to_owned());
        }
    }
}

impl ConsumerContext for Reasons {}
