//! A stream of changes as Debezium sends it, and handlers that want some of it.

use std::time::Duration;

use super::super::debezium::Table;
use super::super::{TestEvent, TestRuntime};
use super::{Seen, value};
use crate::{Batch, DatabaseEvent, Handler, MessagePayload, Operation, State};

#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct User {
    id: i64,
    email: String,
    name: String,
}

fn user(email: &str, name: &str) -> User {
    User {
        id: 7,
        email: email.to_owned(),
        name: name.to_owned(),
    }
}

async fn on_user(event: Option<DatabaseEvent<User>>, State(seen): State<Seen>) {
    let user = event.as_ref().and_then(DatabaseEvent::after);
    let op = event.as_ref().map_or('-', |event| event.op().code());
    seen.push(format!("{op} {}", user.map_or("", |user| &user.email)));
}

/// The life of one row, under `REPLICA IDENTITY FULL`.
fn life(table: &Table) -> [MessagePayload; 7] {
    let (new, moved) = (user("a", "Ada"), user("b", "Ada"));
    let renamed = user("b", "Ada L.");
    [
        table.read(&new),
        table.create(&new),
        table.update(&new, &moved),
        table.update(&moved, &renamed),
        table.delete(&renamed),
        table.tombstone(&renamed),
        table.truncate(),
    ]
}

async fn run(handler: Handler) -> (TestRuntime, Seen) {
    let (seen, table) = (Seen::default(), Table::new("auth.public.users"));
    let builder = TestRuntime::builder().handlers([handler]);
    let mut test = builder.state(seen.clone()).start().await.unwrap();
    for event in life(&table) {
        test.produce(table.topic(), event);
    }
    test.idle().await;
    (test, seen)
}

fn users() -> Handler {
    Handler::new("auth.public.users", on_user)
}

#[tokio::test(start_paused = true)]
async fn a_handler_without_options_has_all_that_happens_to_a_row() {
    let (test, seen) = run(users()).await;

    assert_eq!(seen.all(), ["r a", "c a", "u b", "u b", "d ", "- ", "t "]);
    assert_eq!(test.filtered("auth.public.users"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_handler_has_the_operations_and_columns_that_it_asks_for() {
    let handler = users().operations([Operation::Create, Operation::Update]);

    let (test, seen) = run(handler.changed(["email"])).await;

    assert_eq!(seen.all(), ["c a", "u b"]);
    assert_eq!(test.filtered("auth.public.users"), 5);
    let status = &test.control().status()[0];
    assert_eq!((status.filtered(), status.in_flight()), (5, 0));
    assert_eq!(test.committed("auth.public.users", 0), Some(7));
    assert_eq!(test.dead_letters("auth.public.users").len(), 0);
    test.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn deletes_come_with_their_tombstones() {
    let (_, seen) = run(users().operations([Operation::Delete])).await;

    assert_eq!(seen.all(), ["d ", "- "]);
}

#[tokio::test(start_paused = true)]
async fn columns_alone_are_about_updates() {
    let (_, seen) = run(users().changed(["name", "phone"])).await;

    // Nobody can know of a column that the rows do not have.
    assert_eq!(seen.all(), ["r a", "c a", "u b", "u b", "d ", "- ", "t "]);
    let (_, seen) = run(users().changed(["name"])).await;
    assert_eq!(seen.all(), ["r a", "c a", "u b", "d ", "- ", "t "]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_has_only_what_is_asked_for() {
    let handler = Handler::batch(
        "auth.public.users",
        |batch: Batch<DatabaseEvent<User>>, State(seen): State<Seen>| async move {
            let codes = batch.iter().map(|event| event.op().code());
            seen.push(codes.collect::<String>());
        },
    );
    let handler = handler.linger(Duration::ZERO);

    let (test, seen) = run(handler.operations([Operation::Create, Operation::Update])).await;

    assert_eq!(seen.all().concat(), "cuu");
    assert_eq!(test.filtered("auth.public.users"), 4);
    assert_eq!(test.committed("auth.public.users", 0), Some(7));
}

#[tokio::test(start_paused = true)]
async fn what_was_filtered_is_not_brought_again() {
    let (mut test, seen) = run(users().operations([Operation::Read])).await;

    test.restart().await.unwrap();
    test.idle().await;

    assert_eq!(seen.all(), ["r a"]);
    assert_eq!(test.filtered("auth.public.users"), 6);
    // Counts of a status are of the assignment.
    assert_eq!(test.control().status()[0].filtered(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_filtered_is_told_without_what_it_holds() {
    let (test, _) = run(users().operations([Operation::Read])).await;
    test.produce("auth.public.users", value("no event"));

    let told = test.events().into_iter().filter_map(|event| match event {
        TestEvent::Filtered { records, .. } => Some((records, event.to_string())),
        _ => None,
    });
    let told: Vec<_> = told.collect();

    assert_eq!(told.iter().map(|(records, _)| records).sum::<u64>(), 6);
    let (records, line) = &told[0];
    assert_eq!(
        *line,
        format!("auth.public.users[0]: {records} records filtered by on_user")
    );
}
