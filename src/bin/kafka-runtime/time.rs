//! Times on the command line: so long ago, or a time in UTC.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const FORM: &str =
    "a time ago with its unit, 90s, 30m, 2h or 1d, or a time in UTC, 2026-01-31T14:00:00Z";

/// Reads a time.
pub(crate) fn parse_time(text: &str) -> Result<SystemTime, &'static str> {
    let time = match ago(text) {
        Some(ago) => SystemTime::now().checked_sub(ago),
        None => utc(text).and_then(|since| UNIX_EPOCH.checked_add(since)),
    };
    time.ok_or(FORM)
}

fn ago(text: &str) -> Option<Duration> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(end);
    let seconds: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    seconds
        .checked_mul(number.parse().ok()?)
        .map(Duration::from_secs)
}

/// Reads `2026-01-31T14:00:00Z`, from 1970 on.
fn utc(text: &str) -> Option<Duration> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let february = if is_leap(year) { 29 } else { 28 };
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let before = usize::try_from(month.checked_sub(1)?).ok()?;
    let is_time = year >= 1970
        && (1..=*lengths.get(before)?).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !is_time {
        return None;
    }
    let years: u64 = (1970..year)
        .map(|year| if is_leap(year) { 366 } else { 365 })
        .sum();
    let days = years + lengths[..before].iter().sum::<u64>() + day - 1;
    Some(Duration::from_secs(
        ((days * 24 + hour) * 60 + minute) * 60 + second,
    ))
}

fn numbers(text: &str, separator: char, lengths: [usize; 3]) -> Option<[u64; 3]> {
    let mut parts = text.split(separator);
    let mut numbers = [0; 3];
    for (number, length) in numbers.iter_mut().zip(lengths) {
        let part = parts.next()?;
        let is_number = part.len() == length && part.bytes().all(|b| b.is_ascii_digit());
        *number = is_number.then(|| part.parse().ok()).flatten()?;
    }
    parts.next().is_none().then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_in_utc() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T00:00:00Z", 951_782_400),
            ("2024-02-29T23:59:59Z", 1_709_251_199),
            ("2100-03-01T00:00:00Z", 4_107_542_400),
        ] {
            assert_eq!(utc(text), Some(Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "now",
            "5",
            "5w",
            "-5m",
            "2026-01-31",
            "2026-01-31T14:00:00",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-31T24:00:00Z",
            "2026-1-31T00:00:00Z",
            "99999999999999999999d",
        ] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_duration_is_a_time_ago() {
        assert_eq!(ago("2h"), Some(Duration::from_hours(2)));
        assert!(parse_time("1d").unwrap() < SystemTime::now());
    }
}
