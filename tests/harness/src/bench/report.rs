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
    /// File names, and what is in them: SVG.
    pub(crate) pictures: Vec<(String, String)>,
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
        for (file, _) in &chapter.pictures {
            let name = file.trim_end_matches(".svg");
            let _ = write!(text, "\n![{name}]({file})\n");
        }
    }
    text
}

/// Writes `report.md` into the folder, and the pictures beside it.
pub(crate) fn write(folder: &Path, text: &str, chapters: &[Chapter]) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    let pictures = chapters.iter().flat_map(|one| &one.pictures);
    let pictures = pictures.map(|(file, svg)| (file.as_str(), svg.as_str()));
    for (file, text) in pictures.chain([("report.md", text)]) {
        let path = folder.join(file);
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}
