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

/// What each partition may hold: of half of the budget its part, which nobody can take from it, and of the other half
/// whatever is left, for whichever partitions need more. Hot keys make some need far more than others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    /// Each partition's part.
    own: Budget,
    /// For all.
    pool: Budget,
    /// What partitions hold beyond their part.
    lent: Load,
}

impl Budget {
    /// Shares it out among partitions that hold so much each.
    pub(crate) fn share(self, loads: &[Load]) -> Share {
        let partitions = loads.len().max(1);
        let part = |all: usize| (all.div_ceil(2) / partitions).max(1);
        let own = Self {
            records: part(self.records),
            bytes: part(self.bytes),
        };
        let beyond = |of: fn(&Load) -> usize, own: usize| {
            let held = loads.iter().map(of);
            held.map(|held| held.saturating_sub(own)).sum()
        };
        Share {
            own,
            pool: Self {
                records: self.records.saturating_sub(own.records * partitions),
                bytes: self.bytes.saturating_sub(own.bytes * partitions),
            },
            lent: Load {
                records: beyond(|load| load.records, own.records),
                bytes: beyond(|load| load.bytes, own.bytes),
            },
        }
    }
}

impl Share {
    /// True if a partition must be paused: it holds all of its part, and nothing is left for more.
    pub(crate) fn is_reached(self, load: Load) -> bool {
        let Self { own, pool, lent } = self;
        (load.records >= own.records && lent.records >= pool.records)
            || (load.bytes >= own.bytes && lent.bytes >= pool.bytes)
    }

    /// True if a partition holds what would be its equal part of everything: with a processor that is the limit, more would
    /// only take memory.
    pub(crate) fn is_much(self, load: Load) -> bool {
        load.records >= 2 * self.own.records || load.bytes >= 2 * self.own.bytes
    }

    /// True if a paused partition may go on: half of its part is free again, or half of what is for all.
    pub(crate) fn is_relieved(self, load: Load) -> bool {
        let Self { own, pool, lent } = self;
        // Not if there was nothing for all: it would always be free.
        let has_room = |lent: usize, pool: usize| pool > 0 && lent <= pool / 2;
        (load.records <= own.records / 2 || has_room(lent.records, pool.records))
            && (load.bytes <= own.bytes / 2 || has_room(lent.bytes, pool.bytes))
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

    /// The share of partitions that hold so much each.
    fn share(loads: &[Load]) -> Share {
        BUDGET.share(loads)
    }

    #[test]
    fn records_and_bytes_both_pause() {
        for (held, is_reached) in [
            (load(100, 0), true),
            (load(1, 1000), true),
            (load(99, 999), false),
        ] {
            assert_eq!(share(&[held]).is_reached(held), is_reached, "{held:?}");
        }
    }

    #[test]
    fn it_goes_on_when_a_good_part_is_free() {
        for (held, is_relieved) in [
            (load(76, 0), false),
            (load(0, 751), false),
            (load(75, 750), true),
        ] {
            assert_eq!(share(&[held]).is_relieved(held), is_relieved, "{held:?}");
        }
    }

    #[test]
    fn one_partition_may_have_what_others_leave_but_not_their_part() {
        let quiet = load(0, 0);
        // Its own 12, and the 52 that are for all.
        let hot = load(63, 0);
        assert!(!share(&[hot, quiet, quiet, quiet]).is_reached(hot));
        let hot = load(64, 0);
        let all = [hot, load(11, 0), load(12, 0), quiet];
        assert!(share(&all).is_reached(hot));
        assert!(!share(&all).is_reached(all[1]));
        assert!(share(&all).is_reached(all[2]));
    }

    #[test]
    fn all_together_hold_no_more_than_the_budget() {
        // Whoever may take one takes one, until nobody may.
        let mut loads = [load(0, 0); 7];
        loop {
            let now = share(&loads);
            let Some(next) = loads.iter_mut().find(|one| !now.is_reached(**one)) else {
                break;
            };
            next.records += 1;
        }

        assert_eq!(loads.iter().map(|one| one.records).sum::<usize>(), 100);
        assert!(loads.iter().all(|one| one.records >= 7));
    }

    #[test]
    fn every_partition_gets_at_least_one_record() {
        let mut loads = [load(1, 1); 1000];
        loads[0] = load(0, 0);

        assert!(!share(&loads).is_reached(loads[0]));
        assert!(share(&loads).is_relieved(loads[0]));
        assert!(share(&loads).is_reached(loads[1]));
        assert!(!share(&loads).is_relieved(loads[1]));
    }
}
