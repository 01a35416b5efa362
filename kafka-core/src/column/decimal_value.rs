//! A decimal number of any size.

use std::cmp::Ordering;
use std::fmt::{self, Write as _};
use std::str::FromStr;

/// The value of a `numeric`: exact, of any size, with its scale; or one of PostgreSQL's special values.
///
/// Values that differ in their scale only are equal. The order is that of PostgreSQL: `NaN` equals itself and comes last.
///
/// ```
/// # use kafka_core::column::DecimalValue;
/// let value: DecimalValue = "12.340".parse()?;
/// assert_eq!((value.unscaled(), value.scale()), (Some(12_340), Some(3)));
/// assert_eq!(value, "12.34".parse()?);
/// assert_eq!(value.to_string(), "12.340");
/// assert_eq!(value.to_f64(), 12.34);
/// # Ok::<(), kafka_core::column::ParseDecimalError>(())
/// ```
#[derive(Debug, Clone)]
pub struct DecimalValue(Repr);

#[derive(Debug, Clone)]
enum Repr {
    /// At most 38 digits: `unscaled / 10^scale`.
    Small {
        unscaled: i128,
        scale: u32,
    },
    /// More digits: without the point, after a sign if it is below zero.
    Large {
        digits: Box<str>,
        scale: u32,
    },
    NaN,
    Infinity,
    NegativeInfinity,
}

/// More digits than PostgreSQL's `numeric` has: 131,072 before the point, 16,383 after it.
const MOST_DIGITS: usize = 150_000;
/// The same in bytes.
const MOST_BYTES: usize = 62_300;
/// More than a binary number of 64 bits needs: what stands for many digits must not be short.
const MOST_EXPONENT: i32 = 400;

/// Text is no decimal number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a decimal number")]
pub struct ParseDecimalError;

impl DecimalValue {
    /// Not a number.
    pub const NAN: Self = Self(Repr::NaN);
    /// Infinity.
    pub const INFINITY: Self = Self(Repr::Infinity);
    /// Minus infinity.
    pub const NEGATIVE_INFINITY: Self = Self(Repr::NegativeInfinity);

    /// The number `unscaled / 10^scale`.
    pub fn new(unscaled: i128, scale: u32) -> Self {
        Self(Repr::Small { unscaled, scale })
    }

    /// Returns the number without its point; `None` if it has more than 128 bits or is none.
    pub fn unscaled(&self) -> Option<i128> {
        match &self.0 {
            Repr::Small { unscaled, .. } => Some(*unscaled),
            Repr::Large { digits, .. } => digits.parse().ok(),
            Repr::NaN | Repr::Infinity | Repr::NegativeInfinity => None,
        }
    }

    /// Returns how many digits stand after the point; `None` if it is no finite number.
    pub fn scale(&self) -> Option<u32> {
        match &self.0 {
            Repr::Small { scale, .. } | Repr::Large { scale, .. } => Some(*scale),
            Repr::NaN | Repr::Infinity | Repr::NegativeInfinity => None,
        }
    }

    /// True for `NaN`.
    pub fn is_nan(&self) -> bool {
        matches!(self.0, Repr::NaN)
    }

    /// True for numbers, false for `NaN` and the infinities.
    pub fn is_finite(&self) -> bool {
        matches!(self.0, Repr::Small { .. } | Repr::Large { .. })
    }

    /// Returns the nearest binary number.
    pub fn to_f64(&self) -> f64 {
        match &self.0 {
            Repr::NaN => f64::NAN,
            Repr::Infinity => f64::INFINITY,
            Repr::NegativeInfinity => f64::NEG_INFINITY,
            // Text of digits always parses.
            Repr::Small { .. } | Repr::Large { .. } => self.to_string().parse().unwrap_or(f64::NAN),
        }
    }

    /// Reads a big-endian two's complement number, as Java's `BigInteger` writes it.
    pub(super) fn from_bytes(bytes: &[u8], scale: u32) -> Option<Self> {
        let is_negative = bytes.first()? & 0x80 != 0;
        if bytes.len() <= 16 {
            let mut all = [if is_negative { 0xff } else { 0 }; 16];
            all[16 - bytes.len()..].copy_from_slice(bytes);
            return Some(Self::new(i128::from_be_bytes(all), scale));
        }
        if bytes.len() > MOST_BYTES {
            return None;
        }
        let digits = decimal_digits(&magnitude(bytes, is_negative));
        Some(Self::large(is_negative, &digits, scale))
    }

