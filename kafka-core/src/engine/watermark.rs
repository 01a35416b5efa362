//! Decides which offset may be committed.
//!
//! Records of one partition may finish out of order; a commit promises that everything before it is done.
//! [`PartitionOffsets`] keeps that promise. It numbers the offsets that were received densely (gaps between offsets
//! are normal: compaction, transaction markers), marks numbers as finished, and returns the end of the finished
//! prefix. It performs no I/O.
//!
//! ```text
//! offset     7   8   9  12  13       received so far (10 and 11 do not exist)
//! sequence   0   1   2   3   4
//! finished   x   x   .   x   .   ->  committable = 9
//! ```

use std::collections::VecDeque;
use std::ops::Range;

use crate::mutant::{self, Mutant};
use crate::record::Offset;

/// The offsets received from one partition in one assignment, and which of them are finished.
#[derive(Debug, Default)]
pub(crate) struct PartitionOffsets {
    /// Runs of offsets without a gap, oldest first; they cover the sequences from `base` to `next`.
    runs: VecDeque<Run>,
    /// One bit for each sequence from `base` (rounded down to 64) on; set = finished.
    finished: VecDeque<u64>,
    /// The first sequence that is not in the finished prefix.
    base: u64,
    /// The next sequence to give out.
    next: u64,
    /// One past the last offset of the finished prefix.
    committable: Option<Offset>,
}

#[derive(Debug)]
struct Run {
    first_sequence: u64,
    first_offset: Offset,
    len: u64,
}

impl Run {
    fn end(&self) -> u64 {
        self.first_sequence + self.len
    }
}

impl PartitionOffsets {
    /// Takes note of `len` records with offsets from `first` on; they have the next sequences.
    pub(crate) fn received(&mut self, first: Offset, len: u64) {
        match self.runs.back_mut() {
            Some(run) if run.first_offset.0 + signed(run.len) == first.0 => run.len += len,
            _ => self.runs.push_back(Run {
                first_sequence: self.next,
                first_offset: first,
                len,
            }),
        }
        self.next += len;
        if mutant::is_active(Mutant::CommitReceived) {
            self.committable = Some(Offset(first.0 + signed(len)));
        }
        let words = self.next.div_ceil(64) - self.base / 64;
        self.finished.resize(index(words), 0);
    }

    /// Marks sequences as finished. Finishing one twice, or one that was never received, changes nothing.
    pub(crate) fn ack(&mut self, sequences: Range<u64>) {
        let start = sequences.start.max(self.base);
        let end = sequences.end.min(self.next);
        let first_word = self.base / 64;
        let mut at = start;
        while at < end {
            let bit = at % 64;
            let count = (64 - bit).min(end - at);
            let mask = (u64::MAX >> (64 - count)) << bit;
            self.finished[index(at / 64 - first_word)] |= mask;
            at += count;
        }
        if start <= self.base {
            self.advance();
        }
        if mutant::is_active(Mutant::CommitHighestFinished) && end > self.base {
            let highest = self.offset_of(end - 1).map(Offset::next);
            self.committable = self.committable.max(highest);
        }
    }

    /// Returns the offset of a sequence that is not in the finished prefix.
    pub(crate) fn offset_of(&self, sequence: u64) -> Option<Offset> {
        let after = self.runs.partition_point(|run| run.end() <= sequence);
        let run = self.runs.get(after)?;
        let within = sequence.checked_sub(run.first_sequence)?;
        Some(Offset(run.first_offset.0 + signed(within)))
    }

    /// Returns the offset that may be committed: one past the finished prefix; `None` while nothing is finished.
    pub(crate) fn committable(&self) -> Option<Offset> {
        self.committable
    }

    /// Returns how many records were received and are not finished; those that finished behind a gap count too.
    #[cfg(test)]
    pub(crate) fn unfinished_prefix(&self) -> u64 {
        self.next - self.base
    }

    fn advance(&mut self) {
        let before = self.base;
        while self.base < self.next {
            let word = self.finished.front().copied().unwrap_or(0) >> (self.base % 64);
            let ones = u64::from(word.trailing_ones());
            let room = 64 - self.base % 64;
            self.base = (self.base + ones).min(self.next);
            if ones < room {
                break;
            }
            self.finished.pop_front();
        }
        if self.base == before {
            return;
        }
        while let Some(run) = self.runs.front() {
            let done = self.base.min(run.end()) - run.first_sequence;
            if done == 0 {
                break;
            }
            self.committable = Some(Offset(run.first_offset.0 + signed(done)));
            if run.end() > self.base {
                break;
            }
            self.runs.pop_front();
        }
    }
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or_else(|_| unreachable!("a partition has at most 2^63 records"))
}

