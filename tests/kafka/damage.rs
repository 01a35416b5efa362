//! What brokers do to a group that reads well: bytes damaged on the way or where they lie, records deleted before they
//! were read, a dead letter topic that may not be written. Each test has a broker of its own to hurt.

use std::fs;
use std::path::Path;

use kafka_runtime::{
    Handler, Ordering, OutOfRange, PermanentError, Raw, RecordMetadata, Runtime, Text,
};
use test_support::{ClusterBuilder, KafkaCluster, NewRecord, Suite, TestResult, eventually};

use crate::common::{BoxError, Events, LIMIT, Log, Running, committed, config, create};

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .rig_test(
            "damage::a_batch_damaged_on_the_way_is_read_again",
            damaged_on_the_way,
        )
        .rig_test(
            "damage::a_batch_damaged_where_it_lies_puts_its_partition_aside",
            damaged_where_it_lies,
        )
        .rig_test(
            "damage::records_deleted_before_they_were_read_go_by_the_policy",
            deleted_while_it_runs,
        )
        .rig_test(
            "damage::a_dead_letter_that_may_not_be_written_holds_its_record_back",
            dead_letter_denied,
        )
}

/// A place in a topic.
type At = (i32, i64);

async fn own(cluster: ClusterBuilder) -> Result<KafkaCluster, BoxError> {
    Ok(tokio::task::spawn_blocking(|| cluster.start()).await??)
}

/// Takes note of what it is given.
fn noting(topic: &str, log: &Log<At>) -> Handler {
    let seen = log.clone();
    Handler::new(topic, move |_: Raw, at: RecordMetadata| {
        seen.push((at.partition(), at.offset()));
        async {}
    })
    .ordering(Ordering::Partition)
}

/// Returns the offsets of a partition, in the order in which they were handled.
fn of(partition: i32, log: &[At]) -> Vec<i64> {
    let of_it = log.iter().filter(|(of, _)| *of == partition);
    of_it.map(|(_, offset)| *offset).collect()
}

async fn damaged_on_the_way(_: &KafkaCluster) -> TestResult {
    const EACH: usize = 2_000;
    let cluster = own(KafkaCluster::builder().proxied(true)).await?;
    let topics = create(&cluster, "flipped", 3).await?;
    let records = (0..3 * EACH).map(|n| {
        NewRecord::to("flipped")
            .partition(i32::try_from(n % 3).unwrap_or_default())
            .key((n % 50).to_string())
            .value(vec![b'x'; 1_000])
    });
    topics.produce_all(records).await?;
    let proxy = cluster.proxy(1)?;
    // The fourth time in a row it would be taken to be damaged where it lies.
    proxy.flip_fetched(3);

    let (log, events) = (Log::<At>::default(), Events::default());
    let config = config(&cluster, "g").bootstrap_servers(cluster.proxied_bootstrap_servers()?);
    let builder = Runtime::builder()
        .config(config)
        .handlers([noting("flipped", &log)]);
    let running = Running::start(builder.observer(events.clone()))?;
    let handled = log.reaches(3 * EACH).await?;
    running.stop().await?;

    assert_eq!(
        proxy.counters().flips,
        3,
        "inconclusive: nothing was damaged"
    );
    assert_ne!(events.with("ClientError"), Vec::<String>::new());
    let all: Vec<_> = (0..i64::try_from(EACH)?).collect();
    for partition in 0..3 {
        assert_eq!(of(partition, &handled), all, "partition {partition}");
    }
    assert_eq!(log.len(), 3 * EACH);
    Ok(())
}

/// Flips a bit of the batch that begins at an offset, in the first segment of a partition.
fn damage(folder: &Path, at: i64) -> Result<(), BoxError> {
    let segment = folder.join("00000000000000000000.log");
    let mut bytes = fs::read(&segment)?;
    let mut start = 0;
    // A batch begins with its offset and the length of what comes after these twelve bytes.
    while let Some(head) = bytes.get(start..start + 12) {
        let offset = i64::from_be_bytes(head[..8].try_into()?);
        let end = start + 12 + usize::try_from(u32::from_be_bytes(head[8..].try_into()?))?;
        if offset == at {
            bytes[end - 1] ^= 1;
            return Ok(fs::write(&segment, bytes)?);
        }
        start = end;
    }
    Err(format!("no batch begins at {at}").into())
}

