//! The topics of a scenario: those that are written to, and those that the runtime writes to by itself.

use anyhow::Context;
use test_support::StoredRecord;

use super::scenario::{PARKS, Scenario};
use super::stage::Stage;
use super::workload::Flavour;

/// The names of a scenario's topics. A topic's number is its place in the scenario.
pub(crate) struct TopicNames {
    /// Also what all names begin with.
    pub(crate) group: String,
    pub(crate) sources: Vec<String>,
    /// Shortest wait first, source by source.
    pub(crate) retries: Vec<RetryName>,
}

/// A retry topic.
pub(crate) struct RetryName {
    pub(crate) topic: String,
    /// The number of its source.
    pub(crate) source: usize,
    /// 1 for the shortest wait.
    pub(crate) stage: usize,
    partitions: i32,
}

impl TopicNames {
    /// Names that no other run has.
    pub(crate) fn of(scenario: &Scenario) -> Self {
        let group = format!("{}-{}", scenario.name, scenario.seed);
        let group = test_support::unique_name(&group);
        let plans = scenario.topics.iter();
        let sources: Vec<String> = plans
            .map(|topic| format!("{group}.{}", topic.name))
            .collect();
        let mut retries = Vec::new();
        for (source, (name, plan)) in sources.iter().zip(&scenario.topics).enumerate() {
            for (stage, (_, wait)) in (1..).zip(parks(scenario)) {
                retries.push(RetryName {
                    topic: format!("{group}.{name}.retry.{wait}"),
                    source,
                    stage,
                    partitions: plan.partitions,
                });
            }
        }
        Self {
            group,
            sources,
            retries,
        }
    }

    pub(crate) fn dead_letters(&self) -> impl Iterator<Item = String> {
        self.sources
            .iter()
            .map(|name| format!("{}.{name}.dlq", self.group))
    }

    /// Creates those that are written to, and retry topics; workers create those of dead letters.
    pub(crate) fn create(&self, stage: &Stage, scenario: &Scenario) -> anyhow::Result<()> {
        let create = |name: &str, partitions, properties: &[(&str, &str)]| {
            let creating = stage.topics.create_with(name, partitions, properties);
            stage.tokio.block_on(creating)
        };
        for (name, plan) in self.sources.iter().zip(&scenario.topics) {
            let properties: &[(&str, &str)] = match plan.flavour {
                Flavour::Compacted => &COMPACTED,
                Flavour::Plain | Flavour::Transactional => &[],
            };
            create(name, plan.partitions, properties)?;
        }
        for retry in &self.retries {
            create(&retry.topic, retry.partitions, &STAMPED)?;
        }
        Ok(())
    }
}

/// The waits of a scenario's retry topics, and how their names end.
pub(crate) fn parks(scenario: &Scenario) -> impl Iterator<Item = (u64, &'static str)> {
    let all = PARKS.into_iter();
    all.filter(|_| scenario.has_retry_topics)
}

/// Small segments that are rolled and cleaned all the time.
const COMPACTED: [(&str, &str); 5] = [
    ("cleanup.policy", "compact"),
    ("segment.ms", "1000"),
    ("min.cleanable.dirty.ratio", "0.01"),
    ("delete.retention.ms", "100"),
    ("max.compaction.lag.ms", "2000"),
];

/// The broker says when it had a record: from then on its source may be committed past it.
const STAMPED: [(&str, &str); 1] = [("message.timestamp.type", "LogAppendTime")];

/// Reads all that a topic has.
pub(crate) fn read(stage: &Stage, topic: &str) -> anyhow::Result<Vec<StoredRecord>> {
    let reading = stage.topics.read_all(topic);
    stage
        .tokio
        .block_on(reading)
        .with_context(|| format!("read {topic}"))
}
