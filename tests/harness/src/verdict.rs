//! What a figure came to: a line of the table, and its verdict.

use std::fmt;

use crate::table::aligned;

const HEAD: [&str; 4] = ["figure", "limit", "measured", "verdict"];

/// How a figure compares with its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Pass,
    Fail,
    /// What was to be measured did not really happen.
    Inconclusive,
    /// There is no limit: for whoever reads it.
    Information,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::Inconclusive => "INCONCLUSIVE",
            Self::Information => "information",
        })
    }
}

/// A line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) figure: String,
    pub(crate) limit: String,
    pub(crate) measured: String,
    pub(crate) verdict: Verdict,
}

/// Returns the verdict of a run: failed if anything did, inconclusive if nothing was measured.
pub(crate) fn total(lines: &[Line]) -> Verdict {
    let any = |verdict| lines.iter().any(|line| line.verdict == verdict);
    if any(Verdict::Fail) {
        Verdict::Fail
    } else if any(Verdict::Inconclusive) || !any(Verdict::Pass) {
        Verdict::Inconclusive
    } else {
        Verdict::Pass
    }
}

/// Returns a table that is readable as it stands and as markdown.
pub(crate) fn table(lines: &[Line]) -> String {
    aligned(HEAD, lines.iter().map(cells))
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
    use super::{Line, Verdict, table, total};

    fn lines(verdicts: &[Verdict]) -> Vec<Line> {
        let line = |verdict: &Verdict| Line {
            figure: String::new(),
            limit: String::new(),
            measured: String::new(),
            verdict: *verdict,
        };
        verdicts.iter().map(line).collect()
    }

    #[test]
    fn one_failure_fails_the_run() {
        let all = lines(&[Verdict::Pass, Verdict::Inconclusive, Verdict::Fail]);

        assert_eq!(total(&all), Verdict::Fail);
    }

    #[test]
    fn what_did_not_happen_is_not_passed() {
        let all = lines(&[Verdict::Pass, Verdict::Inconclusive]);

        assert_eq!(total(&all), Verdict::Inconclusive);
        assert_eq!(
            total(&lines(&[Verdict::Information])),
            Verdict::Inconclusive
        );
        assert_eq!(total(&[]), Verdict::Inconclusive);
    }

    #[test]
    fn information_changes_nothing() {
        let all = lines(&[Verdict::Pass, Verdict::Information]);

        assert_eq!(total(&all), Verdict::Pass);
    }

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
