//! Tables: the one that a runtime shows at start, who handles what and where it stands; and how any is aligned.

use std::fmt;

/// Where the columns of batches and filters are: shown only where there is one.
const BATCH: usize = 3;
const FILTER: usize = 4;

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
    /// Most records of a call, and how long an incomplete batch waits for more; `None` if a call takes one record.
    pub batch: Option<String>,
    /// The operations and columns that it looks at, if it does not take every change: `ops c,u; changed email`.
    pub filter: Option<String>,
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
        let has_batch = self.rows.iter().any(|row| row.batch.is_some());
        let has_filter = self.rows.iter().any(|row| row.filter.is_some());
        let head = [
            "TOPIC",
            "GROUP",
            "HANDLER",
            "BATCH",
            "FILTER",
            "ORDERING",
            "ON FAILURE",
            "PLACE",
        ];
        let rows = std::iter::once(head).chain(self.rows.iter().map(|row| {
            [
                row.topic.as_str(),
                row.group.as_str(),
                row.handler.as_str(),
                row.batch.as_deref().unwrap_or("-"),
                row.filter.as_deref().unwrap_or("-"),
                row.ordering,
                row.on_failure.as_str(),
                row.place.as_str(),
            ]
        }));
        let columns = |row: [_; 8]| {
            let columns = row.into_iter().enumerate();
            let shown = columns.filter(|(column, _)| match *column {
                BATCH => has_batch,
                FILTER => has_filter,
                _ => true,
            });
            shown.map(|(_, cell)| cell).collect::<Vec<_>>()
        };
        write_aligned(f, rows.map(columns))
    }
}

/// Writes rows with their columns aligned, without a line break after the last.
pub(crate) fn write_aligned<R: AsRef<[S]>, S: AsRef<str>>(
    f: &mut fmt::Formatter<'_>,
    rows: impl Iterator<Item = R>,
) -> fmt::Result {
    let rows: Vec<R> = rows.collect();
    let columns = rows.first().map_or(0, |row| row.as_ref().len());
    let width = |column: usize| {
        let cells = rows.iter().map(|row| &row.as_ref()[column]);
        cells.map(|cell| cell.as_ref().chars().count()).max()
    };
    let widths: Vec<usize> = (0..columns).filter_map(width).collect();
    for (n, row) in rows.iter().enumerate() {
        if n > 0 {
            writeln!(f)?;
        }
        for (column, cell) in row.as_ref().iter().enumerate() {
            let cell = cell.as_ref();
            if column + 1 == columns {
                write!(f, "{cell}")?;
            } else {
                write!(f, "{cell:<width$}  ", width = widths[column])?;
            }
        }
    }
    Ok(())
}
