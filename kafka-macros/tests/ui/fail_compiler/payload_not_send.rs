use kafka_runtime::topic_handler;

#[topic_handler("users")]
async fn on_user(payload: std::rc::Rc<u8>) {
    tokio::task::yield_now().await;
    drop(payload);
}

fn main() {}
