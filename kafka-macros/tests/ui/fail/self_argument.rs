use kafka_runtime::{Raw, topic_handler};

struct Users;

impl Users {
    #[topic_handler("users")]
    async fn on_user(&self, _: Raw) {}
}

fn main() {}
