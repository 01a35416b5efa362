use kafka_runtime::{BatchOutcome, Raw, topic_handler};

#[topic_handler("orders")]
async fn on_order(_: Raw) -> BatchOutcome {
    BatchOutcome::ok()
}

fn main() {}
