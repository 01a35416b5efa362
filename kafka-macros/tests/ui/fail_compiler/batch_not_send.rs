use kafka_runtime::{Batch, topic_handler};

#[topic_handler("orders", batch)]
async fn on_orders(batch: Batch<u64>) {
    let local = std::rc::Rc::new(batch.len());
    tokio::task::yield_now().await;
    drop(local);
}

fn main() {}
