//! What a scenario left behind on the brokers.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, bail};
use test_support::StoredRecord;

use super::clock::{self, Nanos};
use super::evidence::{Content, DeadLetter, Deletion, ParkedCopy, Produced, RetryTopic};
use super::ledger::{At, Partition};
use super::progress::progress;
use super::sampler::Sampler;
use super::scenario::Scenario;
use super::stage::Stage;
use super::topics::{RetryName, TopicNames, read};
use super::worker::{Kind, Work};
use super::workload::Flavour;
use super::writer::Written;

/// Asks what is committed until somebody answers.
pub(crate) fn committed_at_the_end(sampler: &Sampler) -> anyhow::Result<BTreeMap<Partition, i64>> {
    let mut tries = 0;
    loop {
        match sampler.sample() {
            Ok(sample) => return Ok(sample.committed),
            Err(error) if tries >= 10 => return Err(error).context("read what is committed"),
            Err(_) => tries += 1,
        }
    }
}

/// Puts together what was acknowledged and what is there.
pub(crate) fn produced(
    stage: &Stage,
    scenario: &Scenario,
    names: &TopicNames,
    written: Vec<Written>,
    deletions: &[Deletion],
) -> anyhow::Result<BTreeMap<Partition, Vec<Produced>>> {
    let mut there: BTreeMap<(Partition, i64), Content> = BTreeMap::new();
    for (topic, name) in names.sources.iter().enumerate() {
        progress(&format!("reading {name} back"));
        for record in read(stage, name)? {
            let partition = Partition {
                topic,
                number: record.partition,
            };
            there.insert((partition, record.offset), content(record));
        }
    }
    let mut produced: BTreeMap<Partition, Vec<Produced>> = BTreeMap::new();
    for one in written {
        let (partition, offset) = (one.at.partition, one.at.offset);
        let content = there.remove(&(partition, offset));
        let is_deleted = deletions
            .iter()
            .any(|one| one.partition == partition && offset < one.before);
        let is_gone = match (&content, scenario.topics[partition.topic].flavour) {
            (Some(_), _) => false,
            (None, _) if is_deleted => true,
            (None, Flavour::Compacted) => true,
            (None, Flavour::Transactional) => continue, // aborted
            (None, Flavour::Plain) => {
                bail!(
                    "the cluster lost {} offset {}, which it had acknowledged",
                    names.sources[partition.topic],
                    one.at.offset
                )
            }
        };
        let must_be_dead = matches!(one.kind, Kind::Decode | Kind::Permanent | Kind::Panic);
        produced.entry(partition).or_default().push(Produced {
            offset: one.at.offset,
            key: one.key,
            n: one.n,
            kind: one.kind,
            ns: one.ns,
            content: content.filter(|_| must_be_dead),
            is_gone,
        });
    }
    // The answer to its write was lost with its broker, and the producer wrote it again under another epoch: it is there.
    for ((partition, offset), content) in there {
        let records = produced.entry(partition).or_default();
        let before = records.iter().filter(|record| record.offset < offset);
        let ns = before.map(|record| record.ns).max().unwrap_or(0);
        records.push(unacknowledged(offset, ns, content)?);
    }
    for records in produced.values_mut() {
        records.sort_by_key(|record| record.offset);
    }
    Ok(produced)
}

/// Makes out from a record itself what it is.
fn unacknowledged(offset: i64, ns: Nanos, content: Content) -> anyhow::Result<Produced> {
    let header = content.headers.iter().find(|(name, _)| name == "chaos-n");
    let n = header.and_then(|(_, value)| std::str::from_utf8(value.as_deref()?).ok());
    let kind = match &content.value {
        None => Kind::Tombstone,
        Some(value) => serde_json::from_slice(value).map_or(Kind::Decode, |work: Work| work.kind),
    };
    let key = content.key.as_deref().map(String::from_utf8_lossy);
    Ok(Produced {
        offset,
        key: key.map(|key| Arc::from(&*key)),
        n: n.context("a record without its number")?.parse()?,
        kind,
        ns,
        content: Some(content),
        is_gone: false,
    })
}

/// Reads all dead letters.
pub(crate) fn dead_letters(stage: &Stage, names: &TopicNames) -> anyhow::Result<Vec<DeadLetter>> {
    let mut letters = Vec::new();
    for (topic, name) in names.dead_letters().enumerate() {
        let records = read(stage, &name)?;
        letters.extend(records.into_iter().map(|record| DeadLetter {
            topic,
            content: content(record),
        }));
    }
    Ok(letters)
}

/// Reads what lies in retry topics.
pub(crate) fn parked(stage: &Stage, names: &TopicNames) -> anyhow::Result<Vec<ParkedCopy>> {
    let (now, wall) = (clock::now(), clock::wall());
    let mut copies = Vec::new();
    for topic in &names.retries {
        for record in read(stage, &topic.topic)? {
            let number = |name| {
                let text = record.header_text(&format!("{RETRY_PREFIX}{name}"))?;
                text.parse::<i64>().ok()
            };
            let place = number("partition").zip(number("offset"));
            let Some((partition, offset)) = place else {
                bail!(
                    "{}/{} offset {} does not say where it is from",
                    topic.topic,
                    record.partition,
                    record.offset
                );
            };
            let millis = u128::try_from(record.timestamp.unwrap_or(0)).unwrap_or(0);
            let ago = wall.saturating_sub(millis * 1_000_000);
            copies.push(ParkedCopy {
                at: At {
                    partition: Partition {
                        topic: topic.source,
                        number: i32::try_from(partition)?,
                    },
                    offset,
                },
                stage: topic.stage,
                offset: record.offset,
                ns: now.saturating_sub(u64::try_from(ago).unwrap_or(u64::MAX)),
            });
        }
    }
    Ok(copies)
}

/// What the runtime's own headers begin with in a retry topic.
const RETRY_PREFIX: &str = "kafka_runtime.retry.";

/// Asks how far retry topics are committed.
pub(crate) fn retry_topics(stage: &Stage, names: &TopicNames) -> anyhow::Result<Vec<RetryTopic>> {
    let group = format!("{}.retry", names.group);
    let mut all = Vec::new();
    for RetryName { topic: name, .. } in &names.retries {
        let ends = stage.tokio.block_on(stage.topics.end_offsets(name))?;
        let committed = stage.topics.committed_offsets(&group, name);
        let committed = stage.tokio.block_on(committed)?;
        all.extend(ends.into_iter().map(|(number, end)| RetryTopic {
            name: name.clone(),
            number,
            committed: committed.get(&number).copied().unwrap_or(0),
            end,
        }));
    }
    Ok(all)
}

fn content(record: StoredRecord) -> Content {
    Content {
        key: record.key,
        value: record.value,
        headers: record.headers,
    }
}
