//! The checks before a start that need the cluster: topics exist and may be described, dead letter topics are there.
//!
//! The right to read a topic, to use a group, or to write dead letters shows with the first attempt: the group then ends
//! with [`ClientError::Authorization`], or reports the dead letter.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::connect::{QUESTION, blocking};
use crate::client::Cluster;
use crate::config::MissingTopics;
use crate::engine::route::ActiveHandler;
use crate::error::ClientError;
use crate::failure::policy::FailurePolicy;
use crate::start::{GroupPlan, Problem};

/// How long a topic is looked for that no broker seems to have.
const JUST_CREATED: Duration = Duration::from_millis(500);

/// Checks every topic of a plan, and creates what is to be created; finds every problem.
pub(crate) async fn topics(
    cluster: &Arc<dyn Cluster>,
    groups: &[GroupPlan],
    missing: MissingTopics,
) -> Vec<Problem> {
    let (cluster, groups) = (Arc::clone(cluster), groups.to_vec());
    let checked = blocking(move || Ok(Checks::new(&*cluster, missing).run(&groups))).await;
    match checked {
        Ok(problems) => problems,
        Err(error) => vec![Problem::Config(error.to_string())],
    }
}

struct Checks<'a> {
    cluster: &'a dyn Cluster,
    missing: MissingTopics,
    /// Partitions of the topics that were asked for.
    known: BTreeMap<Arc<str>, Result<usize, ClientError>>,
    dead_letters: BTreeSet<Arc<str>>,
    problems: Vec<Problem>,
}

impl<'a> Checks<'a> {
    fn new(cluster: &'a dyn Cluster, missing: MissingTopics) -> Self {
        Self {
            cluster,
            missing,
            known: BTreeMap::new(),
            dead_letters: BTreeSet::new(),
            problems: Vec::new(),
        }
    }

    fn run(mut self, groups: &[GroupPlan]) -> Vec<Problem> {
        for group in groups {
            for (topic, handler) in &group.topics {
                let partitions = self.source(topic, handler);
                self.dead_letter(group, topic, handler, partitions);
                self.retry_topics(group, topic, handler, partitions);
            }
            for (pattern, handler) in group.routes.patterns() {
                match self.cluster.topics(QUESTION) {
                    Ok(topics) => {
                        let is_its = |topic: &&String| {
                            let handled = group.routes.of_topic(topic);
                            handled.is_some_and(|by| Arc::ptr_eq(by, handler))
                        };
                        for topic in topics.iter().filter(is_its) {
                            let partitions = self.source(&Arc::from(topic.as_str()), handler);
                            self.dead_letter(group, topic, handler, partitions);
                            self.retry_topics(group, topic, handler, partitions);
                        }
                    }
                    Err(source) => self.problem_of_topic(pattern.as_str(), handler, source),
                }
            }
        }
        self.problems
    }

    /// Returns the partitions of a source topic; `None` if it is not there (yet).
    fn source(&mut self, topic: &Arc<str>, handler: &ActiveHandler) -> Option<usize> {
        let (cluster, missing) = (self.cluster, self.missing);
        let found = self
            .known
            .entry(Arc::clone(topic))
            .or_insert_with(|| match missing {
                MissingTopics::Auto => auto_created(cluster, topic),
                _ => known_by_now(cluster, topic),
            })
            .clone();
        match (found, self.missing) {
            (Ok(partitions), _) => Some(partitions),
            (Err(ClientError::UnknownTopic(_)), MissingTopics::Wait) => None,
            (
                Err(ClientError::UnknownTopic(_)),
                MissingTopics::Create {
                    partitions,
                    replication,
                },
            ) => {
                let partitions = usize::try_from(partitions).unwrap_or(1);
                let created =
                    cluster.create_topic(topic, partitions, Some(i32::from(replication)), QUESTION);
                match created {
                    Ok(()) => {
                        self.known.insert(Arc::clone(topic), Ok(partitions));
                        Some(partitions)
                    }
                    Err(source) => {
                        self.problem_of_topic(topic, handler, source);
                        None
                    }
                }
            }
            (Err(ClientError::UnknownTopic(_)), MissingTopics::Fail | MissingTopics::Auto) => {
                self.problems.push(Problem::UnknownTopic {
                    place: handler.handler.place(),
                    handler: handler.name.to_string(),
                    topic: topic.to_string(),
                });
                None
            }
            (Err(source), _) => {
                self.problem_of_topic(topic, handler, source);
                None
            }
        }
    }

