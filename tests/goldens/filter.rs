//! What handlers with `ops` and `changed` have of it all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use kafka_runtime::testing::TestRuntime;
use kafka_runtime::{Handler, MessagePayload, Operation, Record};
use serde_json::Value;

use super::golden::{Configuration, Golden};

const OPERATIONS: [(char, Operation); 6] = [
    ('c', Operation::Create),
    ('r', Operation::Read),
    ('u', Operation::Update),
    ('d', Operation::Delete),
    ('t', Operation::Truncate),
    ('m', Operation::Message),
];

/// Of each form that a placeholder of unchanged TOAST has here: text, numbers, UUID, base64.
const PLACEHOLDERS: [&str; 4] = ["_unavailable_value", "[95,95,100,", "b68a35a7-", "X19kZWJl"];

/// By group: the numbers of the records that its handler was called with.
type Calls = Arc<Mutex<BTreeMap<String, BTreeSet<usize>>>>;

/// A handler that notes what it is called with; the key of a record is its number.
fn noting(group: &str, calls: &Calls) -> Handler {
    let (calls, name) = (Arc::clone(calls), group.to_owned());
    let handler = Handler::new("goldens", move |record: Record| {
        let number = std::str::from_utf8(record.key().unwrap()).unwrap();
        let number = number.parse().unwrap();
        let mut calls = calls.lock().unwrap();
        calls.entry(name.clone()).or_default().insert(number);
        async {}
    });
    handler.group(group)
}

/// Gives all records of a configuration to handlers.
async fn handle(configuration: &Configuration, handlers: impl IntoIterator<Item = Handler>) {
    let builder = TestRuntime::builder().handlers(handlers);
    let mut test = builder.start().await.unwrap();
    for (number, golden) in configuration.goldens.iter().enumerate() {
        let key = number.to_string();
        let payload = match golden.record().value() {
            Some(value) => MessagePayload::new(value.to_vec()).key(key),
            None => MessagePayload::tombstone(key),
        };
        test.produce("goldens", payload);
    }
    test.idle().await;
    test.stop().await.unwrap();
}

/// Debezium's letter; a tombstone has that of the delete before it. `None` of what is no change event.
fn letter(golden: &Golden) -> Option<char> {
    let json = golden.json();
    let text = |name: &str| json.get(name).and_then(Value::as_str);
    let is_deleted = json.is_null() || text("__deleted") == Some("true");
    let letter = text("__op").or_else(|| text("op").filter(|_| json["source"].is_object()));
    if is_deleted {
        Some('d')
    } else {
        letter?.chars().next()
    }
}

#[tokio::test(start_paused = true)]
async fn handlers_have_the_operations_that_they_ask_for_and_what_is_no_event() {
    let mut counts = BTreeMap::<_, u32>::new();
    for configuration in Configuration::all() {
        let calls = Calls::default();
        let handlers = OPERATIONS
            .map(|(letter, operation)| noting(&letter.to_string(), &calls).operations([operation]));

        handle(&configuration, handlers).await;

        let calls = calls.lock().unwrap();
        for (number, golden) in configuration.goldens.iter().enumerate() {
            let letter = letter(golden);
            *counts.entry(letter).or_default() += 1;
            for (asked, _) in OPERATIONS {
                let group = calls.get(&asked.to_string());
                let is_handled = group.is_some_and(|group| group.contains(&number));
                let (name, case) = (&configuration.name, &golden.case);
                assert_eq!(
                    is_handled,
                    letter.is_none_or(|letter| letter == asked),
                    "{asked}: {name}, {case}"
                );
            }
        }
    }
    assert_eq!(counts.len(), OPERATIONS.len() + 1, "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn handlers_have_the_updates_of_the_columns_that_they_ask_for() {
    let configuration = Configuration::read("bare");
    let columns: BTreeSet<String> = configuration
        .goldens
        .iter()
        .filter(|golden| letter(golden) == Some('u'))
        .flat_map(|golden| match &golden.json()["after"] {
            Value::Object(row) => row.keys().cloned().collect(),
            _ => Vec::new(),
        })
        .collect();
    let calls = Calls::default();
    let handlers = columns.iter().map(|column| {
        let handler = noting(&format!("g.{column}"), &calls);
        handler.changed([column])
    });

    handle(&configuration, handlers).await;

    let calls = calls.lock().unwrap();
    let mut counts = BTreeMap::<_, u32>::new();
    for (number, golden) in configuration.goldens.iter().enumerate() {
        let json = golden.json();
        for column in &columns {
            let (before, after) = (json["before"].get(column), json["after"].get(column));
            let is_unavailable = after.is_some_and(|after| {
                let text = after.to_string();
                PLACEHOLDERS.iter().any(|part| text.contains(part))
            });
            let is_same = before.is_some() && before == after;
            let is_left_out = letter(golden) == Some('u') && (is_unavailable || is_same);
            let is_handled = calls[&format!("g.{column}")].contains(&number);
            *counts.entry(is_handled).or_default() += 1;
            assert_eq!(is_handled, !is_left_out, "{column}: {}", golden.case);
        }
    }
    assert!(counts[&false] > 10, "{counts:?}");
}
