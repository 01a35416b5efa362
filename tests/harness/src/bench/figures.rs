//! What is made of the samples of one figure: no I/O.

/// The samples of one figure, one from each round.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures(Vec<f64>);

impl Figures {
    pub(crate) fn push(&mut self, sample: f64) {
        self.0.push(sample);
        self.0.sort_by(f64::total_cmp);
    }

    /// The middle one; of an even number, the mean of the two in the middle.
    pub(crate) fn median(&self) -> f64 {
        let middle = self.0.len() / 2;
        match self.0.len() {
            0 => f64::NAN,
            n if n % 2 == 1 => self.0[middle],
            _ => f64::midpoint(self.0[middle - 1], self.0[middle]),
        }
    }

    /// The least and the greatest.
    pub(crate) fn spread(&self) -> (f64, f64) {
        let or_nan = |one: Option<&f64>| one.copied().unwrap_or(f64::NAN);
        (or_nan(self.0.first()), or_nan(self.0.last()))
    }

    /// The median, and the spread where there is one.
    pub(crate) fn show(&self, decimals: usize) -> String {
        let (least, greatest) = self.spread();
        let median = format!("{:.decimals$}", self.median());
        if self.0.len() < 2 {
            return median;
        }
        format!("{median} ({least:.decimals$} to {greatest:.decimals$})")
    }
}

#[cfg(test)]
mod tests {
    use super::Figures;

    #[test]
    fn the_median_is_the_middle_one() {
        let mut figures = Figures::default();
        for sample in [5.0, 1.0, 3.0] {
            figures.push(sample);
        }

        assert_eq!(figures.show(0), "3 (1 to 5)");
        figures.push(2.0);
        assert_eq!(figures.show(1), "2.5 (1.0 to 5.0)");
    }
}
