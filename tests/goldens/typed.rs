//! Rows as structs: what is written again is what was read.

use kafka_runtime::column::{
    Bits, Bytes, Date, Hstore, JsonText, RangeText, Toast, ZonedTimestamp,
};
use kafka_runtime::{BatchRecord, DatabaseEvent, FromRecord};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::golden::{Configuration, Golden};
use crate::rows::{
    InfiniteDecimals, InfiniteDecimalsKey, Keyless, Lookalike, LookalikeKey, Members, MembersKey,
    NotNumbers, NotNumbersKey, Numbers, NumbersKey, OddKeys, OddKeysKey, OddNames, OddNamesKey,
    RowBytes, RowBytesKey, Structures, StructuresKey, Texts, TextsKey, Times, TimesKey, Truncated,
    TruncatedKey, Users, UsersFull, UsersFullKey, UsersKey,
};

/// True if JSON says the same, in another spelling at most.
pub(crate) fn is_same(written: &Value, sent: &Value) -> bool {
    match (written, sent) {
        (Value::Object(written), Value::Object(sent)) => {
            written.len() == sent.len()
                && written
                    .iter()
                    .all(|(name, value)| sent.get(name).is_some_and(|sent| is_same(value, sent)))
        }
        (Value::Array(written), Value::Array(sent)) => {
            written.len() == sent.len() && written.iter().zip(sent).all(|(a, b)| is_same(a, b))
        }
        (Value::Number(a), Value::Number(b)) => a == b || is_same_real(a.as_f64(), b.as_f64()),
        // A value that was not sent has one spelling when it is written.
        (Value::String(text), _) if text == "__debezium_unavailable_value" => {
            serde_json::from_str::<Toast<Value>>(&sent.to_string())
                .is_ok_and(|value| value.is_unavailable())
        }
        (Value::String(a), Value::String(b)) => {
            let moment = |text: &str| serde_json::from_value::<ZonedTimestamp>(text.into()).ok();
            let json = |text: &str| serde_json::from_str::<Value>(text).ok();
            let range = |text: &str| serde_json::from_value::<RangeText<String>>(text.into()).ok();
            a == b
                || moment(a).is_some_and(|a| Some(a) == moment(b))
                || json(a).is_some_and(|a| Some(a) == json(b))
                || range(a).is_some_and(|a| Some(a) == range(b))
        }
        _ => written == sent,
    }
}

/// A `real` has fewer digits than JSON's numbers have here.
#[expect(clippy::cast_possible_truncation, reason = "that is the question")]
fn is_same_real(a: Option<f64>, b: Option<f64>) -> bool {
    a.map(|a| a as f32) == b.map(|b| b as f32)
}

/// Reads all rows of a table, and writes them again; returns how many there were.
pub(crate) fn rows<T: DeserializeOwned + Serialize + Send>(
    configuration: &Configuration,
    table: &str,
) -> usize {
    let mut count = 0;
    for golden in configuration.of_table(table) {
        let event = match DatabaseEvent::<T>::from_record(&golden.record()) {
            Ok(event) => event,
            Err(error) => panic!("{} {} {table}: {error}", configuration.name, golden.case),
        };
        let Some(after) = event.after() else { continue };
        let (written, sent) = (
            serde_json::to_value(after).unwrap(),
            golden.json()["after"].clone(),
        );
        assert!(
            is_same(&written, &sent),
            "{}:\n{written}\n{sent}",
            golden.case
        );
        count += 1;
    }
    count
}

pub(crate) fn keys<K: DeserializeOwned + Serialize>(
    configuration: &Configuration,
    table: &str,
) -> usize {
    let of_table = |golden: &&Golden| golden.table() == Some(table) && golden.key.is_some();
    let mut count = 0;
    for golden in configuration.goldens.iter().filter(of_table) {
        let record = golden.record();
        let key: K = BatchRecord::for_test((), &record).key_as().unwrap();
        let sent: Value = serde_json::from_str(golden.key.as_ref().unwrap()).unwrap();
        let sent = if sent["schema"].is_object() {
            sent["payload"].clone()
        } else {
            sent
        };
        let written = serde_json::to_value(key).unwrap();
        assert!(is_same(&written, &sent), "{written}\n{sent}");
        count += 1;
    }
    count
}

/// The ways to put a schema around, and what does not change rows.
const DEFAULTS: [&str; 6] = [
    "bare",
    "wrapped",
    "wrapped-key",
    "wrapped-value",
    "tombstones-off",
    "null-as-null",
];