    fn large(is_negative: bool, digits: &str, scale: u32) -> Self {
        let sign = if is_negative { "-" } else { "" };
        let digits = format!("{sign}{digits}").into();
        Self(Repr::Large { digits, scale })
    }

    /// Returns the big-endian two's complement number at a scale; `None` if digits would be lost, or it is no number.
    pub(super) fn to_bytes(&self, scale: u32) -> Option<Vec<u8>> {
        let missing = i64::from(scale) - i64::from(self.scale()?);
        let text = self.to_string();
        let (is_negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, &*text),
        };
        let mut digits = digits.replace('.', "");
        for _ in missing..0 {
            if digits.pop()? != '0' {
                return None;
            }
        }
        digits.extend((0..missing).map(|_| '0'));
        Some(two_complement(is_negative, &digits))
    }

    fn of_text(text: &str) -> Option<Self> {
        let (is_negative, unsigned) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (unsigned, 0),
        };
        if exponent.saturating_abs() > MOST_EXPONENT {
            return None;
        }
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut digits = format!("{whole}{fraction}");
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number || digits.len() > MOST_DIGITS {
            return None;
        }
        let scale = i64::try_from(fraction.len()).ok()? - i64::from(exponent);
        digits.extend((scale..0).map(|_| '0'));
        let scale = u32::try_from(scale.max(0)).ok()?;
        let significant = digits.trim_start_matches('0');
        if significant.len() <= 38 && scale <= 38 {
            let size: i128 = format!("0{significant}").parse().ok()?;
            return Some(Self::new(if is_negative { -size } else { size }, scale));
        }
        Some(Self::large(is_negative, significant, scale))
    }

    /// The same with no more digits than it needs; of two that are equal, the same.
    pub(super) fn normalized(&self) -> Self {
        match &self.0 {
            Repr::Small { unscaled, scale } => {
                let (mut unscaled, mut scale) = (*unscaled, *scale);
                if unscaled == 0 {
                    scale = 0;
                }
                while scale > 0 && unscaled % 10 == 0 {
                    (unscaled, scale) = (unscaled / 10, scale - 1);
                }
                Self::new(unscaled, scale)
            }
            Repr::Large { digits, scale } => {
                let zeros = digits.len() - digits.trim_end_matches('0').len();
                let extra = zeros.min(*scale as usize);
                let scale = scale.saturating_sub(u32::try_from(extra).unwrap_or(u32::MAX));
                let digits = &digits[..digits.len() - extra];
                match digits.parse() {
                    Ok(unscaled) => Self::new(unscaled, scale),
                    Err(_) => Self(Repr::Large {
                        digits: digits.into(),
                        scale,
                    }),
                }
            }
            Repr::NaN | Repr::Infinity | Repr::NegativeInfinity => self.clone(),
        }
    }
}

impl FromStr for DecimalValue {
    type Err = ParseDecimalError;

    /// Reads `12.34`, `-1e10`, and the special values as PostgreSQL (`NaN`, `Infinity`) and the connector (`NAN`,
    /// `POSITIVE_INFINITY`) write them.
    fn from_str(text: &str) -> Result<Self, ParseDecimalError> {
        match text {
            "NaN" | "NAN" => Ok(Self::NAN),
            "Infinity" | "POSITIVE_INFINITY" => Ok(Self::INFINITY),
            "-Infinity" | "NEGATIVE_INFINITY" => Ok(Self::NEGATIVE_INFINITY),
            _ => Self::of_text(text).ok_or(ParseDecimalError),
        }
    }
}

impl fmt::Display for DecimalValue {
    /// Plain digits, never an exponent; `NaN`, `Infinity`, `-Infinity`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::NaN => f.write_str("NaN"),
            Repr::Infinity => f.write_str("Infinity"),
            Repr::NegativeInfinity => f.write_str("-Infinity"),
            Repr::Large { digits, scale } => {
                let unsigned = digits.strip_prefix('-');
                let is_negative = unsigned.is_some();
                f.write_str(&with_point(is_negative, unsigned.unwrap_or(digits), *scale))
            }
            Repr::Small { unscaled, scale: 0 } => write!(f, "{unscaled}"),
            Repr::Small { unscaled, scale } => {
                let digits = unscaled.unsigned_abs().to_string();
                f.write_str(&with_point(*unscaled < 0, &digits, *scale))
            }
        }
    }
}

