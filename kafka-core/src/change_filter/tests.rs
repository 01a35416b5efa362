//! Every kind of record that a filter can meet.

use super::*;

const CODES_OF_OPERATIONS: [&str; 6] = ["c", "r", "u", "d", "t", "m"];

const SOURCE: &str = r#"{"connector":"postgresql","lsn":1,"tags":[["a"],{"b":{}}]}"#;

fn operations(codes: &str) -> Vec<Operation> {
    let codes = codes.chars().map(String::from);
    codes.map(|code| Operation::of_code(&code)).collect()
}

fn ops(codes: &str) -> ChangeFilter {
    ChangeFilter::new(Some(&operations(codes)), None).unwrap()
}

fn changed(columns: &[&str]) -> ChangeFilter {
    let columns: Vec<_> = columns.iter().map(|&column| column.to_owned()).collect();
    ChangeFilter::new(None, Some(&columns)).unwrap()
}

fn takes(filter: &ChangeFilter, json: &str) -> bool {
    filter.takes(Some(json.as_bytes()))
}

fn envelope(op: &str, before: &str, after: &str) -> String {
    format!(
        r#"{{"before":{before},"after":{after},"source":{SOURCE},"transaction":null,"op":"{op}","ts_ms":1,"ts_us":1,"ts_ns":1}}"#
    )
}

fn update(before: &str, after: &str) -> String {
    envelope("u", before, after)
}

fn wrapped(payload: &str) -> String {
    format!(
        r#"{{"schema":{{"type":"struct","fields":[{{"field":"op"}},{{"field":"before"}}]}},"payload":{payload}}}"#
    )
}

#[test]
fn a_filter_of_nothing_is_none() {
    assert_eq!(ChangeFilter::new(None, None), None);
    assert_eq!(ChangeFilter::new(None, Some(&[])), None);
}

