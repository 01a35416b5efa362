//! The lines in a file, for people.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Context;

use crate::verdict::{Line, table};

/// Writes `report.md` into the folder.
pub(crate) fn write(
    folder: &Path,
    command: &str,
    notes: &[String],
    lines: &[Line],
) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    let mut text = format!("# Limits\n\n`{command}`\n\n");
    for note in notes {
        let _ = writeln!(text, "{note}\n");
    }
    text.push_str(&table(lines));
    let path = folder.join("report.md");
    fs::write(&path, text).with_context(|| format!("write {}", path.display()))
}
