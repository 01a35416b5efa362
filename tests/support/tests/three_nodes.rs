//! The rig, tried on itself: three nodes that are killed, stopped and suspended.

use std::process::ExitCode;
use std::time::Duration;

use test_support::{KafkaCluster, NewRecord, Suite, TestResult, Topics, eventually, unique_name};

const HALF_A_MINUTE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    Suite::new(KafkaCluster::builder().nodes(3))
        .one_at_a_time()
        .rig_test("two_nodes_serve_when_the_third_is_killed", kill)
        .rig_test("a_node_stops_in_order_and_starts_again", stop)
        .rig_test("a_suspended_node_goes_on_when_resumed", suspend)
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

    cluster.node(1)?.suspend()?;
    let record = NewRecord::to(&topic).partition(0).value("v");
    topics.produce(record).await?;
    cluster.node(1)?.resume()?;

    all_in_sync(&topics, &topic).await
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
