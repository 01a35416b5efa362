//! How do I react to changes of a database's rows?
//!
//! A struct for each table, its columns as Debezium sends them (`kafka_runtime::column`), and a handler for its topic. What
//! to know of old rows, keys and duplicates is said where it is used. The tables are those of `cargo harness cdc`:
//! `users` with PostgreSQL's default replica identity, `orders` with `REPLICA IDENTITY FULL`.
//!
//! ```sh
//! cargo run --example cdc
//! ```
//! ```text
//! user 7: new: ada@example.org, Ada, since 2026-01-31T12:00:00Z
//! user 7: now ada@example.net, Ada
//! user 7: now ada@example.net, with the name that it had
//! user 7: is user 8 now
//! user 8: was user 7: ada@example.net, Ada
//! user 8: gone
//! order 99: new: 990.00 of user 7
//! order 99: total 990.00 -> 1089.00
//! order 99: status New -> Paid
//! order 99: sent (change …)
//! order 99: sent already
//! order 99: gone; 1089.00, Paid
//! order 99: its key is free
//! ```
//!
//! On the real pipeline, PostgreSQL with Debezium and Kafka, until Ctrl-C. The first command prints the addresses that the
//! others need, each in a terminal of its own:
//!
//! ```sh
//! cargo harness cdc
//! KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:… KAFKA_GROUP_ID=cdc cargo run --example cdc
//! psql "$DATABASE_URL" -c "UPDATE orders SET status = 'paid' WHERE id = 1"
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod support;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use kafka_runtime::column::{Decimal, DecimalValue, Toast, ZonedTimestamp};
use kafka_runtime::testing::debezium::Table;
use kafka_runtime::{
    Change, ChangeId, DatabaseEvent, Key, KeyChange, MessagePayload, Runtime, State, topic_handler,
};
use serde::{Deserialize, Serialize};
use tracing_subscriber::filter::LevelFilter;

use crate::support::Cluster;

/// A row of `users`. `kafka-runtime rows` prints such structs for the tables of a database.
#[derive(Clone, Serialize, Deserialize)]
struct User {
    id: i64,
    email: String,
    /// A long text that an update leaves alone is not sent with it.
    name: Toast<Option<String>>,
    created_at: ZonedTimestamp,
}

/// The columns of the primary key: the record's key, and all that is true of a deleted user.
#[derive(Serialize, Deserialize)]
struct UserKey {
    id: i64,
}

/// A delete is followed by a tombstone, a null value, for Kafka's compaction: so the payload is an `Option`. A `TRUNCATE` has
/// no key, and is left out here.
#[topic_handler("auth.public.users", ops = "c,r,u,d")]
async fn on_user(
    event: Option<DatabaseEvent<User>>,
    key: Key<UserKey>,
    key_change: KeyChange<UserKey>,
) {
    let UserKey { id } = key.0;
    let Some(event) = event else {
        return; // the delete before it has said it
    };
    match (event.change, key_change) {
        // A new primary key is a delete and a create; they can be handled in either order.
        (Change::Create { after }, KeyChange::From(old)) => {
            println!(
                "user {id}: was user {}: {}, {}",
                old.id,
                after.email,
                name(&after)
            );
        }
        (Change::Delete { .. }, KeyChange::To(new)) => {
            println!("user {id}: is user {} now", new.id);
        }
        (Change::Create { after } | Change::Read { after }, _) => {
            let (name, since) = (name(&after), &after.created_at);
            println!("user {id}: new: {}, {name}, since {since}", after.email);
        }
        // There is no old row: the replica identity is the default one.
        (Change::Update { after, .. }, _) => {
            println!("user {id}: now {}, {}", after.email, name(&after));
        }
        // The old row is there but made up, except for its key.
        (Change::Delete { .. }, _) => println!("user {id}: gone"),
        (other, _) => println!(
            "user {id}: {other:?}",
            other = DatabaseEvent::of(other).op()
        ),
    }
}

fn name(user: &User) -> &str {
    match &user.name {
        Toast::Value(Some(name)) => name,
        Toast::Value(None) => "without a name",
        Toast::Unavailable => "with the name that it had",
    }
}

#[derive(Clone, Serialize, Deserialize)]
struct Order {
    id: i64,
    user_id: i64,
    /// `numeric(12, 2)`: exact, in Debezium's default mode.
    total: Decimal<2>,
    status: Status,
    placed_at: ZonedTimestamp,
}

/// A word that is not here makes its record a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    New,
    Paid,
    Cancelled,
}

#[derive(Deserialize)]
struct OrderKey {
    id: i64,
}

