//! Reads the text of an environment variable as a typed value.

use std::borrow::Cow;
use std::str::FromStr;
use std::time::Duration;

/// What a value should have looked like, for the error.
pub(super) type Expected = Cow<'static, str>;

/// A setting that is one of a few words.
pub(super) trait Choice: Copy + 'static {
    /// The words and what they mean. The first word of a value is its name.
    const WORDS: &'static [(&'static str, Self)];
}

pub(super) fn choice<T: Choice>(text: &str) -> Result<T, Expected> {
    T::WORDS
        .iter()
        .find(|(word, _)| word.eq_ignore_ascii_case(text))
        .map(|(_, value)| *value)
        .ok_or_else(|| {
            let words: Vec<_> = T::WORDS.iter().map(|(word, _)| *word).collect();
            format!("one of {}", words.join(", ")).into()
        })
}

pub(super) fn boolean(text: &str) -> Result<bool, Expected> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("true or false (also 1, yes, on; 0, no, off)".into()),
    }
}

pub(super) fn number<T: FromStr>(text: &str) -> Result<T, Expected> {
    text.parse().map_err(|_| "a whole number".into())
}

pub(super) fn duration(text: &str) -> Result<Duration, Expected> {
    let form = || Expected::from("a duration with its unit: 500ms, 30s, 5m, 1h");
    let (digits, unit) = split_unit(text);
    let number: u64 = digits.parse().map_err(|_| form())?;
    let seconds = match unit {
        "" => {
            return Err(
                format!("a duration with its unit, such as {digits}ms or {digits}s").into(),
            );
        }
        "ms" => return Ok(Duration::from_millis(number)),
        "s" => Some(number),
        "m" => number.checked_mul(60),
        "h" => number.checked_mul(3600),
        _ => None,
    };
    seconds.map(Duration::from_secs).ok_or_else(form)
}

/// `off`, or a duration.
pub(super) fn duration_or_off(text: &str) -> Result<Option<Duration>, Expected> {
    if text.eq_ignore_ascii_case("off") {
        return Ok(None);
    }
    duration(text)
        .map(Some)
        .map_err(|expected| format!("off, or {expected}").into())
}

pub(super) fn bytes(text: &str) -> Result<usize, Expected> {
    let form = || Expected::from("a size with its unit: 512KiB, 64MiB, 1GiB");
    let (digits, unit) = split_unit(text);
    let number: usize = digits.parse().map_err(|_| form())?;
    let factor = match unit {
        "" => return Err(format!("a size with its unit, such as {digits}B or {digits}MiB").into()),
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(form()),
    };
    number.checked_mul(factor).ok_or_else(form)
}

/// A certificate in PEM; one-line forms with a written `\n` are common in environment files.
pub(super) fn pem(text: &str) -> Result<String, Expected> {
    if !text.contains("-----BEGIN ") {
        return Err("the text of a PEM file, which begins with -----BEGIN".into());
    }
    Ok(text.replace("\\n", "\n"))
}

/// A secret is taken as it is, but for a line break at its end: that is an accident of how the file was written.
pub(super) fn secret(text: &str) -> Result<String, Expected> {
    if text.ends_with(['\n', '\r']) {
        return Err("no line break at the end (write the secret with `printf`, not `echo`)".into());
    }
    Ok(text.to_owned())
}

fn split_unit(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    (digits, unit.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_carry_their_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("30 s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("5m"), Ok(Duration::from_mins(5)));
        assert_eq!(duration("1h"), Ok(Duration::from_hours(1)));
    }

    #[test]
    fn a_plain_number_is_no_duration() {
        let hint = duration("30").err().unwrap_or_default();

        assert!(hint.contains("30ms or 30s"), "{hint}");
    }

    #[test]
    fn nonsense_is_no_duration() {
        for text in [
            "",
            "s",
            "-1s",
            "1.5s",
            "10 days",
            "99999999999999999999s",
            "18446744073709551615h",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_carry_a_binary_unit() {
        assert_eq!(bytes("64MiB"), Ok(64 << 20));
        assert_eq!(bytes("10B"), Ok(10));
        for text in ["64", "64MB", "MiB", "99999999999999999GiB"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn booleans_are_the_words_of_enabled_if() {
        for text in ["true", "1", "YES", "on"] {
            assert_eq!(boolean(text), Ok(true));
        }
        for text in ["false", "0", "No", "off"] {
            assert_eq!(boolean(text), Ok(false));
        }
        assert!(boolean("yess").is_err());
    }

    #[test]
    fn a_pem_on_one_line_gets_its_line_breaks_back() {
        let text = pem("-----BEGIN CERTIFICATE-----\\nMII\\n-----END CERTIFICATE-----");

        assert_eq!(
            text.as_deref(),
            Ok("-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----")
        );
        assert!(pem("/etc/ca.pem").is_err());
    }
}
