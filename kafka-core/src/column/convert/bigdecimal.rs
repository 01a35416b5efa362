//! `bigdecimal`: any number of digits, no `NaN` and no infinity.

use ::bigdecimal::BigDecimal;

use super::{columns_of_decimals, held_by};
use crate::column::{DecimalValue, OutOfRange, ParseDecimalError};

impl TryFrom<&DecimalValue> for BigDecimal {
    type Error = OutOfRange;

    fn try_from(value: &DecimalValue) -> Result<Self, OutOfRange> {
        let digits = value.is_finite().then(|| value.to_string());
        held_by("BigDecimal", digits.and_then(|digits| digits.parse().ok()))
    }
}

columns_of_decimals!(BigDecimal);

impl TryFrom<BigDecimal> for DecimalValue {
    type Error = ParseDecimalError;

    /// Fails beyond what PostgreSQL can hold.
    fn try_from(decimal: BigDecimal) -> Result<Self, ParseDecimalError> {
        // No more zeros than a `numeric` has digits.
        let is_short = (-131_072..=16_383).contains(&decimal.fractional_digit_count());
        let digits = is_short.then(|| decimal.to_plain_string());
        digits.ok_or(ParseDecimalError)?.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_go_there_and_back() {
        let long = format!("-{}.{}", "9".repeat(60), "1".repeat(60));
        for text in ["12.34", "-0.01", "0", "100.00", &long] {
            let value: DecimalValue = text.parse().unwrap();

            let there = BigDecimal::try_from(&value).unwrap();

            assert_eq!(there.to_plain_string(), text);
            assert_eq!(DecimalValue::try_from(there).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_it_cannot_hold_is_an_error() {
        assert!(BigDecimal::try_from(&DecimalValue::NAN).is_err());
        assert!(BigDecimal::try_from(&DecimalValue::INFINITY).is_err());
        for scale in [i64::MIN, -1_000_000, 1_000_000, i64::MAX] {
            assert!(DecimalValue::try_from(BigDecimal::new(1.into(), scale)).is_err());
        }
    }
}
