//! A cluster that nobody asks, and a producer that nobody writes with.

use std::time::Duration;

use crate::client::Cluster;
use crate::error::ClientError;
use crate::producer::{Delivery, MessagePayload, ProduceError, ProducerClient};
use crate::record::{Offset, TopicPartition};

pub(super) struct Absent;

fn absent<T>() -> Result<T, ClientError> {
    Err(ClientError::Unsupported(
        "a measurement has no cluster".to_owned(),
    ))
}

impl ProducerClient for Absent {
    fn send(&self, _: &str, _: MessagePayload) -> Delivery {
        Box::pin(async { Err(ProduceError::Disconnected) })
    }

    fn flush(&self, _: Duration) -> Result<(), ClientError> {
        Ok(())
    }

    fn check(&self, _: Duration) -> Result<(), ClientError> {
        absent()
    }
}

impl Cluster for Absent {
    fn check(&self, _: Duration) -> Result<(), ClientError> {
        absent()
    }

    fn topics(&self, _: Duration) -> Result<Vec<String>, ClientError> {
        absent()
    }

    fn partitions(&self, _: &str, _: Duration) -> Result<usize, ClientError> {
        absent()
    }

    fn ends(&self, _: &TopicPartition, _: Duration) -> Result<(Offset, Offset), ClientError> {
        absent()
    }

    fn create_topic_with(
        &self,
        _: &str,
        _: usize,
        _: Option<i32>,
        _: &[(&str, &str)],
        _: Duration,
    ) -> Result<(), ClientError> {
        absent()
    }

    fn add_partitions(&self, _: &str, _: usize, _: Duration) -> Result<(), ClientError> {
        absent()
    }
}
