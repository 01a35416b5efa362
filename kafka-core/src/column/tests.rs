use std::borrow::Cow;
use std::fmt::Debug;
use std::ops::Bound;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::*;

fn read<'m, T: Deserialize<'m>>(json: &'m str) -> T {
    match serde_json::from_str(json) {
        Ok(value) => value,
        Err(error) => panic!("{json}: {error}"),
    }
}

/// What a user is told of a value that does not fit.
fn refusal<T: DeserializeOwned + Debug>(json: &str) -> String {
    let error = crate::field::decode::<T>("value", json)
        .unwrap_err()
        .to_string();
    let (_, words) = error.split_once("`: ").unwrap();
    words.split(" at line").next().unwrap().to_owned()
}

/// Each is written as it was read.
fn keeps<T: DeserializeOwned + Serialize>(json: &[&str]) {
    for json in json {
        assert_eq!(serde_json::to_string(&read::<T>(json)).unwrap(), *json);
    }
}

#[test]
fn what_is_written_is_what_was_read() {
    keeps::<Decimal<2>>(&[
        r#""BNI=""#,
        r#""AA==""#,
        r#""/w==""#,
        r#""gAAAAAAAAAAAAAAAAAAAAAAAAA==""#,
    ]);
    keeps::<DecimalText>(&[
        r#""12.340""#,
        r#""NAN""#,
        r#""POSITIVE_INFINITY""#,
        r#""NEGATIVE_INFINITY""#,
    ]);
    keeps::<VariableScaleDecimal>(&[
        r#"{"scale":4,"value":"AYr3"}"#,
        r#"{"scale":0,"value":"/w=="}"#,
    ]);
    keeps::<Double>(&["1.5", r#""NaN""#, r#""Infinity""#, r#""-Infinity""#]);
    keeps::<Real>(&["1.5", r#""NaN""#]);
    keeps::<Date>(&["17424", "-1", "0", "2147483647", "-2147472692"]);
    keeps::<Time<Millis>>(&["0", "42690123", "86400000"]);
    keeps::<Time<Micros>>(&["42690123789", "86400000000"]);
    keeps::<Timestamp<Millis>>(&[
        "1505483490123",
        "-1",
        "9223372036825200",
        "-9223372036832400",
    ]);
    keeps::<Timestamp<Micros>>(&[
        "1505483490123456",
        "9223372036825200000",
        "-9223372036832400000",
    ]);
    keeps::<Timestamp<Nanos>>(&["9223372036854775800", "-9223372036854775800"]);
    keeps::<ZonedTime>(&[
        r#""11:51:30.123789Z""#,
        r#""24:00:00Z""#,
        r#""11:51:30-03:30""#,
    ]);
    keeps::<ZonedTimestamp>(&[
        r#""2017-09-15T11:51:30.123456Z""#,
        r#""+21016-11-04T22:00:00Z""#,
        r#""-4713-11-24T00:00:00Z""#,
        r#""+294276-12-31T23:59:59.999999Z""#,
        r#""infinity""#,
        r#""-infinity""#,
    ]);
    keeps::<Interval>(&[
        "3600000000",
        "-1",
        r#""P1Y2M3DT4H5M6.78S""#,
        r#""P0Y0M0DT0H0M0S""#,
        r#""P-1Y-2M3DT-4H-5M-6.78S""#,
    ]);
    keeps::<JsonText<serde_json::Value>>(&[r#""{\"a\":[1,null]}""#, r#""null""#]);
    keeps::<Bytes>(&[r#""aGk=""#, r#""""#]);
    keeps::<HexBytes>(&[r#""00ff10""#, r#""""#]);
    keeps::<Bits>(&[r#""BQ==""#]);
    keeps::<Hstore>(&[r#""{\"a\":\"1\",\"b\":null}""#, r#""{}""#]);
    keeps::<RangeText<i32>>(&[r#""[\"1\",\"10\")""#, r#""(,)""#, r#""empty""#]);
    keeps::<Toast<Option<String>>>(&["null", r#""a""#, r#""__debezium_unavailable_value""#]);
}

#[test]
fn one_type_reads_all_forms_that_can_be_told_apart() {
    assert_eq!(read::<Decimal<2>>("12.34"), read(r#""BNI=""#));
    assert_eq!(read::<Decimal<2>>("1.234E1"), read(r#""BNI=""#));
    assert_eq!(
        read::<Decimal<0>>("12345678901234567890123456789012345678901").to_string(),
        "12345678901234567890123456789012345678901"
    );
    assert_eq!(read::<DecimalText>("12.34"), read(r#""12.34""#));
    assert_eq!(read::<Date>("17424"), read(r#""2017-09-15Z""#));
    assert_eq!(read::<Date>("17424"), read(r#""2017-09-15""#));
    assert_eq!(read::<Time<Micros>>("42690000000"), read(r#""11:51:30Z""#));
    assert_eq!(
        read::<Timestamp<Millis>>("1505483490123"),
        read(r#""2017-09-15T13:51:30.123Z""#)
    );
    assert_eq!(
        read::<Timestamp<Micros>>(r#""infinity""#),
        read("9223372036825200000")
    );
    assert_eq!(
        read::<ZonedTimestamp>(r#""2017-09-15T13:51:30+02:00""#),
        read(r#""2017-09-15T11:51:30Z""#)
    );
    assert_eq!(read::<Hstore>(r#"{"a":"1"}"#), read(r#""{\"a\":\"1\"}""#));
    assert_eq!(read::<Bytes>(r#""_-8=""#), read(r#""/+8=""#));
    assert_eq!(read::<Double>("1"), Double(1.0));
    assert_eq!(
        read::<ZonedTime>(r#""01:00:00+02:00""#).utc_nanos(),
        23 * 3_600_000_000_000
    );
}

#[test]
fn order_is_the_order_of_time() {
    let at = |json| *read::<Timestamp<Micros>>(json);

    assert!(at("-9223372036832400000") < at("-9223372036832399999"));
    assert!(at("9223372036825199999") < at("9223372036825200000"));
    assert!(at("0").unix_micros() < at("1").unix_micros());
    assert_eq!(at("-1").unix_millis(), Some(-1));
    assert_eq!(at("9223372036825200000").unix_nanos(), None);
    assert!(at("9223372036825200000").to_system_time().is_none());
    assert_eq!(
        at("1500000").to_system_time(),
        std::time::UNIX_EPOCH.checked_add(std::time::Duration::from_millis(1_500))
    );
}

#[test]
fn years_before_the_first_are_as_in_iso_8601() {
    let date: Date = read("-719529");

    assert_eq!((date.year(), date.month(), date.day()), (-1, 12, 31));
    assert_eq!(read::<Date>("-719528").to_string(), "0000-01-01");
    assert_eq!(read::<Date>(r#""-0043-03-15Z""#).year(), -43);
}

#[test]
fn every_form_of_the_placeholder_is_known() {
    let marker = "__debezium_unavailable_value";
    let ascii: Vec<u8> = marker.bytes().collect();
    let ascii = serde_json::to_string(&ascii).unwrap();
    assert_eq!(
        read::<Toast<Cow<'_, str>>>(r#""__debezium_unavailable_value""#),
        Toast::Unavailable
    );
    assert_eq!(
        read::<Toast<Bytes>>(r#""X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==""#),
        Toast::Unavailable
    );
    assert_eq!(
        read::<Toast<Vec<Option<String>>>>(r#"["__debezium_unavailable_value"]"#),
        Toast::Unavailable
    );
    assert_eq!(read::<Toast<Vec<Option<i32>>>>(&ascii), Toast::Unavailable);
    assert_eq!(
        read::<Toast<Vec<String>>>(r#"["b68a35a7-17ad-35b3-af2a-ae46edb4545a"]"#),
        Toast::Unavailable
    );
    assert_eq!(
        read::<Toast<Hstore>>(&format!(r#"{{"{marker}":"{marker}"}}"#)),
        Toast::Unavailable
    );
    assert_eq!(
        read::<Toast<Hstore>>(&format!(r#""{{\"{marker}\":\"{marker}\"}}""#)),
        Toast::Unavailable
    );
}

#[test]
fn what_only_looks_like_the_placeholder_is_a_value() {
    let values = [
        "b68a35a7-17ad-35b3-af2a-ae46edb4545a",
        "__debezium_unavailable_value ",
        "see __debezium_unavailable_value",
        "",
    ];
    for value in values {
        let json = serde_json::to_string(value).unwrap();
        assert_eq!(read::<Toast<String>>(&json), Toast::Value(value.to_owned()));
    }
    for json in [r#"["__debezium_unavailable_value","a"]"#, "[]"] {
        assert!(!read::<Toast<Vec<String>>>(json).is_unavailable(), "{json}");
    }
    for json in ["[95]", "[95,95,100]", "[1,2]"] {
        assert!(!read::<Toast<Vec<i32>>>(json).is_unavailable(), "{json}");
    }
    assert!(
        !read::<Toast<Hstore>>(r#""{\"a\":\"__debezium_unavailable_value\"}""#).is_unavailable()
    );
}

#[test]
fn a_value_of_toast_borrows_from_the_record() {
    #[derive(Deserialize)]
    struct Row<'m>(#[serde(borrow)] Toast<crate::field::Name<'m>>);
    let json = r#""news""#.to_owned();

    let Row(Toast::Value(name)) = read(&json) else {
        panic!()
    };

    assert!(matches!(name.0, Cow::Borrowed("news")));
}

#[test]
fn the_placeholder_in_a_plain_column_is_told_with_what_to_take() {
    let text = r#""__debezium_unavailable_value""#;
    let base64 = r#""X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==""#;
    for words in [
        refusal::<Bytes>(base64),
        refusal::<HexBytes>(text),
        refusal::<JsonText<i64>>(text),
        refusal::<Decimal<2>>(text),
        refusal::<Decimal<2>>(base64),
        refusal::<DecimalText>(text),
        refusal::<Double>(text),
        refusal::<Date>(text),
        refusal::<ZonedTimestamp>(text),
        refusal::<Interval>(text),
        refusal::<RangeText<i32>>(text),
        refusal::<Hstore>(text),
        refusal::<Hstore>(r#"{"__debezium_unavailable_value":"__debezium_unavailable_value"}"#),
    ] {
        assert!(
            words.contains("the placeholder of an unchanged TOAST value"),
            "{words}"
        );
        assert!(words.contains("take `Toast<_>`"), "{words}");
    }
}

fn told_without_its_value(words: &str, part: &str) {
    assert!(words.contains(part), "{words} / {part}");
    assert!(!words.contains("secret"), "{words}");
}

#[test]
fn what_is_no_decimal_is_told_without_its_value() {
    for (words, part) in [
        (refusal::<Decimal<2>>(r#""12.34""#), "take `DecimalText`"),
        (
            refusal::<Decimal<2>>(r#"{"scale":4,"value":"AYr3"}"#),
            "take `VariableScaleDecimal`",
        ),
        (refusal::<DecimalText>(r#""BNI=""#), "take `Decimal<SCALE>`"),
        (
            refusal::<DecimalText>(r#""secret""#),
            "text, expected a decimal in text",
        ),
        (
            refusal::<VariableScaleDecimal>(r#"{"scale":"secret"}"#),
            "an object, expected a decimal with its scale",
        ),
        (
            refusal::<VariableScaleDecimal>(r#"{"scale":4294967295,"value":"AYr3"}"#),
            "an object, expected a decimal with its scale",
        ),
        (
            refusal::<Decimal<2>>("null"),
            "null, expected a decimal as base64 or a number",
        ),
        (refusal::<Decimal<2>>("[1]"), "sequence, expected"),
        (refusal::<Decimal<2>>("true"), "boolean, expected"),
        (
            refusal::<Decimal<2>>("1e999999999"),
            "a number out of range, expected",
        ),
        (refusal::<Decimal<2>>(r#""""#), "text, expected"),
    ] {
        told_without_its_value(&words, part);
    }
}

#[test]
fn what_is_no_time_or_other_column_is_told_without_its_value() {
    for (words, part) in [
        (
            refusal::<Time<Millis>>("86400001"),
            "a number out of range, expected a time of day",
        ),
        (
            refusal::<Time<Nanos>>("-1"),
            "a number out of range, expected a time of day",
        ),
        (
            refusal::<Date>("9999999999"),
            "a number out of range, expected the days of a date",
        ),
        (
            refusal::<Timestamp<Micros>>("9223372036854775808"),
            "a number out of range, expected a timestamp",
        ),
        (
            refusal::<Timestamp<Micros>>(r#""secret""#),
            "text, expected a timestamp as a number",
        ),
        (
            refusal::<Timestamp<Nanos>>("-8177548578871345152"),
            "a number out of range, expected a timestamp",
        ),
        (
            refusal::<Timestamp<Nanos>>("-29575808000"),
            "a number out of range, expected a timestamp",
        ),
        (refusal::<Timestamp<Micros>>("1.5"), "floating point"),
        (
            refusal::<ZonedTimestamp>("15"),
            "a number out of range, expected a timestamp with an offset",
        ),
        (
            refusal::<ZonedTimestamp>(r#""2017-09-15T11:51:30""#),
            "text, expected a timestamp with an offset",
        ),
        (
            refusal::<ZonedTime>(r#""25:00:00Z""#),
            "text, expected a time of day",
        ),
        (refusal::<Interval>(r#""P""#), "text, expected an interval"),
        (
            refusal::<Interval>(r#""P1S""#),
            "text, expected an interval",
        ),
        (
            refusal::<JsonText<i64>>(r#""\"secret\"""#),
            "text with other JSON, expected JSON of `i64`",
        ),
        (
            refusal::<JsonText<i64>>(r#"{"secret":1}"#),
            "map, expected text that holds JSON",
        ),
        (
            refusal::<JsonText<i64>>(r#""secret""#),
            "text, expected text that holds JSON",
        ),
        (
            refusal::<Bytes>(r#""se!cret""#),
            "text, expected bytes as base64",
        ),
        (
            refusal::<HexBytes>(r#""secret""#),
            "text, expected bytes as hexadecimal digits",
        ),
        (
            refusal::<Real>("1e300"),
            "a number out of range, expected a number of 32 bits",
        ),
        (
            refusal::<RangeText<i32>>(r#""[secret,1)""#),
            "text, expected a range",
        ),
        (refusal::<Toast<i64>>(r#""secret""#), "string, expected i64"),
    ] {
        told_without_its_value(&words, part);
    }
}

#[test]
fn bounds_of_ranges_may_be_quoted_or_absent() {
    type Text = RangeText<String>;
    let range = |lower, upper| RangeText::Range(lower, upper);
    let is = |text: &str| Bound::Included(text.to_owned());
    for (json, expected) in [
        (
            r#""[2017-01-01 00:00:00,)""#,
            range(is("2017-01-01 00:00:00"), Bound::Unbounded),
        ),
        (
            r#""[\"a,\\\"b\",\"c\"\"d\\\\\"]""#,
            range(is("a,\"b"), is("c\"d\\")),
        ),
        (r#""[\"\",b]""#, range(is(""), is("b"))),
        (r#""(,)""#, range(Bound::Unbounded, Bound::Unbounded)),
    ] {
        assert_eq!(read::<Text>(json), expected, "{json}");
        let written = serde_json::to_string(&expected).unwrap();
        assert_eq!(read::<Text>(&written), expected, "{written}");
    }
    for json in [
        r#""""#,
        r#""[1""#,
        r#""[1,2""#,
        r#""1,2)""#,
        r#""[1,2)x""#,
        r#""[\"1,2)""#,
    ] {
        assert!(serde_json::from_str::<Text>(json).is_err(), "{json}");
    }
    assert!(!RangeText::<i32>::Empty.contains(&1));
}

#[test]
fn bits_are_counted_from_the_last() {
    let bits: Bits = read(r#""AAAAAAAAAAAB""#);

    assert!(bits.bit(64) && !bits.bit(0) && !bits.bit(1_000));
    assert_eq!(bits.to_u64(), None);
    assert_eq!(read::<Bits>(r#""/w==""#).to_u64(), Some(255));
}

#[test]
fn no_mutation_of_a_value_panics() {
    let seeds = [
        r#""BNI=""#,
        "12.34",
        r#"{"scale":4,"value":"AYr3"}"#,
        r#""2017-09-15T11:51:30.123456Z""#,
        r#""P1Y2M3DT4H5M6.78S""#,
        r#""[\"a\",b)""#,
        r#"["__debezium_unavailable_value"]"#,
        "[95,95,100]",
        r#""+21016-11-04T22:00:00+18:00""#,
    ];
    let alphabet = b"\"\\[](){},.:+-0159eEPTZSz_/=";
    for seed in seeds {
        for at in 0..=seed.len() {
            for byte in alphabet {
                for len in 0..=2.min(seed.len() - at) {
                    let mut mutated = seed.as_bytes().to_vec();
                    mutated.splice(at..at + len, [*byte]);
                    let Ok(json) = String::from_utf8(mutated) else {
                        continue;
                    };
                    let _ = serde_json::from_str::<Decimal<2>>(&json);
                    let _ = serde_json::from_str::<DecimalText>(&json);
                    let _ = serde_json::from_str::<VariableScaleDecimal>(&json);
                    let _ = serde_json::from_str::<Date>(&json);
                    let _ = serde_json::from_str::<Time<Nanos>>(&json);
                    let _ = serde_json::from_str::<ZonedTime>(&json);
                    let _ = serde_json::from_str::<Timestamp<Millis>>(&json);
                    let _ = serde_json::from_str::<ZonedTimestamp>(&json);
                    let _ = serde_json::from_str::<Interval>(&json);
                    let _ = serde_json::from_str::<RangeText<String>>(&json);
                    let _ = serde_json::from_str::<Bytes>(&json);
                    let _ = serde_json::from_str::<HexBytes>(&json);
                    let _ = serde_json::from_str::<Hstore>(&json);
                    let _ = serde_json::from_str::<Toast<Vec<i32>>>(&json);
                }
            }
        }
    }
}
