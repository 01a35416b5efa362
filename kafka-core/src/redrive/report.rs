//! What a redrive did: for people as a table, for machines as JSON.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::letter::Letter;
use super::position::{Reading, Settled};
use super::refusal::Refusal;
use crate::outcome::FailureKind;
use crate::record::{Offset, Record, RecordPlace};
use crate::table::write_aligned;

/// Kinds and refusals that are listed one by one. Names come from headers, so whoever writes them could make a report
/// as long as the topic.
const LISTED: usize = 100;

/// Places that are shown for one reason.
const PLACES: usize = 5;

/// What a redrive did, or would do. Shown as a table; [`to_json`](Self::to_json) is for machines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedriveReport {
    /// The topic that was read.
    pub dead_letter_topic: Arc<str>,
    /// The consumer group that keeps the position.
    pub group_id: Arc<str>,
    /// True if nothing was produced and nothing committed: [`put_back`](Self::put_back) counts what would have been.
    pub is_dry_run: bool,
    /// True if it was told to stop before the end.
    pub is_stopped: bool,
    /// True if no record came any more before the end: there are gaps, of compaction or transactions, or a transaction
    /// is open, behind which nothing is read yet.
    pub is_short: bool,
    /// Records put back and acknowledged by the broker.
    pub put_back: u64,
    /// Of these, the ones that lie beyond a record that was left to a later run: the position is not past them, so a run
    /// from there puts them back again.
    pub put_back_again: u64,
    /// Records that a filter left for a later run.
    pub skipped: u64,
    /// Records that were refused.
    pub refused: u64,
    /// Records sent and not acknowledged: they may be there all the same, and are put back again by the next run.
    pub failed: u64,
    /// Counts by origin, class and handler; of more than 100, the others in one last row.
    pub kinds: Vec<RedriveKind>,
    /// Why records were refused; the first 100.
    pub refusals: Vec<(RecordPlace, Refusal)>,
    /// How far each partition was read.
    pub partitions: Vec<RedrivePartition>,
    /// How long it took.
    pub took: Duration,
}

/// Dead letters of one origin, class and handler. What a record does not say is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedriveKind {
    /// The topic that they say they come from.
    pub origin: Option<Arc<str>>,
    /// Why they were given up.
    pub class: Option<FailureKind>,
    /// The handler that gave them up.
    pub handler: Option<Arc<str>>,
    /// True for the row that sums up what is too much to list.
    pub is_rest: bool,
    /// Put back and acknowledged.
    pub put_back: u64,
    /// Left by a filter.
    pub skipped: u64,
    /// Refused.
    pub refused: u64,
    /// Not acknowledged.
    pub failed: u64,
    /// The timestamp of the oldest, in milliseconds since the Unix epoch: when it became a dead letter.
    pub oldest_ms: Option<i64>,
    /// The timestamp of the newest.
    pub newest_ms: Option<i64>,
}

/// How far a partition of the dead letter topic was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedrivePartition {
    /// The partition.
    pub partition: i32,
    /// The first offset of this run.
    pub start: Offset,
    /// One past the last offset of this run: where the partition ended when the run began, unless it was bounded.
    pub end: Offset,
    /// The first offset that this run has not decided about.
    pub next: Offset,
    /// Where the next run begins.
    pub position: Offset,
}

impl RedriveReport {
    /// Returns how many records were looked at.
    pub fn read(&self) -> u64 {
        self.put_back + self.skipped + self.refused + self.failed
    }

    /// True if it got to its end, and nothing was refused.
    pub fn is_clean(&self) -> bool {
        self.refused == 0 && self.failed == 0 && !self.is_stopped
    }

    /// Returns the report as JSON: one object, on one line.
    pub fn to_json(&self) -> String {
        json!({
            "dead_letter_topic": &*self.dead_letter_topic,
            "group_id": &*self.group_id,
            "dry_run": self.is_dry_run,
            "stopped": self.is_stopped,
            "short": self.is_short,
            "clean": self.is_clean(),
            "read": self.read(),
            "put_back": self.put_back,
            "put_back_again": self.put_back_again,
            "skipped": self.skipped,
            "refused": self.refused,
            "failed": self.failed,
            "took_ms": u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
            "kinds": self.kinds.iter().map(kind_json).collect::<Value>(),
            "refusals": self.refusals.iter().map(refusal_json).collect::<Value>(),
            "partitions": self.partitions.iter().map(partition_json).collect::<Value>(),
        })
        .to_string()
    }

