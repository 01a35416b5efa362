//! Counts allocations.

use std::alloc::System;
use std::process::Command;

use anyhow::Context as _;
use kafka_core::costs::Way;
use serde::Deserialize;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use crate::mode::Mode;

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Returns how often memory is allocated or moved for a record, between so many records and twice as many.
#[expect(
    clippy::cast_precision_loss,
    reason = "a run has far fewer than 2^52 records"
)]
pub(crate) fn per_record(way: &mut Way, records: usize) -> anyhow::Result<f64> {
    way(records)?;
    let region = Region::new(COUNTED);
    way(2 * records)?;
    let change = region.change();
    Ok((change.allocations + change.reallocations) as f64 / records as f64)
}

/// What `costs run` prints.
#[derive(Deserialize)]
struct Printed {
    allocations: f64,
}

/// The same in a process of its own: another mode's memory may be used again.
pub(crate) fn of_process(mode: Mode, records: usize) -> anyhow::Result<f64> {
    let output = Command::new(std::env::current_exe()?)
        .args(["run", "--mode", &mode.to_string()])
        .args(["--records", &records.to_string()])
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{mode}: {text}");
    let printed: Printed = serde_json::from_slice(&output.stdout).context("what it printed")?;
    Ok(printed.allocations)
}
