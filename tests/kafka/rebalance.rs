//! Members that come and go while handlers run: nothing is handled by two of them, nothing is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kafka_runtime::{
    CancellationToken, Config, GroupProtocol, Handler, PartitionAssignment, Raw, RecordMetadata,
    Runtime, Text,
};
use test_support::{KafkaCluster, NewRecord, Suite, TestResult, Topics, eventually, unique_name};
use tokio::sync::Semaphore;

use crate::common::{BoxError, Events, LIMIT, Log, Running, committed, config, create, random};

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .test(
            "rebalance::cooperative_sticky_hands_partitions_over",
            cooperative,
        )
        .test("rebalance::range_hands_partitions_over", range)
        .rig_test(
            "rebalance::the_consumer_protocol_hands_partitions_over",
            consumer_protocol,
        )
        .test(
            "rebalance::a_call_that_hangs_is_cancelled_and_its_record_moves",
            a_hanging_call_is_cancelled,
        )
        .test(
            "rebalance::what_is_kept_goes_on_while_the_rest_is_drained",
            kept_goes_on,
        )
        .test(
            "rebalance::what_was_paused_is_read_when_it_comes_back",
            paused_comes_back,
        )
        .rig_test(
            "rebalance::a_member_without_partitions_leaves_at_once",
            without_partitions,
        )
        .test(
            "rebalance::a_static_member_that_comes_back_disturbs_nobody",
            static_member,
        )
}

/// Member, partition, offset.
type Handled = (u8, i32, i64);

const PARTITIONS: i32 = 6;
const RECORDS: usize = 300;

async fn produce(topics: &Topics, topic: &str) -> TestResult {
    let records = (0..PARTITIONS)
        .flat_map(|partition| (0..RECORDS).map(move |n| (partition, (n % 20).to_string())));
    topics
        .produce_all(records.map(|(p, key)| NewRecord::to(topic).partition(p).key(key).value("x")))
        .await?;
    Ok(())
}

/// A member whose calls take a while, some longer than others.
fn member(
    config: Config,
    number: u8,
    topic: &str,
    log: &Log<Handled>,
    events: &Events,
) -> Result<Running, BoxError> {
    let seen = log.clone();
    let handler = Handler::new(topic, move |_: Raw, at: RecordMetadata| {
        let seen = seen.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(5 + random(40))).await;
            seen.push((number, at.partition(), at.offset()));
        }
    })
    .concurrency(12);
    let builder = Runtime::builder()
        .config(config)
        .handlers([handler])
        .observer(events.clone());
    Ok(Running::start(builder)?)
}

async fn cooperative(cluster: &KafkaCluster) -> TestResult {
    let protocol = PartitionAssignment::CooperativeSticky;
    hand_over(cluster, |config| {
        classic(config).partition_assignment(protocol)
    })
    .await
}

async fn range(cluster: &KafkaCluster) -> TestResult {
    let protocol = PartitionAssignment::Range;
    hand_over(cluster, |config| {
        classic(config).partition_assignment(protocol)
    })
    .await
}

/// A member learns with its next heartbeat that another one wants to join.
fn classic(config: Config) -> Config {
    config
        .heartbeat_interval(Duration::from_millis(300))
        .session_timeout(Duration::from_secs(10))
}

async fn consumer_protocol(_: &KafkaCluster) -> TestResult {
    let start = || KafkaCluster::builder().version("4.1.1").start();
    let cluster = tokio::task::spawn_blocking(start).await??;
    hand_over(&cluster, |config| {
        config.group_protocol(GroupProtocol::Consumer)
    })
    .await
}

/// A second member joins, works, and leaves again.
async fn hand_over(cluster: &KafkaCluster, protocol: impl Fn(Config) -> Config) -> TestResult {
    let (topic, group) = (unique_name("moves"), unique_name("group"));
    let topics = create(cluster, &topic, PARTITIONS).await?;
    produce(&topics, &topic).await?;
    let (log, events) = (Log::<Handled>::default(), Events::default());
    let config = || protocol(config(cluster, &group));

    let first = member(config(), 1, &topic, &log, &events)?;
    log.reaches(50).await?;
    let second = member(config(), 2, &topic, &log, &events)?;
    eventually(LIMIT, async || {
        log.all().iter().any(|(member, ..)| *member == 2)
    })
    .await?;
    assert!(
        log.len() < usize::try_from(PARTITIONS)? * RECORDS,
        "all was handled before"
    );
    second.is_assigned(3).await?;
    first.is_assigned(3).await?;
    produce(&topics, &topic).await?;
    second.stop().await?;
    first.is_assigned(6).await?;

    let ends = [i64::try_from(2 * RECORDS)?; 6];
    committed(&topics, &group, &topic, &ends).await?;
    first.stop().await?;
    let mut count: BTreeMap<(i32, i64), Vec<u8>> = BTreeMap::new();
    for (member, partition, offset) in log.all() {
        count.entry((partition, offset)).or_default().push(member);
    }
    assert_eq!(count.len(), 2 * RECORDS * usize::try_from(PARTITIONS)?);
    let twice: Vec<_> = count
        .iter()
        .filter(|(_, members)| members.len() > 1)
        .collect();
    assert!(twice.is_empty(), "handled twice: {twice:?}");
    let members: BTreeSet<u8> = count.into_values().flatten().collect();
    assert_eq!(members, [1, 2].into());
    assert_eq!(events.with("Lost"), Vec::<String>::new());
    Ok(())
}

