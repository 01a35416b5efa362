//! Makes what a retry topic lacks while a group runs: a source that has gained partitions, or has only just appeared, has
//! more of them than its retry topics. Such a partition of the source is not read before it has a place to park in.
//!
//! The broker is asked on another thread: the poll thread goes on.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::poll::Engine;
use crate::error::ClientError;
use crate::failure::retry_topic::Parking;
use crate::record::TopicPartition;
use crate::runtime::checks::ensure_retry_topic;
use crate::runtime::connect::{QUESTION, blocking};

/// The wait until a broker that refused is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// Retry topics that are being made.
pub(super) struct Making {
    /// For this source.
    source: Arc<str>,
    answer: Arc<Mutex<Option<Result<(), ClientError>>>>,
}

impl Engine {
    /// Begins to make what the retry topics of a source lack, unless that goes on for another.
    pub(super) fn make_retry_topics(&mut self, source: &TopicPartition, parking: &Parking) {
        let Some(retries) = &mut self.retries else {
            return;
        };
        if retries.making.is_some() {
            return;
        }
        let answer = Arc::default();
        retries.making = Some(Making {
            source: Arc::clone(&source.topic),
            answer: Arc::clone(&answer),
        });
        let cluster = Arc::clone(&self.group.dead_letters.cluster);
        let source = Arc::clone(&source.topic);
        let topics: Vec<_> = parking
            .topics
            .iter()
            .map(|(topic, _)| Arc::clone(topic))
            .collect();
        self.spawner.spawn(async move {
            let made = blocking(move || {
                let partitions = cluster.partitions(&source, QUESTION)?;
                topics
                    .iter()
                    .try_for_each(|topic| ensure_retry_topic(&*cluster, topic, partitions))
            });
            let made = made.await;
            // Held for this alone.
            *answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(made);
        });
    }

    /// Tells if that was refused; what it was for is put aside until it is there.
    pub(super) fn look_for_retry_topics(&mut self, now: Instant) {
        let Some(retries) = &mut self.retries else {
            return;
        };
        let made = retries.making.as_ref().and_then(|making| {
            let mut answer = making.answer.lock().unwrap_or_else(PoisonError::into_inner);
            Some((Arc::clone(&making.source), answer.take()?))
        });
        let Some((topic, result)) = made else {
            return;
        };
        retries.making = None;
        let Err(error) = result else {
            return;
        };
        let mut sources = Vec::new();
        for opening in &mut retries.opening {
            if opening.source.topic == topic {
                opening.not_before = now + ASK_AGAIN;
                sources.push(opening.source.clone());
            }
        }
        for partition in &mut self.dispatch.partitions {
            partition.is_quarantined |= sources.contains(&partition.state.at);
        }
        self.client_error(ClientError::UnknownTopic(format!(
            "the retry topics of {topic} have fewer partitions than it has, and cannot be given more: {error}; do that by \
             hand: what is new of {topic} is not read before"
        )));
        self.publish();
    }
}
