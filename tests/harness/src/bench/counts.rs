//! How records are spread over keys or partitions, and how long a handler that waits must take for that: no I/O.

use std::collections::BTreeMap;
use std::time::Duration;

/// Records by key, or by partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts(BTreeMap<u64, u64>);

impl Counts {
    pub(crate) fn add(&mut self, of: u64) {
        *self.0.entry(of).or_default() += 1;
    }

    /// Returns how long all records take at least, if those of one key come one after the other and each takes `each`.
    pub(crate) fn least(&self, each: Duration) -> Duration {
        let most = self.0.values().max().copied().unwrap_or_default();
        times(each, most)
    }

    /// Returns how long so many of a hundred records take at least.
    pub(crate) fn least_for(&self, percent: u64, each: Duration) -> Duration {
        let all: u64 = self.0.values().sum();
        let wanted = all * percent / 100;
        let done = |steps: u64| self.0.values().map(|count| steps.min(*count)).sum::<u64>();
        let (mut below, mut enough) = (0, all);
        while below + 1 < enough {
            let middle = u64::midpoint(below, enough);
            if done(middle) >= wanted {
                enough = middle;
            } else {
                below = middle;
            }
        }
        times(each, enough)
    }
}

fn times(each: Duration, n: u64) -> Duration {
    Duration::from_nanos(u64::try_from(each.as_nanos() * u128::from(n)).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Counts;

    #[test]
    fn the_key_with_most_records_decides() {
        let mut counts = Counts::default();
        for key in [1, 1, 1, 1, 2, 2, 3, 4, 5, 6] {
            counts.add(key);
        }
        let second = Duration::from_secs(1);

        assert_eq!(counts.least(second), Duration::from_secs(4));
        // In one step six of ten, in two eight, in three nine.
        assert_eq!(counts.least_for(60, second), Duration::from_secs(1));
        assert_eq!(counts.least_for(80, second), Duration::from_secs(2));
        assert_eq!(counts.least_for(90, second), Duration::from_secs(3));
    }
}
