//! The result of a run as a table, for people.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;

use super::Outcome;
use super::check::{Cause, Figures, Promise, Verdict};
use super::evidence::StrikeKind;

/// Writes `report.md` into the folder; the pictures are beside it already.
pub(crate) fn write(folder: &Path, command: &str, outcomes: &[Outcome]) -> anyhow::Result<()> {
    let text = table(command, outcomes).context("write the table")?;
    let path = folder.join("report.md");
    fs::write(&path, text).with_context(|| format!("write {}", path.display()))
}

fn table(command: &str, outcomes: &[Outcome]) -> Result<String, fmt::Error> {
    let mut text = String::new();
    writeln!(text, "# Chaos\n\n`{command}`\n")?;
    writeln!(text, "{}\n", Summary::of(outcomes))?;
    writeln!(
        text,
        "| scenario | seed | verdict | records | finished | calls | handled twice | dead letters (delayed) | parked | deleted unhandled | rebalances | kills (in flight) | partitions lost | outages | recovery after a kill | after a rebalance | after an outage | stops | slowest stop |"
    )?;
    writeln!(text, "|{}", "---|".repeat(19))?;
    for outcome in outcomes {
        let (scenario, judgement) = (&outcome.scenario, &outcome.judgement);
        let figures = &judgement.figures;
        let known = if judgement.verdict() == Verdict::Pass && !judgement.known.is_empty() {
            "*"
        } else if outcome.is_superseded {
            ", tried again"
        } else {
            ""
        };
        writeln!(
            text,
            "| [{name}]({name}-{seed}.svg) | {seed} | {}{known} | {} | {} | {} | {} | {} ({}) | {} | {} | {} | {} ({}) | {} | {} | {} | {} | {} | {} | {} |",
            judgement.verdict(),
            figures.records,
            figures.finished,
            figures.calls,
            duplicates(figures),
            figures.dead_letters,
            figures.delays,
            figures.parked,
            figures.deleted,
            figures.rebalances,
            figures.kills,
            figures.kills_in_flight,
            figures.losses,
            figures.outages,
            longest(figures, &AFTER_A_KILL),
            longest(figures, &AFTER_A_REBALANCE),
            longest(figures, &AFTER_AN_OUTAGE),
            figures.stops,
            figures.slowest_stop.map_or_else(String::new, seconds),
            name = scenario.name,
            seed = scenario.seed,
        )?;
    }
    writeln!(
        text,
        "\nTimes are the longest of each run. Recovery is the time until each partition with something to do had got on \
         with it, of faults that no other one followed meanwhile; empty: there was none. \"Handled twice\" has the reason \
         with it. A scenario's name leads to its picture.\n"
    )?;
    for outcome in outcomes {
        details(&mut text, outcome)?;
    }
    Ok(text)
}

const AFTER_A_KILL: [StrikeKind; 3] = [StrikeKind::Kill, StrikeKind::Suspend, StrikeKind::Resume];
const AFTER_A_REBALANCE: [StrikeKind; 2] = [StrikeKind::Join, StrikeKind::Terminate];
const AFTER_AN_OUTAGE: [StrikeKind; 1] = [StrikeKind::Healed];

/// All runs in one sentence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    records: usize,
    scenarios: usize,
    seeds: usize,
    lost: usize,
    past: usize,
    duplicates: BTreeMap<Cause, usize>,
    recoveries: Vec<(StrikeKind, Duration)>,
    slowest_stop: Option<Duration>,
}

impl Summary {
    pub(crate) fn of(outcomes: &[Outcome]) -> Self {
        let mut this = Self::default();
        let mut seeds = BTreeSet::new();
        for Outcome {
            scenario,
            judgement,
            ..
        } in outcomes
        {
            let (counts, figures) = (judgement.counts(), &judgement.figures);
            let count = |promise| counts.get(&promise).copied().unwrap_or(0);
            seeds.insert(scenario.seed);
            this.scenarios += 1;
            this.records += figures.records;
            this.lost += count(Promise::Lost) + count(Promise::Unfinished);
            this.past += count(Promise::Past);
            for (cause, number) in &figures.duplicates {
                *this.duplicates.entry(*cause).or_default() += number;
            }
            this.recoveries.extend_from_slice(&figures.recoveries);
            this.slowest_stop = this.slowest_stop.max(figures.slowest_stop);
        }
        this.seeds = seeds.len();
        this
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let duplicates = by_cause(&self.duplicates);
        let stop = self.slowest_stop.map_or_else(|| "none".into(), seconds);
        write!(
            f,
            "{} records in {} runs of {} seeds: {} lost, {} committed past; handled twice: {duplicates}; slowest recovery",
            self.records, self.scenarios, self.seeds, self.lost, self.past
        )?;
        let kinds: [(&str, &[StrikeKind]); 3] = [
            ("after a kill", &AFTER_A_KILL),
            ("after a rebalance", &AFTER_A_REBALANCE),
            ("after an outage", &AFTER_AN_OUTAGE),
        ];
        for (name, kinds) in kinds {
            let longest = longest_of(&self.recoveries, kinds);
            let longest = longest.map_or_else(|| "none".into(), seconds);
            write!(f, " {name} {longest},")?;
        }
        write!(f, " slowest stop {stop}")
    }
}

fn details(text: &mut String, outcome: &Outcome) -> fmt::Result {
    let (scenario, judgement) = (&outcome.scenario, &outcome.judgement);
    if judgement.verdict() == Verdict::Pass && judgement.known.is_empty() {
        return Ok(());
    }
    writeln!(text, "## {} seed {}\n", scenario.name, scenario.seed)?;
    for reason in &judgement.inconclusive {
        writeln!(text, "- inconclusive: {reason}")?;
    }
    for violation in judgement.violations.iter().take(20) {
        writeln!(text, "- {violation}")?;
    }
    if judgement.violations.len() > 20 {
        writeln!(text, "- … {} in all", judgement.violations.len())?;
    }
    for (known, count) in judgement.known_counts() {
        writeln!(text, "- \\* known: {count} {known}")?;
    }
    writeln!(text)
}

pub(crate) fn duplicates(figures: &Figures) -> String {
    by_cause(&figures.duplicates)
}

fn by_cause(duplicates: &BTreeMap<Cause, usize>) -> String {
    if duplicates.is_empty() {
        return "0".into();
    }
    let each = duplicates.iter();
    each.map(|(cause, count)| format!("{count} by {cause}"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn longest(figures: &Figures, kinds: &[StrikeKind]) -> String {
    longest_of(&figures.recoveries, kinds).map_or_else(String::new, seconds)
}

fn longest_of(recoveries: &[(StrikeKind, Duration)], kinds: &[StrikeKind]) -> Option<Duration> {
    let of_kinds = recoveries.iter().filter(|(kind, _)| kinds.contains(kind));
    of_kinds.map(|(_, took)| *took).max()
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f32())
}
