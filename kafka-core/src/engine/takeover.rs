//! Takes the retry topics of a source over, before the source is read: they are read through once, from the committed offset
//! to their end, to learn which keys are parked. Then they are read again, each record when it is due.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::assignment::{StartAt, start_at};
use super::dispatch::{Assigned, NewPartition};
use super::lane_task::LaneParking;
use super::partition::Epoch;
use super::poll::{COMMITTED_TIMEOUT, Engine};
use super::questions::Questions;
use super::retry_reader::{Found, Phase, RetryTopic};
use crate::client::Position;
use crate::clock::unix_ms;
use crate::error::ClientError;
use crate::failure::retry_topic::{Parking, Takeover};
use crate::handler::Start;
use crate::mutant::{self, Mutant};
use crate::record::{Offset, TopicPartition};

/// A question that nobody answered is asked again after this long.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// A retry topic that gives no record for so long before the end that it had is taken to end there: offsets can have gaps. But
/// only if its leader has answered when that time began, and when it ended, and nothing else was fetched meanwhile.
const SILENCE: Duration = Duration::from_secs(5);

/// A source whose retry topics are to be taken over.
pub(super) struct Opening {
    pub(super) source: TopicPartition,
    /// Where the source is read from.
    start: Option<Offset>,
    lanes: usize,
    parking: Arc<Parking>,
    pub(super) not_before: Instant,
}

impl Opening {
    fn partitions(&self) -> impl Iterator<Item = TopicPartition> {
        let topics = self.parking.topics.iter();
        topics.map(|(topic, _)| TopicPartition::new(Arc::clone(topic), self.source.partition))
    }
}

/// What is known of a retry topic when it is taken over.
struct Range {
    /// Where it is read from.
    from: Offset,
    end: Offset,
    /// What `{group}.retry` has.
    committed: Option<Offset>,
}

impl Engine {
    /// Makes the parking of a source that is about to be read, if its handler has retry topics.
    pub(super) fn parking_of(&self, at: &TopicPartition, epoch: Epoch) -> Option<Arc<Parking>> {
        let topics = self
            .routes
            .of_topic(&at.topic)?
            .retry_topics(&self.group.group_id, &at.topic);
        let is_needed = !topics.is_empty() && self.retries.is_some();
        is_needed.then(|| {
            Arc::new(Parking::new(
                topics,
                epoch.0,
                format!("{}.{}", self.instance, epoch.0),
                self.config.most_parked,
            ))
        })
    }

    /// Takes the retry topics of a source over; it is not read before that is done.
    pub(super) fn open_retries(
        &mut self,
        source: &TopicPartition,
        start: Option<Offset>,
        lanes: usize,
        parking: Arc<Parking>,
    ) {
        let Some(retries) = &mut self.retries else {
            return;
        };
        retries.opening.push(Opening {
            source: source.clone(),
            start,
            lanes,
            parking,
            not_before: tokio::time::Instant::now().into_std(),
        });
    }

    /// Takes over what is due, as far as the answers have come.
    pub(super) fn open_due(&mut self, now: Instant) {
        let Some(retries) = &mut self.retries else {
            return;
        };
        let is_due = |opening: &mut Opening| opening.not_before <= now;
        let due: Vec<_> = retries.opening.extract_if(.., is_due).collect();
        if due.is_empty() {
            return;
        }
        let questions = Questions::begin();
        let partitions: Vec<_> = due.iter().flat_map(Opening::partitions).collect();
        let committed = match retries.consumer.committed(&partitions, COMMITTED_TIMEOUT) {
            Ok(committed) => committed,
            Err(error) => {
                self.client_error(error);
                return due
                    .into_iter()
                    .for_each(|opening| self.open_later(opening, now + ASK_AGAIN));
            }
        };
        let mut committed = committed.into_iter();
        let mut left = partitions.len();
        let mut opened = Vec::new();
        for mut opening in due {
            let stages = opening.parking.topics.len();
            let committed: Vec<_> = committed.by_ref().take(stages).collect();
            let asked = self.ranges(&mut opening, &committed, &questions, left);
            left -= stages;
            match asked {
                Ok(Some(ranges)) => {
                    opened.push(opening.source.clone());
                    self.open(&opening, ranges, now);
                }
                Ok(None) => self.open_later(opening, now),
                Err(ClientError::UnknownTopic(_)) => {
                    self.make_retry_topics(&opening.source, &opening.parking);
                    self.open_later(opening, now + ASK_AGAIN);
                }
                Err(error) => {
                    self.client_error(error);
                    self.open_later(opening, now + ASK_AGAIN);
                }
            }
        }
        if !opened.is_empty() {
            self.assign_retries();
            // Even where nothing has moved: a broker forgets what was committed long ago.
            self.commit_retries_again(|topic| opened.contains(&topic.source));
            self.end_quarantine(&opened);
        }
    }