#[test]
fn operations_are_told_apart_whether_wrapped_or_bare() {
    for wanted in CODES_OF_OPERATIONS {
        for sent in CODES_OF_OPERATIONS {
            let json = envelope(sent, r#"{"id":1}"#, r#"{"id":1}"#);

            let is_wanted = wanted == sent;
            assert_eq!(takes(&ops(wanted), &json), is_wanted, "{wanted} {sent}");
            assert_eq!(
                takes(&ops(wanted), &wrapped(&json)),
                is_wanted,
                "{wanted} {sent}"
            );
        }
    }
}

#[test]
fn a_message_has_no_rows() {
    let json = r#"{"op":"m","ts_ms":1,"source":{},"transaction":null,"message":{"prefix":"p","content":"YQ=="}}"#;

    assert!(takes(&ops("m"), json));
    assert!(!takes(&ops("cud"), json));
}

#[test]
fn the_order_of_fields_and_blanks_between_them_do_not_matter() {
    let json = " {\n \"op\" : \"u\" ,\"after\": { \"id\" : 1 } , \"before\" :{\"id\":1} }\n";
    let turned = r#"{"payload":{"op":"u","before":{"id":1},"after":{"id":1}},"schema":null}"#;

    for json in [json, turned] {
        assert!(!takes(&ops("c"), json));
        assert!(takes(&ops("u"), json));
        assert!(!takes(&changed(&["id"]), json));
    }
}

#[test]
fn an_operation_that_this_version_does_not_know_passes() {
    for op in ["x", "create", "", "C", "c\\u0020"] {
        let json = envelope(op, "null", r#"{"id":1}"#);

        assert!(takes(&ops("c"), &json), "{op}");
    }
}

#[test]
fn what_is_no_event_passes() {
    let whole = envelope("d", r#"{"id":1}"#, "null");
    for json in [
        "",
        " ",
        "hello",
        "7",
        "true",
        "[]",
        "\"d\"",
        "{}",
        r#"{"id":1,"op":"d"}"#,
        r#"{"id":1,"op":7,"before":{}}"#,
        r#"{"op":null,"source":{}}"#,
        r#"{"before":null,"after":null,"source":{}}"#,
        r#"{"op":"d","before":null,"after":"x","source":7}"#,
        r#"{"op":"d","op":"d","before":{}}"#,
        r#"{"op":"d","before":{},"before":{}}"#,
        r#"{"schema":{},"payload":7}"#,
        r#"{"schema":{},"payload":{}}"#,
        &whole[..whole.len() - 1],
        &format!("{whole}}}"),
        &whole.replace("null", "nul"),
    ] {
        assert!(takes(&ops("c"), json), "{json}");
        assert!(takes(&changed(&["id"]), json), "{json}");
    }
    let mut bytes = whole.into_bytes();
    let place = bytes.iter().position(|byte| *byte == b'p').unwrap();
    bytes[place] = 0xff;
    assert!(ops("c").takes(Some(&bytes)));
}

#[test]
fn nesting_without_end_is_no_trouble() {
    let deep = "[".repeat(100_000);
    let closed = format!("{deep}{}", "]".repeat(100_000));

    assert!(takes(&ops("c"), &deep));
    assert!(!takes(&ops("c"), &update("null", &closed)));
    assert!(takes(&changed(&["id"]), &update(&closed, &deep)));
}

#[test]
fn a_tombstone_goes_with_the_deletes() {
    for tombstone in [
        None,
        Some("null"),
        Some(" null\n"),
        Some(&*wrapped("null")),
        Some(r#"{"schema":null,"payload":null}"#),
    ] {
        let value = tombstone.map(str::as_bytes);

        assert!(!ops("cu").takes(value), "{tombstone:?}");
        assert!(ops("cd").takes(value), "{tombstone:?}");
        assert!(changed(&["id"]).takes(value), "{tombstone:?}");
    }
}

#[test]
fn a_table_may_have_columns_with_the_names_of_the_envelope() {
    let row = r#"{"schema":"s","payload":{"op":"c","before":1},"op":"c","before":1,"after":2}"#;
    let json = envelope("d", row, "null");
    let flattened = r#"{"schema":"s","payload":{"op":"d","before":null},"__op":"u"}"#;
    let with_op = r#"{"op":"d","before":{},"source":{},"__op":"u","__deleted":"false"}"#;

    assert!(!takes(&ops("c"), &json));
    assert!(takes(&ops("d"), &json));
    assert!(!takes(&ops("c"), &wrapped(&json)));
    for json in [flattened, with_op] {
        assert!(!takes(&ops("d"), json), "{json}");
        assert!(takes(&ops("u"), json), "{json}");
    }
    // Only the outermost pair is of the converter.
    let pair = r#"{"schema":{},"payload":{"op":"d","before":{}}}"#;
    assert!(takes(&ops("c"), &wrapped(pair)));
}

#[test]
fn a_flattened_row_goes_by_what_it_says_of_itself() {
    for (fields, taken) in [
        (r#""__op":"c""#, "c"),
        (r#""__op":"r","__table":"users""#, "r"),
        (r#""__op":"u","__deleted":"false""#, "u"),
        (r#""__op":"d","__deleted":"true""#, "d"),
        (r#""__deleted":"true""#, "d"),
        (r#""__deleted":true"#, "d"),
        // Not deleted: it may be any of these.
        (r#""__deleted":"false""#, "cru"),
        // It does not say.
        (r#""__op":7"#, "crudtm"),
        (r#""__deleted":"maybe""#, "crudtm"),
        (r#""__op":"x""#, "crudtm"),
        (r#""name":"a""#, "crudtm"),
    ] {
        let json = format!(r#"{{"id":1,{fields}}}"#);
        for code in CODES_OF_OPERATIONS {
            let is_taken = taken.contains(code);

            assert_eq!(takes(&ops(code), &json), is_taken, "{json} {code}");
            assert_eq!(
                takes(&ops(code), &wrapped(&json)),
                is_taken,
                "{json} {code}"
            );
        }
        assert!(takes(&changed(&["id"]), &json), "{json}");
    }
}

#[test]
fn an_update_passes_if_one_of_the_columns_differs() {
    let json = update(
        r#"{"id":1,"email":"a","name":"x","tags":["p"]}"#,
        r#"{"id":1,"email":"b","name":"x","tags":["q"]}"#,
    );

    assert!(takes(&changed(&["email"]), &json));
    assert!(takes(&changed(&["tags"]), &json));
    assert!(takes(&changed(&["name", "email"]), &json));
    assert!(!takes(&changed(&["name"]), &json));
    assert!(!takes(&changed(&["name", "id", "name"]), &json));
    assert!(!takes(&changed(&["name"]), &wrapped(&json)));
}

#[test]
fn a_column_that_became_null_or_was_has_changed() {
    assert!(takes(
        &changed(&["a"]),
        &update(r#"{"a":null}"#, r#"{"a":0}"#)
    ));
    assert!(takes(
        &changed(&["a"]),
        &update(r#"{"a":0}"#, r#"{"a":null}"#)
    ));
    assert!(!takes(
        &changed(&["a"]),
        &update(r#"{"a":null}"#, r#"{"a":null}"#)
    ));
}

#[test]
fn numbers_beyond_any_type_are_compared_by_their_digits() {
    let row = |digits: &str| format!(r#"{{"a":{digits}}}"#);
    let large = "12345678901234567890123456789.01";

    let same = update(&row(large), &row(large));
    let next = update(&row(large), &row(&large.replace(".01", ".02")));

    assert!(!takes(&changed(&["a"]), &same));
    assert!(takes(&changed(&["a"]), &next));
}

#[test]
fn names_of_columns_are_read_as_json_and_taken_exactly() {
    let json = update(
        "{\"na\\u006de\":1,\"\u{e9}t\u{e9}\":1}",
        "{\"name\":1,\"\u{e9}t\u{e9}\":1}",
    );

    assert!(!takes(&changed(&["name"]), &json));
    assert!(!takes(&changed(&["\u{e9}t\u{e9}"]), &json));
    assert!(takes(&changed(&["Name"]), &json));
}

#[test]
fn an_update_passes_if_nobody_can_know() {
    for (before, after) in [
        ("null", r#"{"a":1}"#),
        (r#"{"b":1}"#, r#"{"a":1}"#),
        (r#"{"a":1}"#, r#"{"b":1}"#),
        (r#"{"b":1}"#, r#"{"b":1}"#),
        (r#"{"a":1,"a":1}"#, r#"{"a":1}"#),
        (r#"{"a":1}"#, "null"),
        ("7", r#"{"a":1}"#),
        ("[]", "[]"),
    ] {
        assert!(takes(&changed(&["a"]), &update(before, after)), "{before}");
    }
    assert!(takes(&changed(&["a"]), r#"{"op":"u","source":{}}"#));
    assert!(takes(
        &changed(&["a"]),
        r#"{"op":"u","after":{"a":1},"source":{}}"#
    ));
}

#[test]
fn only_updates_are_looked_into() {
    for op in ["c", "r", "d", "t", "m", "x"] {
        let json = envelope(op, r#"{"a":1}"#, r#"{"a":1}"#);

        assert!(takes(&changed(&["a"]), &json), "{op}");
    }
}

#[test]
fn a_large_value_that_the_update_did_not_touch_is_unchanged() {
    let forms = [
        r#""__debezium_unavailable_value""#,
        r#""X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==""#,
        r#"["__debezium_unavailable_value"]"#,
        "[95,95,100,101,98,101,122,105,117,109,95,117,110,97,118,97,105,108,97,98,108,101,95,118,97,108,117,101]",
        r#"["b68a35a7-17ad-35b3-af2a-ae46edb4545a"]"#,
        r#"{"__debezium_unavailable_value":"__debezium_unavailable_value"}"#,
        r#""{\"__debezium_unavailable_value\":\"__debezium_unavailable_value\"}""#,
    ];
    for form in forms {
        let after = format!(r#"{{"id":1,"bio":{form}}}"#);
        let before = r#"{"id":1,"bio":"long"}"#;

        assert!(
            !takes(&changed(&["bio"]), &update(before, &after)),
            "{form}"
        );
        // The default replica identity has no old row.
        assert!(
            !takes(&changed(&["bio"]), &update("null", &after)),
            "{form}"
        );
        assert!(takes(&changed(&["bio", "id"]), &update("null", &after)));
    }
    // Of other types it is null, which says nothing.
    let after = r#"{"bio":null}"#;
    assert!(takes(&changed(&["bio"]), &update("null", after)));
    assert!(takes(&changed(&["bio"]), &update(r#"{"bio":"x"}"#, after)));
}

#[test]
fn both_options_have_to_agree() {
    let both = ChangeFilter::new(Some(&operations("cu")), Some(&["a".to_owned()])).unwrap();
    let (same, other) = (r#"{"a":1}"#, r#"{"a":2}"#);

    assert!(takes(&both, &envelope("c", "null", same)));
    assert!(takes(&both, &update(same, other)));
    assert!(!takes(&both, &update(same, same)));
    assert!(!takes(&both, &envelope("d", same, "null")));
}

#[test]
fn it_is_shown_as_it_was_written() {
    let both = ChangeFilter::new(
        Some(&operations("uc")),
        Some(&["name".to_owned(), "email".to_owned()]),
    );

    assert_eq!(both.unwrap().to_string(), "ops u,c; changed email,name");
    assert_eq!(ops("d").to_string(), "ops d");
    assert_eq!(changed(&["a"]).to_string(), "changed a");
}
