//! Columns of a row as Debezium sends them in JSON: what plain types would not decode, or decode to something else.
//!
//! A row is a struct of the service's own; its fields have these types where the JSON is not simply the value. Which encoding a
//! column has depends on settings of the connector, and JSON alone does not always tell which it is: `"1234"` is a decimal in
//! one mode and base64 of another decimal in the other. So what cannot be told apart is another type, and what can, one
//! type reads in all its forms.
//!
//! | PostgreSQL | the connector's setting | JSON | Rust |
//! |---|---|---|---|
//! | `boolean`, `bit(1)` | | `true` | `bool` |
//! | `smallint`, `integer`, `bigint`, `oid` | | `7` | `i16`, `i32`, `i64`, `i64` |
//! | `real`, `double precision` | | `1.5`, `"NaN"`, `"Infinity"` | [`Real`], [`Double`] |
//! | `numeric(p, s)`; `money` with s = 2 | `decimal.handling.mode=precise` | `"BNI="`; `12.34` with `decimal.format=NUMERIC` | [`Decimal<s>`](Decimal) |
//! | `numeric` | `precise` | `{"scale":2,"value":"BNI="}` | [`VariableScaleDecimal`] |
//! | all of these | `double` | `12.34`, `"NaN"` | [`Double`] |
//! | all of these | `string` | `"12.34"`, `"NAN"` | [`DecimalText`] |
//! | `text`, `varchar`, `char`, `citext`, `ltree`, `xml`, `inet`, `cidr`, `macaddr`, enums | | `"a"` | `String`, `Cow<'_, str>`, an enum of your own |
//! | `uuid` | | `"4d47e190-…"` | `String`, or `uuid::Uuid` as it is (its feature `serde`) |
//! | `json`, `jsonb` | | `"{\"a\":1}"` | [`JsonText<T>`](JsonText) |
//! | `bytea` | `binary.handling.mode=bytes`, `base64`, `base64-url-safe` | `"aGk="` | [`Bytes`] |
//! | `bytea` | `hex` | `"6869"` | [`HexBytes`] |
//! | `bit(n)`, `varbit` | | `"BQ=="` | [`Bits`] |
//! | `date` | | `17424`; `"2017-09-15Z"` | [`Date`] |
//! | `time(0..3)`, or any with `connect` | `time.precision.mode=adaptive`, `connect` | `45690123` | [`Time<Millis>`](Time) |
//! | `time(4..6)`, `time` | `adaptive`, `adaptive_time_microseconds`, `microseconds` | `45690123789` | [`Time<Micros>`](Time) |
//! | `time`, `timestamp` | `nanoseconds` | `45690123789000` | [`Time<Nanos>`](Time), [`Timestamp<Nanos>`](Timestamp) |
//! | `time`, `timestamp` | `isostring` | `"11:51:30Z"` | either unit |
//! | `timestamp(0..3)`, or any with `connect` | `adaptive`, `adaptive_time_microseconds`, `connect` | `1505483490123` | [`Timestamp<Millis>`](Timestamp) |
//! | `timestamp(4..6)`, `timestamp` | `adaptive`, `adaptive_time_microseconds`, `microseconds` | `1505483490123456` | [`Timestamp<Micros>`](Timestamp) |
//! | `timetz`, `timestamptz` | | `"11:51:30Z"`, `"2017-09-15T11:51:30Z"`, `"infinity"` | [`ZonedTime`], [`ZonedTimestamp`] |
//! | `interval` | `interval.handling.mode=numeric`, `string` | `3600000000`, `"P1Y2M3DT4H5M6.78S"` | [`Interval`] |
//! | `hstore` | `hstore.handling.mode=json`, `map` | `"{\"a\":\"1\"}"`, `{"a":"1"}` | [`Hstore`] |
//! | `point`; PostGIS | | `{"x":1.0,"y":2.0,…}`; `{"wkb":"…","srid":4326}` | [`Point`]; [`Geometry`] |
//! | ranges | | `"[1,10)"` | [`RangeText<T>`](RangeText) |
//! | arrays | | `[1,null]` | `Vec<Option<T>>` |
//! | any that can be stored out of line | unless `REPLICA IDENTITY FULL` | a placeholder | [`Toast<T>`](Toast) |
//!
//! ```
//! use kafka_core::DatabaseEvent;
//! use kafka_core::column::{Date, Decimal, JsonText, Micros, Timestamp, Toast};
//!
//! #[derive(serde::Deserialize)]
//! struct Order {
//!     id: i64,
//!     total: Decimal<2>,
//!     due: Option<Date>,
//!     placed_at: Timestamp<Micros>,
//!     note: Toast<Option<String>>,
//!     tags: Vec<Option<String>>,
//! }
//!
//! let event: DatabaseEvent<Order> = serde_json::from_str(
//!     r#"{"op":"u","after":{"id":7,"total":"BNI=","due":17424,"placed_at":1505483490123456,
//!         "note":"__debezium_unavailable_value","tags":["new",null]}}"#,
//! )?;
//! let order = event.after().ok_or("no row")?;
//! assert_eq!(order.total.to_string(), "12.34");
//! assert_eq!(order.due.map(|due| due.to_string()).as_deref(), Some("2017-09-15"));
//! assert_eq!(order.placed_at.to_string(), "2017-09-15T13:51:30.123456");
//! assert!(order.note.is_unavailable());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! They are read from JSON text, as records are. [`Toast`] and the decimals need the text itself, so they cannot stand below
//! `#[serde(flatten)]` or `#[serde(untagged)]`, nor come from a `serde_json::Value`. All are written as the connector writes them by
//! default, for the rows of tests.
//!
//! `kafka-runtime rows` prints the structs for the tables of a database.
//!
//! With the features `chrono`, `jiff`, `time`, `rust_decimal` and `bigdecimal` they convert to the types of these crates, by `TryFrom`:
//! PostgreSQL has infinities, and years and digits beyond what each of them can hold.

