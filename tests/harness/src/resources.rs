//! What a process has used, as the system counts it.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, bail};

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

/// Returns the processor time of a process, threads that have ended among them, in nanoseconds.
pub(crate) fn cpu_of(process: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{process}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    // After the name, which may have anything in it: the 12th and 13th are ticks of 10 ms, of user and of system time.
    let (_, fields) = stat.rsplit_once(") ").context("a name")?;
    let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<u64>);
    let ticks: u64 = ticks.sum::<Result<_, _>>()?;
    Ok(ticks * 10_000_000)
}

/// Returns the processor time of the threads that a process has, by name, in nanoseconds.
pub(crate) fn threads_of(process: u32) -> anyhow::Result<BTreeMap<String, u64>> {
    let mut threads = BTreeMap::new();
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        let thread = thread?.path();
        let (Ok(name), Ok(times)) = (
            fs::read_to_string(thread.join("comm")),
            fs::read_to_string(thread.join("schedstat")),
        ) else {
            continue; // it has just ended
        };
        let ns = times
            .split(' ')
            .next()
            .and_then(|ns| ns.parse::<u64>().ok());
        *threads.entry(name.trim().to_owned()).or_default() += ns.unwrap_or(0);
    }
    Ok(threads)
}

#[cfg(test)]
mod tests {
    use super::{cpu_of, peak, threads_of};

    #[test]
    fn the_peak_is_read_in_kibibytes() {
        let status = "Name:\tharness\nVmHWM:\t   12345 kB\nVmRSS:\t   11111 kB\n";

        assert_eq!(peak(status), Some(12345 * 1024));
        assert_eq!(peak("Name:\tharness\n"), None);
    }

    #[test]
    fn the_processor_time_of_this_process_is_known() {
        let this = std::process::id();
        let started = std::time::Instant::now();
        while started.elapsed().as_millis() < 100 {}

        assert!(cpu_of(this).unwrap() >= 50_000_000);
        assert!(threads_of(this).unwrap().values().sum::<u64>() >= 50_000_000);
    }
}
