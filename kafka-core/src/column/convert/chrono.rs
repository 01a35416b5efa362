//! `chrono`: the years -262143 to 262142, no infinity, no 24:00.

use ::chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike as _, Utc};

use super::held_by;
use crate::column::civil::NANOS_OF_SECOND;
use crate::column::{Date, Interval, Moment, OutOfRange, Time, Timestamp, ZonedTimestamp};

/// 1970-01-01 in days of chrono, which count from the first day of the year 1, as 1.
const EPOCH: i32 = 719_163;

impl TryFrom<Date> for NaiveDate {
    type Error = OutOfRange;

    fn try_from(date: Date) -> Result<Self, OutOfRange> {
        let days = date.days().checked_add(EPOCH);
        held_by("NaiveDate", days.and_then(Self::from_num_days_from_ce_opt))
    }
}

impl From<NaiveDate> for Date {
    fn from(date: NaiveDate) -> Self {
        Self::from_days(::chrono::Datelike::num_days_from_ce(&date) - EPOCH)
    }
}

impl<U> TryFrom<Time<U>> for NaiveTime {
    type Error = OutOfRange;

    fn try_from(time: Time<U>) -> Result<Self, OutOfRange> {
        let nanos = time.nanos();
        let seconds = u32::try_from(nanos / NANOS_OF_SECOND).ok();
        let nanos = u32::try_from(nanos % NANOS_OF_SECOND).ok();
        let parts = seconds.zip(nanos);
        let time = parts
            .and_then(|(seconds, nanos)| Self::from_num_seconds_from_midnight_opt(seconds, nanos));
        held_by("NaiveTime", time)
    }
}

impl<U> TryFrom<NaiveTime> for Time<U> {
    type Error = OutOfRange;

    /// Fails for a leap second.
    fn try_from(time: NaiveTime) -> Result<Self, OutOfRange> {
        let (seconds, nanos) = (time.num_seconds_from_midnight(), time.nanosecond());
        let nanos = i64::from(nanos);
        let of_day = i64::from(seconds) * NANOS_OF_SECOND + nanos;
        let of_day = Some(of_day).filter(|_| nanos < NANOS_OF_SECOND);
        held_by("Time", of_day.and_then(Self::from_nanos))
    }
}

impl<U> TryFrom<Timestamp<U>> for NaiveDateTime {
    type Error = OutOfRange;

    fn try_from(at: Timestamp<U>) -> Result<Self, OutOfRange> {
        Ok(of_moment(*at)?.naive_utc())
    }
}

impl<U> From<NaiveDateTime> for Timestamp<U> {
    fn from(at: NaiveDateTime) -> Self {
        Self::new(to_moment(at.and_utc()))
    }
}

impl TryFrom<ZonedTimestamp> for DateTime<Utc> {
    type Error = OutOfRange;

    fn try_from(at: ZonedTimestamp) -> Result<Self, OutOfRange> {
        of_moment(*at)
    }
}

impl From<DateTime<Utc>> for ZonedTimestamp {
    fn from(at: DateTime<Utc>) -> Self {
        Self::new(to_moment(at))
    }
}

impl TryFrom<Interval> for TimeDelta {
    type Error = OutOfRange;

    /// Fails for months and days, which have no one length.
    fn try_from(interval: Interval) -> Result<Self, OutOfRange> {
        let micros = match interval {
            Interval::Micros(micros)
            | Interval::Parts {
                months: 0,
                days: 0,
                micros,
            } => Some(micros),
            Interval::Parts { .. } => None,
        };
        held_by("TimeDelta", micros.map(Self::microseconds))
    }
}

fn of_moment(moment: Moment) -> Result<DateTime<Utc>, OutOfRange> {
    let second = i128::from(NANOS_OF_SECOND);
    let at = moment.unix_nanos().and_then(|nanos| {
        let seconds = i64::try_from(nanos.div_euclid(second)).ok()?;
        DateTime::from_timestamp(seconds, u32::try_from(nanos.rem_euclid(second)).ok()?)
    });
    held_by("chrono::DateTime", at)
}

fn to_moment(at: DateTime<Utc>) -> Moment {
    let seconds = i128::from(at.timestamp()) * i128::from(NANOS_OF_SECOND);
    Moment::At(seconds + i128::from(at.timestamp_subsec_nanos()))
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
            ("+262142-12-31", "12:00:00"),
            ("1969-12-31", "23:59:59.500"),
        ] {
            let day: Date = serde_json::from_str(&format!("\"{date}\"")).unwrap();
            let clock: Time<Micros> = serde_json::from_str(&format!("\"{time}\"")).unwrap();
            let at: Timestamp<Micros> =
                serde_json::from_str(&format!("\"{date}T{time}\"")).unwrap();
            let zoned = ZonedTimestamp::new(*at);

            let there = (
                NaiveDate::try_from(day).unwrap(),
                NaiveTime::try_from(clock).unwrap(),
            );

            assert_eq!(
                (there.0.to_string().as_str(), there.1.to_string().as_str()),
                (date, time)
            );
            assert_eq!(
                (Date::from(there.0), Time::try_from(there.1)),
                (day, Ok(clock))
            );
            let there = NaiveDateTime::try_from(at).unwrap();
            assert_eq!(
                (there.date().to_string().as_str(), Timestamp::from(there)),
                (date, at)
            );
            let there = DateTime::try_from(zoned).unwrap();
            assert_eq!(ZonedTimestamp::from(there), zoned);
        }
    }

    #[test]
    fn what_it_cannot_hold_is_an_error() {
        let leap = NaiveTime::from_hms_milli_opt(23, 59, 59, 1_500).unwrap();

        assert!(NaiveDate::try_from(Date::from_days(i32::MIN)).is_err());
        assert!(
            NaiveTime::try_from(Time::<Micros>::from_nanos(86_400_000_000_000).unwrap()).is_err()
        );
        assert!(NaiveDateTime::try_from(Timestamp::<Micros>::new(Moment::Infinity)).is_err());
        assert!(DateTime::<Utc>::try_from(ZonedTimestamp::new(Moment::NegativeInfinity)).is_err());
        assert!(DateTime::<Utc>::try_from(ZonedTimestamp::new(Moment::At(i128::MAX))).is_err());
        assert!(Time::<Micros>::try_from(leap).is_err());
        assert_eq!(
            TimeDelta::try_from(Interval::Micros(5)),
            Ok(TimeDelta::microseconds(5))
        );
        assert!(
            TimeDelta::try_from(Interval::Parts {
                months: 1,
                days: 0,
                micros: 0
            })
            .is_err()
        );
    }
}
