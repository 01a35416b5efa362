//! What was measured, now and before: the table, and what is written in `costs.json`.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::mode::Mode;

/// So much more than it was is a change.
const MARGIN: f64 = 0.05;
/// The same of allocations, in allocations.
const ALLOCATIONS_MARGIN: f64 = 0.02;

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Figure {
    pub(crate) instructions: f64,
    pub(crate) allocations: f64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Row {
    mode: Mode,
    #[serde(flatten)]
    figure: Figure,
}

/// The figures of all modes.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Figures(Vec<Row>);

/// What a comparison comes to.
pub(crate) struct Verdict {
    pub(crate) lines: Vec<String>,
    pub(crate) is_good: bool,
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("costs.json")
}

impl Figures {
    pub(crate) fn add(&mut self, mode: Mode, figure: Figure) {
        self.0.push(Row {
            mode,
            figure: Figure {
                instructions: figure.instructions.round(),
                allocations: (figure.allocations * 1000.0).round() / 1000.0,
            },
        });
    }

    /// Reads those that were written.
    pub(crate) fn read() -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path()).context("benches/costs.json")?;
        serde_json::from_str(&text).context("benches/costs.json")
    }

    /// Writes these.
    pub(crate) fn write(&self) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(&self)? + "\n";
        std::fs::write(path(), text).context("benches/costs.json")
    }

    fn of(&self, mode: Mode) -> Option<Figure> {
        let mut rows = self.0.iter();
        rows.find(|row| row.mode == mode).map(|row| row.figure)
    }

    /// Shows them in Markdown, beside what they were.
    pub(crate) fn table(&self, was: Option<&Self>) -> String {
        let mut text = match was {
            None => {
                "| mode | instructions per record | allocations per record |\n|---|---:|---:|\n"
                    .to_owned()
            }
            Some(_) => "| mode | instructions per record | was | allocations per record | was |\n|---|---:|---:|---:|---:|\n"
                .to_owned(),
        };
        for Row { mode, figure } in &self.0 {
            let Figure {
                instructions,
                allocations,
            } = figure;
            let _ = match was.map(|was| was.of(*mode)) {
                None => writeln!(text, "| {mode} | {instructions:.0} | {allocations:.3} |"),
                Some(None) => writeln!(
                    text,
                    "| {mode} | {instructions:.0} | | {allocations:.3} | |"
                ),
                Some(Some(was)) => writeln!(
                    text,
                    "| {mode} | {instructions:.0} | {:.0} | {allocations:.3} | {:.3} |",
                    was.instructions, was.allocations
                ),
            };
        }
        text
    }

    /// Says which of them are not what they were.
    pub(crate) fn compare(&self, was: &Self) -> Verdict {
        let (mut above, mut below) = (Vec::new(), Vec::new());
        for Row { mode, figure } in &self.0 {
            let Some(was) = was.of(*mode) else {
                above.push(format!("FAIL {mode}: not in costs.json"));
                continue;
            };
            let instructions = was.instructions * MARGIN;
            let kinds = [
                (
                    "instructions",
                    figure.instructions,
                    was.instructions,
                    instructions,
                ),
                (
                    "allocations",
                    figure.allocations,
                    was.allocations,
                    ALLOCATIONS_MARGIN,
                ),
            ];
            for (what, now, was, margin) in kinds {
                if now > was + margin {
                    above.push(format!("FAIL {mode}: {now} {what} per record, was {was}"));
                } else if now < was - margin {
                    below.push(format!(
                        "better {mode}: {now} {what} per record, was {was}: write it"
                    ));
                }
            }
        }
        let is_good = above.is_empty();
        let mut lines = above;
        lines.extend(below);
        if !lines.is_empty() {
            lines.push(
                "If that is meant to be: cargo run --release -p kafka-runtime-benches -- --write"
                    .to_owned(),
            );
        }
        if is_good {
            lines.push(format!(
                "PASS {} modes cost no more than they did",
                self.0.len()
            ));
        }
        Verdict { lines, is_good }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(instructions: f64, allocations: f64) -> Figures {
        let mut figures = Figures::default();
        figures.add(
            Mode::Key,
            Figure {
                instructions,
                allocations,
            },
        );
        figures
    }

    #[test]
    fn what_is_above_the_margin_fails_and_what_is_below_is_to_be_written() {
        let was = figures(1000.0, 0.5);
        let compare = |instructions, allocations| {
            let verdict = figures(instructions, allocations).compare(&was);
            (verdict.is_good, verdict.lines.len())
        };

        assert_eq!(compare(1050.0, 0.52), (true, 1));
        assert_eq!(compare(1051.0, 0.5), (false, 2));
        assert_eq!(compare(1000.0, 0.521), (false, 2));
        assert_eq!(compare(949.0, 0.5), (true, 3));
        assert!(!figures(1.0, 0.0).compare(&Figures::default()).is_good);
    }

    #[test]
    fn what_is_written_can_be_read() {
        let text = serde_json::to_string(&figures(5.0, 0.25)).unwrap();
        let read: Figures = serde_json::from_str(&text).unwrap();

        assert!(read.of(Mode::Partition).is_none());
        assert!(
            read.table(Some(&figures(6.0, 0.0)))
                .contains("| key | 5 | 6 | 0.250 | 0.000 |")
        );
    }
}
