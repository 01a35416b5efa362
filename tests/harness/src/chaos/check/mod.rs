//! Judges a run by what it left behind. No I/O: [`Evidence`] in, [`Judgement`] out.
//!
//! | file | asks |
//! |---|---|
//! | `history` | nothing: it puts the ledgers of all workers together |
//! | `loss` | was every record finished, and only those that were written? |
//! | `commits` | was ever committed past unfinished work, did a commit go back? |
//! | `order` | did the records of a key come one at a time and in order, to whom they belonged? |
//! | `duplicates` | what was handled twice, and is there a reason for each? |
//! | `dead_letters` | is every dead letter there, byte for byte, and nothing else? |
//! | `denial` | did other keys go on while dead letters could not be written? |
//! | `retention` | was every record that was deleted unhandled reported? |
//! | `progress` | did it go on after each fault, did stops take bounded time? |

mod commits;
mod dead_letters;
mod denial;
mod duplicates;
mod history;
mod loss;
mod order;
mod progress;
mod retention;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

pub(crate) use self::duplicates::Cause;
use self::history::{EpochEnd, Finish, History};
use super::clock::Nanos;
use super::evidence::{Evidence, StrikeKind};

/// A promise that can be broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Promise {
    /// A record below the committed offset was never finished.
    Lost,
    /// A record above it was not finished either, at the end of the quiet time.
    Unfinished,
    /// Something was handled that nobody wrote, or that was aborted.
    Phantom,
    /// A handler saw another record than the one that is there.
    Garbled,
    /// An offset was committed before a record below it was finished.
    Past,
    /// A committed offset went back.
    Regress,
    /// Handled twice without a reason.
    Duplicate,
    /// Records of one key out of order, or with a gap.
    Order,
    /// Two calls for one key at the same time.
    Overlap,
    /// Handled by a member whose partition was another's.
    Foreign,
    /// A dead letter is missing, differs, or should not be there.
    DeadLetter,
    /// Records were deleted before they were handled, and nobody said so.
    Unreported,
    /// No progress, or too late after a fault.
    Stall,
    /// A stop took too long.
    Stop,
    /// A worker ended that nobody told to.
    Death,
}

/// A promise that was broken, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) promise: Promise,
    pub(crate) text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.promise, self.text)
    }
}

/// A broken promise that docs/ARCHITECTURE.md owns up to, or that was reported. It is told each time, and fails only a
/// strict run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Known {
    /// A record that lies twice in a retry topic can be handled again, also after later ones of its key.
    ParkedTwice,
    /// What is finished behind a record of a retry topic that nobody has begun is not committed there.
    ParkedBehind,
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ParkedTwice => "handled again because it lies twice in a retry topic",
            Self::ParkedBehind => {
                "handled again because it lies behind another one in a retry topic"
            }
        })
    }
}

/// What a scenario must have seen to prove anything.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Expectation {
    /// Workers killed while they had calls in flight.
    pub(crate) kills_in_flight: usize,
    /// Assignments after the first ones.
    pub(crate) rebalances: usize,
    /// Suspended workers that lost their partitions.
    pub(crate) losses: usize,
    /// Times without some broker, or without the way to one.
    pub(crate) outages: usize,
    pub(crate) dead_letters: usize,
    /// Records whose dead letter could not be written for a while.
    pub(crate) delays: usize,
    /// Times that the next offset was not there any more.
    pub(crate) out_of_range: usize,
    /// Records that were deleted before anybody had handled them.
    pub(crate) deleted: usize,
    /// Records that were parked.
    pub(crate) parked: usize,
    /// Nothing but drained rebalances and clean stops, and no record that fails: nothing may be handled twice.
    pub(crate) no_duplicates: bool,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Judgement {
    pub(crate) violations: Vec<Violation>,
    pub(crate) known: Vec<(Known, Violation)>,
    /// Why the run proves nothing, if it does not.
    pub(crate) inconclusive: Vec<String>,
    pub(crate) figures: Figures,
}

/// Counts and times of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) records: usize,
    pub(crate) finished: usize,
    pub(crate) calls: usize,
    pub(crate) duplicates: BTreeMap<Cause, usize>,
    pub(crate) dead_letters: usize,
    /// Records whose dead letter could not be written for a while.
    pub(crate) delays: usize,
    /// Times that the next offset was not there any more.
    pub(crate) out_of_range: usize,
    /// Records that were deleted before anybody had handled them.
    pub(crate) deleted: usize,
    /// Records that were parked.
    pub(crate) parked: usize,
    pub(crate) rebalances: usize,
    pub(crate) kills: usize,
    pub(crate) kills_in_flight: usize,
    pub(crate) losses: usize,
    pub(crate) outages: usize,
    /// Calls of a member whose partition was another's already.
    pub(crate) foreign: usize,
    pub(crate) recoveries: Vec<(StrikeKind, Duration)>,
    pub(crate) slowest_stop: Option<Duration>,
    pub(crate) stops: usize,
    /// When each record was finished first, for the picture.
    pub(crate) finishes: Vec<Nanos>,
}

/// How a scenario ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Pass,
    Fail,
    /// The fault did not happen, so nothing was proved.
    Inconclusive,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::Inconclusive => "INCONCLUSIVE",
        })
    }
}

impl Judgement {
    pub(crate) fn verdict(&self) -> Verdict {
        match (self.violations.is_empty(), self.inconclusive.is_empty()) {
            (false, _) => Verdict::Fail,
            (true, false) => Verdict::Inconclusive,
            (true, true) => Verdict::Pass,
        }
    }

