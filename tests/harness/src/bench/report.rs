//! Everything that was measured, for people.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Context;

use crate::verdict::{Line, table};

/// What was measured of one subject.
pub(crate) struct Chapter {
    pub(crate) title: String,
    /// Tables, as markdown.
    pub(crate) text: String,
    /// Figures that have a bound.
    pub(crate) lines: Vec<Line>,
}

/// Returns all chapters, and before them the figures that have a bound.
pub(crate) fn text(command: &str, notes: &[String], chapters: &[Chapter]) -> String {
    let mut text = format!("# Benchmark\n\n`{command}`\n\n");
    for note in notes {
        let _ = writeln!(text, "{note}\n");
    }
    let lines: Vec<Line> = chapters.iter().flat_map(|one| one.lines.clone()).collect();
    text.push_str(&table(&lines));
    for chapter in chapters {
        let _ = write!(text, "\n## {}\n\n{}", chapter.title, chapter.text);
    }
    text
}

/// Writes `report.md` into the folder.
pub(crate) fn write(folder: &Path, text: &str) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    let path = folder.join("report.md");
    fs::write(&path, text).with_context(|| format!("write {}", path.display()))
}
