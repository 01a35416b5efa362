//! The lines as a table, for people.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Context;

use super::verdict::Line;

const HEAD: [&str; 4] = ["figure", "limit", "measured", "verdict"];

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

/// Returns a table that is readable as it stands and as markdown.
pub(crate) fn table(lines: &[Line]) -> String {
    let mut rows = vec![HEAD.map(str::to_owned)];
    rows.extend(lines.iter().map(cells));
    let widths = [0, 1, 2, 3].map(|column| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or_default()
    });
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(text, "| {cell:width$} ");
        }
        text.push_str("|\n");
        if number == 0 {
            for width in widths {
                let _ = write!(text, "|{}", "-".repeat(width + 2));
            }
            text.push_str("|\n");
        }
    }
    text
}

fn cells(line: &Line) -> [String; 4] {
    [
        line.figure.clone(),
        line.limit.clone(),
        line.measured.clone(),
        line.verdict.to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use super::{Line, table};
    use crate::limits::verdict::Verdict;

    #[test]
    fn a_table_is_aligned() {
        let line = Line {
            figure: "a hung call".into(),
            limit: "3 s".into(),
            measured: "2.1 s".into(),
            verdict: Verdict::Pass,
        };

        let expected = "\
| figure      | limit | measured | verdict |
|-------------|-------|----------|---------|
| a hung call | 3 s   | 2.1 s    | PASS    |
";
        assert_eq!(table(&[line]), expected);
    }
}