mod binary;
mod civil;
mod convert;
mod cow_str;
mod date;
mod decimal;
mod decimal_value;
mod float;
mod geometry;
mod hstore;
mod interval;
mod json_text;
mod moment;
mod range;
#[cfg(test)]
mod tests;
mod time;
mod timestamp;
mod toast;
mod unit;

pub use self::binary::{Bits, Bytes, HexBytes};
pub(crate) use self::binary::{base64, hex};
pub use self::convert::OutOfRange;
pub use self::cow_str::CowStr;
pub use self::date::Date;
pub use self::decimal::{Decimal, DecimalText, VariableScaleDecimal};
pub use self::decimal_value::{DecimalValue, ParseDecimalError};
pub use self::float::{Double, Real};
pub use self::geometry::{Geometry, Point};
pub use self::hstore::Hstore;
pub use self::interval::Interval;
pub use self::json_text::JsonText;
pub use self::moment::Moment;
pub use self::range::RangeText;
pub use self::time::{Time, ZonedTime};
pub use self::timestamp::{Timestamp, ZonedTimestamp};
pub use self::toast::Toast;
pub use self::unit::{Micros, Millis, Nanos, Unit};

use std::fmt;

use serde::de::{Error, Unexpected, Visitor};

pub(crate) use self::toast::is_unavailable;
use self::toast::{MARKER, is_marker};

/// The error of text that is no value of its column. It tells what the text seems to be, never the text.
fn unfit<E: Error>(text: &str, expected: &str) -> E {
    if is_marker(text) {
        let found = Unexpected::Other("the placeholder of an unchanged TOAST value");
        return E::invalid_value(found, &format!("{expected} (take `Toast<_>`)").as_str());
    }
    E::invalid_value(Unexpected::Other("text"), &expected)
}

/// Reads a value that is a number of 64 bits in one form and text in the other.
struct NumberOrText<N, T> {
    expected: &'static str,
    number: N,
    text: T,
}

impl<V, N, T> Visitor<'_> for NumberOrText<N, T>
where
    N: FnOnce(i64) -> Option<V>,
    T: FnOnce(&str) -> Option<V>,
{
    type Value = V;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<V, E> {
        let expected = self.expected;
        (self.number)(number)
            .ok_or_else(|| E::invalid_value(Unexpected::Other("a number out of range"), &expected))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<V, E> {
        match i64::try_from(number) {
            Ok(number) => self.visit_i64(number),
            Err(_) => Err(E::invalid_value(
                Unexpected::Other("a number out of range"),
                &self.expected,
            )),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<V, E> {
        (self.text)(text).ok_or_else(|| unfit(text, self.expected))
    }
}
