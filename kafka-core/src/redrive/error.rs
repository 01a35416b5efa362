//! Why a redrive did not begin, or did not get to its end.

use std::sync::Arc;

use super::report::RedriveReport;
use crate::config::ConfigError;
use crate::error::{ClientError, ConnectError};
use crate::producer::ProduceError;
use crate::record::RecordPlace;

/// Why a redrive did not begin, or ended early; then [`report`](Self::report) says what was done.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedriveError {
    /// The configuration is incomplete or contradicts itself.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The options contradict each other.
    #[error("{0}")]
    Options(String),
    /// The destination is the dead letter topic.
    #[error("{0} would be put back into itself: name the topic that its records come from")]
    IntoItself(Arc<str>),
    /// No connection could be made.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// There is nothing to read.
    #[error(
        "dead letter topic {topic} does not exist, or may not be described{}; it is {{group}}.{{topic}}.dlq unless the \
         handler's `dead_letter` says another", did_you_mean(similar.as_deref())
    )]
    NoDeadLetterTopic {
        /// The topic.
        topic: Arc<str>,
        /// One that exists and has a similar name.
        similar: Option<String>,
    },
    /// The dead letter topic has no such partition.
    #[error("{topic} has no partition {partition}, but 0 to {}", partitions.saturating_sub(1))]
    NoPartition {
        /// The dead letter topic.
        topic: Arc<str>,
        /// The partition.
        partition: i32,
        /// How many it has.
        partitions: usize,
    },
    /// The destination that the caller named does not exist.
    #[error(
        "destination {0} does not exist, or may not be described: create it, or grant the user an ACL for it"
    )]
    NoDestination(Arc<str>),
    /// The client reports an error that waiting does not mend.
    #[error("cannot {doing}: {source}")]
    Client {
        /// What was about to be done.
        doing: String,
        /// What was said.
        source: ClientError,
        /// What was done before; `None` if it had not begun.
        report: Option<Box<RedriveReport>>,
    },
    /// A record was not acknowledged. The position is not past it: the next run begins with it.
    #[error(
        "{record} was not put back: {source}; the position is not past it, so the next run begins with it"
    )]
    Write {
        /// The dead letter.
        record: RecordPlace,
        /// What was said.
        source: ProduceError,
        /// What was done.
        report: Box<RedriveReport>,
    },
    /// Records were put back, and the position was not committed.
    #[error(
        "the position of group {group_id} was not committed: {source}; the next run puts the same records back again, \
         so mend this first{}",
        group_hint(source)
    )]
    NotCommitted {
        /// The consumer group.
        group_id: Arc<str>,
        /// What was said.
        source: ClientError,
        /// What was done.
        report: Box<RedriveReport>,
    },
}

impl RedriveError {
    /// Returns what was done before it ended, if it had begun.
    pub fn report(&self) -> Option<&RedriveReport> {
        match self {
            Self::Client { report, .. } => report.as_deref(),
            Self::Write { report, .. } | Self::NotCommitted { report, .. } => Some(report),
            _ => None,
        }
    }
}

fn did_you_mean(similar: Option<&str>) -> String {
    similar.map_or_else(String::new, |similar| format!(" (did you mean {similar}?)"))
}

fn group_hint(source: &ClientError) -> &'static str {
    match source {
        ClientError::NotAMember(_) => {
            ": a service is a member of this group; name another with --group (`group_id`)"
        }
        _ => "",
    }
}