macro_rules! tables {
    ($($test:ident: $table:literal $row:ty $(, $key:ty)?;)*) => {
        $(
            #[test]
            fn $test() {
                let mut count = 0;
                for name in DEFAULTS {
                    let configuration = Configuration::read(name);
                    count += rows::<$row>(&configuration, $table);
                    $(count += keys::<$key>(&configuration, $table);)?
                }
                assert!(count > 1, "{count}");
            }
        )*
    };
}

tables! {
    bytes: "bytes" RowBytes, RowBytesKey;
    infinite_decimals: "infinite_decimals" InfiniteDecimals, InfiniteDecimalsKey;
    keyless: "keyless" Keyless;
    lookalike: "lookalike" Lookalike, LookalikeKey;
    members: "members" Members, MembersKey;
    not_numbers: "not_numbers" NotNumbers, NotNumbersKey;
    numbers: "numbers" Numbers, NumbersKey;
    odd_keys: "odd_keys" OddKeys, OddKeysKey;
    odd_names: "odd_names" OddNames, OddNamesKey;
    structures: "structures" Structures, StructuresKey;
    texts: "texts" Texts, TextsKey;
    times: "times" Times, TimesKey;
    truncated: "truncated" Truncated, TruncatedKey;
    users: "users" Users, UsersKey;
    users_full: "users_full" UsersFull, UsersFullKey;
    toasted: "toasted" Toasted;
}

/// Each column that can be stored out of line; the last three are null then.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Toasted {
    id: i32,
    small: Option<i32>,
    t: Toast<Option<String>>,
    vc: Toast<Option<String>>,
    ci: Toast<Option<String>>,
    j: Toast<Option<JsonText<Value>>>,
    jb: Toast<Option<JsonText<Value>>>,
    x: Toast<Option<String>>,
    lt: Toast<Option<String>>,
    data: Toast<Option<Bytes>>,
    texts: Toast<Option<Vec<Option<String>>>>,
    varchars: Toast<Option<Vec<Option<String>>>>,
    docs: Toast<Option<Vec<Option<JsonText<Value>>>>>,
    ints: Toast<Option<Vec<Option<i32>>>>,
    bigs: Toast<Option<Vec<Option<i64>>>>,
    days: Toast<Option<Vec<Option<Date>>>>,
    uids: Toast<Option<Vec<Option<String>>>>,
    pairs: Toast<Option<Hstore>>,
    bools: Option<Vec<Option<bool>>>,
    doubles: Option<Vec<Option<f64>>>,
    bits: Option<Bits>,
}

#[test]
fn every_column_says_of_itself_that_it_was_not_sent() {
    let bare = Configuration::read("bare");
    let golden = bare.by_case("toasted")["toast/update-of-another-column"][0].record();
    let event = DatabaseEvent::<Toasted>::from_record(&golden).unwrap();
    let row = event.after().unwrap();

    assert!(row.t.is_unavailable() && row.vc.is_unavailable() && row.ci.is_unavailable());
    assert!(row.j.is_unavailable() && row.jb.is_unavailable() && row.x.is_unavailable());
    assert!(row.lt.is_unavailable() && row.data.is_unavailable() && row.texts.is_unavailable());
    assert!(
        row.varchars.is_unavailable() && row.docs.is_unavailable() && row.ints.is_unavailable()
    );
    assert!(row.bigs.is_unavailable() && row.days.is_unavailable() && row.uids.is_unavailable());
    assert!(row.pairs.is_unavailable());
    // Nobody can tell these from values that are null.
    assert!(row.bools.is_none() && row.doubles.is_none() && row.bits.is_none());
}

#[test]
fn a_plain_column_that_was_not_sent_is_an_error_where_it_can_be() {
    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only decoded")]
    struct Plain {
        id: i32,
        jb: Option<JsonText<Value>>,
    }
    let bare = Configuration::read("bare");
    let golden = bare.by_case("toasted")["toast/update-of-another-column"][0].record();

    let error = DatabaseEvent::<Plain>::from_record(&golden)
        .unwrap_err()
        .to_string();

    assert!(
        error.contains("`after.jb`: invalid value: the placeholder of an unchanged TOAST value"),
        "{error}"
    );
    assert!(error.contains("take `Toast<_>`"), "{error}");
}
