//! Finds calls that run for too long: those that wait, which their lane knows, and one that does not give its thread
//! back, which only somebody else can see.

use std::time::{Duration, Instant};

use super::poll::Engine;
use crate::mutant::{self, Mutant};

/// How often the calls are looked at.
const INTERVAL: Duration = Duration::from_millis(500);

impl Engine {
    /// Has every lane look at its calls.
    pub(super) fn watch_calls(&mut self, now: Instant) {
        let is_due = self
            .watched_at
            .is_none_or(|at| now.saturating_duration_since(at) >= INTERVAL);
        if !is_due || mutant::is_active(Mutant::SilentWatchdog) {
            return;
        }
        self.watched_at = Some(now);
        let parked = self.retries.iter().flat_map(super::retries::Retries::all);
        for partition in self.dispatch.partitions.iter().chain(parked) {
            for lane in &partition.lanes {
                lane.inspect(now);
            }
        }
    }
}