    /// Their retry topics may have been missing.
    fn end_quarantine(&mut self, sources: &[TopicPartition]) {
        let partitions = self.dispatch.partitions.iter_mut();
        let aside = partitions.filter(|p| p.is_quarantined && sources.contains(&p.state.at));
        if aside.map(|p| p.is_quarantined = false).count() > 0 {
            self.monitor.clear_error();
            self.publish();
        }
    }

    fn open_later(&mut self, opening: Opening, not_before: Instant) {
        if let Some(retries) = &mut self.retries {
            retries.opening.push(Opening {
                not_before,
                ..opening
            });
        }
    }

    /// Returns where each retry topic of a source is read from, and its end; `None`: there was no time to ask.
    fn ranges(
        &mut self,
        opening: &mut Opening,
        committed: &[Option<Offset>],
        questions: &Questions,
        left: usize,
    ) -> Result<Option<Vec<Range>>, ClientError> {
        let Some(retries) = &mut self.retries else {
            return Ok(None);
        };
        if opening.start.is_none() {
            // What was parked from before the source's oldest record does not come again from there.
            let Some(time) = questions.next(left) else {
                return Ok(None);
            };
            let (oldest, _) = retries.consumer.watermarks(&opening.source, time)?;
            opening.start = Some(oldest);
        }
        let mut ranges = Vec::with_capacity(committed.len());
        let mut reports = Vec::new();
        for (index, (at, committed)) in opening.partitions().zip(committed).enumerate() {
            let Some(time) = questions.next(left - index) else {
                return Ok(None);
            };
            let (oldest, end) = retries.consumer.watermarks(&at, time)?;
            let committed = (*committed).max(retries.known(&at));
            let found = start_at(
                committed,
                Start::Earliest,
                Some((oldest, end)),
                self.config.on_out_of_range,
            );
            let from = match found {
                StartAt::Committed(offset) | StartAt::End(offset) => offset,
                StartAt::Beginning => oldest,
                StartAt::AfterRange {
                    committed,
                    go_on_at,
                    ..
                } => {
                    let text = format!(
                        "{at}: committed offset {committed} is outside of what the broker has, {oldest} to {end}: what was \
                         parked there is lost"
                    );
                    let Some(offset) = go_on_at else {
                        return Err(ClientError::OffsetOutOfRange(text));
                    };
                    reports.push(format!("{text}; going on at {offset} by on_out_of_range"));
                    offset
                }
            };
            ranges.push(Range {
                from,
                end,
                committed,
            });
        }
        for text in reports {
            self.client_warning(&ClientError::OffsetOutOfRange(text));
        }
        Ok(Some(ranges))
    }

