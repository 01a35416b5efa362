use kafka_runtime::{Raw, topic_handler};

#[topic_handler("users")]
async fn on_user(_: Raw) {
    let rc = std::rc::Rc::new(1);
    tokio::task::yield_now().await;
    drop(rc);
}

fn main() {}
