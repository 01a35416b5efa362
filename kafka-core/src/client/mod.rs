//! The few calls that the engine needs of a Kafka client. Everything that touches a network is below this module.

#[cfg(feature = "embedded-broker")]
pub(crate) mod embedded;
#[cfg(feature = "rdkafka")]
pub(crate) mod kafka;
#[cfg(any(test, feature = "testing"))]
#[cfg_attr(
    not(feature = "simulation"),
    expect(dead_code, reason = "the simulation does more to it than a test kit")
)]
pub(crate) mod memory;

pub(crate) mod factory;

use std::time::Duration;

use crate::error::ClientError;
use crate::record::{Offset, RawRecord, TopicPartition};

/// Takes the records of a poll, one by one, while the client lends them.
pub(crate) trait RecordSink {
    fn record(&mut self, record: &RawRecord<'_>);

    /// True once this poll has brought so much that what it holds has to be looked at first.
    fn is_full(&self) -> bool {
        false
    }
}

/// Where to start reading a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    /// At the oldest record that is there when the first fetch arrives.
    Beginning,
    At(Offset),
}

/// What a poll came to.
#[derive(Debug)]
pub(crate) enum Polled {
    /// Nothing in time, or only records (given to the sink).
    Records,
    /// The group assigned these: answer with [`Consumer::assign`]. May be empty, and may come while a revoke waits for
    /// its answer: then that revoke was superseded.
    Assigned(Vec<TopicPartition>),
    /// The group wants these back: answer with [`Consumer::unassign`], and keep polling until then.
    Revoked(Vec<TopicPartition>),
    /// These are somebody else's already. Nothing may be committed; answer with [`Consumer::unassign`].
    Lost(Vec<TopicPartition>),
    /// The group took note of these offsets.
    Committed(Vec<(TopicPartition, Offset)>),
    /// The group refused a commit because this member is none of it any more: everything is somebody else's. The
    /// client learns it, too, and tells [`Lost`](Self::Lost) later.
    Fenced(ClientError),
    /// The client reports an error. It goes on by itself, unless the error is permanent.
    Error(ClientError),
}

/// A member of a consumer group. Used by one thread, which polls it all the time.
pub(crate) trait Consumer: Send {
    /// Replaces the subscription; an entry that begins with `^` is a pattern. None at all leaves the group.
    fn subscribe(&mut self, topics: &[String]) -> Result<(), ClientError>;

    /// Waits for records or an event up to `timeout`, then takes what is there without waiting, up to `most` records or
    /// until the sink is full.
    fn poll(&mut self, timeout: Duration, most: usize, sink: &mut dyn RecordSink) -> Polled;

    /// Returns the group's committed offsets, in the order asked.
    fn committed(
        &mut self,
        partitions: &[TopicPartition],
        timeout: Duration,
    ) -> Result<Vec<Option<Offset>>, ClientError>;

    /// Returns the oldest offset and the one after the newest.
    fn watermarks(
        &mut self,
        of: &TopicPartition,
        timeout: Duration,
    ) -> Result<(Offset, Offset), ClientError>;

    /// True if the group's protocol takes every partition back on each rebalance (`range`, `roundrobin`).
    fn is_eager(&self) -> bool;

    /// Answers an assignment: reads these from there on, also those that were paused before.
    fn assign(&mut self, partitions: &[(TopicPartition, Position)]) -> Result<(), ClientError>;

    /// Answers a revoke: stops reading these. What was stored for them is committed.
    fn unassign(&mut self, partitions: &[TopicPartition]) -> Result<(), ClientError>;

    /// Reads an assigned partition from elsewhere.
    fn seek(&mut self, to: &TopicPartition, offset: Offset) -> Result<(), ClientError>;

    /// Reads partitions from elsewhere whose offset the broker does not have: the client has given them up, and a seek
    /// does not bring them back. `all` is everything that is assigned, with the next offset of each.
    fn restart(
        &mut self,
        partitions: &[(TopicPartition, Offset)],
        all: &[(TopicPartition, Position)],
    ) -> Result<(), ClientError>;

    /// Hands over offsets to be committed within the commit interval, on unassign, or on close.
    fn store(&mut self, offsets: &[(TopicPartition, Offset)]) -> Result<(), ClientError>;

    /// Commits what was stored now, not with the next interval. No poll tells what comes of it (librdkafka answers a commit
    /// that was asked for only on a queue that its Rust client cannot name): ask [`committed`](Self::committed).
    fn commit(&mut self) -> Result<(), ClientError>;

    /// Stops fetching from these; they stay assigned.
    fn pause(&mut self, partitions: &[TopicPartition]) -> Result<(), ClientError>;

    /// Fetches from these again.
    fn resume(&mut self, partitions: &[TopicPartition]) -> Result<(), ClientError>;

    /// Asks whether a broker answers. Blocks, for no longer than the timeout.
    fn is_reachable(&mut self, timeout: Duration) -> bool;

    /// Says how many headers of which record could not be read since the last call.
    fn take_unreadable_headers(&mut self) -> Vec<(TopicPartition, Offset, usize)>;

    /// Leaves the group. May block for long when brokers are away: call it from a thread that can be abandoned.
    fn close(self: Box<Self>);
}

/// Questions to a cluster, outside of any group. Every call blocks, for no longer than its timeout.
pub(crate) trait Cluster: Send + Sync {
    /// Checks that a broker answers; a reason that is final is told at once.
    fn check(&self, timeout: Duration) -> Result<(), ClientError>;

    /// Returns the names of all topics.
    fn topics(&self, timeout: Duration) -> Result<Vec<String>, ClientError>;

    /// Returns how many partitions a topic has.
    fn partitions(&self, topic: &str, timeout: Duration) -> Result<usize, ClientError>;

    /// Returns the oldest offset and the one after the newest.
    fn ends(&self, of: &TopicPartition, timeout: Duration)
    -> Result<(Offset, Offset), ClientError>;

    /// Creates a topic; one that exists is fine. `None` replicates as the broker does by default.
    fn create_topic(
        &self,
        topic: &str,
        partitions: usize,
        replication: Option<i32>,
        timeout: Duration,
    ) -> Result<(), ClientError> {
        self.create_topic_with(topic, partitions, replication, &[], timeout)
    }

    /// The same with settings of the topic's own.
    fn create_topic_with(
        &self,
        topic: &str,
        partitions: usize,
        replication: Option<i32>,
        settings: &[(&str, &str)],
        timeout: Duration,
    ) -> Result<(), ClientError>;

    /// Gives a topic more partitions: so many in all.
    fn add_partitions(
        &self,
        topic: &str,
        partitions: usize,
        timeout: Duration,
    ) -> Result<(), ClientError>;
}