    fn problem_of_topic(&mut self, topic: &str, handler: &ActiveHandler, source: ClientError) {
        self.problems.push(Problem::Topic {
            place: handler.handler.place(),
            handler: handler.name.to_string(),
            topic: topic.to_owned(),
            source,
        });
    }

    /// Makes sure that a dead letter topic is there, with as many partitions as its source.
    fn dead_letter(
        &mut self,
        group: &GroupPlan,
        topic: &str,
        handler: &ActiveHandler,
        partitions: Option<usize>,
    ) {
        let (FailurePolicy::DeadLetter, Some(partitions)) = (handler.on_failure, partitions) else {
            return;
        };
        let name = handler.dead_letter_topic(&group.group_id, topic);
        if !self.dead_letters.insert(Arc::clone(&name)) {
            return;
        }
        if let Err(source) = ensure_topic(self.cluster, &name, partitions) {
            self.problems.push(Problem::DeadLetterTopic {
                place: handler.handler.place(),
                handler: handler.name.to_string(),
                topic: name.to_string(),
                source,
            });
        }
    }
}

impl Checks<'_> {
    /// Makes sure that a handler's retry topics are there, with the partitions of their source.
    fn retry_topics(
        &mut self,
        group: &GroupPlan,
        topic: &str,
        handler: &ActiveHandler,
        partitions: Option<usize>,
    ) {
        let Some(partitions) = partitions else {
            return;
        };
        for (name, _) in handler.retry_topics(&group.group_id, topic) {
            let Err(error) = ensure_retry_topic(self.cluster, &name, partitions) else {
                continue;
            };
            self.problems.push(Problem::RetryTopic {
                place: handler.handler.place(),
                handler: handler.name.to_string(),
                topic: name.to_string(),
                problem: format!(
                    "cannot be given the {partitions} partitions of its source: {error}; do that by hand, with \
                     retention.ms=-1, or leave retry_topics out"
                ),
            });
        }
    }
}

/// Asks for a topic; one that was created a moment ago is not known to every broker yet.
fn known_by_now(cluster: &dyn Cluster, topic: &str) -> Result<usize, ClientError> {
    let until = Instant::now() + JUST_CREATED;
    loop {
        match cluster.partitions(topic, QUESTION) {
            Err(ClientError::UnknownTopic(_)) if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(100));
            }
            other => return other,
        }
    }
}

/// Asks for a topic until the broker has created it: the first answer can still be that it is unknown.
fn auto_created(cluster: &dyn Cluster, topic: &str) -> Result<usize, ClientError> {
    let until = Instant::now() + QUESTION;
    loop {
        match cluster.partitions(topic, QUESTION) {
            Ok(partitions) if partitions > 0 => return Ok(partitions),
            Err(ClientError::UnknownTopic(_)) | Ok(_) if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(50));
            }
            other => return other,
        }
    }
}

/// Creates a topic unless it is there.
pub(crate) fn ensure_topic(
    cluster: &dyn Cluster,
    topic: &str,
    partitions: usize,
) -> Result<(), ClientError> {
    match cluster.partitions(topic, QUESTION) {
        Ok(_) => Ok(()),
        Err(ClientError::UnknownTopic(_)) => {
            cluster.create_topic(topic, partitions, None, QUESTION)
        }
        Err(error) => Err(error),
    }
}

/// The settings of a retry topic that we create: what waits there must not be deleted for its age or for want of room,
/// whatever the broker's defaults are, nor because a newer record has its key.
const RETRY_TOPIC: [(&str, &str); 3] = [
    ("cleanup.policy", "delete"),
    ("retention.ms", "-1"),
    ("retention.bytes", "-1"),
];

/// Creates a retry topic unless it is there, and gives it the partitions that it lacks.
pub(crate) fn ensure_retry_topic(
    cluster: &dyn Cluster,
    topic: &str,
    partitions: usize,
) -> Result<(), ClientError> {
    match cluster.partitions(topic, QUESTION) {
        Ok(found) if found < partitions => cluster.add_partitions(topic, partitions, QUESTION),
        Ok(_) => Ok(()),
        Err(ClientError::UnknownTopic(_)) => {
            cluster.create_topic_with(topic, partitions, None, &RETRY_TOPIC, QUESTION)
        }
        Err(error) => Err(error),
    }
}
