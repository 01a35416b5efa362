//! What makes a change one change, and what becomes of a key that changes.

use std::collections::HashMap;

use kafka_runtime::{BatchRecord, Change, ChangeId, DatabaseEvent, FromRecord, KeyChange};
use serde::Deserialize;
use serde_json::Value;

use crate::golden::{Configuration, Golden};

#[test]
fn no_two_changes_share_an_identity() {
    let mut with_one = 0;
    for configuration in Configuration::all() {
        let mut seen = HashMap::new();
        for golden in &configuration.goldens {
            let Some(id) = ChangeId::of(&golden.record()) else {
                continue;
            };
            with_one += 1;
            if let Some(other) = seen.insert(id.to_string(), golden) {
                panic!("{id} is of {} and of {}", other.case, golden.case);
            }
        }
    }
    assert!(with_one > 500, "{with_one}");
}

#[test]
fn every_change_of_a_row_with_a_key_has_an_identity() {
    let bare = Configuration::read("bare");
    for golden in &bare.goldens {
        let is_change = golden.table().is_some() && golden.is_value() && golden.key.is_some();
        assert_eq!(
            ChangeId::of(&golden.record()).is_some(),
            is_change || is_of_no_row(golden),
            "{}",
            golden.case
        );
    }
}

/// A truncate has no key, but is of a whole table; a message has a key of its own.
fn is_of_no_row(golden: &Golden) -> bool {
    let op = golden.json()["op"].clone();
    op == "t" || op == "m"
}

/// All rows of one COPY have one position, and without a key nothing tells them apart.
#[test]
fn rows_of_one_copy_share_their_position() {
    let bare = Configuration::read("bare");
    let copied: Vec<&Golden> = bare
        .of_table("keyless")
        .filter(|golden| golden.case == "keyless/copy")
        .collect();

    let positions = copied.iter().map(|golden| {
        let source = DatabaseEvent::<Value>::from_record(&golden.record())
            .unwrap()
            .source;
        (source.lsn(), source.sequence.clone())
    });
    let mut positions: Vec<_> = positions.collect();
    positions.dedup();

    assert_eq!((copied.len(), positions.len()), (3, 1));
}

#[derive(Debug, PartialEq, Deserialize)]
struct Id {
    id: i32,
}

#[test]
fn a_key_that_changes_is_a_delete_and_a_create_that_name_each_other() {
    for name in ["bare", "wrapped-key", "wrapped"] {
        let configuration = Configuration::read(name);
        let halves: Vec<_> = configuration
            .of_table("users")
            .filter(|golden| golden.case == "default/key-change")
            .map(|golden| {
                let record = golden.record();
                let event = DatabaseEvent::<Value>::from_record(&record).unwrap();
                let key: Id = BatchRecord::for_test((), &record).key_as().unwrap();
                (
                    event.op().code(),
                    key,
                    KeyChange::<Id>::of(&record).unwrap(),
                )
            })
            .collect();

        let expected = [
            ('d', Id { id: 10 }, KeyChange::To(Id { id: 11 })),
            ('c', Id { id: 11 }, KeyChange::From(Id { id: 10 })),
        ];
        assert_eq!(halves, expected, "{name}");
    }
}

#[test]
fn an_ordinary_change_is_no_change_of_the_key() {
    let bare = Configuration::read("bare");
    for golden in bare
        .of_table("users")
        .filter(|golden| golden.case == "default/update")
    {
        assert_eq!(
            KeyChange::<Id>::of(&golden.record()).unwrap(),
            KeyChange::No
        );
    }
}

#[test]
fn the_row_of_a_truncate_is_a_table() {
    let bare = Configuration::read("bare");
    let truncates = bare
        .goldens
        .iter()
        .filter(|golden| golden.case == "truncate/two-tables");
    let tables = truncates.filter_map(|golden| {
        let event = DatabaseEvent::<Value>::from_record(&golden.record()).ok()?;
        matches!(event.change, Change::Truncate).then_some(event.source.table.clone())
    });

    let mut tables: Vec<_> = tables.collect();
    tables.sort();
    assert_eq!(tables, ["truncated", "truncated_too"]);
}
