//! Dead letters that are larger than their topic takes: what is optional is left out; if that does not help, the record
//! is held back and reported, and everything else goes on.

use std::time::Duration;

use kafka_runtime::{DEAD_LETTER_HEADER_PREFIX, FailurePolicy, Handler, Retry, Runtime, Text};
use test_support::{KafkaCluster, NewRecord, Suite, TestResult, Topics, eventually, unique_name};

use crate::common::{BoxError, Events, LIMIT, Log, Running, committed, config, create};
use crate::failure::records;

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .test(
            "too_large::a_dead_letter_that_fits_only_without_the_errors_text_is_written_without_it",
            fits_without_text,
        )
        .test(
            "too_large::a_dead_letter_that_does_not_fit_at_all_holds_its_record_back_and_nothing_else",
            does_not_fit,
        )
}

/// What the dead letter topic takes: a batch of one record of 1,000 bytes with our headers, and not their text, too.
const LIMIT_BYTES: &str = "1650";

/// A topic, and its group with a small dead letter topic.
async fn scene(cluster: &KafkaCluster) -> Result<(String, String, String), BoxError> {
    let (topic, group) = (unique_name("large"), unique_name("group"));
    let dead = format!("{group}.dead");
    let topics = create(cluster, &topic, 1).await?;
    topics
        .create_with(&dead, 1, &[("max.message.bytes", LIMIT_BYTES)])
        .await?;
    Ok((topic, group, dead))
}

/// Fails for values that begin with "bad", in many words.
fn failing(topic: &str, dead: &str, log: &Log<String>) -> Handler {
    let seen = log.clone();
    Handler::new(topic, move |text: Text| {
        let text = text.into_string().unwrap_or_default();
        let is_bad = text.starts_with("bad");
        seen.push(text);
        std::future::ready(if is_bad { Err("w".repeat(500)) } else { Ok(()) })
    })
    .with_name("h")
    .retry(Retry::NONE)
    .on_failure(FailurePolicy::DeadLetter)
    .dead_letter(dead)
}

async fn fits_without_text(cluster: &KafkaCluster) -> TestResult {
    let (topic, group, dead) = scene(cluster).await?;
    let topics = Topics::new(cluster.bootstrap_servers())?;
    let (small, large) = ("bad".to_owned(), format!("bad{}", "x".repeat(997)));
    let log = Log::default();

    let builder = Runtime::builder()
        .config(config(cluster, &group).dead_letter_error_text(true))
        .handlers([failing(&topic, &dead, &log)]);
    let running = Running::start(builder)?;
    // One after the other: what is too large is refused with its whole batch.
    for (count, value) in [(1, &small), (2, &large)] {
        topics
            .produce(NewRecord::to(&topic).value(value.as_str()))
            .await?;
        records(&topics, &dead, count).await?;
    }
    let letters = topics.read_all(&dead).await?;
    committed(&topics, &group, &topic, &[2]).await?;
    running.stop().await?;

    let text =
        |index: usize| letters[index].header_text(&format!("{DEAD_LETTER_HEADER_PREFIX}error"));
    assert_eq!(text(0).map(|text| text.len()), Some(256), "cut");
    assert_eq!(text(1), None);
    assert_eq!(letters[1].value.as_deref(), Some(large.as_bytes()));
    Ok(())
}

async fn does_not_fit(cluster: &KafkaCluster) -> TestResult {
    let (topic, group, dead) = scene(cluster).await?;
    let topics = Topics::new(cluster.bootstrap_servers())?;
    let huge = format!("bad{}", "x".repeat(3_000));
    topics
        .produce(NewRecord::to(&topic).key("a").value("good"))
        .await?;
    topics
        .produce(NewRecord::to(&topic).key("b").value(huge.as_str()))
        .await?;
    topics
        .produce(NewRecord::to(&topic).key("c").value("good"))
        .await?;
    let (log, events) = (Log::default(), Events::default());

    let builder = Runtime::builder()
        .config(config(cluster, &group).shutdown_grace(Duration::from_secs(1)))
        .handlers([failing(&topic, &dead, &log)])
        .observer(events.clone());
    let running = Running::start(builder)?;
    eventually(LIMIT, async || !events.with("DeadLetterDelayed").is_empty()).await?;
    log.reaches(3).await?;
    committed(&topics, &group, &topic, &[1]).await?;
    running.stop().await?;

    assert_eq!(topics.read_all(&dead).await?, []);
    committed(&topics, &group, &topic, &[1]).await?;
    let delayed = events.with("DeadLetterDelayed");
    assert!(delayed[0].contains("TooLarge"), "{delayed:?}");
    // It does not spin: the waits grow.
    assert!(delayed.len() < 20, "{}", delayed.len());
    Ok(())
}
