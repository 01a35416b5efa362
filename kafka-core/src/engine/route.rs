//! Which handler a topic's records go to, with everything that its calls share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use regex_lite::Regex;
use tokio::sync::Semaphore;

use super::pulse::Pulse;
use crate::batch::BatchOptions;
use crate::change_filter::ChangeFilter;
use crate::error::RunError;
use crate::extract::Services;
use crate::failure::backoff::Retry;
use crate::failure::breaker::BreakerState;
use crate::failure::dead_letter::DeadLetters;
use crate::failure::policy::FailurePolicy;
use crate::failure::retry_topic::topic_name;
use crate::handler::{Handler, Ordering, Start};
use crate::mutant::{self, Mutant};
use crate::observe::Observers;
use crate::record::RecordBatch;

/// A handler at work in one group: shared by the lanes of all its partitions.
#[derive(Debug)]
pub(crate) struct ActiveHandler {
    pub(crate) name: Arc<str>,
    pub(crate) ordering: Ordering,
    pub(crate) timeout: Option<Duration>,
    pub(crate) retry: Retry,
    pub(crate) on_failure: FailurePolicy,
    /// `None`: `{group}.{topic}.dlq`.
    pub(crate) dead_letter: Option<Arc<str>>,
    pub(crate) start: Start,
    pub(crate) max_payload: Option<usize>,
    /// `None`: each call takes one record.
    pub(crate) batch: Option<BatchOptions>,
    /// What it wants of a stream of changes; `None`: everything.
    pub(crate) filter: Option<ChangeFilter>,
    /// The waits of its retry topics, shortest first.
    pub(crate) retry_waits: Vec<Duration>,
    pub(crate) permits: Arc<Semaphore>,
    pub(crate) breaker: BreakerState,
    pub(crate) handler: Handler,
}

impl ActiveHandler {
    /// Returns the chain of a record by the hash of its key: the records that wait for each other. `None`: it waits for
    /// nothing.
    pub(crate) fn chain(&self, key_hash: Option<u64>) -> Option<u64> {
        match self.ordering {
            Ordering::Key => key_hash,
            Ordering::None => None,
            Ordering::Partition => Some(0),
        }
    }

    /// The same of a record that a lane has.
    pub(crate) fn chain_of(&self, batch: &RecordBatch, index: usize) -> Option<u64> {
        if mutant::is_active(Mutant::DropKeyChain) {
            return None;
        }
        if mutant::is_active(Mutant::ChainWholePartition) {
            return Some(0);
        }
        let key_hash = batch.has_key(index).then(|| batch.key_hash(index));
        self.chain(key_hash.or(mutant::is_active(Mutant::ChainNullKeys).then_some(0)))
    }

    /// Returns the dead letter topic for records of a topic.
    pub(crate) fn dead_letter_topic(&self, group_id: &str, topic: &str) -> Arc<str> {
        match &self.dead_letter {
            Some(name) => Arc::clone(name),
            None => format!("{group_id}.{topic}.dlq").into(),
        }
    }

    /// Returns the retry topics for records of a topic, with the wait of each.
    pub(crate) fn retry_topics(&self, group_id: &str, topic: &str) -> Vec<(Arc<str>, Duration)> {
        let name = |wait| Arc::from(topic_name(group_id, topic, wait));
        self.retry_waits
            .iter()
            .map(|wait| (name(*wait), *wait))
            .collect()
    }
}

/// What the calls of one group share.
#[derive(Clone)]
pub(crate) struct GroupServices {
    pub(crate) group_id: Arc<str>,
    pub(crate) services: Arc<Services>,
    pub(crate) dead_letters: Arc<DeadLetters>,
    pub(crate) observers: Observers,
    pub(crate) failed: Arc<FirstError>,
    pub(crate) pulse: Arc<Pulse>,
    /// A call that runs for longer is reported.
    pub(crate) max_call_age: Duration,
}

/// The error that ends a group: the first one wins.
#[derive(Debug, Default)]
pub(crate) struct FirstError(Mutex<Option<RunError>>);

impl FirstError {
    pub(crate) fn set(&self, error: RunError) {
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert(error);
    }

    pub(crate) fn take(&self) -> Option<RunError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some()
    }
}

/// The handlers of a group by topic: exact names first, then patterns in the order they were given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Routes {
    group_id: Arc<str>,
    topics: HashMap<Arc<str>, Arc<ActiveHandler>>,
    patterns: Vec<(Regex, Arc<ActiveHandler>)>,
}

impl Routes {
    pub(crate) fn of_group(group_id: &Arc<str>) -> Self {
        Self {
            group_id: Arc::clone(group_id),
            ..Self::default()
        }
    }

    pub(crate) fn add_topic(&mut self, topic: Arc<str>, handler: Arc<ActiveHandler>) {
        self.topics.insert(topic, handler);
    }

    pub(crate) fn add_pattern(&mut self, pattern: Regex, handler: Arc<ActiveHandler>) {
        self.patterns.push((pattern, handler));
    }

    pub(crate) fn of_topic(&self, topic: &str) -> Option<&Arc<ActiveHandler>> {
        self.topics.get(topic).or_else(|| {
            let mut patterns = self.patterns.iter();
            let (_, handler) = patterns.find(|(pattern, _)| pattern.is_match(topic))?;
            (!self.writes(topic)).then_some(handler)
        })
    }

    /// True of a topic that this group writes to: a pattern that catches it would feed the handlers with what they failed
    /// for. Who wants that names it.
    fn writes(&self, topic: &str) -> bool {
        if self
            .handlers()
            .any(|handler| handler.dead_letter.as_deref() == Some(topic))
        {
            return true;
        }
        let own = topic.strip_prefix(&*self.group_id);
        let Some(own) = own.and_then(|own| own.strip_prefix('.')) else {
            return false;
        };
        let dead = own.strip_suffix(".dlq").and_then(|source| {
            let handler = self.of_topic(source)?;
            Some(*handler.dead_letter_topic(&self.group_id, source) == *topic)
        });
        let is_retried = |(source, _): (&str, &str)| {
            let handler = self.of_topic(source);
            handler.is_some_and(|handler| {
                let topics = handler.retry_topics(&self.group_id, source);
                topics.iter().any(|(name, _)| **name == *topic)
            })
        };
        dead == Some(true) || own.rsplit_once(".retry.").is_some_and(is_retried)
    }

    fn handlers(&self) -> impl Iterator<Item = &Arc<ActiveHandler>> {
        let by_pattern = self.patterns.iter().map(|(_, handler)| handler);
        self.topics.values().chain(by_pattern)
    }

    /// True if a handler has retry topics.
    pub(crate) fn have_retry_topics(&self) -> bool {
        self.handlers()
            .any(|handler| !handler.retry_waits.is_empty())
    }

    pub(crate) fn patterns(&self) -> &[(Regex, Arc<ActiveHandler>)] {
        &self.patterns
    }

    /// Returns what the client subscribes to: topics, and patterns, which begin with `^`.
    pub(crate) fn subscription(&self) -> Vec<String> {
        let mut subscription: Vec<String> = self.topics.keys().map(ToString::to_string).collect();
        subscription.sort_unstable();
        subscription.extend(
            self.patterns
                .iter()
                .map(|(pattern, _)| pattern.as_str().to_owned()),
        );
        subscription
    }
}
