//! A call that never returns: is it reported in time, and do the other keys keep their rate?

use std::time::Duration;

use super::load::{Keys, Recipe};
use super::rate::{self, Pair};
use super::service::{Service, Stage};
use super::worker::{Hang, Note, Place};
use crate::clock::{Nanos, between};
use crate::progress::progress;
use crate::verdict::{Line, Verdict};

const RECIPE: Recipe = Recipe {
    keys: Keys::Uniform(10_000),
    value: 200,
    noise: 32,
    is_poisoned: false,
    hangs: Some(HUNG),
};

/// A twentieth of the records comes before it.
const HUNG: u64 = RECORDS / 20;

/// Of these all but those of the hung key count.
const RECORDS: u64 = 600_000;

const MAX_CALL_AGE: Duration = Duration::from_secs(2);

/// What the report may take after that.
const LATE: Duration = Duration::from_secs(1);

const LIMIT: Duration = Duration::from_mins(1);

/// A call that hung in one arm, and what was reported of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sighting {
    hung: (Place, Nanos),
    reported: Option<Report>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Report {
    at: Place,
    age: Duration,
    is_blocking: bool,
    ns: Nanos,
}

pub(crate) fn measure(stage: &Stage<'_>, pairs: u32) -> anyhow::Result<Vec<Line>> {
    let topic = stage.topic("hang", RECIPE, RECORDS)?;
    let mut lines = Vec::new();
    for hang in [Hang::Await, Hang::Block] {
        let (mut rates, mut sightings) = (Vec::new(), Vec::new());
        for number in 1..=pairs {
            progress(&format!("  {hang:?}: pair {number} of {pairs}"));
            // The machine gets slower and faster; neither arm is always the first.
            let order = if number % 2 == 1 {
                [Hang::Off, hang]
            } else {
                [hang, Hang::Off]
            };
            let mut pair = [None, None];
            for arm in order {
                let (rate, sighting) = run(stage, &topic, arm, of_interest(hang))?;
                pair[usize::from(arm != Hang::Off)] = rate;
                sightings.extend(sighting);
            }
            if let [Some(without), Some(with)] = pair {
                progress(&format!("    {}", show(&Pair { without, with })));
                rates.push(Pair { without, with });
            }
        }
        let name = match hang {
            Hang::Block => "a call that blocks its thread",
            _ => "a call that never returns",
        };
        let (verdict, measured) = judge(&sightings, hang == Hang::Block);
        lines.push(Line {
            figure: format!("{name}: reported"),
            limit: format!("{} s", (MAX_CALL_AGE + LATE).as_secs()),
            measured,
            verdict,
        });
        lines.push(Line {
            figure: match hang {
                Hang::Block => format!("{name}: rate of the other partitions"),
                _ => format!("{name}: rate of the other keys"),
            },
            limit: match hang {
                // Of its own partition nothing goes on, and a thread is gone.
                Hang::Block => "none".into(),
                _ => ">= 90 %".into(),
            },
            measured: rate_text(&rates),
            verdict: match hang {
                Hang::Block => Verdict::Information,
                _ => rate::judge(&rates),
            },
        });
    }
    stage.delete(&topic)?;
    Ok(lines)
}

/// Returns how many good records end an arm: with a lane that is stuck, a part of them never comes.
fn of_interest(hang: Hang) -> u64 {
    match hang {
        Hang::Block => RECORDS * 7 / 10,
        // Those of the hung key do not count: at most twice their share.
        _ => RECORDS - 2 * RECORDS / 10_000,
    }
}

/// Runs an arm: its rate, and what hung.
fn run(
    stage: &Stage<'_>,
    topic: &str,
    hang: Hang,
    records: u64,
) -> anyhow::Result<(Option<f64>, Option<Sighting>)> {
    let mut args = stage.args(topic);
    args.work_ms = 1;
    args.hang = hang;
    args.max_call_age_ms = u64::try_from(MAX_CALL_AGE.as_millis()).unwrap_or(u64::MAX);
    let mut service = Service::start(stage, &args)?;
    let rate = service.rate(stage.interrupt, records, LIMIT)?;
    if hang == Hang::Off {
        service.stop()?;
        return Ok((rate, None));
    }
    let late = MAX_CALL_AGE + 3 * LATE;
    service.wait(stage.interrupt, late, |service| {
        let is_report = |note: &Note| matches!(note, Note::Reported { .. });
        service.notes.iter().any(is_report)
    })?;
    // It is killed when it is dropped: it would wait for its call for as long as it may.
    Ok((rate, sighting(&service.notes)))
}

