//! The cases of the goldens: what is done to the tables, one after the other.

use anyhow::bail;

/// Tables and the rows that the first snapshot finds.
pub(crate) const SCHEMA: &str = include_str!("schema.sql");

/// Named blocks of statements, run while the connectors stream.
const CASES: &str = include_str!("cases.sql");

/// Some statements and the name under which their events are in the goldens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// Each is a transaction of its own, unless it is between BEGIN and COMMIT.
    pub(crate) statements: Vec<String>,
}

/// Returns the cases in the order in which they are run.
pub(crate) fn cases() -> anyhow::Result<Vec<Case>> {
    parse(CASES)
}

/// A case begins with a line `-- case <name>`. A statement ends with the line that ends with a semicolon.
fn parse(text: &str) -> anyhow::Result<Vec<Case>> {
    let mut cases: Vec<Case> = Vec::new();
    let mut statement = String::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("-- case ") {
            if !statement.is_empty() {
                bail!("a statement before case {name} has no end");
            }
            cases.push(Case {
                name: name.trim().to_owned(),
                statements: Vec::new(),
            });
            continue;
        }
        if line.trim().is_empty() || line.starts_with("--") {
            continue;
        }
        statement.push_str(line);
        statement.push('\n');
        if line.ends_with(';') {
            let Some(case) = cases.last_mut() else {
                bail!("a statement before the first case");
            };
            case.statements.push(std::mem::take(&mut statement));
        }
    }
    if !statement.is_empty() {
        bail!("the last statement has no end");
    }
    Ok(cases)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{cases, parse};

    #[test]
    fn a_statement_ends_with_its_line() -> anyhow::Result<()> {
        let cases = parse("-- case a\n-- Why.\nSELECT\n  1;\nSELECT 2;\n\n-- case b\nSELECT 3;\n")?;

        assert_eq!(cases.len(), 2);
        assert_eq!(cases[0].statements, ["SELECT\n  1;\n", "SELECT 2;\n"]);
        assert_eq!(cases[1].name, "b");
        Ok(())
    }

    #[test]
    fn a_statement_without_end_is_an_error() {
        assert!(parse("-- case a\nSELECT 1\n").is_err());
        assert!(parse("-- case a\nSELECT 1\n-- case b\nSELECT 2;\n").is_err());
        assert!(parse("SELECT 1;\n").is_err());
    }

    #[test]
    fn the_cases_have_names_of_their_own() -> anyhow::Result<()> {
        let cases = cases()?;

        let names: HashSet<_> = cases.iter().map(|case| &case.name).collect();
        assert_eq!(names.len(), cases.len());
        assert!(cases.iter().all(|case| !case.statements.is_empty()));
        Ok(())
    }
}
