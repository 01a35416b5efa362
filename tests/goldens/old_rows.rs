//! What the old row of an event is worth, by the table's replica identity.

use kafka_runtime::column::JsonText;
use kafka_runtime::{Change, DatabaseEvent, FromRecord, OldRow};
use serde::Deserialize;

use crate::golden::Configuration;
use crate::rows::{Users, UsersFull};

/// Some columns of `strict`.
#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "only decoded")]
struct Strict {
    id: i32,
    t: String,
    j: JsonText<serde_json::Value>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Id {
    id: i32,
}

fn deleted<T: for<'m> Deserialize<'m>>(
    configuration: &Configuration,
    table: &str,
    case: &str,
) -> OldRow<T> {
    let golden = configuration.by_case(table)[case].last().unwrap().record();
    match DatabaseEvent::<T>::from_record(&golden).unwrap().change {
        Change::Delete { before: Some(old) } => old,
        _ => panic!("{case} is no delete"),
    }
}

#[test]
fn by_default_the_key_is_true_and_the_rest_is_made_up() {
    let bare = Configuration::read("bare");
    let old = deleted::<Users>(&bare, "users", "default/delete");

    assert_eq!(old.key::<Id>().unwrap(), Id { id: 11 });
    // The address was cy@example.net, the balance 1.50.
    let row = old.parse().unwrap();
    assert_eq!(row.email.as_option().map(String::as_str), Some(""));
    assert_eq!(row.balance.to_string(), "0.00");
    assert!(row.active);
}

#[test]
fn an_old_row_may_not_even_decode_though_its_event_is_good() {
    let bare = Configuration::read("bare");
    let old = deleted::<Strict>(&bare, "strict", "default/delete-of-strict-columns");

    let error = old.parse().unwrap_err().to_string();

    assert_eq!(old.key::<Id>().unwrap(), Id { id: 1 });
    // JSON is `""` there.
    assert!(error.contains("`j`: invalid value"), "{error}");
}

#[test]
fn with_replica_identity_full_all_of_it_is_true() {
    let bare = Configuration::read("bare");
    let old = deleted::<UsersFull>(&bare, "users_full", "full/delete")
        .parse()
        .unwrap();

    assert_eq!(
        old.email.as_option().map(String::as_str),
        Some("cy@example.net")
    );
    assert_eq!(old.balance.to_string(), "1.50");

    let cases = bare.by_case("users_full");
    let update = DatabaseEvent::<UsersFull>::from_record(&cases["full/update"][0].record())
        .unwrap()
        .change;
    let Change::Update {
        before: Some(before),
        after,
    } = update
    else {
        panic!("no old row");
    };
    assert_eq!(
        before
            .parse()
            .unwrap()
            .email
            .as_option()
            .map(String::as_str),
        Some("cy@example.org")
    );
    assert_eq!(
        after.email.as_option().map(String::as_str),
        Some("cy@example.net")
    );
}

#[test]
fn only_full_rows_tell_what_an_update_changed() {
    let bare = Configuration::read("bare");
    let email = |case: &str| {
        let record = bare.by_case("users_full")[case][0].record();
        let event = DatabaseEvent::<UsersFull>::from_record(&record).unwrap();
        event.changed(|row| &row.email)
    };
    let default =
        DatabaseEvent::<Users>::from_record(&bare.by_case("users")["default/update"][0].record());

    assert_eq!(email("full/update"), Some(true));
    assert_eq!(email("full/update-without-changes"), Some(false));
    assert_eq!(default.unwrap().changed(|row| &row.email), None);
}
