//! The table that a runtime shows at start: who handles what, and where it stands.

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
    /// Most records of a call, and how long an incomplete batch waits for more; `None` if a call takes one record.
    pub batch: Option<String>,
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
        // Shown only where there is one.
        let has_batch = self.rows.iter().any(|row| row.batch.is_some());
        let columns = |batch, others: [&str; 6]| {
            let [topic, group, handler, rest @ ..] = others;
            let batch = has_batch.then_some(batch);
            let first = [topic, group, handler].into_iter().chain(batch);
            first.chain(rest).map(str::to_owned).collect()
        };
        let head = [
            "TOPIC",
            "GROUP",
            "HANDLER",
            "ORDERING",
            "ON FAILURE",
            "PLACE",
        ];
        let rows: Vec<Vec<String>> = std::iter::once(columns("BATCH", head))
            .chain(self.rows.iter().map(|row| {
                let others = [
                    row.topic.as_str(),
                    row.group.as_str(),
                    row.handler.as_str(),
                    row.ordering,
                    row.on_failure.as_str(),
                    row.place.as_str(),
                ];
                columns(row.batch.as_deref().unwrap_or("-"), others)
            }))
            .collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
        let widths: Vec<usize> = (0..rows[0].len()).filter_map(width).collect();
        for (n, row) in rows.iter().enumerate() {
            if n > 0 {
                writeln!(f)?;
            }
            for (column, cell) in row.iter().enumerate() {
                if column + 1 == row.len() {
                    write!(f, "{cell}")?;
                } else {
                    write!(f, "{cell:<width$}  ", width = widths[column])?;
                }
            }
        }
        Ok(())
    }
}
