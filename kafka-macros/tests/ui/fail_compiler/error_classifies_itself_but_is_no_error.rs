use kafka_runtime::{Classify, ErrorClass, Raw, topic_handler};

struct Plain;

impl Classify for Plain {
    fn classify(&self) -> ErrorClass {
        ErrorClass::Permanent
    }
}

#[topic_handler("users")]
async fn on_user(_: Raw) -> Result<(), Plain> {
    Ok(())
}

fn main() {}
