//! The result of a run as a table, for people.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;

use super::Outcome;
use super::check::{Figures, Verdict};
use super::evidence::StrikeKind;

/// Writes `report.md` into the folder; the pictures are beside it already.
pub(crate) fn write(folder: &Path, command: &str, outcomes: &[Outcome]) -> anyhow::Result<()> {
    let text = table(command, outcomes).context("write the table")?;
    let path = folder.join("report.md");
    fs::write(&path, text).with_context(|| format!("write {}", path.display()))
}

fn table(command: &str, outcomes: &[Outcome]) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    writeln!(text, "# Chaos\n\n`{command}`\n")?;
    writeln!(
        text,
        "| scenario | seed | verdict | records | finished | calls | handled twice | dead letters | rebalances | kills (in flight) | lost | outages | recovery after a kill | after a rebalance | after an outage | stops | slowest stop |"
    )?;
    writeln!(text, "|{}", "---|".repeat(17))?;
    for outcome in outcomes {
        let (scenario, judgement) = (&outcome.scenario, &outcome.judgement);
        let figures = &judgement.figures;
        let known = if judgement.verdict() == Verdict::Pass && !judgement.known.is_empty() {
            "*"
        } else {
            ""
        };
        writeln!(
            text,
            "| [{name}]({name}-{seed}.svg) | {seed} | {}{known} | {} | {} | {} | {} | {} | {} | {} ({}) | {} | {} | {} | {} | {} | {} | {} |",
            judgement.verdict(),
            figures.records,
            figures.finished,
            figures.calls,
            duplicates(figures),
            figures.dead_letters,
            figures.rebalances,
            figures.kills,
            figures.kills_in_flight,
            figures.losses,
            figures.outages,
            longest(
                figures,
                &[StrikeKind::Kill, StrikeKind::Suspend, StrikeKind::Resume]
            ),
            longest(figures, &[StrikeKind::Join, StrikeKind::Terminate]),
            longest(figures, &[StrikeKind::Healed]),
            figures.stops,
            figures.slowest_stop.map_or_else(String::new, seconds),
            name = scenario.name,
            seed = scenario.seed,
        )?;
    }
    writeln!(
        text,
        "\nRecovery is the longest time until each partition with something to do had got on with it.\n"
    )?;
    for outcome in outcomes {
        details(&mut text, outcome)?;
    }
    Ok(text)
}

fn details(text: &mut String, outcome: &Outcome) -> std::fmt::Result {
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
    if figures.duplicates.is_empty() {
        return "0".into();
    }
    let each = figures.duplicates.iter();
    each.map(|(cause, count)| format!("{count} by {cause}"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn longest(figures: &Figures, kinds: &[StrikeKind]) -> String {
    let recoveries = figures.recoveries.iter();
    recoveries
        .filter(|(kind, _)| kinds.contains(kind))
        .map(|(_, took)| *took)
        .max()
        .map_or_else(String::new, seconds)
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f32())
}
