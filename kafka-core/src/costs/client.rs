//! A client that lends written records from memory, and takes note of what is stored.
//!
//! Not the broker in memory: that one lends from one partition until it is empty, has more to do for each record and for
//! each store than to hand it over, and comes with the clock that tests pause, whose every look costs more.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::{PARTITIONS, TOPIC, Written};
use crate::client::{Consumer, Polled, Position, RecordSink};
use crate::error::ClientError;
use crate::record::{NoHeaders, Offset, RawRecord, Timestamp, TopicPartition};

pub(super) struct Client {
    written: Written,
    topic: Arc<str>,
    asked: Arc<Asked>,
    /// The next record to lend.
    next: usize,
    has_assigned: bool,
    /// By partition: the offsets begin at 0 and have no gaps, so they count records.
    stored: [usize; PARTITIONS as usize],
}

/// What whoever drives the client asks of it, and learns.
pub(super) struct Asked {
    written: usize,
    /// So many records are lent in all.
    until: AtomicUsize,
    lent: AtomicUsize,
    stored: AtomicUsize,
}

impl Asked {
    /// Lends until so many records in all are lent.
    pub(super) fn lend(&self, until: usize) -> anyhow::Result<()> {
        anyhow::ensure!(until <= self.written, "{until} records of {}", self.written);
        self.until.store(until, Ordering::Relaxed);
        Ok(())
    }

    /// True if everything was lent that is to be lent.
    pub(super) fn is_dry(&self) -> bool {
        self.lent.load(Ordering::Relaxed) >= self.until.load(Ordering::Relaxed)
    }

    /// Returns how many records are stored.
    pub(super) fn stored(&self) -> usize {
        self.stored.load(Ordering::Relaxed)
    }
}

impl Client {
    pub(super) fn new(written: Written) -> (Self, Arc<Asked>) {
        let asked = Arc::new(Asked {
            written: written.0.len(),
            until: AtomicUsize::new(0),
            lent: AtomicUsize::new(0),
            stored: AtomicUsize::new(0),
        });
        let client = Self {
            written,
            topic: TOPIC.into(),
            asked: Arc::clone(&asked),
            next: 0,
            has_assigned: false,
            stored: [0; PARTITIONS as usize],
        };
        (client, asked)
    }

    pub(super) fn lent(&self) -> usize {
        self.next
    }
}

/// Where a measurement would count something else than records.
fn unexpected<T>(what: &str) -> Result<T, ClientError> {
    Err(ClientError::Unsupported(format!("{what} in a measurement")))
}

impl Consumer for Client {
    fn subscribe(&mut self, _: &[String]) -> Result<(), ClientError> {
        Ok(())
    }

    fn poll(&mut self, _: Duration, most: usize, sink: &mut dyn RecordSink) -> Polled {
        if !self.has_assigned {
            self.has_assigned = true;
            let all = (0..PARTITIONS).map(|n| TopicPartition::new(Arc::clone(&self.topic), n));
            return Polled::Assigned(all.collect());
        }
        let until = self.asked.until.load(Ordering::Relaxed);
        let until = until.min(self.next + most);
        for record in &self.written.0[self.next..until] {
            sink.record(&RawRecord {
                topic: TOPIC,
                partition: record.partition,
                offset: record.offset,
                timestamp: Timestamp::CreateTime(1_732_788_000_123),
                key: Some(&record.key),
                value: Some(&record.value),
                headers: &NoHeaders,
            });
            self.next += 1;
            if sink.is_full() {
                break;
            }
        }
        self.asked.lent.store(self.next, Ordering::Relaxed);
        Polled::Records
    }

    fn committed(
        &mut self,
        partitions: &[TopicPartition],
        _: Duration,
    ) -> Result<Vec<Option<Offset>>, ClientError> {
        Ok(vec![None; partitions.len()])
    }

    fn watermarks(
        &mut self,
        _: &TopicPartition,
        _: Duration,
    ) -> Result<(Offset, Offset), ClientError> {
        unexpected("a question")
    }

    fn is_eager(&self) -> bool {
        false
    }

    fn assign(&mut self, _: &[(TopicPartition, Position)]) -> Result<(), ClientError> {
        Ok(())
    }

    fn unassign(&mut self, _: &[TopicPartition]) -> Result<(), ClientError> {
        Ok(())
    }

    fn seek(&mut self, _: &TopicPartition, _: Offset) -> Result<(), ClientError> {
        unexpected("a seek")
    }

    fn restart(
        &mut self,
        _: &[(TopicPartition, Offset)],
        _: &[(TopicPartition, Position)],
    ) -> Result<(), ClientError> {
        unexpected("a restart")
    }

    fn store(&mut self, offsets: &[(TopicPartition, Offset)]) -> Result<(), ClientError> {
        for (at, offset) in offsets {
            let partition = usize::try_from(at.partition).unwrap_or_default();
            self.stored[partition] = usize::try_from(offset.0).unwrap_or_default();
        }
        let stored = self.stored.iter().sum();
        self.asked.stored.store(stored, Ordering::Relaxed);
        Ok(())
    }

    fn commit(&mut self) -> Result<(), ClientError> {
        Ok(())
    }

    fn pause(&mut self, _: &[TopicPartition]) -> Result<(), ClientError> {
        unexpected("a pause")
    }

    fn resume(&mut self, _: &[TopicPartition]) -> Result<(), ClientError> {
        unexpected("a resume")
    }

    fn is_reachable(&mut self, _: Duration) -> bool {
        true
    }

    fn take_unreadable_headers(&mut self) -> Vec<(TopicPartition, Offset, usize)> {
        Vec::new()
    }

    fn close(self: Box<Self>) {}
}
