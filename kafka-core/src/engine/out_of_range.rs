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

/// The wait until a broker is asked again what it has.
const ASK_AGAIN: Duration = Duration::from_secs(1);

impl Engine {
    /// Asks again, if no broker has said what it has.
    pub(super) fn look_for_range(&mut self, now: Instant) {
        if let Some((text, _)) = self.out_of_range.take_if(|(_, due)| now >= *due) {
            self.out_of_range(text, now);
        }
    }

    /// Goes on as `on_out_of_range` says, or ends the group.
    pub(super) fn out_of_range(&mut self, text: String, now: Instant) {
        if self.fenced.is_some() {
            // With an eager protocol the whole assignment is given anew, and would be without what is fenced.
            self.out_of_range = Some((text, now + ASK_AGAIN));
            return;
        }
        let mut moved = Vec::new();
        let mut all = Vec::new();
        let mut reasons = Vec::new();
        let mut is_unknown = false;
        let questions = Questions::begin();
        let of = self.dispatch.partitions.len();
        for (index, partition) in self.dispatch.partitions.iter().enumerate() {
            let (at, next) = (partition.state.at.clone(), partition.next_offset);
            let range = questions
                .next(of - index)
                .and_then(|time| self.consumer.watermarks(&at, time).ok());
            is_unknown |= range.is_none();
            let found = start_at(next, Start::Earliest, range, self.config.on_out_of_range);
            let position = match (found, range) {
                (
                    StartAt::AfterRange {
                        oldest,
                        end,
                        go_on_at: Some(offset),
                        ..
                    },
                    _,
                ) => {
                    reasons.push(format!(
                        "{at}: the next offset {} is outside of what the broker has, {oldest} to {end}; going on at {offset} by \
                         on_out_of_range",
                        next.unwrap_or_default()
                    ));
                    moved.push((at.clone(), offset));
                    Position::At(offset)
                }
                (StartAt::AfterRange { oldest, end, .. }, _) => {
                    let next = next.unwrap_or_default();
                    let text = format!(
                        "{at}: the next offset {next} is outside of what the broker has, {oldest} to {end}"
                    );
                    return self.client_error(ClientError::OffsetOutOfRange(text));
                }
                // It was to be read from its beginning, which has moved meanwhile.
                (_, Some((oldest, _))) if next.is_none() => {
                    moved.push((at.clone(), oldest));
                    Position::At(oldest)
                }
                _ => next.map_or(Position::Beginning, Position::At),
            };
            all.push((at, position));
        }
        if moved.is_empty() && is_unknown {
            // Never on a temporary error: asked again.
            self.client_warning(&ClientError::OffsetOutOfRange(text.clone()));
            self.out_of_range = Some((text, now + ASK_AGAIN));
            return;
        }
        if moved.is_empty() {
            // It is in range by now.
            moved.extend(all.iter().filter_map(|(at, position)| match position {
                Position::At(offset) => Some((at.clone(), *offset)),
                Position::Beginning => None,
            }));
        }
        for reason in reasons {
            self.client_warning(&ClientError::OffsetOutOfRange(reason));
        }
        if let Err(error) = self.consumer.restart(&moved, &all) {
            return self.client_error(error);
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
