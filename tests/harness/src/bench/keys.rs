//! Which keys records have.

use crate::random::Random;

/// How keys are drawn.
#[derive(Clone, Debug)]
pub(crate) enum Keys {
    /// The k-th most frequent of them comes with a frequency of 1/k: the sums up to each, of all.
    Zipf(Vec<f64>),
    /// So many, all as often.
    Uniform(u64),
}

impl Keys {
    /// Zipf's law with exponent 1.
    pub(crate) fn zipf(keys: u32) -> Self {
        let mut sum = 0.0;
        let sums = (1..=keys).map(|rank| {
            sum += 1.0 / f64::from(rank);
            sum
        });
        Self::Zipf(sums.collect())
    }

    /// Draws the key of a record, a number from 0.
    pub(crate) fn draw(&self, random: &mut Random) -> u64 {
        match self {
            Self::Uniform(keys) => random.below(*keys),
            Self::Zipf(sums) => {
                #[expect(clippy::cast_precision_loss, reason = "53 bits are plenty")]
                let part = (random.next() >> 11) as f64 / (1_u64 << 53) as f64;
                let at = part * sums.last().copied().unwrap_or(1.0);
                sums.partition_point(|sum| *sum < at) as u64
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Keys;
    use crate::random::Random;

    #[test]
    fn the_first_key_is_as_frequent_as_the_law_says() {
        let keys = Keys::zipf(10_000);
        let mut random = Random::of(1, "test");

        let first = (0..100_000).filter(|_| keys.draw(&mut random) == 0).count();

        // 1 / H(10,000) = 0.1022
        assert!((9_900..10_550).contains(&first), "{first}");
    }
}
