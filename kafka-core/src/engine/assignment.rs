//! Decides where a partition is read from, and how many lanes it gets. No I/O, no clock.

use crate::client::Position;
use crate::handler::Start;
use crate::record::Offset;

/// Where to read from, and what to commit at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StartAt {
    Position(Position),
    /// The group starts at the end: the offset after the newest record must be asked for.
    NeedsEnd,
}

/// Decides where a group reads a partition from.
pub(crate) fn start_at(committed: Option<Offset>, start: Start) -> StartAt {
    match (committed, start) {
        (Some(offset), _) => StartAt::Position(Position::At(offset)),
        (None, Start::Earliest) => StartAt::Position(Position::Beginning),
        (None, Start::Latest) => StartAt::NeedsEnd,
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

    #[test]
    fn a_committed_offset_beats_the_start() {
        let committed = Some(Offset(7));

        assert_eq!(
            start_at(committed, Start::Latest),
            StartAt::Position(Position::At(Offset(7)))
        );
        assert_eq!(start_at(None, Start::Latest), StartAt::NeedsEnd);
        assert_eq!(
            start_at(None, Start::Earliest),
            StartAt::Position(Position::Beginning)
        );
    }

    #[test]
    fn few_partitions_get_several_lanes() {
        assert_eq!(lanes_for(1, 2), 2);
        assert_eq!(lanes_for(4, 2), 1);
        assert_eq!(lanes_for(0, 0), 1);
    }
}