fn sighting(notes: &[Note]) -> Option<Sighting> {
    let hung = notes.iter().find_map(|note| match note {
        Note::Hangs { at, ns } => Some((at.clone(), *ns)),
        _ => None,
    })?;
    let reported = notes.iter().find_map(|note| match note {
        Note::Reported {
            at,
            age_ms,
            is_blocking,
            ns,
        } => Some(Report {
            at: at.clone(),
            age: Duration::from_millis(*age_ms),
            is_blocking: *is_blocking,
            ns: *ns,
        }),
        _ => None,
    });
    Some(Sighting { hung, reported })
}

/// Judges the reports: each in time, of the very record, with an age that is right.
fn judge(sightings: &[Sighting], blocks: bool) -> (Verdict, String) {
    let mut slowest = Duration::ZERO;
    for Sighting { hung, reported } in sightings {
        let Some(report) = reported else {
            return (Verdict::Fail, "never".into());
        };
        let after = between(hung.1, report.ns);
        slowest = slowest.max(after);
        let at = format!(
            "{} partition {} offset {}",
            report.at.topic, report.at.partition, report.at.offset
        );
        if report.at != hung.0 {
            return (Verdict::Fail, format!("another record: {at}"));
        }
        // Its age is counted from when somebody looked first, which is not before it began.
        if report.age > after || report.age < MAX_CALL_AGE {
            let text = format!("an age of {:.1?} after {after:.1?}", report.age);
            return (Verdict::Fail, text);
        }
        if report.is_blocking != blocks {
            let text = format!("as one with blocking = {}", report.is_blocking);
            return (Verdict::Fail, text);
        }
    }
    let text = format!(
        "{:.2} s, the slowest of {}, with topic, partition, offset, age",
        slowest.as_secs_f32(),
        sightings.len()
    );
    let verdict = if sightings.is_empty() {
        Verdict::Inconclusive
    } else if slowest > MAX_CALL_AGE + LATE {
        Verdict::Fail
    } else {
        Verdict::Pass
    };
    (verdict, text)
}

/// Shows pairs by the one whose ratio is in the middle.
pub(crate) fn rate_text(pairs: &[Pair]) -> String {
    let Some(ratio) = rate::ratio(pairs) else {
        return "nothing".into();
    };
    let middle = |of: fn(&Pair) -> f64| rate::median(pairs.iter().map(of).collect());
    format!(
        "{:.0} % ({:.1} and {:.1} k/s with and without; {} pairs)",
        ratio * 100.0,
        middle(|pair| pair.with).unwrap_or_default() / 1e3,
        middle(|pair| pair.without).unwrap_or_default() / 1e3,
        pairs.len()
    )
}

pub(crate) fn show(pair: &Pair) -> String {
    format!(
        "{:.1} k/s with, {:.1} k/s without: {:.0} %",
        pair.with / 1e3,
        pair.without / 1e3,
        pair.with / pair.without * 100.0
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Report, Sighting, Verdict, judge};
    use crate::clock::{millis, seconds};
    use crate::limits::worker::Place;

    fn place(offset: i64) -> Place {
        Place {
            topic: "t".into(),
            partition: 1,
            offset,
        }
    }

    fn sighting(after_ms: u64) -> Sighting {
        Sighting {
            hung: (place(7), seconds(10)),
            reported: Some(Report {
                at: place(7),
                age: Duration::from_secs(2),
                is_blocking: false,
                ns: seconds(10) + millis(after_ms),
            }),
        }
    }

    fn with(change: impl Fn(&mut Report)) -> [Sighting; 1] {
        let mut one = sighting(2100);
        one.reported.iter_mut().for_each(change);
        [one]
    }

    #[test]
    fn a_report_in_time_passes() {
        let (verdict, text) = judge(&[sighting(2100), sighting(2900)], false);

        assert_eq!(verdict, Verdict::Pass);
        assert!(text.starts_with("2.90 s, the slowest of 2"), "{text}");
    }

    #[test]
    fn the_slowest_report_counts() {
        assert_eq!(
            judge(&[sighting(2100), sighting(3100)], false).0,
            Verdict::Fail
        );
    }

    #[test]
    fn a_call_that_nobody_reports_fails() {
        let silent = Sighting {
            reported: None,
            ..sighting(0)
        };

        assert_eq!(judge(&[silent], false).0, Verdict::Fail);
    }

    #[test]
    fn a_report_says_which_record_how_old_and_whether_it_blocks() {
        let other = with(|report| report.at = place(8));
        let young = with(|report| report.age = Duration::from_secs(1));
        let old = with(|report| report.age = Duration::from_secs(5));
        let blocking = with(|report| report.is_blocking = true);

        for wrong in [&other, &young, &old, &blocking] {
            assert_eq!(judge(wrong, false).0, Verdict::Fail, "{wrong:?}");
        }
        assert_eq!(judge(&blocking, true).0, Verdict::Pass);
    }

    #[test]
    fn without_a_call_that_hung_nothing_is_said() {
        assert_eq!(judge(&[], false).0, Verdict::Inconclusive);
    }
}
