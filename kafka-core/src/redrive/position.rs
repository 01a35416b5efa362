//! Where a redrive is in one partition, and which position may be committed.
//!
//! The position is one past the last record that was put back, as long as nothing before that was skipped or failed:
//! what a run leaves for a later one is never committed past. It never moves back.

use crate::record::Offset;

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    /// Acknowledged by the broker.
    PutBack,
    /// Left to the operator, who is told.
    Refused,
    /// Left to a later run, by a filter.
    Skipped,
    /// Not acknowledged.
    Failed,
}

/// One partition of the dead letter topic.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    pub(super) partition: i32,
    /// The first offset that is read.
    pub(super) start: Offset,
    /// One past the last: where the partition ended when the run began.
    pub(super) end: Offset,
    /// The next to settle.
    pub(super) next: Offset,
    /// What is to be committed; `None` until it has moved.
    moved: Option<Offset>,
    /// Where the position was: below it, everything was decided by an earlier run.
    base: Offset,
    is_held: bool,
    /// Put back beyond what holds the position: a run from there puts these back again.
    repeats: u64,
    /// Skipped and refused records are passed, too.
    advances: bool,
}

impl Reading {
    pub(super) fn new(
        partition: i32,
        base: Offset,
        (start, end): (Offset, Offset),
        advances: bool,
    ) -> Self {
        Self {
            partition,
            start,
            end: end.max(start),
            next: start,
            moved: None,
            base,
            // What lies between the position and the start is read by a later run.
            is_held: start > base && !advances,
            repeats: 0,
            advances,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.next >= self.end
    }

    /// Notes that there is nothing more up to the end.
    pub(super) fn end_here(&mut self) {
        self.next = self.end;
    }

    /// Notes what became of the record at an offset; in the order of the offsets.
    pub(super) fn settle(&mut self, offset: Offset, settled: Settled) {
        self.next = self.next.max(offset.next());
        if offset < self.base {
            return;
        }
        let passes = match settled {
            Settled::PutBack => true,
            Settled::Refused => self.advances,
            Settled::Skipped if self.advances => true,
            Settled::Skipped | Settled::Failed => {
                self.is_held = true;
                return;
            }
        };
        if !self.is_held && passes {
            self.moved = Some(offset.next());
        } else if settled == Settled::PutBack {
            self.repeats += 1;
        }
    }

    /// Returns the position to commit, if it has moved.
    pub(super) fn to_commit(&self) -> Option<Offset> {
        self.moved
    }

    /// Returns how many records a run from the position puts back again.
    pub(super) fn repeats(&self) -> u64 {
        self.repeats
    }

    /// Returns the position as it is after this run; a dry run moves none.
    pub(super) fn position(&self, is_dry_run: bool) -> Offset {
        self.moved.filter(|_| !is_dry_run).unwrap_or(self.base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(base: i64, start: i64, advances: bool) -> Reading {
        Reading::new(0, Offset(base), (Offset(start), Offset(100)), advances)
    }

    fn after(mut reading: Reading, settled: &[(i64, Settled)]) -> Option<i64> {
        for (offset, settled) in settled {
            reading.settle(Offset(*offset), *settled);
        }
        reading.to_commit().map(|offset| offset.0)
    }

    #[test]
    fn the_position_follows_what_was_put_back() {
        use Settled::{Failed, PutBack, Refused, Skipped};
        type Case = (&'static [(i64, Settled)], Option<i64>);
        let cases: &[Case] = &[
            (&[(5, PutBack), (9, PutBack)], Some(10)),
            (&[(5, Refused), (6, PutBack)], Some(7)),
            (&[(5, PutBack), (6, Refused)], Some(6)),
            (&[(5, Refused)], None),
            (&[(5, PutBack), (6, Skipped), (7, PutBack)], Some(6)),
            (&[(5, Failed), (6, PutBack)], None),
        ];
        for (settled, position) in cases {
            assert_eq!(
                after(reading(5, 5, false), settled),
                *position,
                "{settled:?}"
            );
        }
    }

    #[test]
    fn told_to_advance_it_passes_all_but_failures() {
        use Settled::{Failed, PutBack, Refused, Skipped};

        let passed = [(7, Skipped), (8, Refused)];
        assert_eq!(after(reading(5, 7, true), &passed), Some(9));
        let failed = [(5, Skipped), (6, Failed), (7, PutBack)];
        assert_eq!(after(reading(5, 5, true), &failed), Some(6));
    }

    #[test]
    fn a_start_beyond_the_position_leaves_it() {
        assert_eq!(after(reading(5, 7, false), &[(7, Settled::PutBack)]), None);
    }

    #[test]
    fn a_start_below_the_position_never_moves_it_back() {
        use Settled::{PutBack, Skipped};

        assert_eq!(after(reading(5, 0, false), &[(1, PutBack)]), None);
        let through = [(1, Skipped), (5, PutBack)];
        assert_eq!(after(reading(5, 0, false), &through), Some(6));
    }

    #[test]
    fn what_a_later_run_puts_back_again_is_counted() {
        let mut reading = reading(5, 3, false);
        let settled = [
            (3, Settled::PutBack),
            (5, Settled::PutBack),
            (6, Settled::Skipped),
            (7, Settled::PutBack),
        ];

        for (offset, settled) in settled {
            reading.settle(Offset(offset), settled);
        }

        assert_eq!(reading.repeats(), 1);
    }

    #[test]
    fn nothing_between_is_done() {
        let reading = Reading::new(0, Offset(9), (Offset(9), Offset(4)), false);

        assert!(reading.is_done());
        assert_eq!(reading.position(false), Offset(9));
    }
}
