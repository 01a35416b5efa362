//! Declarative Kafka handlers for Rust services.

pub use kafka_core::*;
pub use kafka_macros::{classify, topic_handler};

#[doc(hidden)]
pub use kafka_core::__private;
