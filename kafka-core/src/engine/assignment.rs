//! Decides where a partition is read from, and how many lanes it gets. No I/O, no clock.

use crate::config::OutOfRange;
use crate::handler::Start;
use crate::record::Offset;

/// Where to read a partition from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StartAt {
    /// Where the group stopped.
    Committed(Offset),
    /// At the oldest record.
    Beginning,
    /// After the newest record; to be committed at once, so that a crash before the first record misses nothing.
    End(Offset),
    /// The group stopped at an offset that the broker does not have.
    AfterRange {
        committed: Offset,
        oldest: Offset,
        end: Offset,
        /// `None`: it does not go on.
        go_on_at: Option<Offset>,
    },
}

/// Decides where a group reads a partition from. `range` is the oldest offset and the one after the newest; it is
/// needed if there is a committed offset, or the group starts at the end.
pub(crate) fn start_at(
    committed: Option<Offset>,
    start: Start,
    range: Option<(Offset, Offset)>,
    on_out_of_range: OutOfRange,
) -> StartAt {
    match (committed, range) {
        (Some(committed), Some((oldest, end))) if committed < oldest || committed > end => {
            StartAt::AfterRange {
                committed,
                oldest,
                end,
                go_on_at: match on_out_of_range {
                    OutOfRange::Fail => None,
                    OutOfRange::Earliest => Some(oldest),
                    OutOfRange::Latest => Some(end),
                },
            }
        }
        (Some(committed), _) => StartAt::Committed(committed),
        (None, Some((_, end))) if start == Start::Latest => StartAt::End(end),
        (None, _) => StartAt::Beginning,
    }
}

/// Decides how many lanes each partition gets: one if there are enough partitions to keep the cores busy.
pub(crate) fn lanes_for(partitions: usize, cores: usize) -> usize {
    if partitions >= 2 * cores {
        1
    } else {
        cores.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANGE: Option<(Offset, Offset)> = Some((Offset(5), Offset(9)));

    #[test]
    fn a_committed_offset_beats_the_start() {
        for start in [Start::Latest, Start::Earliest] {
            assert_eq!(
                start_at(Some(Offset(7)), start, RANGE, OutOfRange::Fail),
                StartAt::Committed(Offset(7))
            );
        }
    }

    #[test]
    fn a_new_group_begins_where_it_was_told() {
        assert_eq!(
            start_at(None, Start::Latest, RANGE, OutOfRange::Fail),
            StartAt::End(Offset(9))
        );
        assert_eq!(
            start_at(None, Start::Earliest, None, OutOfRange::Latest),
            StartAt::Beginning
        );
    }

    #[test]
    fn an_offset_that_the_broker_lost_goes_by_policy() {
        let go_on = |committed, policy| match start_at(
            Some(Offset(committed)),
            Start::Latest,
            RANGE,
            policy,
        ) {
            StartAt::AfterRange { go_on_at, .. } => go_on_at,
            other => unreachable!("{other:?}"),
        };

        assert_eq!(go_on(4, OutOfRange::Fail), None);
        assert_eq!(go_on(4, OutOfRange::Earliest), Some(Offset(5)));
        assert_eq!(go_on(10, OutOfRange::Latest), Some(Offset(9)));
    }

    #[test]
    fn both_ends_are_in_range() {
        for committed in [5, 9] {
            assert_eq!(
                start_at(
                    Some(Offset(committed)),
                    Start::Latest,
                    RANGE,
                    OutOfRange::Fail
                ),
                StartAt::Committed(Offset(committed))
            );
        }
    }

    #[test]
    fn few_partitions_get_several_lanes() {
        assert_eq!(lanes_for(1, 2), 2);
        assert_eq!(lanes_for(4, 2), 1);
        assert_eq!(lanes_for(0, 0), 1);
    }
}
