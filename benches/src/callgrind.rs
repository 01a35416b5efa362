//! Counts instructions: runs this program again under valgrind's callgrind.

use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context as _;

use crate::mode::Mode;

/// valgrind counts an instruction for each byte that `rep movsb` copies. So glibc is to copy as it does up to that size,
/// with vectors.
const TUNABLES: (&str, &str) = (
    "GLIBC_TUNABLES",
    "glibc.cpu.x86_rep_movsb_threshold=1073741824",
);

/// Fails if there is no valgrind.
pub(crate) fn is_there() -> anyhow::Result<()> {
    let version = Command::new("valgrind")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    match version {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            anyhow::bail!("there is no valgrind; it is in the package `valgrind`")
        }
        version => {
            version.context("valgrind --version")?;
            Ok(())
        }
    }
}

/// Returns the instructions that a record takes: the difference of two runs, of so many records and of twice as many, which
/// both find the same records written.
#[expect(
    clippy::cast_precision_loss,
    reason = "a run has far fewer than 2^52 instructions"
)]
pub(crate) fn instructions_per_record(mode: Mode, records: usize) -> anyhow::Result<f64> {
    let once = instructions(mode, records, records)?;
    let twice = instructions(mode, records, 2 * records)?;
    Ok(twice.saturating_sub(once) as f64 / records as f64)
}

/// Returns the instructions of a whole run; the fewest of several, where chance is part of them.
fn instructions(mode: Mode, records: usize, until: usize) -> anyhow::Result<u64> {
    let mut fewest = u64::MAX;
    for _ in 0..mode.runs() {
        fewest = fewest.min(instructions_once(mode, records, until)?);
    }
    Ok(fewest)
}

fn instructions_once(mode: Mode, records: usize, until: usize) -> anyhow::Result<u64> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("callgrind.out");
    let mut option = std::ffi::OsString::from("--callgrind-out-file=");
    option.push(&file);
    let output = Command::new("valgrind")
        .env(TUNABLES.0, TUNABLES.1)
        .args(["--quiet", "--tool=callgrind"])
        .arg(option)
        .arg(std::env::current_exe()?)
        .args(["run", "--mode", &mode.to_string()])
        .args(["--records", &records.to_string()])
        .args(["--until", &until.to_string()])
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{mode}: {text}");
    read(&file).with_context(|| format!("{mode}: what callgrind wrote"))
}

fn read(file: &Path) -> anyhow::Result<u64> {
    let text = std::fs::read_to_string(file)?;
    total(&text).context("there is no line `totals:`")
}

/// Finds the number of all instructions in what callgrind writes.
fn total(text: &str) -> Option<u64> {
    let mut lines = text.lines();
    let total = lines.find_map(|line| line.strip_prefix("totals:"))?;
    total.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_found() {
        assert_eq!(
            total("events: Ir\nfn=(1)\n3 4\n\ntotals: 12345\n"),
            Some(12345)
        );
        assert_eq!(total("events: Ir\n"), None);
    }
}