    /// Begins to read the retry topics of a source.
    fn open(&mut self, opening: &Opening, ranges: Vec<Range>, now: Instant) {
        let Some(handler) = self.routes.of_topic(&opening.source.topic).map(Arc::clone) else {
            return;
        };
        let at_ms = unix_ms();
        let takeovers = ranges.iter().map(|range| Takeover {
            end: range.end,
            at_ms,
        });
        opening.parking.take_over(takeovers.collect());
        let after = self.earlier(&opening.source, Some(&opening.parking));
        let partitions: Vec<_> = opening.partitions().collect();
        for (stage, (at, range)) in (1..).zip(partitions.into_iter().zip(ranges)) {
            let Range {
                from,
                end,
                committed,
            } = range;
            self.epoch += 1;
            let parking = LaneParking {
                parking: Arc::clone(&opening.parking),
                stage,
            };
            let new = NewPartition {
                at,
                epoch: Epoch(self.epoch),
                lanes: opening.lanes,
                handler: &handler,
                after: &after,
                parking: Some(&parking),
            };
            let mut assigned = Assigned::start(new, &self.group, &self.spawner);
            assigned.source = Some(Arc::clone(&opening.source.topic));
            assigned.state.set_stored(from);
            if committed == Some(from) {
                assigned.state.set_committed(from);
            }
            let is_scanned = from >= end || mutant::is_active(Mutant::ForgetParkedKeys);
            let Some(retries) = &mut self.retries else {
                return;
            };
            retries.topics.0.push(RetryTopic {
                assigned,
                source: opening.source.clone(),
                stage,
                wait: opening.parking.topics[stage - 1].1,
                parking: Arc::clone(&opening.parking),
                phase: if is_scanned {
                    Phase::Scanned
                } else {
                    Phase::Scanning
                },
                from,
                end,
                source_start: opening.start,
                is_complete: from >= end,
                scanned: from,
                seen: 0,
                is_fetched: false,
                found: Vec::new(),
                skipped: Vec::new(),
                held: Vec::new(),
                foreign: Vec::new(),
                last_news: now,
                asked_at: None,
            });
        }
    }

    /// Ends scans that have nothing more to come before the end that was asked for.
    fn end_silent_scans(&mut self, now: Instant) {
        let Some(retries) = &mut self.retries else {
            return;
        };
        let questions = Questions::begin();
        let mut unanswered = None;
        for topic in &mut retries.topics.0 {
            if topic.phase != Phase::Scanning {
                continue;
            }
            if !topic.is_fetched || topic.assigned.must_seek.is_some() {
                topic.has_news(now);
                continue;
            }
            let since = topic.asked_at.unwrap_or(topic.last_news);
            if now.saturating_duration_since(since) <= SILENCE {
                continue;
            }
            if mutant::is_active(Mutant::ScanBySilence) {
                topic.phase = Phase::Scanned;
                continue;
            }
            let Some(time) = questions.next(1) else {
                continue;
            };
            match retries.consumer.watermarks(&topic.assigned.state.at, time) {
                Ok(_) if topic.asked_at.is_some() => topic.phase = Phase::Scanned,
                Ok(_) => topic.asked_at = Some(now),
                Err(error) => {
                    // Its leader is away, so its silence says nothing.
                    topic.has_news(now);
                    unanswered = Some(error);
                }
            }
        }
        if let Some(error) = unanswered {
            self.client_error(error);
        }
    }

    /// Sources whose retry topics are read through: from here on it is known which keys are parked.
    pub(super) fn end_scans(&mut self, now: Instant) {
        self.end_silent_scans(now);
        let Some(retries) = &mut self.retries else {
            return;
        };
        let waiting = retries
            .topics
            .0
            .iter()
            .filter(|topic| topic.phase == Phase::Scanned);
        let mut sources: Vec<_> = waiting.map(|topic| topic.source.clone()).collect();
        sources.dedup();
        sources.retain(|source| retries.of(source).all(RetryTopic::is_scanned));
        if sources.is_empty() {
            return;
        }
        for source in &sources {
            let mut theirs: Vec<_> = retries
                .topics
                .0
                .iter_mut()
                .filter(|topic| topic.source == *source)
                .collect();
            let mut found = Found::default();
            for topic in &mut theirs {
                topic.tell_found(&mut found);
            }
            if let Some(topic) = theirs.first() {
                found.tell(&topic.parking);
            }
            for topic in theirs {
                topic.phase = Phase::Feeding;
                topic.assigned.must_seek = Some(Position::At(topic.from));
            }
        }
        self.steer_retries();
        self.resume_free(|at| sources.contains(at));
    }
}
