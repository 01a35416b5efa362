//! What becomes of a record whose attempt did not end well: told to the observers, and decided by the handler's options.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::lane_task::LaneShared;
use crate::error::RunError;
use crate::failure::backoff::jitter;
use crate::failure::dead_letter::DeadLetter;
use crate::failure::policy::{Decision, FailurePolicy, decide};
use crate::observe::Event;
use crate::outcome::{Failure, Outcome};
use crate::record::{Record, RecordPlace};

/// An attempt to handle a record.
pub(super) struct Attempt {
    pub(super) record: Record,
    /// The record's place in its partition's sequence.
    pub(super) sequence: u64,
    /// From 1.
    pub(super) number: u32,
}

/// What the lane has to do next with a record.
pub(super) enum Next {
    /// Nothing: it may be acked.
    Settle,
    /// Another attempt, after this long.
    RetryAfter(Duration),
    /// Write its dead letter, then settle it.
    GiveUp(Pin<Box<dyn Future<Output = ()> + Send>>),
    /// Keep it, and what waits for it, until the group has ended.
    Stop,
}

impl Attempt {
    /// Decides what becomes of the record.
    pub(super) fn end(self, outcome: Outcome, lane: &LaneShared) -> Next {
        let observers = &lane.group.observers;
        let handler = &*lane.handler.name;
        let failure = match outcome {
            Outcome::Ack => return Next::Settle,
            Outcome::Skip { reason } => {
                observers.emit(&Event::Skipped {
                    record: &self.record,
                    handler,
                    reason: Some(&reason),
                    failure: None,
                });
                return Next::Settle;
            }
            Outcome::Fail(failure) => failure,
        };
        let (retry, kind) = (&lane.handler.retry, failure.kind());
        if let Decision::RetryAfter(after) = decide(retry, kind, self.number, self.jitter()) {
            self.tell_retry(&failure, after, lane);
            return Next::RetryAfter(after);
        }
        match lane.handler.on_failure {
            FailurePolicy::DeadLetter => self.give_up(failure, lane),
            FailurePolicy::Skip => {
                observers.emit(&Event::Skipped {
                    record: &self.record,
                    handler,
                    reason: None,
                    failure: Some(&failure),
                });
                Next::Settle
            }
            FailurePolicy::Stop => self.stop(&failure, lane),
        }
    }

    /// Decides about a record of a call that failed as a whole: it is tried again alone, after the wait that this returns.
    ///
    /// Such a failure says of no record that it was the cause. So it gives none of them up, even if it is permanent or
    /// `attempts` are spent: what counts is what becomes of the record alone.
    pub(super) fn retry_alone(&self, failure: &Failure, lane: &LaneShared) -> Duration {
        let after = lane.handler.retry.delay(self.number, self.jitter());
        self.tell_retry(failure, after, lane);
        after
    }

    /// Differs between the records and attempts that fail together.
    fn jitter(&self) -> f64 {
        jitter(self.sequence ^ (u64::from(self.number) << 48))
    }

    fn tell_retry(&self, failure: &Failure, after: Duration, lane: &LaneShared) {
        lane.group.observers.emit(&Event::Retrying {
            record: &self.record,
            handler: &lane.handler.name,
            attempt: self.number,
            failure,
            after,
        });
    }

    fn give_up(self, failure: Failure, lane: &LaneShared) -> Next {
        let group_id = &lane.group.group_id;
        let topic = lane
            .handler
            .dead_letter_topic(group_id, self.record.topic());
        if *topic == *self.record.topic() {
            return self.stop(&failure, lane);
        }
        Next::GiveUp(lane.group.dead_letters.write(DeadLetter {
            record: self.record,
            topic,
            group_id: Arc::clone(group_id),
            handler: Arc::clone(&lane.handler.name),
            attempts: self.number,
            failure,
        }))
    }

    /// Ends the runtime because of the record; it is never acked.
    fn stop(&self, failure: &Failure, lane: &LaneShared) -> Next {
        lane.group.observers.emit(&Event::Stopping {
            record: &self.record,
            handler: &lane.handler.name,
            failure,
        });
        lane.group.failed.set(RunError::RecordFailed {
            record: RecordPlace::of(&self.record),
            handler: lane.handler.name.to_string(),
            class: failure.kind(),
            error: failure.error().to_string(),
        });
        Next::Stop
    }
}
