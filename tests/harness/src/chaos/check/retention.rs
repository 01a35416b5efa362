//! Records that were deleted before anybody had handled them were reported, each with its range.

use super::history::History;
use super::{Findings, Promise};
use crate::chaos::evidence::Evidence;
use crate::chaos::ledger::At;

/// Records that were deleted, and that nobody had finished.
pub(super) fn deleted<'a>(
    evidence: &'a Evidence,
    history: &'a History,
) -> impl Iterator<Item = At> + 'a {
    let all = evidence.produced.iter();
    all.flat_map(move |(partition, records)| {
        let before = evidence.deletions.iter();
        let before = before.filter(|one| one.partition == *partition);
        let before = before.map(|one| one.before).max().unwrap_or(0);
        records
            .iter()
            .filter(move |record| record.is_gone && record.offset < before)
            .map(|record| At {
                partition: *partition,
                offset: record.offset,
            })
            .filter(|at| history.finished(*at).is_none())
    })
}

pub(super) fn check(evidence: &Evidence, history: &History, findings: &mut Findings) {
    let reports: Vec<Report<'_>> = history
        .out_of_range
        .iter()
        .filter_map(|text| Report::read(text))
        .collect();
    for at in deleted(evidence, history) {
        let name = format!(
            "{}[{}]",
            evidence.topics[at.partition.topic], at.partition.number
        );
        let covers = |report: &Report<'_>| {
            report.partition == name && report.next <= at.offset && at.offset < report.oldest
        };
        if !reports.iter().any(covers) {
            let text = format!(
                "{name} offset {} was deleted, and is in no report",
                at.offset
            );
            findings.add(Promise::Unreported, text);
        }
    }
    if evidence.deletions.is_empty() {
        for text in &history.out_of_range {
            findings.add(
                Promise::Unreported,
                format!("nothing was deleted, but: {text}"),
            );
        }
    }
}

/// What a report says.
struct Report<'a> {
    partition: &'a str,
    /// The offset that was to be read.
    next: i64,
    /// The first one that the broker had.
    oldest: i64,
}

impl<'a> Report<'a> {
    /// Reads `orders[3]: committed offset 41 is outside of what the broker has, 100 to 200; going on at 100 …`.
    fn read(text: &'a str) -> Option<Self> {
        let (partition, rest) = text.split_once(": ")?;
        let number = |after: &str| -> Option<i64> {
            let (_, rest) = rest.split_once(after)?;
            rest.split([' ', ';', ',']).next()?.parse().ok()
        };
        Some(Self {
            partition,
            next: number("offset ")?,
            oldest: number("the broker has, ")?,
        })
    }
}