impl PartialEq for DecimalValue {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for DecimalValue {}

impl PartialOrd for DecimalValue {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for DecimalValue {
    fn cmp(&self, other: &Self) -> Ordering {
        let rank = |value: &Self| match value.0 {
            Repr::NegativeInfinity => 0,
            Repr::Small { .. } | Repr::Large { .. } => 1,
            Repr::Infinity => 2,
            Repr::NaN => 3,
        };
        let by_rank = rank(self).cmp(&rank(other));
        if by_rank != Ordering::Equal || !self.is_finite() {
            return by_rank;
        }
        if let (
            Repr::Small {
                unscaled: a,
                scale: x,
            },
            Repr::Small {
                unscaled: b,
                scale: y,
            },
        ) = (&self.0, &other.0)
            && x == y
        {
            return a.cmp(b);
        }
        let (a, b) = (
            self.normalized().to_string(),
            other.normalized().to_string(),
        );
        match (a.strip_prefix('-'), b.strip_prefix('-')) {
            (None, None) => compare_sizes(&a, &b),
            (Some(a), Some(b)) => compare_sizes(b, a),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
        }
    }
}

/// Compares plain numbers that are not below zero.
fn compare_sizes(a: &str, b: &str) -> Ordering {
    let parts = |text| str::split_once(text, '.').unwrap_or((text, ""));
    let ((whole_a, fraction_a), (whole_b, fraction_b)) = (parts(a), parts(b));
    let by_len = whole_a.len().cmp(&whole_b.len());
    by_len
        .then_with(|| whole_a.cmp(whole_b))
        .then_with(|| fraction_a.cmp(fraction_b))
}

/// Writes digits as a plain number.
fn with_point(is_negative: bool, digits: &str, scale: u32) -> String {
    let scale = scale as usize;
    let zeros = "0".repeat((scale + 1).saturating_sub(digits.len()));
    let digits = format!("{zeros}{digits}");
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let sign = if is_negative { "-" } else { "" };
    let point = if scale == 0 { "" } else { "." };
    format!("{sign}{whole}{point}{fraction}")
}

/// Returns the size of a two's complement number.
fn magnitude(bytes: &[u8], is_negative: bool) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if is_negative {
        negate(&mut bytes);
    }
    bytes
}

fn negate(bytes: &mut [u8]) {
    let mut carry = true;
    for byte in bytes.iter_mut().rev() {
        let (negated, overflows) = (!*byte).overflowing_add(u8::from(carry));
        (*byte, carry) = (negated, overflows);
    }
}

/// Returns the decimal digits of a big-endian number.
fn decimal_digits(bytes: &[u8]) -> String {
    const BASE: u64 = 1_000_000_000;
    // Little-endian, in base 10^9; four bytes at a time, the first ones may be fewer.
    let mut limbs = vec![0_u64];
    let (first, rest) = bytes.split_at(bytes.len() % 4);
    let chunks = std::iter::once(first).chain(rest.chunks(4));
    for chunk in chunks {
        let number = chunk
            .iter()
            .fold(0, |number, byte| number << 8 | u64::from(*byte));
        let mut carry = number;
        for limb in &mut limbs {
            let value = (*limb << 32) + carry;
            (*limb, carry) = (value % BASE, value / BASE);
        }
        while carry > 0 {
            limbs.push(carry % BASE);
            carry /= BASE;
        }
    }
    let mut digits = String::with_capacity(limbs.len() * 9);
    for limb in limbs.iter().rev() {
        let _ = write!(digits, "{limb:09}");
    }
    let zeros = digits.len() - digits.trim_start_matches('0').len();
    digits.drain(..zeros.min(digits.len() - 1));
    digits
}

/// Returns a number as the shortest big-endian two's complement.
fn two_complement(is_negative: bool, digits: &str) -> Vec<u8> {
    // Little-endian.
    let mut bytes = vec![0_u8];
    for digit in digits.bytes() {
        let mut carry = digit - b'0';
        for byte in &mut bytes {
            let value = u16::from(*byte) * 10 + u16::from(carry);
            let [high, low] = value.to_be_bytes();
            (*byte, carry) = (low, high);
        }
        if carry > 0 {
            bytes.push(carry);
        }
    }
    // Room for the sign, then no more of it than is needed.
    bytes.push(0);
    bytes.reverse();
    if is_negative {
        negate(&mut bytes);
    }
    let is_sign = |pair: &[u8]| matches!(pair, [0, 0..=0x7f] | [0xff, 0x80..=0xff]);
    let extra = bytes.windows(2).take_while(|pair| is_sign(pair)).count();
    bytes.drain(..extra);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> DecimalValue {
        text.parse().unwrap()
    }

    #[test]
    fn bytes_and_numbers_are_each_others_inverse() {
        let borders = [
            0,
            1,
            -1,
            127,
            128,
            -128,
            -129,
            255,
            256,
            32_767,
            -32_769,
            i128::MAX,
            i128::MIN,
        ];
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut numbers = borders.to_vec();
        for shift in 0..128 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            numbers.push(i128::from(random.cast_signed()) << (shift % 64) << (shift / 64));
        }
        for number in numbers {
            let bytes = DecimalValue::new(number, 0).to_bytes(0).unwrap();

            let is_shortest = bytes.len() == 1 || {
                let extended =
                    bytes[0] == 0 && bytes[1] < 0x80 || bytes[0] == 0xff && bytes[1] >= 0x80;
                !extended
            };
            assert!(is_shortest, "{number} {bytes:x?}");
            let read = DecimalValue::from_bytes(&bytes, 0).unwrap();
            assert_eq!(read.unscaled(), Some(number));
        }
    }