/// Old rows are whole here, `REPLICA IDENTITY FULL`; still they are decoded only when they are asked for.
#[topic_handler("auth.public.orders", ops = "c,r,u,d")]
async fn on_order(event: Option<DatabaseEvent<Order>>, key: Key<OrderKey>) -> anyhow::Result<()> {
    let OrderKey { id } = key.0;
    match event.map(|event| event.change) {
        Some(Change::Create { after } | Change::Read { after }) => {
            println!("order {id}: new: {} of user {}", after.total, after.user_id);
        }
        Some(Change::Update {
            before: Some(old),
            after,
        }) => {
            let old = old.parse()?;
            if old.total != after.total {
                println!("order {id}: total {} -> {}", old.total, after.total);
            }
            if old.status != after.status {
                println!("order {id}: status {:?} -> {:?}", old.status, after.status);
            }
        }
        Some(Change::Delete { before: Some(old) }) => {
            let old = old.parse()?;
            println!("order {id}: gone; {}, {:?}", old.total, old.status);
        }
        Some(other) => println!("order {id}: {:?}", DatabaseEvent::of(other).op()),
        None => println!("order {id}: its key is free"),
    }
    Ok(())
}

/// Stands for a table `handled (id text PRIMARY KEY)`, written in the transaction of the work.
#[derive(Clone, Default)]
struct Handled(Arc<Mutex<HashSet<ChangeId>>>);

impl Handled {
    /// False if it was there: `INSERT INTO handled … ON CONFLICT DO NOTHING`.
    fn insert(&self, id: ChangeId) -> bool {
        let mut ids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ids.insert(id)
    }
}

/// Called only for updates of the status. A second handler of a topic is in a group of its own.
///
/// A connector that was killed sends changes again, as new records: what must not happen twice asks for the change's id.
#[topic_handler("auth.public.orders", group = "cdc-parcels", ops = "u", changed = ["status"])]
async fn send_parcel(event: DatabaseEvent<Order>, id: Option<ChangeId>, handled: State<Handled>) {
    let Some(order) = event.after().filter(|order| order.status == Status::Paid) else {
        return;
    };
    match id {
        Some(id) if !handled.insert(id.clone()) => println!("order {}: sent already", order.id),
        Some(id) => println!("order {}: sent (change {id})", order.id),
        // Of a change without an identity nobody knows whether it was handled.
        None => println!("order {}: sent", order.id),
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // Dead letters are told here.
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::WARN)
        .with_writer(std::io::stderr)
        .init();
    let cluster = support::cluster()?;
    let runtime = Runtime::builder()
        .config(cluster.config("cdc")?)
        .state(Handled::default())
        .build()?;
    if let Cluster::Real = cluster {
        println!("waiting for changes of users and orders; Ctrl-C ends it");
        return Ok(runtime.run().await?);
    }
    cluster.run(runtime, changes()?).await
}

/// What the connector would send.
fn changes() -> anyhow::Result<Vec<(&'static str, MessagePayload)>> {
    const USERS: &str = "auth.public.users";
    const ORDERS: &str = "auth.public.orders";
    let noon: ZonedTimestamp = serde_json::from_str(r#""2026-01-31T12:00:00Z""#)?;

    let users = Table::new(USERS);
    let ada = User {
        id: 7,
        email: "ada@example.org".into(),
        name: Some("Ada".to_owned()).into(),
        created_at: noon,
    };
    let moved = User {
        email: "ada@example.net".into(),
        ..ada.clone()
    };
    let same_name = User {
        name: Toast::Unavailable,
        ..moved.clone()
    };
    let with_new_key = User {
        id: 8,
        ..moved.clone()
    };
    let to_8 = |half: MessagePayload| half.header("__debezium.newkey", r#"{"id":8}"#);
    let from_7 = |half: MessagePayload| half.header("__debezium.oldkey", r#"{"id":7}"#);
    let of_users = [
        users.create(&ada),
        users.update(&(), &moved),
        users.update(&(), &same_name),
        to_8(users.delete(&UserKey { id: 7 })),
        to_8(users.tombstone(&UserKey { id: 7 })),
        from_7(users.create(&with_new_key)),
        users.delete(&UserKey { id: 8 }),
        users.tombstone(&UserKey { id: 8 }),
    ];

    let orders = Table::new(ORDERS);
    let new = Order {
        id: 99,
        user_id: 7,
        total: DecimalValue::new(99_000, 2).into(),
        status: Status::New,
        placed_at: noon,
    };
    let corrected = Order {
        total: DecimalValue::new(108_900, 2).into(),
        ..new.clone()
    };
    let paid = Order {
        status: Status::Paid,
        ..corrected.clone()
    };
    let payment = orders.update(&corrected, &paid);
    let of_orders = [
        orders.create(&new),
        orders.update(&new, &corrected),
        payment.clone(),
        payment, // the connector was killed
        orders.delete(&paid),
        orders.tombstone(&paid),
    ];

    let of_users = of_users.into_iter().map(|record| (USERS, record));
    let of_orders = of_orders.into_iter().map(|record| (ORDERS, record));
    Ok(of_users.chain(of_orders).collect())
}