async fn a_hanging_call_is_cancelled(cluster: &KafkaCluster) -> TestResult {
    let (topic, group) = (unique_name("hangs"), unique_name("group"));
    let topics = create(cluster, &topic, 2).await?;
    for partition in 0..2 {
        topics
            .produce(NewRecord::to(&topic).partition(partition).value("x"))
            .await?;
    }
    let (log, told, gate) = (
        Log::<(u8, i32)>::default(),
        Log::<i32>::default(),
        Arc::new(Semaphore::new(0)),
    );
    let member = |number: u8| {
        let (seen, told, gate) = (log.clone(), told.clone(), Arc::clone(&gate));
        let handler = Handler::new(
            &topic,
            move |_: Raw, at: RecordMetadata, cancel: CancellationToken| {
                seen.push((number, at.partition()));
                let (told, gate) = (told.clone(), Arc::clone(&gate));
                async move {
                    if number == 1 {
                        // Nobody opens it: only the end of the drain ends this call.
                        tokio::select! {
                            () = cancel.cancelled() => told.push(at.partition()),
                            _ = gate.acquire() => {}
                        }
                        std::future::pending::<()>().await;
                    }
                }
            },
        );
        let config = classic(config(cluster, &group))
            .drain_timeout(Duration::from_secs(1))
            .shutdown_grace(Duration::from_secs(1));
        Running::start(Runtime::builder().config(config).handlers([handler]))
    };

    let first = member(1)?;
    log.reaches(2).await?;
    let second = member(2)?;
    let moved = log.reaches(3).await?[2];

    assert_eq!(moved.0, 2);
    assert_eq!(told.all(), [moved.1]);
    first.is_assigned(1).await?;
    let offset = |partition| if partition == moved.1 { 1 } else { -1 };
    committed(&topics, &group, &topic, &[offset(0), offset(1)]).await?;
    second.stop().await?;
    first.stop().await?;
    Ok(())
}

/// And partitions are added while the drain lasts: that rebalance supersedes it.
async fn kept_goes_on(cluster: &KafkaCluster) -> TestResult {
    const QUICK: usize = 40;
    let (topic, group) = (unique_name("kept"), unique_name("group"));
    let topics = create(cluster, &topic, 2).await?;
    let log = Log::<Handled>::default();
    let (slow, quick) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let member = |number: u8| {
        let (seen, slow, quick) = (log.clone(), Arc::clone(&slow), Arc::clone(&quick));
        let handler = Handler::new(&topic, move |value: Text, at: RecordMetadata| {
            let is_slow = value.as_str() == Some("slow");
            let gate = Arc::clone(if is_slow { &slow } else { &quick });
            let seen = seen.clone();
            async move {
                let _ = gate.acquire().await;
                seen.push((number, at.partition(), at.offset()));
            }
        })
        .concurrency(12);
        let config = classic(config(cluster, &group))
            .drain_timeout(LIMIT)
            .property("topic.metadata.refresh.interval.ms", "1000");
        Running::start(Runtime::builder().config(config).handlers([handler]))
    };
    let produce = async |partitions: i32, value: &str, count: usize| {
        let places = (0..partitions).flat_map(|p| std::iter::repeat_n(p, count));
        let records = places.map(|p| NewRecord::to(&topic).partition(p).key(value).value(value));
        topics.produce_all(records).await
    };
    produce(2, "slow", 1).await?;
    produce(2, "quick", QUICK).await?;

    let first = member(1)?;
    first.is_assigned(2).await?;
    // All is received: while a revoke waits for its answer, librdkafka fetches nothing, not even what is kept.
    let received = || first.control.status()[0].in_flight();
    eventually(LIMIT, async || received() == 2 * (1 + QUICK)).await?;
    let second = member(2)?;
    let drains = async || {
        first.control.status()[0]
            .partitions
            .iter()
            .any(|p| p.is_draining)
    };
    eventually(LIMIT, drains).await?;
    quick.add_permits(1_000);
    // Those of the partition that is kept, and what ran of the other one.
    log.reaches(QUICK).await?;
    assert!(drains().await, "inconclusive: the drain was over before");

    topics.create_partitions(&topic, 4).await?;
    // The other client learns of them when its metadata is old.
    let topics = Topics::new(cluster.bootstrap_servers())?;
    for partition in 0..4 {
        let record = NewRecord::to(&topic).partition(partition).key("quick");
        topics.produce(record.value("quick")).await?;
    }
    second.is_assigned(2).await?;
    first.is_assigned(2).await?;
    slow.add_permits(1_000);
    let end = i64::try_from(QUICK)? + 2;
    committed(&topics, &group, &topic, &[end, end, 1, 1]).await?;
    second.stop().await?;
    first.stop().await?;
    let handled: BTreeSet<_> = log
        .all()
        .iter()
        .map(|(_, p, offset)| (*p, *offset))
        .collect();
    let all = [(0, end), (1, end), (2, 1), (3, 1)];
    let all = all
        .into_iter()
        .flat_map(|(p, end)| (0..end).map(move |offset| (p, offset)));
    assert_eq!(handled, all.collect());
    Ok(())
}

