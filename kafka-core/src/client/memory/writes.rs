//! Writes to the broker in memory: done at once, refused, or held until somebody decides.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::oneshot;

use super::{MemoryBroker, State};
use crate::error::ClientError;
use crate::producer::{Delivery, MessagePayload, ProduceError, ProducedRecord, ProducerClient};
use crate::record::Timestamp;

type Written = Result<ProducedRecord, ProduceError>;

/// A write that waits for its acknowledgement.
pub(super) struct HeldWrite {
    pub(super) topic: String,
    pub(super) payload: MessagePayload,
    pub(super) answer: oneshot::Sender<Written>,
}

#[derive(Default)]
pub(super) struct Writes {
    /// What writes to a topic fail with.
    refused: BTreeMap<String, ProduceError>,
    is_holding: bool,
    held: Vec<HeldWrite>,
}

impl Writes {
    pub(super) fn refuse(&mut self, topic: &str, error: Option<ProduceError>) {
        match error {
            Some(error) => self.refused.insert(topic.to_owned(), error),
            None => self.refused.remove(topic),
        };
    }

    pub(super) fn hold(&mut self, hold: bool) {
        self.is_holding = hold;
    }

    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    #[cfg(feature = "simulation")]
    pub(super) fn show(&self, index: usize) -> Option<(String, Vec<super::Header>)> {
        let held = self.held.get(index)?;
        Some((held.topic.clone(), held.payload.headers.clone()))
    }

    pub(super) fn take(&mut self, index: usize) -> Option<HeldWrite> {
        (index < self.held.len()).then(|| self.held.remove(index))
    }
}

impl State {
    pub(super) fn write(&mut self, topic: &str, payload: MessagePayload) -> ProducedRecord {
        let (partition, offset) = self.append(topic, payload);
        ProducedRecord {
            topic: topic.into(),
            partition,
            offset,
            timestamp: Timestamp::CreateTime(0),
        }
    }
}

impl ProducerClient for MemoryBroker {
    fn send(&self, topic: &str, payload: MessagePayload) -> Delivery {
        let mut state = self.state();
        if let Some(error) = state.writes.refused.get(topic).cloned() {
            return Box::pin(async move { Err(error) });
        }
        if !state.writes.is_holding {
            let written = state.write(topic, payload);
            return Box::pin(async move { Ok(written) });
        }
        let (answer, waiting) = oneshot::channel();
        let topic = topic.to_owned();
        state.writes.held.push(HeldWrite {
            topic: topic.clone(),
            payload,
            answer,
        });
        Box::pin(async move {
            waiting
                .await
                .unwrap_or(Err(ProduceError::TimedOut { topic }))
        })
    }

    fn flush(&self, _: Duration) -> Result<(), ClientError> {
        Ok(())
    }

    fn check(&self, _: Duration) -> Result<(), ClientError> {
        Ok(())
    }
}