fn index(n: u64) -> usize {
    usize::try_from(n).unwrap_or_else(|_| unreachable!("the window is in memory"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_holds_back_the_commit() {
        let mut offsets = PartitionOffsets::default();
        offsets.received(Offset(7), 2);

        offsets.ack(1..2);
        assert_eq!(offsets.committable(), None);
        offsets.ack(0..1);
        assert_eq!(offsets.committable(), Some(Offset(9))); // next to read
    }

    #[test]
    fn offsets_that_do_not_exist_are_stepped_over_only_when_the_next_one_is_finished() {
        let mut offsets = PartitionOffsets::default();
        offsets.received(Offset(7), 3);
        offsets.received(Offset(12), 2);

        offsets.ack(0..3);
        assert_eq!(offsets.committable(), Some(Offset(10)));
        offsets.ack(3..4);
        assert_eq!(offsets.committable(), Some(Offset(13)));
    }

    #[test]
    fn a_sequence_that_is_not_finished_has_its_offset() {
        let mut offsets = PartitionOffsets::default();
        offsets.received(Offset(7), 3);
        offsets.received(Offset(12), 2);
        offsets.ack(0..1);

        let found: Vec<_> = (0..6).map(|n| offsets.offset_of(n).map(|o| o.0)).collect();

        assert_eq!(found[1..], [Some(8), Some(9), Some(12), Some(13), None]);
    }

    #[test]
    fn an_ack_given_twice_or_too_far_changes_nothing() {
        let mut offsets = PartitionOffsets::default();
        offsets.received(Offset(0), 3);

        offsets.ack(0..1);
        offsets.ack(0..1);
        offsets.ack(2..99);

        assert_eq!(offsets.committable(), Some(Offset(1)));
        assert_eq!(offsets.unfinished_prefix(), 2);
    }

    /// The same by the plainest means: a list of (offset, finished).
    #[derive(Default)]
    struct Naive(Vec<(i64, bool)>);

    impl Naive {
        fn committable(&self) -> Option<Offset> {
            let done = self.0.iter().take_while(|(_, finished)| *finished).count();
            (done > 0).then(|| Offset(self.0[done - 1].0 + 1))
        }
    }

    /// A small generator (xorshift64): the cases must be the same in every run.
    fn random(state: &mut u64, below: u64) -> u64 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state % below
    }

    #[test]
    fn it_agrees_with_a_naive_model_whatever_the_order() {
        for seed in 1..=300_u64 {
            let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let (mut offsets, mut naive) = (PartitionOffsets::default(), Naive::default());
            let mut next_offset = i64::try_from(random(&mut state, 1000)).unwrap();
            let mut open: Vec<u64> = Vec::new();
            for _ in 0..200 {
                if open.is_empty() || random(&mut state, 4) == 0 {
                    next_offset += i64::try_from(random(&mut state, 3)).unwrap();
                    let len = 1 + random(&mut state, 150);
                    offsets.received(Offset(next_offset), len);
                    for _ in 0..len {
                        open.push(naive.0.len() as u64);
                        naive.0.push((next_offset, false));
                        next_offset += 1;
                    }
                } else {
                    let at = usize::try_from(random(&mut state, open.len() as u64)).unwrap();
                    let len = (1 + random(&mut state, 40)).min((open.len() - at) as u64);
                    let taken: Vec<u64> =
                        open.drain(at..at + usize::try_from(len).unwrap()).collect();
                    for sequence in taken {
                        offsets.ack(sequence..sequence + 1);
                        naive.0[usize::try_from(sequence).unwrap()].1 = true;
                    }
                }
                assert_eq!(offsets.committable(), naive.committable(), "seed {seed}");
            }
        }
    }

    #[test]
    fn memory_follows_the_window_and_not_the_total() {
        let mut offsets = PartitionOffsets::default();

        for n in 0..100_000_u64 {
            offsets.received(Offset(signed(n * 2)), 1);
            offsets.ack(n..n + 1);
        }

        assert!(offsets.runs.len() <= 1 && offsets.finished.len() <= 1);
    }
}