    /// Counts the known ones as violations, too.
    pub(crate) fn be_strict(&mut self) {
        let known = std::mem::take(&mut self.known).into_iter();
        self.violations
            .extend(known.map(|(_, violation)| violation));
    }

    /// How many there are of each that is known.
    pub(crate) fn known_counts(&self) -> BTreeMap<Known, usize> {
        let mut counts = BTreeMap::new();
        for (known, _) in &self.known {
            *counts.entry(*known).or_default() += 1;
        }
        counts
    }

    /// How many violations there are of each promise.
    pub(crate) fn counts(&self) -> BTreeMap<Promise, usize> {
        let mut counts = BTreeMap::new();
        for violation in &self.violations {
            *counts.entry(violation.promise).or_default() += 1;
        }
        counts
    }
}

pub(crate) fn judge(evidence: &Evidence, expectation: Expectation) -> Judgement {
    let history = History::of(evidence);
    let mut findings = Findings::default();
    loss::check(evidence, &history, &mut findings);
    commits::check(evidence, &history, &mut findings);
    let foreign = order::check(evidence, &history, &mut findings);
    let duplicates = duplicates::check(evidence, &history, expectation, &mut findings);
    dead_letters::check(evidence, &history, &mut findings);
    denial::check(evidence, &history, &mut findings);
    retention::check(evidence, &history, &mut findings);
    let recoveries = progress::check(evidence, &history, &mut findings);
    let figures = Figures {
        duplicates,
        foreign,
        recoveries,
        ..figures(evidence, &history)
    };
    let mut inconclusive = missing(expectation, &figures);
    inconclusive.append(&mut findings.doubts);
    Judgement {
        violations: findings.violations,
        known: findings.known,
        inconclusive,
        figures,
    }
}

/// Violations as they are found.
#[derive(Debug, Default)]
struct Findings {
    violations: Vec<Violation>,
    known: Vec<(Known, Violation)>,
    /// What may be the machine's fault.
    doubts: Vec<String>,
}

/// A machine on which a thread wakes up so late has no time to spare.
const BUSY: Duration = Duration::from_millis(400);

impl Findings {
    /// Adds what took longer than it may, though less than twice as long on a machine that is busy proves nothing.
    fn add_late(
        &mut self,
        promise: Promise,
        (took, limit): (Duration, Duration),
        lateness: Duration,
        text: String,
    ) {
        if lateness >= BUSY && took < 2 * limit {
            let text = format!("{text}, on a machine on which threads woke up {lateness:.1?} late");
            self.doubts.push(text);
        } else {
            self.add(promise, text);
        }
    }

    fn add(&mut self, promise: Promise, text: impl Into<String>) {
        self.violations.push(Violation {
            promise,
            text: text.into(),
        });
    }

    fn add_known(&mut self, known: Known, promise: Promise, text: impl Into<String>) {
        let text = text.into();
        self.known.push((known, Violation { promise, text }));
    }
}

fn figures(evidence: &Evidence, history: &History) -> Figures {
    let first = |finishes: &Vec<Finish>| finishes.iter().map(|finish| finish.ns).min();
    let mut finishes: Vec<Nanos> = history.finishes.values().filter_map(first).collect();
    finishes.sort_unstable();
    let stops: Vec<Duration> = progress::stops(evidence).collect();
    let workers_with_an_epoch: std::collections::BTreeSet<usize> =
        history.epochs.iter().map(|epoch| epoch.process).collect();
    Figures {
        records: evidence.produced.values().map(Vec::len).sum(),
        finished: finishes.len(),
        calls: history.calls.len(),
        dead_letters: evidence.dead_letters.len(),
        delays: history.delayed.len(),
        out_of_range: history.out_of_range.len(),
        deleted: retention::deleted(evidence, history).count(),
        parked: history.copies.len(),
        rebalances: history
            .assignments
            .saturating_sub(workers_with_an_epoch.len().min(1)),
        kills: evidence
            .strikes
            .iter()
            .filter(|strike| strike.kind == StrikeKind::Kill)
            .count(),
        kills_in_flight: history.killed_in_flight(evidence),
        losses: history
            .epochs
            .iter()
            .filter(|epoch| epoch.end == EpochEnd::Lost)
            .count(),
        outages: evidence.outages().len(),
        slowest_stop: stops.iter().max().copied(),
        stops: stops.len(),
        finishes,
        ..Figures::default()
    }
}

fn missing(expectation: Expectation, figures: &Figures) -> Vec<String> {
    let wanted = [
        (
            "workers killed with calls in flight",
            expectation.kills_in_flight,
            figures.kills_in_flight,
        ),
        ("rebalances", expectation.rebalances, figures.rebalances),
        ("partitions lost", expectation.losses, figures.losses),
        ("outages", expectation.outages, figures.outages),
        (
            "dead letters",
            expectation.dead_letters,
            figures.dead_letters,
        ),
        (
            "dead letters that could not be written",
            expectation.delays,
            figures.delays,
        ),
        (
            "next offsets that were not there",
            expectation.out_of_range,
            figures.out_of_range,
        ),
        (
            "records deleted unhandled",
            expectation.deleted,
            figures.deleted,
        ),
        ("parked records", expectation.parked, figures.parked),
        ("records", 1, figures.records),
    ];
    wanted
        .iter()
        .filter(|(_, wanted, found)| found < wanted)
        .map(|(what, wanted, found)| format!("{what}: {found}, at least {wanted} are needed"))
        .collect()
}
