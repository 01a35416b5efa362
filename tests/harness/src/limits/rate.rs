//! Rates of paired arms: the same records with something bad among them, and without. No I/O.
//!
//! Others use the machine, too. So an arm is compared with the one beside it, never with a number, and what counts is
//! the median of the pairs.

use crate::verdict::Verdict;

/// What has to be left of the rate.
pub(crate) const LEAST: f64 = 0.9;

/// If the arms without anything bad differ by more than this, a low ratio says nothing of what was measured.
const UNSTEADY: f64 = 1.25;

/// Records in a second, of two arms that ran one after the other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Pair {
    pub(crate) without: f64,
    pub(crate) with: f64,
}

/// Returns how many records were handled in a second; `None` if that cannot be said.
pub(crate) fn rate(records: u64, first_ns: u64, last_ns: u64) -> Option<f64> {
    let took = last_ns.checked_sub(first_ns).filter(|took| *took > 0)?;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let (records, took) = (records as f64, took as f64 / 1e9);
    Some(records / took)
}

/// Returns the median of the pairs' ratios.
pub(crate) fn ratio(pairs: &[Pair]) -> Option<f64> {
    median(pairs.iter().map(|pair| pair.with / pair.without).collect())
}

/// Judges the pairs by the median of their ratios.
pub(crate) fn judge(pairs: &[Pair]) -> Verdict {
    let Some(ratio) = ratio(pairs) else {
        return Verdict::Inconclusive;
    };
    let without = || pairs.iter().map(|pair| pair.without);
    let (least, most) = (
        without().fold(f64::INFINITY, f64::min),
        without().fold(0.0, f64::max),
    );
    if ratio >= LEAST {
        Verdict::Pass
    } else if most > least * UNSTEADY {
        Verdict::Inconclusive
    } else {
        Verdict::Fail
    }
}

/// Returns the value in the middle; of an even number, the lower of the two.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len().checked_sub(1)? / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::{Pair, Verdict, judge, median, rate};

    fn pairs(of: &[(f64, f64)]) -> Vec<Pair> {
        of.iter()
            .map(|&(without, with)| Pair { without, with })
            .collect()
    }

    #[test]
    fn nine_tenths_of_the_rate_pass() {
        assert_eq!(judge(&pairs(&[(100.0, 90.0)])), Verdict::Pass);
        assert_eq!(judge(&pairs(&[(100.0, 89.0)])), Verdict::Fail);
    }

    #[test]
    fn the_median_of_the_pairs_counts() {
        let one_bad = pairs(&[(100.0, 95.0), (100.0, 20.0), (110.0, 105.0)]);
        let two_bad = pairs(&[(100.0, 85.0), (100.0, 20.0), (110.0, 105.0)]);

        assert_eq!(judge(&one_bad), Verdict::Pass);
        assert_eq!(judge(&two_bad), Verdict::Fail);
    }

    #[test]
    fn on_a_busy_machine_a_low_ratio_says_nothing() {
        let unsteady = pairs(&[(100.0, 80.0), (140.0, 80.0)]);

        assert_eq!(judge(&unsteady), Verdict::Inconclusive);
        assert_eq!(judge(&[]), Verdict::Inconclusive);
    }

    #[test]
    fn a_rate_needs_time() {
        assert_eq!(rate(500, 1_000_000_000, 1_500_000_000), Some(1000.0));
        assert_eq!(rate(500, 7, 7), None);
        assert_eq!(rate(0, 9, 7), None);
    }

    #[test]
    fn the_lower_of_two_is_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0]), Some(1.0));
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(Vec::new()), None);
    }
}
