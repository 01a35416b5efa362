//! To and from the types of other crates, each behind a feature of its name.

#[cfg(feature = "bigdecimal")]
mod bigdecimal;
#[cfg(feature = "chrono")]
mod chrono;
#[cfg(feature = "jiff")]
mod jiff;
#[cfg(feature = "rust_decimal")]
mod rust_decimal;
#[cfg(feature = "time")]
mod time;

/// A value that the other type cannot hold: an infinity, `NaN`, 24:00, or one beyond its range.
///
/// ```
/// # #[cfg(feature = "chrono")] {
/// use kafka_core::column::{Date, OutOfRange};
///
/// let date: Result<chrono::NaiveDate, OutOfRange> = Date::from_days(i32::MAX).try_into();
/// assert_eq!(date.unwrap_err().to_string(), "the value is beyond what a `NaiveDate` can hold");
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the value is beyond what a `{0}` can hold")]
pub struct OutOfRange(&'static str);

#[cfg_attr(
    not(any(
        feature = "bigdecimal",
        feature = "chrono",
        feature = "jiff",
        feature = "rust_decimal",
        feature = "time"
    )),
    expect(dead_code, reason = "for each of the features")
)]
fn held_by<T>(name: &'static str, value: Option<T>) -> Result<T, OutOfRange> {
    value.ok_or(OutOfRange(name))
}

/// Converts the columns that hold a decimal.
#[cfg(any(feature = "bigdecimal", feature = "rust_decimal"))]
macro_rules! columns_of_decimals {
    ($other:ty) => {
        impl<const SCALE: u32> TryFrom<$crate::column::Decimal<SCALE>> for $other {
            type Error = $crate::column::OutOfRange;

            fn try_from(column: $crate::column::Decimal<SCALE>) -> Result<Self, Self::Error> {
                Self::try_from(&*column)
            }
        }

        impl TryFrom<$crate::column::DecimalText> for $other {
            type Error = $crate::column::OutOfRange;

            fn try_from(column: $crate::column::DecimalText) -> Result<Self, Self::Error> {
                Self::try_from(&*column)
            }
        }

        impl TryFrom<$crate::column::VariableScaleDecimal> for $other {
            type Error = $crate::column::OutOfRange;

            fn try_from(column: $crate::column::VariableScaleDecimal) -> Result<Self, Self::Error> {
                Self::try_from(&*column)
            }
        }
    };
}

#[cfg(any(feature = "bigdecimal", feature = "rust_decimal"))]
use columns_of_decimals;
