//! Resident memory of a process, and whether it stayed within its budget. The decision does no I/O.

use std::fs;

use anyhow::{Context, bail};

use super::verdict::Verdict;

/// What a process may take besides what it was told it may keep: its code, its threads, what malloc does not give back.
pub(crate) const SLACK: u64 = 64_000_000;

/// What a process may keep, and what it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    /// All that the configuration lets it keep.
    pub(crate) budget: u64,
    /// The peak of a process that has nothing to do.
    pub(crate) idle: u64,
    pub(crate) peak: u64,
}

impl Memory {
    pub(crate) fn limit(self) -> u64 {
        self.budget + SLACK
    }

    /// Judges the peak; `has_arisen` says whether what should have driven it up has happened.
    pub(crate) fn judge(self, has_arisen: bool) -> Verdict {
        if self.peak > self.limit() {
            Verdict::Fail
        } else if has_arisen {
            Verdict::Pass
        } else {
            Verdict::Inconclusive
        }
    }
}

/// Reads the peak of a process's resident memory, in bytes.
pub(crate) fn peak_of(process: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{process}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let Some(peak) = peak(&status) else {
        bail!("{path} has no VmHWM: the process has ended");
    };
    Ok(peak)
}

/// Returns `VmHWM` of `/proc/PID/status`, in bytes.
fn peak(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::{Memory, SLACK, Verdict, peak};

    const WITHIN: Memory = Memory {
        budget: 100,
        idle: 10,
        peak: 100 + SLACK,
    };

    #[test]
    fn a_peak_up_to_the_limit_passes() {
        let above = Memory {
            peak: WITHIN.peak + 1,
            ..WITHIN
        };

        assert_eq!(WITHIN.judge(true), Verdict::Pass);
        assert_eq!(above.judge(true), Verdict::Fail);
        assert_eq!(above.judge(false), Verdict::Fail);
    }

    #[test]
    fn a_low_peak_of_a_process_that_had_little_to_do_says_nothing() {
        assert_eq!(WITHIN.judge(false), Verdict::Inconclusive);
    }

    #[test]
    fn the_peak_is_read_in_kibibytes() {
        let status = "Name:\tharness\nVmHWM:\t   12345 kB\nVmRSS:\t   11111 kB\n";

        assert_eq!(peak(status), Some(12345 * 1024));
        assert_eq!(peak("Name:\tharness\n"), None);
    }
}
