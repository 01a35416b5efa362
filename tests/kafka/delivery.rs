//! Only finished work is committed, and what is committed is not handled again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kafka_runtime::{
    FailurePolicy, Handler, Ordering, Raw, RecordMetadata, Retry, RunError, Start,
};
use test_support::{KafkaCluster, NewRecord, Suite, TestResult, Topics, eventually, unique_name};
use tokio::sync::Semaphore;

use crate::common::{LIMIT, Log, committed, create, random, start};

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .test(
            "delivery::a_record_that_runs_holds_the_commit_back",
            a_running_record_holds_the_commit_back,
        )
        .test(
            "delivery::nothing_is_handled_twice_after_a_clean_stop",
            nothing_twice_after_a_clean_stop,
        )
        .test(
            "delivery::after_a_stop_by_policy_the_next_run_begins_at_the_record",
            stop_by_policy_partition,
        )
        .test(
            "delivery::after_a_stop_by_policy_no_key_is_committed_past_the_record",
            stop_by_policy_key,
        )
        .test(
            "delivery::a_group_begins_at_the_oldest_record",
            begins_at_the_oldest,
        )
        .test("delivery::start_latest_begins_at_the_end", start_latest)
        .test(
            "delivery::a_stop_waits_for_what_runs_and_gives_up_after_the_grace",
            a_stop_waits_for_the_grace,
        )
}

/// A place in a topic.
type At = (i32, i64);

async fn produce_to(topics: &Topics, topic: &str, partition: i32, count: usize) -> TestResult {
    let records = (0..count).map(|n| {
        NewRecord::to(topic)
            .partition(partition)
            .key(n.to_string())
            .value(n.to_string())
    });
    topics.produce_all(records).await?;
    Ok(())
}

async fn a_running_record_holds_the_commit_back(cluster: &KafkaCluster) -> TestResult {
    let (topic, group) = (unique_name("held"), unique_name("group"));
    let topics = create(cluster, &topic, 2).await?;
    produce_to(&topics, &topic, 0, 10).await?;
    let (log, gate) = (Log::<At>::default(), Arc::new(Semaphore::new(0)));

    let (seen, closed) = (log.clone(), Arc::clone(&gate));
    let handler = Handler::new(&topic, move |_: Raw, at: RecordMetadata| {
        let (seen, closed) = (seen.clone(), Arc::clone(&closed));
        async move {
            if (at.partition(), at.offset()) == (0, 4) {
                let _ = closed.acquire().await;
            }
            seen.push((at.partition(), at.offset()));
        }
    });
    let running = start(cluster, &group, [handler])?;
    let finished = log.reaches(9).await?;
    assert!(!finished.contains(&(0, 4)));
    committed(&topics, &group, &topic, &[4]).await?;

    // All partitions are committed together: one more commit passes without partition 0.
    produce_to(&topics, &topic, 1, 1).await?;
    committed(&topics, &group, &topic, &[4, 1]).await?;

    gate.add_permits(1);
    committed(&topics, &group, &topic, &[10, 1]).await?;
    running.stop().await
}

async fn nothing_twice_after_a_clean_stop(cluster: &KafkaCluster) -> TestResult {
    let (topic, group) = (unique_name("clean"), unique_name("group"));
    let topics = create(cluster, &topic, 3).await?;
    for partition in 0..3 {
        produce_to(&topics, &topic, partition, 200).await?;
    }
    let log = Log::<At>::default();
    let handler = || {
        let seen = log.clone();
        Handler::new(&topic, move |_: Raw, at: RecordMetadata| {
            let seen = seen.clone();
            async move {
                tokio::time::sleep(Duration::from_millis(1 + random(5))).await;
                seen.push((at.partition(), at.offset()));
            }
        })
        .concurrency(8)
    };

    // Stopped in the middle of it, twice; the third run does the rest.
    for so_far in [100, 300] {
        let running = start(cluster, &group, [handler()])?;
        log.reaches(so_far).await?;
        running.stop().await?;
        let by_now = log.len();
        assert!(by_now < 600, "all was handled before the stop");
        let offsets = topics.committed_offsets(&group, &topic).await?;
        let below = log
            .all()
            .iter()
            .filter(|(p, o)| offsets.get(p).is_some_and(|c| o < c))
            .count();
        let sum: i64 = offsets.values().sum();
        assert_eq!(i64::try_from(below)?, sum, "committed past unfinished work");
    }
    let running = start(cluster, &group, [handler()])?;
    log.reaches(600).await?;
    committed(&topics, &group, &topic, &[200, 200, 200]).await?;
    running.stop().await?;

    let all = log.all();
    let distinct: BTreeSet<_> = all.iter().collect();
    assert_eq!(distinct.len(), 600);
    assert_eq!(all.len(), 600, "some were handled twice");
    Ok(())
}

/// Returns a handler that logs, and fails at this offset of partition 0.
fn failing_at(topic: &str, offset: Option<i64>, log: &Log<At>) -> Handler {
    let seen = log.clone();
    Handler::new(topic, move |_: Raw, at: RecordMetadata| {
        let seen = seen.clone();
        async move {
            tokio::task::yield_now().await;
            if at.partition() == 0 && Some(at.offset()) == offset {
                anyhow::bail!("the disk is full");
            }
            seen.push((at.partition(), at.offset()));
            Ok(())
        }
    })
    .retry(Retry::NONE)
    .on_failure(FailurePolicy::Stop)
}

