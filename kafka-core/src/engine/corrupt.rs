//! Batches that cannot be read: a checksum that does not match, bytes that cannot be decompressed.
//!
//! librdkafka reports such a batch without saying which partition it is of, and reads on behind it: the records in it
//! would be skipped in silence. So every partition goes back to the record after the last one that arrived, and they
//! are tried one at a time: the one whose first news is the error again is the one. What was damaged on the way is read
//! well the next time. What stays damaged puts its partition aside: paused, reported, not committed past, and tried
//! again from time to time, since a broker can mend it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::poll::{COMMITTED_TIMEOUT, Engine};
use super::questions::Questions;
use crate::client::Position;
use crate::error::ClientError;
use crate::mutant::{self, Mutant};
use crate::observe::Event;
use crate::record::{Offset, TopicPartition};

/// A batch that cannot be read so many times in a row is taken to be damaged where it lies.
pub(super) const READS: u32 = 3;
/// A partition under trial has this long to show a record or the error.
pub(super) const TRIAL: Duration = Duration::from_secs(3);
/// A partition that was put aside is tried again after this long.
pub(super) const TRY_AGAIN: Duration = Duration::from_mins(1);

/// What is known of batches that cannot be read.
#[derive(Default)]
pub(super) struct Corrupt {
    /// Still to be tried, one after the other.
    suspects: Vec<TopicPartition>,
    trial: Option<Trial>,
    /// How often the batch at an offset could not be read.
    failed: HashMap<TopicPartition, (Offset, u32)>,
    /// Put aside, with the time of the next try.
    aside: HashMap<TopicPartition, Instant>,
}

struct Trial {
    at: TopicPartition,
    from: Offset,
    since: Instant,
}

impl Corrupt {
    /// True while only one partition may be fetched.
    fn is_trying(&self) -> bool {
        self.trial.is_some() || !self.suspects.is_empty()
    }
}

impl Engine {
    /// True if a partition must not be fetched: because of a batch that cannot be read, or of its retry topics.
    pub(super) fn is_held_back(&self, at: &TopicPartition) -> bool {
        if self.is_behind_parked(at) {
            return true;
        }
        let is_tried = self
            .corrupt
            .trial
            .as_ref()
            .is_some_and(|trial| trial.at == *at);
        self.corrupt.aside.contains_key(at) || (self.corrupt.is_trying() && !is_tried)
    }

    /// True of a source that must not be read because of its retry topics.
    fn is_behind_parked(&self, at: &TopicPartition) -> bool {
        let retries = self.retries.as_ref();
        retries.is_some_and(|retries| retries.hold_back(at))
    }

    /// A batch of some partition could not be read.
    pub(super) fn batch_unreadable(&mut self, error: ClientError, now: Instant) {
        self.client_warning(&error);
        if mutant::is_active(Mutant::SkipUnreadable) {
            return;
        }
        if let Some(Trial { at, from, .. }) = self.corrupt.trial.take() {
            let (offset, reads) = self.corrupt.failed.entry(at.clone()).or_insert((from, 0));
            if *offset == from {
                *reads += 1;
            } else {
                (*offset, *reads) = (from, 1);
            }
            if *reads >= READS {
                self.put_aside(&at, from, error, now);
            } else {
                self.corrupt.suspects.push(at.clone());
            }
            self.go_back(&[at]);
        } else {
            let partitions = self.dispatch.partitions.iter();
            let readable = partitions.filter(|p| {
                let at = &p.state.at;
                !p.is_paused && !self.corrupt.aside.contains_key(at) && !self.is_behind_parked(at)
            });
            let suspects: Vec<_> = readable.map(|p| p.state.at.clone()).collect();
            self.go_back(&suspects);
            self.corrupt.suspects = suspects;
        }
    }

    /// Stops fetching partitions, and puts them where the next record is expected.
    fn go_back(&mut self, partitions: &[TopicPartition]) {
        self.report(|consumer| consumer.pause(partitions));
        for index in 0..self.dispatch.partitions.len() {
            let partition = &mut self.dispatch.partitions[index];
            if partitions.contains(&partition.state.at) {
                // Until that has worked, what arrives is behind the batch, and not looked at.
                let next = partition.next_offset;
                partition.must_seek = Some(next.map_or(Position::Beginning, Position::At));
                self.seek(index);
            }
        }
    }

