//! Keys as they come in a stream of changes: a few often, most of them rarely.

/// Draws numbers from 0 with the weights 1, 1/2, 1/3, .. (Zipf's law, exponent 1); the same in every run.
pub(crate) struct Zipf {
    /// The sums of the weights so far.
    sums: Vec<f64>,
    state: u64,
}

impl Zipf {
    pub(crate) fn new(numbers: u32, seed: u64) -> Self {
        let weights = (1..=numbers).map(|n| 1.0 / f64::from(n));
        let sums = weights.scan(0.0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        });
        Self {
            sums: sums.collect(),
            state: seed,
        }
    }

    /// Draws one (xorshift64 for where it falls).
    pub(crate) fn draw(&mut self) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let whole = self.sums.last().copied().unwrap_or_default();
        let upper = u32::try_from(self.state >> 32).unwrap_or_default();
        let at = whole * f64::from(upper) / f64::from(u32::MAX);
        let at = self.sums.partition_point(|sum| *sum < at);
        at.min(self.sums.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_drawn_about_as_often_as_its_weight() {
        let mut zipf = Zipf::new(10_000, 7);

        let first = (0..100_000).filter(|_| zipf.draw() == 0).count();

        // 1 of 9.79.
        assert!((9_800..10_600).contains(&first), "{first}");
    }
}
