//! What a figure should be: no I/O.

use crate::verdict::{Line, Verdict};

/// A figure is at least, or at most, so much.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
}

impl Target {
    /// Holds a figure against it; `unit` is written behind the numbers.
    pub(crate) fn judge(self, figure: &str, measured: f64, decimals: usize, unit: &str) -> Line {
        let (sign, bound, is_met) = match self {
            Self::AtLeast(bound) => (">=", bound, measured >= bound),
            Self::AtMost(bound) => ("<=", bound, measured <= bound),
        };
        let verdict = match (measured.is_finite(), is_met) {
            (false, _) => Verdict::Inconclusive,
            (true, true) => Verdict::Pass,
            (true, false) => Verdict::Fail,
        };
        Line {
            figure: figure.to_owned(),
            limit: format!("{sign} {bound}{unit}"),
            measured: format!("{measured:.decimals$}{unit}"),
            verdict,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Target;
    use crate::verdict::Verdict;

    #[test]
    fn a_figure_is_held_against_its_bound() {
        let verdict = |target: Target, measured| target.judge("f", measured, 2, "").verdict;

        assert_eq!(verdict(Target::AtLeast(1.5), 1.5), Verdict::Pass);
        assert_eq!(verdict(Target::AtLeast(1.5), 1.49), Verdict::Fail);
        assert_eq!(verdict(Target::AtMost(1.5), 1.51), Verdict::Fail);
        assert_eq!(
            verdict(Target::AtMost(1.5), f64::NAN),
            Verdict::Inconclusive
        );
    }
}
