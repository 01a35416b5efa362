//! Events as structured `tracing` events. info = life cycle, warn = retried or degraded, error = a person must act.

use std::fmt;

use ::tracing::{Level, debug, enabled, error, info, warn};

use super::{Event, Observer};
use crate::outcome::Failure;
use crate::record::{Record, TopicPartition};

/// Logs every event through `tracing`; a runtime has one unless it was built without.
///
/// The text of a handler's error is logged as the handler wrote it, cut at 256 bytes; keys, values and headers never
/// are.
#[derive(Debug, Clone, Copy, Default)]
pub struct TracingObserver;

/// The start of an error's chain of texts, joined by `: `.
struct Text<'a>(&'a Failure);

/// More than a screen line of somebody else's text helps nobody.
const ERROR_TEXT: usize = 256;

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.0.error().to_string();
        let mut source = self.0.error().source();
        while let Some(error) = source {
            text.push_str(": ");
            text.push_str(&error.to_string());
            source = error.source();
        }
        if text.len() > ERROR_TEXT {
            text.truncate(text.floor_char_boundary(ERROR_TEXT));
            text.push('…');
        }
        f.write_str(&text)
    }
}

struct List<'a>(&'a [TopicPartition]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, partition) in self.0.iter().enumerate() {
            write!(f, "{}{partition}", if n == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

/// What a filter names: the crate that services know.
pub(crate) const TARGET: &str = "kafka_runtime";

macro_rules! of_record {
    ($level:ident, $record:expr, $handler:expr, $($rest:tt)*) => {{
        let record: &Record = $record;
        $level!(
            target: TARGET,
            topic = record.topic(),
            partition = record.partition(),
            offset = record.offset().0,
            handler = $handler,
            $($rest)*
        )
    }};
}

impl Observer for TracingObserver {
    fn wants_handled(&self) -> bool {
        enabled!(target: TARGET, Level::DEBUG)
    }

    #[expect(clippy::too_many_lines, reason = "a line of log for each event")]
    fn observe(&self, event: &Event<'_>) {
        match event {
            Event::Handled {
                record,
                handler,
                attempt,
                duration,
            } => {
                let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
                of_record!(
                    debug,
                    record,
                    *handler,
                    attempt,
                    duration_us = micros,
                    "handled"
                );
            }
            Event::Retrying {
                record,
                handler,
                attempt,
                failure,
                after,
            } => of_record!(
                warn, record, *handler, attempt, class = %failure.kind(), after_ms = millis(*after),
                error = %Text(failure), "attempt failed, trying again"
            ),
            Event::Parked {
                record,
                handler,
                topic,
                attempts,
                failure: Some(failure),
            } => of_record!(
                warn, record, *handler, attempts, class = %failure.kind(), retry_topic = topic,
                error = %Text(failure), "attempts failed, parked in a retry topic"
            ),
            Event::Parked {
                record,
                handler,
                topic,
                failure: None,
                ..
            } => of_record!(
                debug,
                record,
                *handler,
                retry_topic = topic,
                "parked behind an earlier record of its key"
            ),
            Event::DeadLettered {
                record,
                handler,
                topic,
                attempts,
                failure,
            } => of_record!(
                warn, record, *handler, attempts, class = %failure.kind(), dead_letter_topic = topic,
                error = %Text(failure), "given up, written to the dead letter topic"
            ),
            Event::DeadLetterDelayed {
                record,
                handler,
                topic,
                error,
                after,
            } => of_record!(
                error, record, *handler, dead_letter_topic = topic, error = %error, after_ms = millis(*after),
                "not written, trying again; the source is not committed past it"
            ),
            Event::Skipped {
                record,
                handler,
                failure: Some(failure),
                ..
            } => {
                of_record!(warn, record, *handler, class = %failure.kind(), error = %Text(failure),
                    "given up, skipped by policy"
                );
            }
            Event::Skipped {
                record,
                handler,
                reason,
                failure: None,
            } => of_record!(
                debug,
                record,
                *handler,
                reason = reason.unwrap_or(""),
                "skipped"
            ),
            Event::Stopping {
                record,
                handler,
                failure,
            } => of_record!(
                error, record, *handler, class = %failure.kind(), error = %Text(failure),
                "given up, the runtime stops by policy; nothing past this record is committed"
            ),
            other => of_group(other),
        }
    }
}

/// Events that are about a group, a partition or the whole runtime.
#[expect(clippy::too_many_lines, reason = "a line of log for each event")]
fn of_group(event: &Event<'_>) {
    match event {
        Event::Starting { table } => info!(target: TARGET, "starting\n{table}"),
        Event::Assigned {
            group_id,
            partitions,
        } => {
            for (at, offset) in *partitions {
                let offset = offset.map(|offset| offset.0);
                info!(target: TARGET, group_id,
                    topic = &*at.topic,
                    partition = at.partition,
                    offset,
                    "assigned"
                );
            }
        }
        Event::Revoked {
            group_id,
            partitions,
            drained_in,
            dropped,
        } => {
            info!(target: TARGET, group_id, partitions = %List(partitions), drained_in_ms = millis(*drained_in), dropped, "revoked"
            );
        }
        Event::Lost {
            group_id,
            partitions,
        } => warn!(target: TARGET, group_id, partitions = %List(partitions),
            "lost: what is not committed is handled again by another member"
        ),
        Event::Fenced {
            group_id,
            partitions,
            why,
        } => warn!(target: TARGET, group_id, partitions = %List(partitions), why = %why,
            "fenced: nothing is handled or committed until the group has spoken"
        ),
        Event::Quarantined {
            group_id,
            partition,
            from,
            end,
            error,
        } => error!(target: TARGET, group_id,
            topic = &*partition.topic,
            partition = partition.partition,
            from = from.0,
            end = end.map(|end| end.0),
            error = %error,
            "a batch cannot be read: its partition is put aside, and nothing past the batch is committed"
        ),
        Event::NotParked {
            group_id,
            partition,
            offset,
            why,
        } => warn!(target: TARGET, group_id,
            topic = &*partition.topic,
            partition = partition.partition,
            offset = offset.0,
            why,
            "not a parked record: skipped"
        ),
        Event::CallHangs {
            group_id,
            handler,
            partition,
            offset,
            key_hash,
            age,
            is_blocking,
        } => warn!(target: TARGET, group_id, handler,
            topic = &*partition.topic,
            partition = partition.partition,
            offset = offset.0,
            key_hash,
            age_ms = millis(*age),
            is_blocking,
            "a call has been running for long"
        ),
        Event::BreakerOpened {
            group_id,
            handler,
            failed,
            of,
            wait,
        } => error!(target: TARGET, group_id, handler, failed, of, wait_ms = millis(*wait),
            "nearly everything fails: the handler is not fed until an attempt succeeds"
        ),
        Event::BreakerClosed { group_id, handler } => {
            info!(target: TARGET, group_id, handler, "an attempt succeeded: the handler is fed again");
        }
        Event::Filtered {
            group_id,
            handler,
            partition,
            records,
        } => debug!(target: TARGET, group_id, handler,
            topic = &*partition.topic,
            partition = partition.partition,
            records,
            "not wanted: acked without a call"
        ),
        Event::Paused {
            partition,
            in_flight,
            bytes,
        } => debug!(target: TARGET, topic = &*partition.topic,
            partition = partition.partition,
            in_flight,
            bytes,
            "paused: enough waits"
        ),
        Event::Resumed { partition } => debug!(target: TARGET, topic = &*partition.topic,
            partition = partition.partition,
            "resumed"
        ),
        Event::ClientError { group_id, error } => {
            warn!(target: TARGET, group_id, error = %error, "the client reports");
        }
        Event::HeadersUnreadable {
            partition,
            offset,
            count,
        } => warn!(target: TARGET, topic = &*partition.topic,
            partition = partition.partition,
            offset = offset.0,
            count,
            "headers with names that are not UTF-8 are missing"
        ),
        Event::Stopped {
            group_id,
            took,
            unfinished,
        } => {
            info!(target: TARGET, group_id, took_ms = millis(*took), unfinished, "stopped");
        }
        // Told by `observe`.
        _ => {}
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
