//! `jiff`: the years -9999 to 9999, no infinity, no 24:00.

use ::jiff::civil;

use super::held_by;
use crate::column::civil::{NANOS_OF_SECOND, date, days};
use crate::column::{Date, Moment, OutOfRange, Time, Timestamp, ZonedTimestamp};

impl TryFrom<Date> for civil::Date {
    type Error = OutOfRange;

    fn try_from(date: Date) -> Result<Self, OutOfRange> {
        held_by("jiff::civil::Date", of_days(date.days().into()))
    }
}

impl From<civil::Date> for Date {
    fn from(date: civil::Date) -> Self {
        let days = days(date.year().into(), date.month().into(), date.day().into());
        // Ten thousand years are less than four million days.
        Self::from_days(i32::try_from(days).unwrap_or_default())
    }
}

impl<U> TryFrom<Time<U>> for civil::Time {
    type Error = OutOfRange;

    fn try_from(time: Time<U>) -> Result<Self, OutOfRange> {
        held_by("jiff::civil::Time", of_nanos(time.nanos()))
    }
}

impl<U> TryFrom<civil::Time> for Time<U> {
    type Error = OutOfRange;

    fn try_from(time: civil::Time) -> Result<Self, OutOfRange> {
        held_by("Time", Self::from_nanos(to_nanos(time)))
    }
}

impl<U> TryFrom<Timestamp<U>> for civil::DateTime {
    type Error = OutOfRange;

    fn try_from(at: Timestamp<U>) -> Result<Self, OutOfRange> {
        let parts = at
            .days_and_nanos()
            .and_then(|(days, nanos)| Some(Self::from_parts(of_days(days)?, of_nanos(nanos)?)));
        held_by("jiff::civil::DateTime", parts)
    }
}

impl<U> From<civil::DateTime> for Timestamp<U> {
    fn from(at: civil::DateTime) -> Self {
        let days = Date::from(at.date()).days();
        Self::new(Moment::of_days_and_nanos(days.into(), to_nanos(at.time())))
    }
}

impl TryFrom<ZonedTimestamp> for ::jiff::Timestamp {
    type Error = OutOfRange;

    fn try_from(at: ZonedTimestamp) -> Result<Self, OutOfRange> {
        let at = at
            .unix_nanos()
            .and_then(|nanos| Self::from_nanosecond(nanos).ok());
        held_by("jiff::Timestamp", at)
    }
}

impl From<::jiff::Timestamp> for ZonedTimestamp {
    fn from(at: ::jiff::Timestamp) -> Self {
        Self::new(Moment::At(at.as_nanosecond()))
    }
}

fn of_days(days: i64) -> Option<civil::Date> {
    let (year, month, day) = date(days);
    civil::Date::new(
        year.try_into().ok()?,
        month.try_into().ok()?,
        day.try_into().ok()?,
    )
    .ok()
}

fn of_nanos(nanos: i64) -> Option<civil::Time> {
    let seconds = nanos / NANOS_OF_SECOND;
    let part = |number: i64| i8::try_from(number).ok();
    let nanos = i32::try_from(nanos % NANOS_OF_SECOND).ok()?;
    civil::Time::new(
        part(seconds / 3_600)?,
        part(seconds / 60 % 60)?,
        part(seconds % 60)?,
        nanos,
    )
    .ok()
}

fn to_nanos(time: civil::Time) -> i64 {
    let minutes = i64::from(time.hour()) * 60 + i64::from(time.minute());
    (minutes * 60 + i64::from(time.second())) * NANOS_OF_SECOND
        + i64::from(time.subsec_nanosecond())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::Micros;

    #[test]
    fn times_go_there_and_back() {
        for (date, time) in [
            ("2017-09-15", "11:51:30.123789"),
            ("1970-01-01", "00:00:00"),
            ("-0043-03-15", "23:59:59.999999"),
            ("9999-12-29", "12:00:00"),
        ] {
            let day: Date = serde_json::from_str(&format!("\"{date}\"")).unwrap();
            let clock: Time<Micros> = serde_json::from_str(&format!("\"{time}\"")).unwrap();
            let at: Timestamp<Micros> =
                serde_json::from_str(&format!("\"{date}T{time}\"")).unwrap();
            let zoned = ZonedTimestamp::new(*at);

            let there = (
                civil::Date::try_from(day).unwrap(),
                civil::Time::try_from(clock).unwrap(),
            );

            assert_eq!(there.1.to_string(), time);
            assert_eq!(
                (Date::from(there.0), Time::try_from(there.1)),
                (day, Ok(clock))
            );
            let there = civil::DateTime::try_from(at).unwrap();
            assert_eq!(Timestamp::from(there), at);
            let there = ::jiff::Timestamp::try_from(zoned).unwrap();
            assert_eq!(ZonedTimestamp::from(there), zoned);
        }
    }

    #[test]
    fn what_it_cannot_hold_is_an_error() {
        assert!(civil::Date::try_from(Date::from_days(i32::MAX)).is_err());
        assert!(
            civil::Time::try_from(Time::<Micros>::from_nanos(86_400_000_000_000).unwrap()).is_err()
        );
        assert!(civil::DateTime::try_from(Timestamp::<Micros>::new(Moment::Infinity)).is_err());
        assert!(
            ::jiff::Timestamp::try_from(ZonedTimestamp::new(Moment::NegativeInfinity)).is_err()
        );
    }
}
