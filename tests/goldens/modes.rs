//! Whatever the connector's settings, a column has the value that it has with the default ones.

use std::collections::BTreeMap;
use std::fmt::Debug;

use kafka_runtime::column::{
    Bits, Bytes, Date, Decimal, DecimalText, Double, HexBytes, Hstore, Interval, Micros, Millis,
    Moment, Nanos, Time, Timestamp, Toast, VariableScaleDecimal, ZonedTime,
};
use kafka_runtime::{Change, DatabaseEvent, FlatEvent, FromRecord};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::golden::Configuration;
use crate::rows::{Numbers, RowBytes, Times, Users};

/// The rows of a table by case and key.
fn rows<T: DeserializeOwned>(name: &str, table: &str) -> BTreeMap<(String, String), T> {
    let configuration = Configuration::read(name);
    let rows = configuration.of_table(table).filter_map(|golden| {
        let event = match DatabaseEvent::<T>::from_record(&golden.record()) {
            Ok(event) => event,
            Err(error) => panic!("{name} {}: {error}", golden.case),
        };
        let (Change::Create { after } | Change::Read { after } | Change::Update { after, .. }) =
            event.change
        else {
            return None;
        };
        let case = format!("{} {}", golden.case, event.source.table);
        Some(((case, golden.key.clone().unwrap_or_default()), after))
    });
    let rows: BTreeMap<_, _> = rows.collect();
    assert!(rows.len() > 1, "{name} has no {table}");
    rows
}

/// Compares columns of a mode with those of the default one.
fn compare<T: DeserializeOwned, D: DeserializeOwned, V: PartialEq + Debug>(
    name: &str,
    table: &str,
    in_mode: impl Fn(T) -> V,
    by_default: impl Fn(D) -> V,
) {
    let mut defaults = rows::<D>("bare", table);
    for (at, row) in rows::<T>(name, table) {
        let default = defaults
            .remove(&at)
            .unwrap_or_else(|| panic!("{at:?} is not among the defaults"));
        assert_eq!(in_mode(row), by_default(default), "{name} {at:?}");
    }
}

type Values = [Option<String>; 5];

fn texts<T: ToString>(values: [Option<T>; 5]) -> Values {
    values.map(|value| value.map(|value| value.to_string()))
}

fn default_decimals(row: Numbers) -> Values {
    [
        row.price.map(|value| value.to_string()),
        row.whole.map(|value| value.to_string()),
        row.wide.map(|value| value.to_string()),
        row.unscaled.map(|value| value.to_string()),
        row.cash.map(|value| value.to_string()),
    ]
}

#[test]
fn decimals_in_text_keep_all_digits() {
    #[derive(Deserialize)]
    struct Row {
        price: Option<DecimalText>,
        whole: Option<DecimalText>,
        wide: Option<DecimalText>,
        unscaled: Option<DecimalText>,
        cash: Option<DecimalText>,
    }
    compare(
        "decimal-string",
        "numbers",
        |row: Row| texts([row.price, row.whole, row.wide, row.unscaled, row.cash]),
        default_decimals,
    );
}

#[test]
fn decimals_as_numbers_of_json_keep_all_digits() {
    #[derive(Deserialize)]
    struct Row {
        price: Option<Decimal<2>>,
        whole: Option<Decimal<0>>,
        wide: Option<Decimal<10>>,
        unscaled: Option<VariableScaleDecimal>,
        cash: Option<Decimal<2>>,
    }
    let values = |row: Row| {
        [
            row.price.map(Decimal::into_value),
            row.whole.map(Decimal::into_value),
            row.wide.map(Decimal::into_value),
            row.unscaled.map(VariableScaleDecimal::into_value),
            row.cash.map(Decimal::into_value),
        ]
    };
    compare("decimal-numeric", "numbers", values, |row: Numbers| {
        [
            row.price.map(Decimal::into_value),
            row.whole.map(Decimal::into_value),
            row.wide.map(Decimal::into_value),
            row.unscaled.map(VariableScaleDecimal::into_value),
            row.cash.map(Decimal::into_value),
        ]
    });
}

