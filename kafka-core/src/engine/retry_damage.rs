//! Batches of retry topics that cannot be read; what `engine/corrupt.rs` does for sources.
//!
//! The client does not say whose batch it is. So what was fetched goes back to the record after the last one that arrived,
//! and is tried one at a time. What stays damaged puts the source aside, with all of its retry topics: what lies behind the
//! batch is not handled before it, nor what is of its keys in the source. Other partitions go on.

use std::collections::HashMap;
use std::time::Instant;

use super::corrupt::{READS, TRIAL, TRY_AGAIN};
use super::poll::{COMMITTED_TIMEOUT, Engine};
use super::questions::Questions;
use super::retry_reader::RetryTopic;
use crate::client::Position;
use crate::error::ClientError;
use crate::mutant::{self, Mutant};
use crate::observe::Event;
use crate::record::{Offset, TopicPartition};

/// What is known of batches of retry topics that cannot be read.
#[derive(Default)]
pub(super) struct Damage {
    /// Still to be tried, one after the other.
    suspects: Vec<TopicPartition>,
    trial: Option<Trial>,
    /// How often the batch at an offset could not be read.
    failed: HashMap<TopicPartition, (Offset, u32)>,
    /// Sources that are put aside, with the retry topic that cannot be read, and the time of the next try.
    aside: HashMap<TopicPartition, (TopicPartition, Instant)>,
}

struct Trial {
    at: TopicPartition,
    from: Offset,
    /// Records that had arrived.
    seen: u64,
    since: Instant,
}

impl Damage {
    fn is_trying(&self) -> bool {
        self.trial.is_some() || !self.suspects.is_empty()
    }

    /// True if a retry topic must not be fetched.
    pub(super) fn holds_back(&self, topic: &RetryTopic) -> bool {
        match &self.trial {
            Some(trial) => trial.at != topic.assigned.state.at,
            None => self.is_trying() || self.is_aside(&topic.source),
        }
    }

    /// True of a source that is put aside.
    pub(super) fn is_aside(&self, source: &TopicPartition) -> bool {
        self.aside.contains_key(source)
    }

    /// What was given back is somebody else's trouble.
    pub(super) fn forget(&mut self, sources: &[TopicPartition], topics: &[RetryTopic]) {
        let is_ours = |at: &TopicPartition| topics.iter().any(|t| t.assigned.state.at == *at);
        self.suspects.retain(is_ours);
        self.trial.take_if(|trial| !is_ours(&trial.at));
        self.failed.retain(|at, _| is_ours(at));
        self.aside.retain(|source, _| !sources.contains(source));
    }
}

impl Engine {
    /// A batch of some retry topic could not be read, and the client reads on behind it.
    pub(super) fn parked_unreadable(&mut self, error: ClientError, now: Instant) {
        self.client_warning(&error);
        let Some(retries) = &mut self.retries else {
            return;
        };
        if mutant::is_active(Mutant::SkipUnreadable) {
            return;
        }
        let damage = &mut retries.damage;
        let mut put_aside = None;
        if let Some(Trial { at, from, .. }) = damage.trial.take() {
            let (offset, reads) = damage.failed.entry(at.clone()).or_insert((from, 0));
            if *offset == from {
                *reads += 1;
            } else {
                (*offset, *reads) = (from, 1);
            }
            if *reads >= READS {
                put_aside = Some((at.clone(), from));
            } else {
                damage.suspects.push(at.clone());
            }
            retries.go_back(|topic| topic.assigned.state.at == at, now);
        } else {
            let topics = retries.topics.0.iter().filter(|topic| topic.is_fetched);
            damage.suspects = topics
                .map(|topic| topic.assigned.state.at.clone())
                .collect();
            retries.go_back(|topic| topic.is_fetched, now);
        }
        if let Some((at, from)) = put_aside {
            self.put_parked_aside(&at, from, error, now);
        }
        self.steer_retries();
    }

