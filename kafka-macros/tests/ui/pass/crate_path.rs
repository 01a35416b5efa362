mod vendored {
    pub mod kafka {
        pub use kafka_runtime::*;
        #[doc(hidden)]
        pub use kafka_runtime::__private;
    }
}

extern crate kafka_runtime as renamed;

use vendored::kafka::{Classify, ErrorClass, Raw, classify, topic_handler};

#[topic_handler("a", crate = crate::vendored::kafka)]
async fn absolute(_: Raw) {}

#[topic_handler("b", crate = vendored::kafka)]
async fn relative(_: Raw) {}

#[topic_handler("c", crate = renamed)]
async fn by_name(_: Raw) {}

#[derive(Debug)]
struct Declined;

impl std::fmt::Display for Declined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("declined")
    }
}

impl std::error::Error for Declined {}

#[classify(crate = vendored::kafka)]
impl Classify for Declined {
    fn classify(&self) -> ErrorClass {
        ErrorClass::Permanent
    }
}

fn main() {
    assert_eq!(kafka_runtime::registered().len(), 3);
}