#[test]
fn decimals_as_doubles_are_the_nearest_ones() {
    #[derive(Deserialize)]
    struct Row {
        price: Option<Double>,
        whole: Option<Double>,
        wide: Option<Double>,
        unscaled: Option<Double>,
        cash: Option<Double>,
    }
    compare(
        "decimal-double",
        "numbers",
        |row: Row| {
            [row.price, row.whole, row.wide, row.unscaled, row.cash]
                .map(|value| value.map(|value| *value))
        },
        |row: Numbers| {
            [
                row.price.map(|value| value.to_f64()),
                row.whole.map(|value| value.to_f64()),
                row.wide.map(|value| value.to_f64()),
                row.unscaled.map(|value| value.to_f64()),
                row.cash.map(|value| value.to_f64()),
            ]
        },
    );
}

#[test]
fn what_is_no_number_is_told_where_the_mode_has_a_word_for_it() {
    #[derive(Deserialize)]
    struct InText {
        price: Option<DecimalText>,
        unscaled: Option<DecimalText>,
    }
    #[derive(Deserialize)]
    struct AsDouble {
        price: Option<Double>,
        unscaled: Option<Double>,
    }
    let mut nans = 0;
    for row in rows::<InText>("decimal-string", "not_numbers").into_values() {
        nans += [row.price, row.unscaled]
            .into_iter()
            .flatten()
            .filter(|value| value.is_nan())
            .count();
    }
    for row in rows::<AsDouble>("decimal-double", "not_numbers").into_values() {
        nans += usize::from(row.price.is_some_and(|value| value.is_nan()));
        nans += usize::from(row.unscaled.is_some_and(|value| value.is_nan()));
    }

    assert_eq!(nans, 4);
}

/// The columns of `times` with units of a mode.
#[derive(Deserialize)]
#[serde(bound = "T: kafka_runtime::column::Unit, S: kafka_runtime::column::Unit")]
struct InUnits<T, S> {
    id: i32,
    day: Option<Date>,
    t0: Option<Time<T>>,
    t3: Option<Time<T>>,
    t6: Option<Time<T>>,
    zoned: Option<ZonedTime>,
    ts3: Option<Timestamp<S>>,
    ts6: Option<Timestamp<S>>,
}

type AllTimes = (
    Option<Date>,
    [Option<i64>; 3],
    Option<ZonedTime>,
    [Option<Moment>; 2],
);

impl<T, S> InUnits<T, S> {
    /// The values, as exactly as a unit has them.
    fn values(self, unit: i64) -> AllTimes {
        let time = |time: Option<Time<T>>| time.map(|time| time.nanos() / unit * unit);
        let moment = |at: Option<Timestamp<S>>| at.map(|at| rounded(*at, unit));
        (
            self.day,
            [self.t0, self.t3, self.t6].map(time),
            self.zoned,
            [self.ts3, self.ts6].map(moment),
        )
    }
}

fn rounded(moment: Moment, unit: i64) -> Moment {
    match moment {
        Moment::At(nanos) => Moment::At(nanos.div_euclid(unit.into()) * i128::from(unit)),
        infinity => infinity,
    }
}

fn by_default(row: &Times, unit: i64) -> AllTimes {
    let nanos = |nanos: Option<i64>| nanos.map(|nanos| nanos / unit * unit);
    let times = [
        row.t0.map(Time::nanos),
        row.t3.map(Time::nanos),
        row.t6.map(Time::nanos),
    ];
    let moments = [row.ts3.map(|at| *at), row.ts6.map(|at| *at)];
    (
        row.day,
        times.map(nanos),
        row.zoned,
        moments.map(|at| at.map(|at| rounded(at, unit))),
    )
}

#[test]
fn times_are_the_same_in_every_unit() {
    compare(
        "time-connect",
        "times",
        |row: InUnits<Millis, Millis>| row.values(1_000_000),
        |row: Times| by_default(&row, 1_000_000),
    );
    compare(
        "time-microseconds",
        "times",
        |row: InUnits<Micros, Micros>| row.values(1),
        |row: Times| by_default(&row, 1),
    );
}

/// 24:00 becomes 00:00 in the connector; all else is as it was.
#[test]
fn times_in_text_are_the_same_but_for_24_hours() {
    let midnight = |nanos: Option<i64>| nanos.filter(|nanos| *nanos != 86_400_000_000_000);
    compare(
        "time-isostring",
        "times",
        |row: InUnits<Millis, Micros>| row.values(1),
        |row: Times| {
            let is_midnight = row
                .t0
                .is_some_and(|time| time.nanos() == 86_400_000_000_000);
            let (day, times, zoned, moments) = by_default(&row, 1);
            let times = if is_midnight {
                [Some(0); 3]
            } else {
                times.map(midnight)
            };
            (day, times, zoned, moments)
        },
    );
}

