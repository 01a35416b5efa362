//! Retention has overtaken a group that runs: the next record is not on the broker any more.
//!
//! The client does not say which partition that is, so each is compared with what the broker has.

use std::time::{Duration, Instant};

use super::assignment::{StartAt, start_at};
use super::poll::Engine;
use super::questions::Questions;
use crate::client::Position;
use crate::config::OutOfRange;
use crate::error::ClientError;
use crate::handler::Start;
use crate::record::TopicPartition;

/// The wait until a broker is asked again what it has.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Partitions to be looked at again, and what the client said of them.
pub(super) struct Doubt {
    text: String,
    due: Instant,
    of: Doubtful,
}

/// The partitions that the client may have stopped to read.
pub(super) enum Doubtful {
    Any,
    These(Vec<TopicPartition>),
}

impl Doubtful {
    fn has(&self, at: &TopicPartition) -> bool {
        match self {
            Self::Any => true,
            Self::These(these) => these.contains(at),
        }
    }
}

impl Engine {
    /// Asks again, if no broker has said what it has.
    pub(super) fn look_for_range(&mut self, now: Instant) {
        if let Some(doubt) = self.out_of_range.take_if(|doubt| now >= doubt.due) {
            self.settle_range(doubt.text, doubt.of, now);
        }
    }

    /// The client has stopped to read some partition. Goes on as `on_out_of_range` says, or ends the group.
    ///
    /// The offset may also be in range: a broker that has just begun to serve a partition does not know where it
    /// begins (`UNKNOWN_TOPIC_OR_PARTITION`), which librdkafka 2.12 takes for final (`rd_kafka_handle_ListOffsets`).
    pub(super) fn out_of_range(&mut self, text: String, now: Instant) {
        self.settle_range(text, Doubtful::Any, now);
    }

    fn settle_range(&mut self, text: String, of: Doubtful, now: Instant) {
        // With an eager protocol the whole assignment is given anew, and would be without what is fenced. While the group
        // waits for an answer, any other call to assign would be taken for it.
        if self.fenced.is_some() || self.revoking.is_some() || self.assigning.is_some() {
            let due = now + ASK_AGAIN;
            self.out_of_range = Some(Doubt { text, due, of });
            return;
        }
        let (mut moved, mut all) = (Vec::new(), Vec::new());
        let (mut reasons, mut unknown) = (Vec::new(), Vec::new());
        let questions = Questions::begin();
        let left = self.dispatch.partitions.len();
        for (index, partition) in self.dispatch.partitions.iter().enumerate() {
            let (at, next) = (partition.state.at.clone(), partition.next_offset);
            let as_it_was = next.map_or(Position::Beginning, Position::At);
            if !of.has(&at) {
                all.push((at, as_it_was));
                continue;
            }
            let range = questions
                .next(left - index)
                .and_then(|time| self.consumer.watermarks(&at, time).ok());
            let Some((oldest, end)) = range else {
                unknown.push(at.clone());
                all.push((at, as_it_was));
                continue;
            };
            let policy = self.config.on_out_of_range;
            let offset = match start_at(next, Start::Earliest, range, policy) {
                StartAt::AfterRange { go_on_at, .. } => {
                    let next = next.unwrap_or_default();
                    let text = format!(
                        "{at}: the next offset {next} is outside of what the broker has, {oldest} to {end}"
                    );
                    let Some(offset) = go_on_at else {
                        return self.client_error(ClientError::OffsetOutOfRange(text));
                    };
                    reasons.push(format!("{text}; going on at {offset} by on_out_of_range"));
                    offset
                }
                // It is in range, or was to be read from its beginning, which is known by now.
                _ => next.unwrap_or(oldest),
            };
            moved.push((at.clone(), offset));
            all.push((at, Position::At(offset)));
        }
        for reason in reasons {
            self.client_warning(&ClientError::OffsetOutOfRange(reason));
        }
        if !unknown.is_empty() {
            // Never on a temporary error: asked again.
            self.client_warning(&ClientError::OffsetOutOfRange(text.clone()));
            self.out_of_range = Some(Doubt {
                text,
                due: now + ASK_AGAIN,
                of: Doubtful::These(unknown),
            });
        }
        if moved.is_empty() {
            return;
        }
        if let Err(error) = self.consumer.restart(&moved, &all) {
            return self.cannot_go_on("read its partitions on", &error);
        }
        for (at, offset) in moved {
            if let Some(partition) = self.dispatch.find(&at) {
                partition.next_offset = Some(offset);
            }
        }
        // Whether a client keeps pauses through this is its own affair.
        let paused: Vec<_> = self
            .dispatch
            .partitions
            .iter()
            .filter(|p| p.is_paused || p.is_full || self.is_held_back(&p.state.at))
            .map(|p| p.state.at.clone())
            .collect();
        self.report(|consumer| consumer.pause(&paused));
    }

    /// Looks again at retry topics, if no broker has said what it has.
    pub(super) fn look_for_parked_range(&mut self, now: Instant) {
        let retries = self.retries.as_mut();
        let due = retries.and_then(|retries| {
            let is_due = |(_, due): &mut (String, Instant)| now >= *due;
            retries.out_of_range.take_if(is_due)
        });
        if let Some((text, _)) = due {
            self.parked_out_of_range(text, now);
        }
    }

    /// What is to be read next of some retry topic is not on the broker any more: ends the group, or takes the retry topics
    /// of its source over again, which goes on as `on_out_of_range` says. Keys that wait for what is lost are free then.
    pub(super) fn parked_out_of_range(&mut self, text: String, now: Instant) {
        let Some(retries) = &mut self.retries else {
            return;
        };
        let questions = Questions::begin();
        let of = retries.topics.0.len();
        let (mut gone, mut is_unknown) = (Vec::new(), false);
        for (index, topic) in retries.topics.0.iter().enumerate() {
            let at = &topic.assigned.state.at;
            let asked = questions
                .next(of - index)
                .and_then(|time| retries.consumer.watermarks(at, time).ok());
            let Some((oldest, end)) = asked else {
                is_unknown = true;
                continue;
            };
            let next = topic.next();
            if next < oldest || next > end {
                let text = format!(
                    "{at}: the next offset {next} is outside of what the broker has, {oldest} to {end}"
                );
                gone.push((topic.source.clone(), text));
            }
        }
        if gone.is_empty() && is_unknown {
            // Never on a temporary error: asked again.
            retries.out_of_range = Some((text.clone(), now + ASK_AGAIN));
            return self.client_warning(&ClientError::OffsetOutOfRange(text));
        }
        if self.config.on_out_of_range == OutOfRange::Fail
            && let Some((_, text)) = gone.pop()
        {
            return self.client_error(ClientError::OffsetOutOfRange(text));
        }
        // The client has given up what it could not read.
        self.assign_retries();
        gone.dedup_by(|(later, _), (earlier, _)| later == earlier);
        for (source, text) in gone {
            self.client_warning(&ClientError::OffsetOutOfRange(text));
            let is_leaving = self
                .revoking
                .as_ref()
                .is_some_and(|revoking| revoking.partitions.contains(&source));
            let mut partitions = self.dispatch.partitions.iter();
            let index = partitions.position(|p| p.state.at == source);
            if let Some(index) = index.filter(|_| !is_leaving) {
                self.begin_again(index);
            }
        }
    }
}
