//! Tells on standard error what is going on.

#[expect(clippy::print_stderr, reason = "standard output is for the result")]
pub(crate) fn progress(line: &str) {
    eprintln!("{line}");
}