    fn put_aside(&mut self, at: &TopicPartition, from: Offset, error: ClientError, now: Instant) {
        self.corrupt.aside.insert(at.clone(), now + TRY_AGAIN);
        let end = self
            .consumer
            .watermarks(at, COMMITTED_TIMEOUT)
            .ok()
            .map(|(_, end)| end);
        self.group.observers.emit(&Event::Quarantined {
            group_id: &self.group.group_id,
            partition: at,
            from,
            end,
            error: &error,
        });
        if let Some(partition) = self.dispatch.find(at) {
            partition.is_quarantined = true;
        }
        self.monitor.set_error(error);
        self.publish();
    }

    /// Goes on with the trials.
    pub(super) fn try_suspects(&mut self, now: Instant) {
        if self.corrupt.aside.is_empty() && !self.corrupt.is_trying() {
            return;
        }
        self.forget_strangers();
        if let Some(trial) = &self.corrupt.trial {
            let at = trial.at.clone();
            let next = self.dispatch.find(&at).and_then(|p| p.next_offset);
            let has_read = next.is_some_and(|next| next > trial.from);
            if !has_read && now.saturating_duration_since(trial.since) < TRIAL {
                return;
            }
            if has_read {
                self.acquit(&at);
            }
            self.corrupt.trial = None;
            self.report(|consumer| consumer.pause(&[at]));
        }
        // One that holds its share already is not fetched for this either: it waits for its turn.
        let mut waiting = Vec::new();
        let questions = Questions::begin();
        while let Some(time) = questions.next(1) {
            let Some(at) = self.corrupt.suspects.pop() else {
                break;
            };
            let Some(partition) = self.dispatch.find(&at) else {
                continue;
            };
            if partition.is_full || partition.must_seek.is_some() {
                waiting.push(at);
                continue;
            }
            // One that is not to be read is not read for this: it says so again.
            let (next, is_paused) = (partition.next_offset, partition.is_paused);
            if is_paused || self.is_behind_parked(&at) {
                continue;
            }
            // One whose leader is away must not hold up the others; if it is the one, it says so again.
            let asked = self.consumer.watermarks(&at, time);
            let Ok((oldest, end)) = asked else {
                continue;
            };
            let from = next.unwrap_or(oldest);
            // Without anything to read there is nothing to find out.
            if end <= from {
                continue;
            }
            self.report(|consumer| consumer.resume(std::slice::from_ref(&at)));
            self.corrupt.trial = Some(Trial {
                at,
                from,
                since: now,
            });
            break;
        }
        self.corrupt.suspects.extend(waiting);
        if self.corrupt.is_trying() {
            return;
        }
        let is_due = |(_, due): &(&TopicPartition, &Instant)| **due <= now;
        if let Some(at) = self
            .corrupt
            .aside
            .iter()
            .find(is_due)
            .map(|(at, _)| at.clone())
        {
            self.corrupt.aside.insert(at.clone(), now + TRY_AGAIN);
            self.corrupt.failed.remove(&at);
            self.corrupt.suspects.push(at);
            return;
        }
        self.resume_all();
    }

    /// Its batch could be read after all.
    fn acquit(&mut self, at: &TopicPartition) {
        self.corrupt.failed.remove(at);
        if self.corrupt.aside.remove(at).is_some()
            && let Some(partition) = self.dispatch.find(at)
        {
            partition.is_quarantined = false;
            self.monitor.clear_error();
        }
    }

    /// Partitions that were given back are somebody else's trouble.
    fn forget_strangers(&mut self) {
        let dispatch = &self.dispatch;
        let is_ours = |at: &TopicPartition| dispatch.partitions.iter().any(|p| p.state.at == *at);
        self.corrupt.suspects.retain(&is_ours);
        self.corrupt.trial.take_if(|trial| !is_ours(&trial.at));
        self.corrupt.failed.retain(|at, _| is_ours(at));
        self.corrupt.aside.retain(|at, _| is_ours(at));
    }

    /// The trials are over: everything else is fetched again.
    fn resume_all(&mut self) {
        self.resume_free(|_| true);
        self.publish();
    }
}
