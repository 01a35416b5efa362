//! The rig, tried on itself: three nodes that are killed, stopped and suspended.

use std::process::ExitCode;
use std::time::Duration;

use test_support::{
    ApiKey, Counters, KafkaCluster, NewRecord, Proxy, Suite, TestResult, Topics, eventually,
    unique_name,
};

const HALF_A_MINUTE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    Suite::new(
        KafkaCluster::builder()
            .nodes(3)
            .proxied(true)
            .authorizer(true),
    )
    .one_at_a_time()
    .rig_test("two_nodes_serve_when_the_third_is_killed", kill)
    .rig_test("a_node_stops_in_order_and_starts_again", stop)
    .rig_test("a_suspended_node_goes_on_when_resumed", suspend)
    .rig_test("all_nodes_know_of_a_rule", rule)
    .rig_test("each_node_has_a_proxy_of_its_own", proxies)
    .run()
}

async fn kill(cluster: &KafkaCluster) -> TestResult {
    let (topics, topic) = replicated_topic(cluster).await?;

    cluster.node(3)?.kill();

    for partition in 0..3 {
        let record = NewRecord::to(&topic).partition(partition).value("v");
        topics.produce(record).await?;
    }
    assert_eq!(topics.read_all(&topic).await?.len(), 3);
    cluster.node(3)?.start_again()?;
    all_in_sync(&topics, &topic).await
}

async fn stop(cluster: &KafkaCluster) -> TestResult {
    let (topics, topic) = replicated_topic(cluster).await?;

    cluster.node(2)?.stop()?;
    topics.produce(NewRecord::to(&topic).value("v")).await?;
    cluster.node(2)?.start_again()?;

    all_in_sync(&topics, &topic).await
}

async fn suspend(cluster: &KafkaCluster) -> TestResult {
    let (topics, topic) = replicated_topic(cluster).await?;

    // What the suspended node leads is taken over by another one.
    let partition = led_by(&topics, &topic, 1).await?;
    let record = NewRecord::to(&topic).partition(partition).value("v");

    cluster.node(1)?.suspend()?;
    let produced = topics.produce(record).await;
    cluster.node(1)?.resume()?;

    produced?;
    all_in_sync(&topics, &topic).await
}

async fn proxies(cluster: &KafkaCluster) -> TestResult {
    let (_, topic) = replicated_topic(cluster).await?;
    let topics = Topics::new(&cluster.proxied_bootstrap_servers()?)?;
    let to_partition = |partition| NewRecord::to(&topic).partition(partition).value("v");
    for partition in 0..3 {
        topics.produce(to_partition(partition)).await?;
    }
    for proxy in cluster.proxies() {
        // One each, and more only if a node was slow to answer.
        assert!(proxy.counters().requests(ApiKey::PRODUCE) >= 1, "{proxy:?}");
    }

    // The others go on, and what waits for node 2 arrives.
    let partition = led_by(&topics, &topic, 2).await?;
    cluster.proxy(2)?.hold(ApiKey::PRODUCE);
    let waits = {
        let (topics, record) = (topics.clone(), to_partition(partition));
        tokio::spawn(async move { topics.produce(record).await })
    };
    eventually(HALF_A_MINUTE, async || {
        cluster
            .proxies()
            .iter()
            .map(Proxy::counters)
            .sum::<Counters>()
            .held
            == 1
    })
    .await?;
    topics.produce(to_partition((partition + 1) % 3)).await?;
    assert!(!waits.is_finished());
    cluster.proxy(2)?.heal();
    waits.await??;
    assert_eq!(topics.read_all(&topic).await?.len(), 5);
    Ok(())
}

async fn rule(cluster: &KafkaCluster) -> TestResult {
    let (topics, topic) = replicated_topic(cluster).await?;

    cluster.deny_write(&topic)?;
    for partition in 0..3 {
        let record = NewRecord::to(&topic).partition(partition).value("v");
        assert!(topics.produce(record).await.is_err(), "{partition}");
    }

    cluster.allow_write(&topic)?;
    // Another client: one that was refused believes it until it asks for metadata again.
    let topics = Topics::new(cluster.bootstrap_servers())?;
    for partition in 0..3 {
        let record = NewRecord::to(&topic).partition(partition).value("v");
        topics.produce(record).await?;
    }
    Ok(())
}

async fn led_by(
    topics: &Topics,
    topic: &str,
    node: i32,
) -> Result<i32, Box<dyn std::error::Error + Send + Sync>> {
    let partitions = topics.describe(topic).await?.unwrap_or_default();
    let led = partitions.iter().find(|one| one.leader == Some(node));
    Ok(led.ok_or("the node leads nothing")?.partition)
}

async fn replicated_topic(
    cluster: &KafkaCluster,
) -> Result<(Topics, String), test_support::RigError> {
    let topics = Topics::new(cluster.bootstrap_servers())?;
    let topic = unique_name("replicated");
    topics.create(&topic, 3).await?;
    Ok((topics, topic))
}

async fn all_in_sync(topics: &Topics, topic: &str) -> TestResult {
    eventually(HALF_A_MINUTE, async || {
        let Ok(Some(partitions)) = topics.describe(topic).await else {
            return false; // a node that is away
        };
        partitions.iter().all(|one| one.in_sync == [1, 2, 3])
    })
    .await?;
    Ok(())
}