    fn put_parked_aside(
        &mut self,
        at: &TopicPartition,
        from: Offset,
        error: ClientError,
        now: Instant,
    ) {
        let Some(retries) = &mut self.retries else {
            return;
        };
        let topic = retries.topics.0.iter().find(|t| t.assigned.state.at == *at);
        let Some(source) = topic.map(|topic| topic.source.clone()) else {
            return;
        };
        let again = (at.clone(), now + TRY_AGAIN);
        retries.damage.aside.insert(source.clone(), again);
        let asked = retries.consumer.watermarks(at, COMMITTED_TIMEOUT);
        self.group.observers.emit(&Event::Quarantined {
            group_id: &self.group.group_id,
            partition: at,
            from,
            end: asked.ok().map(|(_, end)| end),
            error: &error,
        });
        if let Some(partition) = self.dispatch.find(&source) {
            partition.is_quarantined = true;
        }
        self.report(|consumer| consumer.pause(&[source]));
        self.monitor.set_error(error);
        self.publish();
    }

    /// Goes on with the trials.
    pub(super) fn try_parked_suspects(&mut self, now: Instant) {
        let Some(retries) = &mut self.retries else {
            return;
        };
        let damage = &mut retries.damage;
        if (damage.aside.is_empty() && !damage.is_trying()) || self.stopping.is_some() {
            return;
        }
        let mut acquitted = None;
        if let Some(trial) = &damage.trial {
            let topic = retries
                .topics
                .0
                .iter()
                .find(|t| t.assigned.state.at == trial.at);
            let has_read = topic.is_some_and(|topic| topic.seen > trial.seen);
            if !has_read && now.saturating_duration_since(trial.since) < TRIAL {
                return;
            }
            acquitted = damage.trial.take().filter(|_| has_read);
        }
        if let Some(trial) = acquitted {
            self.acquit_parked(&trial.at);
        }
        self.begin_trial(now);
    }

    /// Tries the next suspect; after the last one, what was put aside and is due.
    fn begin_trial(&mut self, now: Instant) {
        let Some(retries) = &mut self.retries else {
            return;
        };
        let damage = &mut retries.damage;
        let mut waiting = Vec::new();
        let questions = Questions::begin();
        while let Some(time) = questions.next(1) {
            let Some(at) = damage.suspects.pop() else {
                break;
            };
            let topic = retries.topics.0.iter().find(|t| t.assigned.state.at == at);
            // One that waits for its next record reads on from there: it says so again.
            let Some(topic) = topic.filter(|topic| topic.is_reading()) else {
                continue;
            };
            if topic.assigned.is_full || topic.assigned.must_seek.is_some() {
                waiting.push(at);
                continue;
            }
            // So does one whose leader is away.
            let Ok((_, end)) = retries.consumer.watermarks(&at, time) else {
                continue;
            };
            let from = topic.next();
            // Without anything to read there is nothing to find out.
            if end <= from {
                continue;
            }
            damage.trial = Some(Trial {
                at,
                from,
                seen: topic.seen,
                since: now,
            });
            break;
        }
        damage.suspects.extend(waiting);
        if damage.is_trying() {
            return;
        }
        if let Some((at, due)) = damage.aside.values_mut().find(|(_, due)| *due <= now) {
            *due = now + TRY_AGAIN;
            damage.failed.remove(at);
            damage.suspects.push(at.clone());
        }
    }

    /// Its batch could be read after all.
    fn acquit_parked(&mut self, at: &TopicPartition) {
        let Some(retries) = &mut self.retries else {
            return;
        };
        retries.damage.failed.remove(at);
        let mut aside = retries.damage.aside.extract_if(|_, (aside, _)| aside == at);
        let Some((source, _)) = aside.next() else {
            return;
        };
        drop(aside);
        if let Some(partition) = self.dispatch.find(&source) {
            partition.is_quarantined = false;
        }
        self.monitor.clear_error();
        self.resume_free(|at| *at == source);
        self.publish();
    }
}

impl super::retries::Retries {
    /// Puts retry topics where their next record is expected. Until that has worked, what arrives is behind the batch, and
    /// not looked at.
    fn go_back(&mut self, of: impl Fn(&RetryTopic) -> bool, now: Instant) {
        for topic in self.topics.0.iter_mut().filter(|topic| of(topic)) {
            topic.assigned.must_seek = Some(Position::At(topic.next()));
            topic.has_news(now);
        }
    }
}
