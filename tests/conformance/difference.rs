//! What differs between backends, and why. Nothing is left out in silence: a case that does not run is reported with the
//! reason, one that runs otherwise says so, and a line that fits no case fails the suite.

use std::io::{self, Write};
use std::{fmt, fs};

use test_support::TestResult;

use crate::case::CASES;
use crate::memory;

/// Who runs the cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    Memory,
    Embedded,
    Real,
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory",
            Self::Embedded => "embedded",
            Self::Real => "real",
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// The case is run as it stands, but the stage does its part by other means.
    Means,
    /// Something else is expected, and that is asserted.
    Outcome,
    /// It cannot be run.
    NotRun,
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Means => "by other means",
            Self::Outcome => "another outcome",
            Self::NotRun => "not run",
        })
    }
}

/// One line of the table.
#[derive(Debug)]
pub(crate) struct Difference {
    pub(crate) backend: Backend,
    pub(crate) case: &'static str,
    pub(crate) how: How,
    pub(crate) reason: &'static str,
}

impl Difference {
    pub(crate) fn text(&self) -> String {
        format!("{}: {}", self.how, self.reason)
    }

    /// The line of docs/DELIVERY.md.
    fn row(&self) -> String {
        format!("| {} | `{}` | {} |", self.backend, self.case, self.text())
    }
}

const fn differs(
    backend: Backend,
    case: &'static str,
    how: How,
    reason: &'static str,
) -> Difference {
    Difference {
        backend,
        case,
        how,
        reason,
    }
}

/// All of them; docs/DELIVERY.md has the same table.
pub(crate) const DIFFERENCES: &[Difference] = &[
    differs(
        Backend::Memory,
        "a_header_without_value_survives_a_dead_letter",
        How::NotRun,
        "`MessagePayload` has no header without value",
    ),
    differs(
        Backend::Memory,
        "a_second_member_takes_over_after_a_drain",
        How::Outcome,
        "a group has one member: the partition is revoked, drained, and comes back to it",
    ),
    differs(
        Backend::Memory,
        "a_partition_that_was_full_is_read_again_when_it_comes_back",
        How::Outcome,
        "a group has one member: the partition is revoked, and comes back to it",
    ),
    differs(
        Backend::Memory,
        "a_member_that_was_expelled_begins_again_at_the_commit",
        How::Means,
        "there is no group protocol: the test refuses the commit, then says that all is lost and assigns it again",
    ),
    differs(
        Backend::Memory,
        "fetches_that_fail_are_repeated",
        How::Means,
        NO_REQUESTS,
    ),
    differs(
        Backend::Memory,
        "a_join_that_fails_is_repeated",
        How::NotRun,
        "nobody joins",
    ),
    differs(
        Backend::Memory,
        "offsets_that_cannot_be_fetched_are_asked_for_again",
        How::Means,
        NO_REQUESTS,
    ),
    differs(
        Backend::Memory,
        "a_beginning_that_cannot_be_told_is_asked_for_again",
        How::NotRun,
        "the beginning of a partition is no question of its own",
    ),
    differs(
        Backend::Embedded,
        "a_member_that_was_expelled_begins_again_at_the_commit",
        How::Means,
        "a commit is refused, but the mock cluster keeps the member, so this is the classic protocol, whose client joins anew",
    ),
    differs(
        Backend::Embedded,
        "a_join_that_fails_is_repeated",
        How::Means,
        "this is the classic protocol, whose first join takes 3 s: the Rust client cannot name the heartbeat of the other one",
    ),
    differs(
        Backend::Real,
        "a_commit_that_fails_is_repeated",
        How::Means,
        NO_ERRORS,
    ),
    differs(
        Backend::Real,
        "a_member_that_was_expelled_begins_again_at_the_commit",
        How::Means,
        "somebody else sends LeaveGroup in its name",
    ),
    differs(
        Backend::Real,
        "fetches_that_fail_are_repeated",
        How::Means,
        NO_ERRORS,
    ),
    differs(
        Backend::Real,
        "a_join_that_fails_is_repeated",
        How::Means,
        NO_ERRORS,
    ),
    differs(
        Backend::Real,
        "offsets_that_cannot_be_fetched_are_asked_for_again",
        How::Means,
        NO_ERRORS,
    ),
    differs(
        Backend::Real,
        "a_beginning_that_cannot_be_told_is_asked_for_again",
        How::Means,
        NO_ERRORS,
    ),
    differs(
        Backend::Real,
        "a_dead_letter_that_fails_for_now_is_written_later",
        How::Means,
        NO_ERRORS,
    ),
];

const NO_REQUESTS: &str = "there are no requests that could fail: the brokers are disconnected";
const NO_ERRORS: &str =
    "brokers make no errors on demand: a proxy closes the connection at the request";

/// Returns what is declared for a case.
pub(crate) fn of(backend: Backend, case: &str) -> Option<&'static Difference> {
    let mut all = DIFFERENCES.iter();
    all.find(|one| one.backend == backend && one.case == case)
}

/// Prints the table.
pub(crate) fn print(to: &mut impl Write) -> io::Result<()> {
    writeln!(to, "declared differences:")?;
    for one in DIFFERENCES {
        writeln!(to, "  {}::{}\n    {}", one.backend, one.case, one.text())?;
    }
    Ok(())
}

/// Checks that the table fits the cases, what runs instead of them, and the document.
pub(crate) fn check() -> TestResult {
    let mut wrong = Vec::new();
    for (n, one) in DIFFERENCES.iter().enumerate() {
        if !CASES.iter().any(|case| case.name == one.case) {
            wrong.push(format!("no case is called {}", one.case));
        }
        let is_same = |other: &Difference| other.backend == one.backend && other.case == one.case;
        if DIFFERENCES[..n].iter().any(is_same) {
            wrong.push(format!("{}::{} is declared twice", one.backend, one.case));
        }
        // Only the test kit has cases of its own.
        if one.how == How::Outcome && one.backend != Backend::Memory {
            wrong.push(format!(
                "nothing runs instead of {}::{}",
                one.backend, one.case
            ));
        }
    }
    let mut declared: Vec<_> = DIFFERENCES.iter().collect();
    declared.retain(|one| one.how == How::Outcome);
    let declared = declared.iter().map(|one| one.case);
    if !declared.eq(memory::INSTEAD.iter().copied()) {
        wrong.push("what runs instead in memory is not what is declared".into());
    }

    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/DELIVERY.md");
    let text = fs::read_to_string(document)?;
    let is_row = |line: &&str| {
        let backends = [Backend::Memory, Backend::Embedded, Backend::Real];
        let mut starts = backends.iter().map(|backend| format!("| {backend} | `"));
        starts.any(|start| line.starts_with(&start))
    };
    let table: Vec<_> = DIFFERENCES.iter().map(Difference::row).collect();
    if !text.lines().filter(is_row).eq(table.iter()) {
        let table = table.join("\n");
        wrong.push(format!(
            "docs/DELIVERY.md has another table than this one:\n{table}"
        ));
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n").into())
    }
}
