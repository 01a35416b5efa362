//! `time`: the years -9999 to 9999, no infinity, no 24:00.

use ::time::{Date as OtherDate, Month, OffsetDateTime, PrimitiveDateTime, Time as OtherTime};

use super::held_by;
use crate::column::civil::{NANOS_OF_SECOND, date, days};
use crate::column::{Date, Moment, OutOfRange, Time, Timestamp, ZonedTimestamp};

impl TryFrom<Date> for OtherDate {
    type Error = OutOfRange;

    fn try_from(date: Date) -> Result<Self, OutOfRange> {
        held_by("time::Date", of_days(date.days().into()))
    }
}

impl From<OtherDate> for Date {
    fn from(date: OtherDate) -> Self {
        let days = days(
            date.year().into(),
            u8::from(date.month()).into(),
            date.day().into(),
        );
        // Even with `large-dates`, a million years are less than 2^31 days.
        Self::from_days(i32::try_from(days).unwrap_or_default())
    }
}

impl<U> TryFrom<Time<U>> for OtherTime {
    type Error = OutOfRange;

    fn try_from(time: Time<U>) -> Result<Self, OutOfRange> {
        held_by("time::Time", of_nanos(time.nanos()))
    }
}

impl<U> TryFrom<OtherTime> for Time<U> {
    type Error = OutOfRange;

    fn try_from(time: OtherTime) -> Result<Self, OutOfRange> {
        held_by("Time", Self::from_nanos(to_nanos(time)))
    }
}

impl<U> TryFrom<Timestamp<U>> for PrimitiveDateTime {
    type Error = OutOfRange;

    fn try_from(at: Timestamp<U>) -> Result<Self, OutOfRange> {
        let parts = at
            .days_and_nanos()
            .and_then(|(days, nanos)| Some(Self::new(of_days(days)?, of_nanos(nanos)?)));
        held_by("time::PrimitiveDateTime", parts)
    }
}

impl<U> From<PrimitiveDateTime> for Timestamp<U> {
    fn from(at: PrimitiveDateTime) -> Self {
        let days = Date::from(at.date()).days();
        Self::new(Moment::of_days_and_nanos(days.into(), to_nanos(at.time())))
    }
}

impl TryFrom<ZonedTimestamp> for OffsetDateTime {
    type Error = OutOfRange;

    /// In UTC.
    fn try_from(at: ZonedTimestamp) -> Result<Self, OutOfRange> {
        let at = at
            .unix_nanos()
            .and_then(|nanos| Self::from_unix_timestamp_nanos(nanos).ok());
        held_by("time::OffsetDateTime", at)
    }
}

impl From<OffsetDateTime> for ZonedTimestamp {
    fn from(at: OffsetDateTime) -> Self {
        Self::new(Moment::At(at.unix_timestamp_nanos()))
    }
}

fn of_days(days: i64) -> Option<OtherDate> {
    let (year, month, day) = date(days);
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    OtherDate::from_calendar_date(year.try_into().ok()?, month, day.try_into().ok()?).ok()
}

fn of_nanos(nanos: i64) -> Option<OtherTime> {
    let seconds = nanos / NANOS_OF_SECOND;
    let part = |number: i64| u8::try_from(number).ok();
    let nanos = u32::try_from(nanos % NANOS_OF_SECOND).ok()?;
    OtherTime::from_hms_nano(
        part(seconds / 3_600)?,
        part(seconds / 60 % 60)?,
        part(seconds % 60)?,
        nanos,
    )
    .ok()
}

fn to_nanos(time: OtherTime) -> i64 {
    let (hours, minutes, seconds, nanos) = time.as_hms_nano();
    let minutes = i64::from(hours) * 60 + i64::from(minutes);
    (minutes * 60 + i64::from(seconds)) * NANOS_OF_SECOND + i64::from(nanos)
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
            ("9999-12-31", "12:00:00"),
        ] {
            let day: Date = serde_json::from_str(&format!("\"{date}\"")).unwrap();
            let clock: Time<Micros> = serde_json::from_str(&format!("\"{time}\"")).unwrap();
            let at: Timestamp<Micros> =
                serde_json::from_str(&format!("\"{date}T{time}\"")).unwrap();
            let zoned = ZonedTimestamp::new(*at);

            let there = (
                OtherDate::try_from(day).unwrap(),
                OtherTime::try_from(clock).unwrap(),
            );

            assert_eq!((there.0.year(), there.0.day()), (day.year(), day.day()));
            assert_eq!(
                (Date::from(there.0), Time::try_from(there.1)),
                (day, Ok(clock))
            );
            let there = PrimitiveDateTime::try_from(at).unwrap();
            assert_eq!(Timestamp::from(there), at);
            let there = OffsetDateTime::try_from(zoned).unwrap();
            assert_eq!(ZonedTimestamp::from(there), zoned);
        }
    }

    #[test]
    fn what_it_cannot_hold_is_an_error() {
        assert!(OtherDate::try_from(Date::from_days(i32::MAX)).is_err());
        assert!(
            OtherTime::try_from(Time::<Micros>::from_nanos(86_400_000_000_000).unwrap()).is_err()
        );
        assert!(PrimitiveDateTime::try_from(Timestamp::<Micros>::new(Moment::Infinity)).is_err());
        assert!(OffsetDateTime::try_from(ZonedTimestamp::new(Moment::NegativeInfinity)).is_err());
    }
}