async fn stop_by_policy_partition(cluster: &KafkaCluster) -> TestResult {
    let (topic, group) = (unique_name("stop"), unique_name("group"));
    let topics = create(cluster, &topic, 1).await?;
    produce_to(&topics, &topic, 0, 50).await?;
    let log = Log::default();

    let handler = failing_at(&topic, Some(20), &log).ordering(Ordering::Partition);
    let result = start(cluster, &group, [handler])?.ended().await?;
    let Err(RunError::RecordFailed { record, error, .. }) = result else {
        return Err(format!("{result:?}").into());
    };
    assert_eq!(
        (&*record.topic, record.partition, record.offset.0),
        (topic.as_str(), 0, 20)
    );
    assert_eq!(error, "the disk is full");
    committed(&topics, &group, &topic, &[20]).await?;

    let handler = failing_at(&topic, None, &log).ordering(Ordering::Partition);
    let running = start(cluster, &group, [handler])?;
    let all = log.reaches(50).await?;
    running.stop().await?;
    assert!(all.into_iter().eq((0..50).map(|offset| (0, offset))));
    Ok(())
}

async fn stop_by_policy_key(cluster: &KafkaCluster) -> TestResult {
    let (topic, group) = (unique_name("stop"), unique_name("group"));
    let topics = create(cluster, &topic, 2).await?;
    for partition in 0..2 {
        produce_to(&topics, &topic, partition, 300).await?;
    }
    let log = Log::default();

    let handler = failing_at(&topic, Some(150), &log);
    let result = start(cluster, &group, [handler])?.ended().await?;
    assert!(
        matches!(&result, Err(RunError::RecordFailed { record, .. }) if record.offset.0 == 150)
    );
    let handled: BTreeSet<At> = log.all().into_iter().collect();
    let offsets = topics.committed_offsets(&group, &topic).await?;
    assert_eq!(
        offsets.get(&0).copied().unwrap_or(0).max(150),
        150,
        "{offsets:?}"
    );
    for (partition, offset) in offsets {
        assert!((0..offset).all(|below| handled.contains(&(partition, below))));
    }

    let running = start(cluster, &group, [failing_at(&topic, None, &log)])?;
    committed(&topics, &group, &topic, &[300, 300]).await?;
    running.stop().await?;
    let distinct: BTreeSet<_> = log.all().into_iter().collect();
    assert_eq!(distinct.len(), 600);
    Ok(())
}

fn logging(topic: &str, log: &Log<At>) -> Handler {
    let seen = log.clone();
    Handler::new(topic, move |_: Raw, at: RecordMetadata| {
        seen.push((at.partition(), at.offset()));
        std::future::ready(())
    })
}

async fn begins_at_the_oldest(cluster: &KafkaCluster) -> TestResult {
    let (topic, group) = (unique_name("oldest"), unique_name("group"));
    let topics = create(cluster, &topic, 1).await?;
    produce_to(&topics, &topic, 0, 3).await?;
    let log = Log::default();

    let running = start(cluster, &group, [logging(&topic, &log)])?;

    assert_eq!(log.reaches(3).await?, [(0, 0), (0, 1), (0, 2)]);
    running.stop().await
}

async fn start_latest(cluster: &KafkaCluster) -> TestResult {
    let (topic, group) = (unique_name("latest"), unique_name("group"));
    let topics = create(cluster, &topic, 1).await?;
    produce_to(&topics, &topic, 0, 3).await?;
    let log = Log::default();
    let handler = || logging(&topic, &log).start(Start::Latest);

    // Nothing is handled, and yet the group knows from where on it reads.
    let running = start(cluster, &group, [handler()])?;
    running.is_assigned(1).await?;
    running.stop().await?;
    committed(&topics, &group, &topic, &[3]).await?;

    produce_to(&topics, &topic, 0, 2).await?;
    let running = start(cluster, &group, [handler()])?;
    assert_eq!(log.reaches(2).await?, [(0, 3), (0, 4)]);
    running.stop().await
}

async fn a_stop_waits_for_the_grace(cluster: &KafkaCluster) -> TestResult {
    let (topic, group) = (unique_name("grace"), unique_name("group"));
    let topics = create(cluster, &topic, 1).await?;
    produce_to(&topics, &topic, 0, 2).await?;
    let started = Log::<i64>::default();

    let seen = started.clone();
    let handler = Handler::new(&topic, move |_: Raw, at: RecordMetadata| {
        seen.push(at.offset());
        async move {
            // The second one never ends by itself.
            match at.offset() {
                0 => tokio::time::sleep(Duration::from_millis(500)).await,
                _ => std::future::pending().await,
            }
        }
    });
    let runtime = kafka_runtime::Runtime::builder()
        .config(crate::common::config(cluster, &group).shutdown_grace(Duration::from_secs(1)))
        .handlers([handler]);
    let running = crate::common::Running::start(runtime)?;
    started.reaches(2).await?;
    let begun = std::time::Instant::now();
    running.stop().await?;
    let took = begun.elapsed();

    assert!(took >= Duration::from_secs(1), "{took:?}");
    assert!(took < Duration::from_secs(3), "{took:?}");
    eventually(LIMIT, async || {
        let offsets = topics.committed_offsets(&group, &topic).await;
        offsets.is_ok_and(|offsets| offsets == [(0, 1)].into())
    })
    .await?;
    Ok(())
}
