//! What the test kit needs besides rounds: it drives an engine from a test, without a poll thread.

use super::dispatch::Assigned;
use super::poll::Engine;

impl Engine {
    /// Hands advanced offsets to the client in the next round, whenever the last time was.
    pub(crate) fn make_store_due(&mut self) {
        self.stored_at = None;
    }

    /// Returns how many calls have a slot: they run, wait for a retry, or are given up right now.
    pub(crate) fn busy_calls(&self) -> usize {
        self.all_partitions().map(Assigned::running_calls).sum()
    }

    /// Counts up whenever a call is polled: two equal answers, and nothing was done between them.
    pub(crate) fn polls(&self) -> u64 {
        self.all_partitions()
            .flat_map(|p| &p.lanes)
            .map(|lane| lane.polls())
            .sum()
    }

    /// Ends as `kill -9` does: every call is dropped where it stands, nothing is committed, the group is not left.
    pub(crate) fn kill(self) {
        self.fence_all();
    }
}