async fn damaged_where_it_lies(_: &KafkaCluster) -> TestResult {
    let cluster = own(KafkaCluster::builder()).await?;
    let topics = create(&cluster, "damaged", 2).await?;
    for n in 0..20 {
        let record = NewRecord::to("damaged").partition(n % 2);
        topics.produce(record.value(n.to_string())).await?;
    }
    let node = cluster.node(1)?;
    let folder = node.partition_folder("damaged", 0);
    // A node that was killed looks at its files when it starts, and would mend this by cutting off the end.
    node.stop()?;
    damage(&folder, 5)?;
    node.start_again()?;

    let (log, events) = (Log::<At>::default(), Events::default());
    let service = || {
        let builder = Runtime::builder().config(config(&cluster, "g"));
        let handlers = [noting("damaged", &log)];
        Running::start(builder.handlers(handlers).observer(events.clone()))
    };
    let running = service()?;
    log.reaches(15).await?;
    eventually(LIMIT, async || !events.with("Quarantined").is_empty()).await?;
    let told = &events.with("Quarantined")[0];
    assert!(told.contains("from: Offset(5)"), "{told}");
    committed(&topics, "g", "damaged", &[5, 10]).await?;
    running.stop().await?;
    assert_eq!(of(0, &log.all()), [0, 1, 2, 3, 4]);
    assert_eq!(of(1, &log.all()), (0..10).collect::<Vec<_>>());

    // The same bit again: it is whole.
    node.stop()?;
    damage(&folder, 5)?;
    node.start_again()?;
    let running = service()?;
    log.reaches(20).await?;
    running.stop().await?;
    assert_eq!(of(0, &log.all()), (0..10).collect::<Vec<_>>());
    Ok(())
}

async fn deleted_while_it_runs(_: &KafkaCluster) -> TestResult {
    let cluster = own(KafkaCluster::builder()).await?;
    let topics = create(&cluster, "deleted", 1).await?;
    let produce = async |count: usize| {
        topics
            .produce_all((0..count).map(|_| NewRecord::to("deleted")))
            .await
    };
    let run = async |group: &'static str, policy| -> Result<(Running, Log<At>, Events), BoxError> {
        let (log, events) = (Log::<At>::default(), Events::default());
        let config = config(&cluster, group).on_out_of_range(policy);
        let builder = Runtime::builder()
            .config(config)
            .handlers([noting("deleted", &log)]);
        Ok((
            Running::start(builder.observer(events.clone()))?,
            log,
            events,
        ))
    };
    produce(10).await?;
    let (earliest, earliest_log, events) = run("earliest", OutOfRange::Earliest).await?;
    let (fail, fail_log, _) = run("fail", OutOfRange::Fail).await?;
    earliest_log.reaches(10).await?;
    fail_log.reaches(10).await?;

    // What is paused is not fetched, and misses what is written and deleted meanwhile.
    for running in [&earliest, &fail] {
        running.control.pause("deleted");
        is_paused(running).await?;
    }
    produce(10).await?;
    topics.delete_records("deleted", 0, 15).await?;
    for running in [&earliest, &fail] {
        running.control.resume("deleted");
    }

    let handled = earliest_log.reaches(15).await?;
    assert_eq!(of(0, &handled), (0..10).chain(15..20).collect::<Vec<_>>());
    let told = events.with("outside of what the broker has, 15 to 20");
    assert_eq!(told.len(), 1, "{told:?}");
    earliest.stop().await?;

    let ended = format!("{:?}", fail.ended().await?);
    assert!(
        ended.starts_with("Err(") && ended.contains("15 to 20"),
        "{ended}"
    );
    assert_eq!(of(0, &fail_log.all()), (0..10).collect::<Vec<_>>());
    committed(&topics, "fail", "deleted", &[10]).await?;
    Ok(())
}

async fn is_paused(running: &Running) -> TestResult {
    Ok(eventually(LIMIT, async || {
        running.control.status()[0].partitions[0].is_paused
    })
    .await?)
}

async fn dead_letter_denied(_: &KafkaCluster) -> TestResult {
    let cluster = own(KafkaCluster::builder().authorizer(true)).await?;
    let topics = create(&cluster, "denied", 1).await?;
    let (log, events) = (Log::<String>::default(), Events::default());
    let seen = log.clone();
    let handler = Handler::new("denied", move |value: Text| {
        let (seen, value) = (seen.clone(), value.into_string().unwrap_or_default());
        async move {
            if value == "bad" {
                return Err(PermanentError::new(anyhow::anyhow!("as told")));
            }
            seen.push(value);
            Ok(())
        }
    });
    let builder = Runtime::builder()
        .config(config(&cluster, "g"))
        .handlers([handler]);
    let running = Running::start(builder.observer(events.clone()))?;
    running.is_assigned(1).await?;
    let dead_letters = "g.denied.dlq";
    let (cluster, denied) = tokio::task::spawn_blocking(move || {
        let denied = cluster.deny_write(dead_letters);
        (cluster, denied)
    })
    .await?;
    denied?;

    for value in ["a", "bad", "b", "c"] {
        topics
            .produce(NewRecord::to("denied").key(value).value(value))
            .await?;
    }
    assert_eq!(log.reaches(3).await?, ["a", "b", "c"]);
    eventually(LIMIT, async || events.with("DeadLetterDelayed").len() >= 2).await?;
    committed(&topics, "g", "denied", &[1]).await?;
    assert_eq!(topics.read_all(dead_letters).await?, []);

    let (_cluster, allowed) = tokio::task::spawn_blocking(move || {
        let allowed = cluster.allow_write(dead_letters);
        (cluster, allowed)
    })
    .await?;
    allowed?;
    committed(&topics, "g", "denied", &[4]).await?;
    let parked = topics.read_all(dead_letters).await?;
    assert_eq!(parked.len(), 1);
    assert_eq!(parked[0].value_text(), "bad");
    running.stop().await?;
    Ok(())
}
