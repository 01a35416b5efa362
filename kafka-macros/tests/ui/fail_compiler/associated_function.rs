use kafka_runtime::{Raw, topic_handler};

struct Users;

impl Users {
    #[topic_handler("users")]
    async fn on_user(_: Raw) {}
}

fn main() {}
