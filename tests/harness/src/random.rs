//! Random numbers that a seed repeats on every machine.

/// `SplitMix64` (Steele, Lea, Flood 2014): eight lines, and good enough to choose whom to kill.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// A sequence for each purpose, so that one more number here changes nothing there.
    pub(crate) fn of(seed: u64, purpose: &str) -> Self {
        let mut random = Self(seed);
        for byte in purpose.bytes() {
            random.0 = random.0.rotate_left(8) ^ u64::from(byte);
            random.next();
        }
        random
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to `limit`, which is not reached.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    /// True this often of a thousand times.
    pub(crate) fn per_mille(&mut self, often: u64) -> bool {
        self.below(1000) < often
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn a_seed_repeats_itself_and_purposes_differ() {
        let mut one = Random::of(7, "faults");
        let mut same = Random::of(7, "faults");
        let mut other = Random::of(7, "records");

        let first: Vec<u64> = (0..5).map(|_| one.next()).collect();

        assert!(first.iter().all(|n| *n == same.next()));
        assert!(first.iter().all(|n| *n != other.next()));
    }
}
