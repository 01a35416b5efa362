//! `rust_decimal`: 96 bits and at most 28 digits after the point.

use ::rust_decimal::Decimal;

use super::{columns_of_decimals, held_by};
use crate::column::{DecimalValue, OutOfRange};

impl TryFrom<&DecimalValue> for Decimal {
    type Error = OutOfRange;

    /// Fails rather than round.
    fn try_from(value: &DecimalValue) -> Result<Self, OutOfRange> {
        let of = |value: &DecimalValue| {
            let (unscaled, scale) = value.unscaled().zip(value.scale())?;
            Self::try_from_i128_with_scale(unscaled, scale).ok()
        };
        // It may have more zeros than there is room for.
        let exact = of(value).or_else(|| of(&value.normalized()));
        held_by("rust_decimal::Decimal", exact)
    }
}

columns_of_decimals!(Decimal);

impl From<Decimal> for DecimalValue {
    fn from(decimal: Decimal) -> Self {
        Self::new(decimal.mantissa(), decimal.scale())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_go_there_and_back() {
        for text in [
            "12.34",
            "-0.01",
            "0",
            "100.00",
            "79228162514264337593543950335",
            "0.0000000000000000000000000001",
        ] {
            let value: DecimalValue = text.parse().unwrap();

            let there = Decimal::try_from(&value).unwrap();

            assert_eq!(there.to_string(), text);
            assert_eq!(DecimalValue::from(there).to_string(), text);
        }
    }

    #[test]
    fn what_it_cannot_hold_is_an_error() {
        for text in [
            "NaN",
            "Infinity",
            "79228162514264337593543950336",
            "0.00000000000000000000000000001",
        ] {
            let value: DecimalValue = text.parse().unwrap();

            assert!(Decimal::try_from(&value).is_err(), "{text}");
        }
    }
}