    #[test]
    fn numbers_beyond_128_bits_keep_all_digits() {
        let digits = "9".repeat(60);
        for text in [
            digits.clone(),
            format!("-{digits}"),
            format!("-0.{digits}"),
            format!("{digits}.{digits}"),
        ] {
            let scale = value(&text).scale().unwrap();

            let bytes = value(&text).to_bytes(scale).unwrap();

            assert_eq!(
                DecimalValue::from_bytes(&bytes, scale).unwrap().to_string(),
                text
            );
        }
        assert_eq!(value(&digits).unscaled(), None);
    }

    #[test]
    fn text_is_read_as_it_was_written() {
        for (text, plain) in [
            ("12.340", "12.340"),
            ("-0.05", "-0.05"),
            ("+7", "7"),
            ("007", "7"),
            (".5", "0.5"),
            ("5.", "5"),
            ("1.0E10", "10000000000"),
            ("1.5e-3", "0.0015"),
            ("-1e2", "-100"),
            ("NAN", "NaN"),
            ("POSITIVE_INFINITY", "Infinity"),
            ("-Infinity", "-Infinity"),
        ] {
            assert_eq!(value(text).to_string(), plain);
        }
        for text in [
            "", "-", ".", "1e", "1e999999", "1e401", "1e-401", "0x1", "1_000", "BNI=", "1.2.3", "١",
        ] {
            assert!(text.parse::<DecimalValue>().is_err(), "{text}");
        }
    }

    #[test]
    fn order_is_by_value() {
        let nines = "9".repeat(50);
        let sorted = [
            "-Infinity",
            &format!("-{nines}"),
            "-2",
            "-1.5",
            "0",
            "0.10",
            "1.5",
            "2",
            "10",
            &nines,
            "Infinity",
            "NaN",
        ];
        for (n, a) in sorted.iter().enumerate() {
            for (m, b) in sorted.iter().enumerate() {
                assert_eq!(value(a).cmp(&value(b)), n.cmp(&m), "{a} {b}");
            }
        }
        assert_eq!(value("1.50"), value("1.5"));
        assert_eq!(value(&format!("{nines}.50")), value(&format!("{nines}.5")));
        assert_eq!(value("0"), value("-0.000"));
        assert_eq!(value(&format!("1.{}", "0".repeat(50))), value("1"));
    }

    #[test]
    fn what_is_longer_than_any_numeric_is_refused() {
        assert!(DecimalValue::from_bytes(&vec![1; MOST_BYTES + 1], 0).is_none());
        assert!("9".repeat(MOST_DIGITS + 1).parse::<DecimalValue>().is_err());
    }

    #[test]
    fn digits_are_not_dropped_for_a_scale() {
        assert_eq!(value("12.30").to_bytes(1), value("12.3").to_bytes(1));
        assert_eq!(value("12.34").to_bytes(1), None);
        assert_eq!(value("NaN").to_bytes(1), None);
        assert_eq!(value("12.34").to_bytes(2), Some(vec![0x04, 0xd2]));
    }
}
