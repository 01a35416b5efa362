//! The copy of records into batches alone, as [`Dispatch`](crate::engine::dispatch::Dispatch) does it with one lane for
//! each partition.

use std::sync::Arc;

use super::TOPIC;
use crate::client::RecordSink;
use crate::record::{BatchBuilder, HeldBytes, RawRecord};

pub(super) struct Copies {
    topic: Arc<str>,
    held: Arc<HeldBytes>,
    /// One for each partition.
    builders: Vec<BatchBuilder>,
}

impl Copies {
    pub(super) fn new(partitions: i32) -> Self {
        Self {
            topic: TOPIC.into(),
            held: Arc::default(),
            builders: (0..partitions).map(|_| BatchBuilder::new()).collect(),
        }
    }

    /// Ends the batches of a poll.
    pub(super) fn finish(&mut self) {
        for partition in 0..self.builders.len() {
            if !self.builders[partition].is_empty() {
                self.finish_one(partition);
            }
        }
    }

    fn finish_one(&mut self, partition: usize) {
        let number = i32::try_from(partition).unwrap_or_default();
        let (topic, held) = (Arc::clone(&self.topic), Arc::clone(&self.held));
        let batch = self.builders[partition].finish(topic, number, Some(held));
        drop(std::hint::black_box(batch));
    }
}

impl RecordSink for Copies {
    fn record(&mut self, record: &RawRecord<'_>) {
        let partition = usize::try_from(record.partition).unwrap_or_default();
        if !self.builders[partition].has_room(record) {
            self.finish_one(partition);
        }
        self.builders[partition].push(record, 0, 0);
    }
}
