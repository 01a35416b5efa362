//! Placeholder while the client is written.
/// x
#[derive(Debug, Clone)]
pub struct KafkaProducer;
