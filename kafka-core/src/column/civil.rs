//! Dates and times as text, and dates as days: ISO 8601, years of any number of digits, the proleptic Gregorian calendar.

use std::fmt;

/// Days from 0000-03-01, the first of a cycle of 400 years, to 1970-01-01.
const EPOCH: i64 = 719_468;
const DAYS_OF_400_YEARS: i64 = 146_097;
pub(super) const NANOS_OF_SECOND: i64 = 1_000_000_000;
pub(super) const NANOS_OF_DAY: i64 = 86_400 * NANOS_OF_SECOND;

/// Returns the days since 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`).
pub(super) fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March, so that the leap day is their last.
    let year = if month <= 2 { year - 1 } else { year };
    let cycle = year.div_euclid(400);
    let year_of_cycle = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_cycle = year_of_cycle * 365 + year_of_cycle / 4 - year_of_cycle / 100 + day_of_year;
    cycle * DAYS_OF_400_YEARS + day_of_cycle - EPOCH
}

/// Returns year, month and day (`civil_from_days` there).
pub(super) fn date(days: i64) -> (i64, i64, i64) {
    let days = days.saturating_add(EPOCH);
    let cycle = days.div_euclid(DAYS_OF_400_YEARS);
    let day_of_cycle = days.rem_euclid(DAYS_OF_400_YEARS);
    let year_of_cycle = (day_of_cycle - day_of_cycle / 1_460 + day_of_cycle / 36_524
        - day_of_cycle / 146_096)
        / 365;
    let day_of_year =
        day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = (month + 2) % 12 + 1;
    let year = year_of_cycle + cycle * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// Reads `2017-09-15`, `-4713-11-24`, `+21016-01-01`; returns the days and the rest of the text.
pub(super) fn read_date(text: &str) -> Option<(i64, &str)> {
    let (sign, unsigned) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    let (year, rest) = unsigned.split_once('-')?;
    if !(4..=9).contains(&year.len()) {
        return None;
    }
    let year = sign * digits(year)?;
    let month = digits(rest.get(..2)?)?;
    let rest = rest[2..].strip_prefix('-')?;
    let day = digits(rest.get(..2)?)?;
    let days = days(year, month, day);
    // The 31st of February would be another day.
    (date(days) == (year, month, day)).then(|| (days, &rest[2..]))
}

/// Reads `11:51:30`, with up to nine digits of a fraction; returns nanoseconds since midnight and the rest of the text.
pub(super) fn read_time(text: &str) -> Option<(i64, &str)> {
    let hours = digits(text.get(..2)?)?;
    let rest = text[2..].strip_prefix(':')?;
    let minutes = digits(rest.get(..2)?)?;
    let mut rest = &rest[2..];
    let mut seconds = 0;
    if let Some(after) = rest.strip_prefix(':') {
        seconds = digits(after.get(..2)?)?;
        rest = &after[2..];
    }
    let mut nanos = 0;
    if let Some(after) = rest.strip_prefix('.') {
        let len = after.bytes().take_while(u8::is_ascii_digit).count();
        let fraction = after.get(..len).filter(|_| (1..=9).contains(&len))?;
        let places = u32::try_from(9 - len).ok()?;
        nanos = digits(fraction)? * 10_i64.pow(places);
        rest = &after[len..];
    }
    if minutes > 59 || seconds > 59 {
        return None;
    }
    let of_day = ((hours * 60 + minutes) * 60 + seconds) * NANOS_OF_SECOND + nanos;
    (of_day <= NANOS_OF_DAY).then_some((of_day, rest))
}

/// Reads `Z` or `+01:00`; returns seconds.
pub(super) fn read_offset(text: &str) -> Option<i64> {
    if text == "Z" {
        return Some(0);
    }
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let mut seconds = 0;
    let mut unit = 3_600;
    for part in text[1..].split(':') {
        let number = digits(part).filter(|_| part.len() == 2 && unit != 0)?;
        if number > 59 {
            return None;
        }
        seconds += number * unit;
        unit /= 60;
    }
    (seconds <= 18 * 3_600).then_some(sign * seconds)
}

fn digits(text: &str) -> Option<i64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

/// Writes a date as ISO 8601 does: a sign where the year has not four digits.
pub(super) fn write_date(f: &mut fmt::Formatter<'_>, days: i64) -> fmt::Result {
    let (year, month, day) = date(days);
    let sign = match year {
        ..0 => "-",
        0..10_000 => "",
        _ => "+",
    };
    write!(f, "{sign}{:04}-{month:02}-{day:02}", year.unsigned_abs())
}

/// Writes a time of day, with as many digits of its fraction as it has.
pub(super) fn write_time(f: &mut fmt::Formatter<'_>, nanos: i64) -> fmt::Result {
    let (seconds, nanos) = (nanos / NANOS_OF_SECOND, nanos % NANOS_OF_SECOND);
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    write!(f, "{hours:02}:{minutes:02}:{seconds:02}")?;
    if nanos == 0 {
        return Ok(());
    }
    let digits = format!("{nanos:09}");
    write!(f, ".{}", digits.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_are_each_others_inverse() {
        let mut expected = days(-5_000, 1, 1);
        for year in -5_000..5_000 {
            let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            for month in 1..=12 {
                let last = match month {
                    2 => 28 + i64::from(is_leap),
                    4 | 6 | 9 | 11 => 30,
                    _ => 31,
                };
                for day in 1..=last {
                    assert_eq!(days(year, month, day), expected);
                    assert_eq!(date(expected), (year, month, day));
                    expected += 1;
                }
            }
        }
        assert_eq!(days(1970, 1, 1), 0);
    }

    #[test]
    fn what_is_no_date_or_time_is_refused() {
        for text in [
            "2017-02-30",
            "2017-13-01",
            "2017-1-01",
            "217-01-01",
            "",
            "-",
            "2017-09-",
            "++17-09-15",
            "20a7-09-15",
        ] {
            assert_eq!(read_date(text), None, "{text}");
        }
        for text in [
            "24:00:01",
            "11:60:00",
            "11:59:60",
            "11:5",
            "1:15:00",
            "11:51:30.",
            "11:51:30.1234567890",
            "",
        ] {
            assert_eq!(read_time(text), None, "{text}");
        }
        for text in ["", "z", "+1", "+01:00:00:00", "+01:99", "+19:00", "01:00"] {
            assert_eq!(read_offset(text), None, "{text}");
        }
    }
}