    pub(super) fn note(&mut self, record: &Record, letter: &Letter, settled: Settled) {
        let at = record.timestamp().millis();
        let kind = find_kind(&mut self.kinds, letter);
        kind.oldest_ms = [kind.oldest_ms, at].into_iter().flatten().min();
        kind.newest_ms = kind.newest_ms.max(at);
        let (count, of_kind) = match settled {
            Settled::PutBack => (&mut self.put_back, &mut kind.put_back),
            Settled::Skipped => (&mut self.skipped, &mut kind.skipped),
            Settled::Refused => (&mut self.refused, &mut kind.refused),
            Settled::Failed => (&mut self.failed, &mut kind.failed),
        };
        *count += 1;
        *of_kind += 1;
    }

    pub(super) fn note_refusal(&mut self, record: &Record, refusal: Refusal) {
        if self.refusals.len() < LISTED {
            self.refusals.push((record.place(), refusal));
        }
    }

    pub(super) fn note_partitions(&mut self, readings: &[Reading]) {
        let is_dry_run = self.is_dry_run;
        let partition = |reading: &Reading| RedrivePartition {
            partition: reading.partition,
            start: reading.start,
            end: reading.end,
            next: reading.next,
            position: reading.position(is_dry_run),
        };
        self.partitions = readings.iter().map(partition).collect();
        self.put_back_again = readings.iter().map(Reading::repeats).sum();
    }
}

/// Borrows only the kinds, so that the counts can be written beside it.
fn find_kind<'a>(kinds: &'a mut Vec<RedriveKind>, letter: &Letter) -> &'a mut RedriveKind {
    let origin = letter.origin.as_ref().ok().map(|origin| &origin.topic);
    let found = kinds.iter().position(|kind| {
        kind.is_rest
            || (kind.origin.as_ref() == origin
                && kind.class == letter.class
                && kind.handler == letter.handler)
    });
    let index = found.unwrap_or_else(|| {
        let new = if kinds.len() < LISTED {
            RedriveKind {
                origin: origin.cloned(),
                class: letter.class,
                handler: letter.handler.clone(),
                ..RedriveKind::default()
            }
        } else {
            RedriveKind {
                is_rest: true,
                ..RedriveKind::default()
            }
        };
        kinds.push(new);
        kinds.len() - 1
    });
    &mut kinds[index]
}

fn kind_json(kind: &RedriveKind) -> Value {
    json!({
        "origin": kind.origin.as_deref(),
        "class": kind.class.map(FailureKind::as_str),
        "handler": kind.handler.as_deref(),
        "rest": kind.is_rest,
        "put_back": kind.put_back,
        "skipped": kind.skipped,
        "refused": kind.refused,
        "failed": kind.failed,
        "oldest_ms": kind.oldest_ms,
        "newest_ms": kind.newest_ms,
    })
}

fn refusal_json((place, refusal): &(RecordPlace, Refusal)) -> Value {
    json!({
        "partition": place.partition,
        "offset": place.offset.0,
        "reason": refusal.as_str(),
        "text": refusal.to_string(),
    })
}

fn partition_json(partition: &RedrivePartition) -> Value {
    json!({
        "partition": partition.partition,
        "start": partition.start.0,
        "end": partition.end.0,
        "next": partition.next.0,
        "position": partition.position.0,
    })
}

impl fmt::Display for RedriveReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.kinds.is_empty() {
            self.write_kinds(f)?;
            write!(f, "\n\n")?;
        }
        self.write_partitions(f)?;
        self.write_refusals(f)?;
        let put_back = if self.is_dry_run {
            "would be put back (dry run: nothing was written or committed)"
        } else {
            "put back"
        };
        write!(
            f,
            "\n\n{} read: {} {put_back}, {} skipped, {} refused",
            self.read(),
            self.put_back,
            self.skipped,
            self.refused
        )?;
        if self.failed > 0 {
            write!(f, ", {} not acknowledged", self.failed)?;
        }
        if self.is_stopped {
            write!(f, "; stopped before the end")?;
        }
        if self.is_short {
            write!(
                f,
                "\nno record came any more before the end: it is a gap of compaction or of transactions, or a \
                 transaction is open"
            )?;
        }
        if self.put_back_again > 0 && !self.is_dry_run {
            write!(
                f,
                "\nthe position stays before what was left: the next run from there puts {} of these back again, unless \
                 --advance (`advance`) moves it past",
                self.put_back_again
            )?;
        }
        Ok(())
    }
}