/// librdkafka does not forget a pause when a partition goes: here one by backpressure.
async fn paused_comes_back(cluster: &KafkaCluster) -> TestResult {
    const COUNT: usize = 200;
    let (topic, group) = (unique_name("paused"), unique_name("group"));
    let topics = create(cluster, &topic, 2).await?;
    let records = (0..2 * COUNT).map(|n| {
        let partition = i32::from(n % 2 == 1);
        NewRecord::to(&topic)
            .partition(partition)
            .key("k")
            .value("x")
    });
    topics.produce_all(records).await?;
    let gate = Arc::new(Semaphore::new(0));
    let member = |events: &Events| {
        let gate = Arc::clone(&gate);
        let handler = Handler::new(&topic, move |_: Raw| {
            let gate = Arc::clone(&gate);
            async move {
                let _ = gate.acquire().await;
            }
        });
        let config = classic(config(cluster, &group))
            .max_in_flight_records(40)
            .drain_timeout(Duration::from_secs(1));
        let builder = Runtime::builder().config(config).handlers([handler]);
        Running::start(builder.observer(events.clone()))
    };

    let (events, others) = (Events::default(), Events::default());
    let first = member(&events)?;
    eventually(LIMIT, async || events.with("Paused").len() >= 2).await?;
    let second = member(&others)?;
    second.is_assigned(1).await?;
    second.stop().await?;
    first.is_assigned(2).await?;
    gate.add_permits(10_000);

    let end = i64::try_from(COUNT)?;
    committed(&topics, &group, &topic, &[end, end]).await?;
    first.stop().await
}

/// Of two members of a topic with one partition, one has nothing to do. When it stops, the group must not wait for its
/// session to end: the next rebalance would.
async fn without_partitions(cluster: &KafkaCluster) -> TestResult {
    let (topic, group) = (unique_name("narrow"), unique_name("group"));
    create(cluster, &topic, 1).await?;
    let (log, events) = (Log::<Handled>::default(), Events::default());
    // Far longer than the test waits.
    let config = || classic(config(cluster, &group)).session_timeout(Duration::from_mins(2));
    let first = member(config(), 1, &topic, &log, &events)?;
    first.is_assigned(1).await?;
    let second = member(config(), 2, &topic, &log, &events)?;
    let has_members = async |count: usize| {
        let are_there = async || cluster.members(&group).is_ok_and(|all| all.len() == count);
        eventually(LIMIT, are_there).await
    };
    has_members(2).await?;
    second.is_assigned(0).await?;

    second.stop().await?;

    has_members(1).await?;
    first.stop().await?;
    has_members(0).await?;
    Ok(())
}

async fn static_member(cluster: &KafkaCluster) -> TestResult {
    let (topic, group) = (unique_name("static"), unique_name("group"));
    let topics = create(cluster, &topic, PARTITIONS).await?;
    let (log, events) = (Log::<Handled>::default(), Events::default());
    let config = |instance: &str| classic(config(cluster, &group)).group_instance_id(instance);
    let comes_and_goes = Events::default();
    let first = member(config("one"), 1, &topic, &log, &events)?;
    let second = member(config("two"), 2, &topic, &log, &comes_and_goes)?;
    first.is_assigned(3).await?;
    second.is_assigned(3).await?;
    let of = |running: &Running| {
        let groups = running.control.status();
        let partitions = groups[0].partitions.iter();
        partitions
            .map(|p| p.partition.partition)
            .collect::<BTreeSet<_>>()
    };
    let (before, theirs) = (events.0.len(), of(&second));

    second.stop().await?;
    produce(&topics, &topic).await?;
    let second = member(config("two"), 2, &topic, &log, &comes_and_goes)?;
    second.is_assigned(3).await?;
    log.reaches(RECORDS * usize::try_from(PARTITIONS)?).await?;

    assert_eq!(of(&second), theirs);
    let moved = |events: &[String]| {
        events
            .iter()
            .any(|event| event.starts_with("Assigned") || event.starts_with("Revoked"))
    };
    assert!(
        !moved(&events.0.all()[before..]),
        "the other one was disturbed"
    );
    let ends = [i64::try_from(RECORDS)?; 6];
    committed(&topics, &group, &topic, &ends).await?;
    first.stop().await?;
    second.stop().await?;
    assert_eq!(log.len(), RECORDS * usize::try_from(PARTITIONS)?);
    Ok(())
}
