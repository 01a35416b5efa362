//! Tables: the one that a runtime shows at start, who handles what and where it stands; and how any is aligned.

use std::fmt;

/// One handler and topic.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StartRow {
    /// The topic or pattern.
    pub topic: String,
    /// The consumer group.
    pub group: String,
    /// The handler's name.
    pub handler: String,
    /// `key`, `partition` or `none`.
    pub ordering: &'static str,
    /// `dead_letter`, `skip` or `stop`; or why the handler is off.
    pub on_failure: String,
    /// `file:line`.
    pub place: String,
}

/// What a runtime is about to start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StartTable {
    /// In the order shown: by topic, then group.
    pub rows: Vec<StartRow>,
}

impl fmt::Display for StartTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = [
            "TOPIC",
            "GROUP",
            "HANDLER",
            "ORDERING",
            "ON FAILURE",
            "PLACE",
        ];
        let rows = std::iter::once(head).chain(self.rows.iter().map(|row| {
            [
                row.topic.as_str(),
                row.group.as_str(),
                row.handler.as_str(),
                row.ordering,
                row.on_failure.as_str(),
                row.place.as_str(),
            ]
        }));
        write_aligned(f, rows)
    }
}

/// Writes rows with their columns aligned, without a line break after the last.
pub(crate) fn write_aligned<const N: usize, S: AsRef<str>>(
    f: &mut fmt::Formatter<'_>,
    rows: impl Iterator<Item = [S; N]>,
) -> fmt::Result {
    let rows: Vec<[S; N]> = rows.collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].as_ref().chars().count());
        cells.max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    for (n, row) in rows.iter().enumerate() {
        if n > 0 {
            writeln!(f)?;
        }
        for (column, cell) in row.iter().enumerate() {
            let cell = cell.as_ref();
            if column + 1 == N {
                write!(f, "{cell}")?;
            } else {
                write!(f, "{cell:<width$}  ", width = widths[column])?;
            }
        }
    }
    Ok(())
}