/// Beyond the years 1677 to 2262 the connector's nanoseconds overflow: to what no database can hold, here.
#[test]
fn times_in_nanoseconds_are_the_same_within_their_range_and_refused_beyond() {
    let mut defaults = rows::<Times>("bare", "times");
    let configuration = Configuration::read("time-nanoseconds");
    let mut refused = Vec::new();
    for golden in configuration.of_table("times") {
        let id = golden.json()["after"]["id"].as_i64().unwrap();
        match DatabaseEvent::<InUnits<Nanos, Nanos>>::from_record(&golden.record()) {
            Ok(event) => {
                let at = (
                    format!("{} times", golden.case),
                    golden.key.clone().unwrap(),
                );
                let default = by_default(&defaults.remove(&at).unwrap(), 1);
                let (Change::Create { after } | Change::Read { after }) = event.change else {
                    panic!("only rows that were inserted");
                };
                assert_eq!((i64::from(after.id), after.values(1)), (id, default));
            }
            Err(error) => {
                assert!(
                    error
                        .to_string()
                        .contains("`after.ts3`: invalid value: a number out of range"),
                    "{error}"
                );
                refused.push(id);
            }
        }
    }
    assert_eq!(refused, [5, 6, 7, 8]);
}

#[test]
fn intervals_in_text_keep_their_months() {
    #[derive(Deserialize)]
    struct Row {
        span: Option<Interval>,
    }
    compare(
        "interval-string",
        "times",
        |row: Row| row.span.map(in_micros),
        |row: Times| row.span.map(in_micros),
    );
}

/// A month has 365.25 / 12 days for the connector.
fn in_micros(interval: Interval) -> i64 {
    match interval {
        Interval::Micros(micros) => micros,
        Interval::Parts {
            months,
            days,
            micros,
        } => months * 2_629_800_000_000 + days * 86_400_000_000 + micros,
    }
}

#[test]
fn bytes_are_the_same_in_every_alphabet() {
    #[derive(Deserialize)]
    struct Row {
        data: Toast<Option<Bytes>>,
        bits: Option<Bits>,
    }
    #[derive(Deserialize)]
    struct InHex {
        data: Toast<Option<HexBytes>>,
        bits: Option<Bits>,
    }
    let by_default = |row: RowBytes| {
        (
            row.data.into_option().flatten().map(|bytes| bytes.0),
            row.bits.map(|bits| bits.0),
        )
    };
    for name in ["binary-base64", "binary-base64-url-safe"] {
        compare(
            name,
            "bytes",
            |row: Row| {
                (
                    row.data.into_option().flatten().map(|bytes| bytes.0),
                    row.bits.map(|bits| bits.0),
                )
            },
            by_default,
        );
    }
    compare(
        "binary-hex",
        "bytes",
        |row: InHex| {
            (
                row.data.into_option().flatten().map(|bytes| bytes.0),
                row.bits.map(|bits| bits.0),
            )
        },
        by_default,
    );
}

#[test]
fn an_hstore_is_the_same_as_an_object() {
    #[derive(Deserialize)]
    struct Row {
        pairs: Option<Hstore>,
    }
    compare(
        "hstore-map",
        "structures",
        |row: Row| row.pairs,
        |row: Row| row.pairs,
    );
}

#[test]
fn a_flattened_row_is_the_row_of_its_event() {
    let rewritten = Configuration::read("flattened-rewrite");
    let bare = Configuration::read("bare");
    let events = bare.by_case("users");
    let mut compared = 0;
    for (case, goldens) in rewritten.by_case("users") {
        for (golden, event) in goldens.iter().zip(&events[case]) {
            let flat = FlatEvent::<Users>::from_record(&golden.record()).unwrap();
            let event = DatabaseEvent::<Users>::from_record(&event.record()).unwrap();
            assert_eq!(flat.op(), Some(event.op()), "{case}");
            assert_eq!(flat.row().is_some(), event.after().is_some(), "{case}");
            if let (Some(flat), Some(after)) = (flat.row(), event.after()) {
                // Tokens and times are of each run.
                let of = |row: &Users| (row.id, row.email.clone(), row.balance.clone(), row.age);
                assert_eq!(of(flat), of(after), "{case}");
            }
            compared += 1;
        }
    }
    assert!(compared > 5, "{compared}");
}