impl RedriveReport {
    fn write_kinds(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let put_back = if self.is_dry_run {
            "WOULD GO"
        } else {
            "PUT BACK"
        };
        let head = [
            "ORIGIN", "CLASS", "HANDLER", put_back, "SKIPPED", "REFUSED", "OLDEST", "NEWEST",
        ]
        .map(str::to_owned);
        let text = |text: Option<&str>| text.unwrap_or("-").to_owned();
        let time = |ms: Option<i64>| ms.map_or_else(|| "-".to_owned(), utc);
        let rows = self.kinds.iter().map(|kind| {
            let origin = if kind.is_rest {
                "(others)".to_owned()
            } else {
                text(kind.origin.as_deref())
            };
            [
                origin,
                text(kind.class.map(FailureKind::as_str)),
                text(kind.handler.as_deref()),
                kind.put_back.to_string(),
                kind.skipped.to_string(),
                kind.refused.to_string(),
                time(kind.oldest_ms),
                time(kind.newest_ms),
            ]
        });
        write_aligned(f, std::iter::once(head).chain(rows))
    }

    /// One line for each reason, with the first few places: the others are in the JSON.
    fn write_refusals(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut reasons: Vec<(&Refusal, Vec<&RecordPlace>)> = Vec::new();
        for (place, refusal) in &self.refusals {
            match reasons.iter_mut().find(|(reason, _)| *reason == refusal) {
                Some((_, places)) => places.push(place),
                None => reasons.push((refusal, vec![place])),
            }
        }
        if !reasons.is_empty() {
            write!(f, "\n\nrefused:")?;
        }
        for (reason, places) in reasons {
            write!(f, "\n  ")?;
            for (n, place) in places.iter().take(PLACES).enumerate() {
                let comma = if n == 0 { "" } else { ", " };
                write!(f, "{comma}[{}]@{}", place.partition, place.offset)?;
            }
            if let more @ 1.. = places.len().saturating_sub(PLACES) {
                write!(f, " and {more} more")?;
            }
            write!(f, ": {reason}")?;
        }
        let listed = u64::try_from(self.refusals.len()).unwrap_or(u64::MAX);
        if self.refused > listed {
            write!(f, "\n  and {} more records", self.refused - listed)?;
        }
        Ok(())
    }

    fn write_partitions(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["PARTITION", "FROM", "END", "UNREAD", "NEXT RUN FROM"].map(str::to_owned);
        let rows = self.partitions.iter().map(|partition| {
            [
                partition.partition.to_string(),
                partition.start.to_string(),
                partition.end.to_string(),
                (partition.end.0 - partition.next.0).max(0).to_string(),
                partition.position.to_string(),
            ]
        });
        write_aligned(f, std::iter::once(head).chain(rows))
    }
}

/// Shows milliseconds since the Unix epoch as a time in UTC, to the second (RFC 3339).
fn utc(ms: i64) -> String {
    let seconds = ms.div_euclid(1000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // From March, so that the day that is not always there is the last.
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (1_709_251_199_999, "2024-02-29T23:59:59Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
        ] {
            assert_eq!(utc(ms), text);
        }
    }

    #[test]
    fn a_report_is_as_long_as_a_screen_whatever_the_headers_say() {
        let mut report = RedriveReport::default();
        for n in 0..1000 {
            let handler = format!("handler-{n}");
            let headers = [("kafka_runtime.dead_letter.handler", handler.as_bytes())];
            let record = Record::for_test("dead", None, None).with_headers(&headers);
            report.note(&record, &Letter::read(&record), Settled::Refused);
            report.note_refusal(&record, Refusal::TooOften(3));
        }

        assert_eq!(report.kinds.len(), LISTED + 1);
        let rest = report.kinds.last().unwrap();
        assert!(rest.is_rest && rest.refused == 900);
        assert_eq!((report.refusals.len(), report.refused), (LISTED, 1000));
        let text = report.to_string();
        let told = "[0]@0, [0]@0, [0]@0, [0]@0, [0]@0 and 95 more: it was put back 3 times already";
        assert!(text.contains(told), "{text}");
        assert!(text.contains("and 900 more records"), "{text}");
    }
}
