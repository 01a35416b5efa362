use kafka_runtime::{Change, DatabaseEvent, topic_handler};

#[derive(Debug, serde::Deserialize)]
struct User {
    id: i64,
    email: String,
}

#[topic_handler("auth.public.users")]
async fn on_user(event: DatabaseEvent<User>) -> anyhow::Result<()> {
    match event.change {
        Change::Create { after } | Change::Read { after } => println!("hello {}", after.email),
        Change::Update { before, after } => println!("{} changed: {}", after.id, before.is_some()),
        Change::Delete { .. } => println!("bye"),
        _ => {}
    }
    Ok(())
}

fn main() {
    assert_eq!(kafka_runtime::registered().len(), 1);
}
