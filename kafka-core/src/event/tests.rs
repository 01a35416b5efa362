use std::borrow::Cow;

use serde::Deserialize;

use super::*;

#[derive(Debug, PartialEq, Deserialize)]
struct Row<'m> {
    id: i64,
    #[serde(borrow)]
    name: Cow<'m, str>,
}

fn event(json: &str) -> DatabaseEvent<Row<'_>> {
    serde_json::from_str(json).unwrap()
}

fn error(json: &str) -> String {
    crate::field::decode::<DatabaseEvent<Row<'_>>>("value", json)
        .err()
        .unwrap()
        .to_string()
}

#[test]
fn an_update_without_an_old_row_has_none() {
    let event =
        event(r#"{"before":null,"after":{"id":1,"name":"a"},"source":{},"op":"u","ts_ms":1}"#);

    assert!(matches!(event.change, Change::Update { before: None, .. }));
    assert_eq!(event.op(), Operation::Update);
    assert_eq!(event.changed(|row| &row.id), None);
}

#[test]
fn an_old_row_is_decoded_on_request_and_never_shown() {
    let event = event(r#"{"before":{"id":1,"name":"secret"},"after":null,"op":"d","ts_ms":1}"#);

    assert!(!format!("{:?}", event.before()).contains("secret"));
    assert_eq!(event.before().unwrap().parse().unwrap().name, "secret");
}

#[test]
fn an_old_row_that_does_not_fit_is_no_error_until_it_is_read() {
    let event = event(r#"{"before":{"id":"x"},"after":{"id":1,"name":"a"},"op":"u","ts_ms":1}"#);

    let error = event.before().unwrap().parse().unwrap_err().to_string();

    assert!(error.contains("before does not fit"), "{error}");
    assert!(
        error.contains("`id`: invalid type: string, expected i64"),
        "{error}"
    );
    assert_eq!(event.after().unwrap().id, 1);
    assert_eq!(event.changed(|row| &row.id), None);
}

#[test]
fn the_key_of_an_old_row_is_read_alone() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Id {
        id: i64,
    }
    let event = event(r#"{"before":{"id":1,"name":null},"after":null,"op":"d"}"#);
    let old = event.before().unwrap();

    assert_eq!(old.key::<Id>(), Ok(Id { id: 1 }));
    assert_eq!(old.column::<i64>("id"), Ok(Some(1)));
    assert_eq!(old.column::<String>("email"), Ok(None));
    assert!(old.column::<String>("name").is_err());
    assert!(old.parse().is_err());
}

#[test]
fn an_unknown_operation_is_kept() {
    let event = event(r#"{"before":null,"after":null,"op":"x","ts_ms":1}"#);

    assert!(matches!(event.change, Change::Other { op } if op == "x"));
}

#[test]
fn an_event_may_have_its_schema_around_it() {
    let wrapped = event(
        r#"{"schema":{"type":"struct","fields":[{"field":"op"}]},"payload":{"after":{"id":1,"name":"a"},"op":"c","ts_ms":5}}"#,
    );
    let reversed = event(r#"{"payload":{"after":{"id":1,"name":"a"},"op":"c"},"schema":null}"#);

    assert_eq!(wrapped.after(), reversed.after());
    assert_eq!((wrapped.op(), wrapped.ts_ms), (Operation::Create, Some(5)));
}

#[test]
fn columns_may_be_called_as_the_parts_of_an_envelope_are() {
    #[derive(Deserialize)]
    struct Odd {
        payload: String,
        schema: String,
        op: i64,
        before: bool,
    }
    let row = r#"{"payload":"p","schema":"s","op":7,"before":true}"#;
    let json = format!(r#"{{"before":null,"after":{row},"op":"c"}}"#);

    let event: DatabaseEvent<Odd> = serde_json::from_str(&json).unwrap();

    let odd = event.after().unwrap();
    assert_eq!((&*odd.payload, &*odd.schema), ("p", "s"));
    assert_eq!((odd.op, odd.before), (7, true));
}

#[test]
fn a_message_has_no_rows() {
    let event = event(
        r#"{"op":"m","ts_ms":1,"source":{"lsn":5},"transaction":null,"message":{"prefix":"p","content":"aGk="}}"#,
    );

    let Change::Message { prefix, content } = event.change else {
        panic!("{event:?}");
    };
    assert_eq!(prefix, "p");
    assert_eq!(content.base64().unwrap(), b"hi");
    assert_eq!(content.encoded(), "aGk=");
    assert!(content.hex().is_err());
}

#[test]
fn what_is_wrong_with_an_event_is_told_with_its_column() {
    for (json, words) in [
        (r#"{"after":null,"op":"c"}"#, "missing field `after`"),
        (
            r#"{"before":null,"after":null,"op":"u"}"#,
            "missing field `after`",
        ),
        (r#"{"id":7,"op":"d"}"#, "missing field `source`"),
        (r#"{"id":7,"op":"buy"}"#, "missing field `source`"),
        (
            r#"{"op":"c","after":{"id":1,"name":"a"},"after":null}"#,
            "duplicate field `after`",
        ),
        (
            r#"{"payload":{"op":"c","after":{"id":1,"name":"a"}}}"#,
            "missing field `schema`",
        ),
        (r#"{"op":"m","source":{}}"#, "missing field `message`"),
        (r#"{"after":{"id":1,"name":"a"}}"#, "missing field `op`"),
        (r#"{"op":"c","op":"d"}"#, "duplicate field `op`"),
        (r#"{"op":7,"after":null}"#, "`op`: invalid type: integer"),
        (r#"{"op":"c","ts_ms":"x"}"#, "`ts_ms`: invalid type: string"),
        (
            r#"{"op":"c","source":"users"}"#,
            "invalid type: string, expected the source of a change",
        ),
        (
            r#"{"op":"d","after":{"id":1}}"#,
            "`after`: missing field `name`",
        ),
        (
            r#"{"after":{"id":"hunter2","name":"a"},"op":"c"}"#,
            "`after.id`: invalid type: string, expected i64",
        ),
        (
            r#"{"after":{"name":"a","id":1e3},"op":"c"}"#,
            "`after.id`: invalid type: floating point",
        ),
        (
            r#"{"after":{"id":99999999999999999999,"name":"a"},"op":"c"}"#,
            "`after.id`: invalid type: floating point",
        ),
        (
            r#"{"schema":null,"payload":{"after":{"id":true,"name":"a"},"op":"c"}}"#,
            "`after.id`: invalid type: boolean",
        ),
        (
            r#"{"schema":null,"payload":null}"#,
            "invalid type: null, expected a change event",
        ),
        (
            r#"{"id":1,"name":"a","__deleted":"false"}"#,
            "missing field `op` (no part of an envelope is there",
        ),
        ("[1]", "invalid type: sequence, expected a change event"),
        (
            r#"{"op":"c","payload":{"op":"c","after":{"id":1,"name":"a"}}}"#,
            "duplicate field `payload`",
        ),
    ] {
        let told = error(json);

        assert!(told.contains(words), "{json}: {told}");
        assert!(
            !told.contains("hunter2") && !told.contains("9999"),
            "{told}"
        );
    }
}

#[test]
fn sources_of_other_connectors_keep_their_rest() {
    let source: Source = serde_json::from_str(
        r#"{"version":"3.2.1.Final","connector":"oracle","name":"o","ts_ms":5,"snapshot":true,"db":"X","sequence":null,
            "schema":"S","table":null,"txId":"0a000b00","scn":"123","ssn":0}"#,
    )
    .unwrap();

    assert_eq!(source.snapshot, Snapshot::Yes);
    assert_eq!(source.tx_id, Some(Scalar::Text("0a000b00".into())));
    assert_eq!(source.get::<String>("scn"), Ok(Some("123".into())));
    assert_eq!(source.get::<String>("absent"), Ok(None));
    assert!(source.get::<String>("ssn").is_err());
    assert_eq!((source.table.as_str(), source.lsn()), ("", None));
}

#[test]
fn every_kind_of_snapshot_is_known() {
    for (json, snapshot, is_one) in [
        ("null", Snapshot::No, false),
        ("false", Snapshot::No, false),
        (r#""false""#, Snapshot::No, false),
        ("true", Snapshot::Yes, true),
        (r#""first""#, Snapshot::First, true),
        (
            r#""first_in_data_collection""#,
            Snapshot::FirstInDataCollection,
            true,
        ),
        (
            r#""last_in_data_collection""#,
            Snapshot::LastInDataCollection,
            true,
        ),
        (r#""last""#, Snapshot::Last, true),
        (r#""incremental""#, Snapshot::Incremental, true),
        (r#""new""#, Snapshot::Other("new".into()), true),
    ] {
        let read: Snapshot = serde_json::from_str(json).unwrap();

        assert_eq!(read.is_snapshot(), is_one, "{json}");
        assert_eq!(read, snapshot);
    }
    assert!(serde_json::from_str::<Snapshot>("7").is_err());
}

#[test]
fn a_flattened_delete_has_an_old_row() {
    let json = r#"{"id":1,"name":"","__deleted":"true","__op":"d"}"#;

    let event: FlatEvent<Row<'_>> = serde_json::from_str(json).unwrap();

    let FlatChange::Delete { row } = &event.change else {
        panic!("{event:?}");
    };
    assert_eq!(row.column::<i64>("id"), Ok(Some(1)));
    assert_eq!((event.op(), event.row()), (Some(Operation::Delete), None));
}

#[test]
fn a_flattened_row_may_be_null_or_have_its_schema() {
    let wrapped = "{\n\"schema\":{},\"payload\":{\"id\":1,\"name\":\"a\"}}";

    let event: FlatEvent<Row<'_>> = serde_json::from_str(wrapped).unwrap();
    let none: Option<FlatEvent<Row<'_>>> = serde_json::from_str("null").unwrap();

    assert_eq!(event.row().map(|row| row.id), Some(1));
    assert!(none.is_none() && event.op().is_none() && event.added.is_empty());
}

#[test]
fn the_column_of_a_flattened_row_is_told() {
    type Event<'m> = FlatEvent<Row<'m>>;
    for json in [
        r#"{"id":"hunter2","name":"a"}"#,
        r#"{"schema":{},"payload":{"id":"hunter2","name":"a"}}"#,
        "{\"schema\":{},\n \"payload\":{\"name\":\"a\",\n \"id\":\"hunter2\"}}",
    ] {
        let told = crate::field::decode::<Event<'_>>("value", json)
            .err()
            .unwrap()
            .to_string();

        assert!(
            told.contains("`id`: invalid type: string, expected i64"),
            "{told}"
        );
        assert!(!told.contains("hunter2"), "{told}");
    }
}

#[test]
fn small_records_may_have_their_schema_too() {
    let beat: Heartbeat = serde_json::from_str(r#"{"schema":{},"payload":{"ts_ms":5}}"#).unwrap();
    let begin: TransactionMarker = serde_json::from_str(
        r#"{"schema":{},"payload":{"status":"BEGIN","id":"7:8","event_count":null,"data_collections":null,"ts_ms":5}}"#,
    )
    .unwrap();

    assert_eq!(beat.ts_ms, 5);
    assert_eq!((begin.tx_id(), begin.data_collections.len()), ("7", 0));
}
