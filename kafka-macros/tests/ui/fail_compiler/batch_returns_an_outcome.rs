use kafka_runtime::{Batch, Outcome, topic_handler};

#[topic_handler("orders", batch)]
async fn on_orders(_: Batch<u64>) -> Outcome {
    Outcome::Ack
}

fn main() {}
