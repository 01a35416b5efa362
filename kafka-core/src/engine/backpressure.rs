//! Decides when a partition is paused because too much of it waits in memory, and when it goes on. No I/O, no clock.
//!
//! Two watermarks, so that a partition is not paused and resumed for every record: librdkafka throws its prefetched
//! records away on pause and fetches them again on resume.

/// How much may wait in memory, over all partitions of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    /// Records that were received and are not acked.
    pub(crate) records: usize,
    /// Bytes of the batches that hold them.
    pub(crate) bytes: usize,
}

/// What one partition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) records: usize,
    pub(crate) bytes: usize,
}

impl Budget {
    /// Returns one partition's share.
    pub(crate) fn share(self, partitions: usize) -> Self {
        let partitions = partitions.max(1);
        Self {
            records: (self.records / partitions).max(1),
            bytes: (self.bytes / partitions).max(1),
        }
    }

    /// True if a partition must be paused.
    pub(crate) fn is_reached(self, load: Load) -> bool {
        load.records >= self.records || load.bytes >= self.bytes
    }

    /// True if a paused partition may go on: half of its share is free again.
    pub(crate) fn is_relieved(self, load: Load) -> bool {
        load.records <= self.records / 2 && load.bytes <= self.bytes / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: Budget = Budget {
        records: 100,
        bytes: 1000,
    };

    fn load(records: usize, bytes: usize) -> Load {
        Load { records, bytes }
    }

    #[test]
    fn records_and_bytes_both_pause() {
        assert!(BUDGET.is_reached(load(100, 0)));
        assert!(BUDGET.is_reached(load(1, 1000)));
        assert!(!BUDGET.is_reached(load(99, 999)));
    }

    #[test]
    fn it_goes_on_only_when_half_is_free() {
        assert!(!BUDGET.is_relieved(load(51, 0)));
        assert!(!BUDGET.is_relieved(load(0, 501)));
        assert!(BUDGET.is_relieved(load(50, 500)));
    }

    #[test]
    fn every_partition_gets_at_least_one_record() {
        assert_eq!(BUDGET.share(1000).records, 1);
        assert!(!BUDGET.share(1000).is_reached(load(0, 0)));
        assert!(BUDGET.share(1000).is_relieved(load(0, 0)));
    }
}
