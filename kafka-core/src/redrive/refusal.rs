//! Why a dead letter is not put back.

use std::sync::Arc;

/// Why a dead letter was left where it is. Each says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// A header of ours is missing, there twice, or holds nothing that we write.
    #[error(
        "its header {0} is missing, repeated or malformed: it was not written by this runtime; \
         name the destination with --to (`to`)"
    )]
    Header(&'static str),
    /// How often it was put back cannot be read, so there would be no bound.
    #[error(
        "its header kafka_runtime.redrive.count is repeated or no number, so it could go round for ever; put it back \
         with another tool"
    )]
    Count,
    /// A header's name is not UTF-8: the client cannot read it, so the record would not be the same.
    #[error(
        "{0} of its headers have names that are not UTF-8, which this client cannot read; put it back with another tool"
    )]
    UnreadableHeaders(usize),
    /// It says that it comes from a topic that the name of the dead letter topic does not imply.
    #[error(
        "it says that it comes from {0}, which the name of the dead letter topic does not imply; \
         if that is right, allow it with --allow-origin {0} (`allow_origin`)"
    )]
    Origin(Arc<str>),
    /// The name of the dead letter topic implies another topic as well.
    #[error(
        "it says that it comes from {topic}, but by the name of the dead letter topic it could come from {other} as \
         well; allow the right one with --allow-origin (`allow_origin`)"
    )]
    AmbiguousOrigin {
        /// The topic that the record names.
        topic: Arc<str>,
        /// The other topic that exists.
        other: Arc<str>,
    },
    /// It was put back this often already.
    #[error(
        "it was put back {0} times already and failed again; mend the handler first, then raise --max-redrives \
         (`max_redrives`)"
    )]
    TooOften(u32),
    /// The destination does not exist.
    #[error(
        "topic {0} does not exist, or may not be described; create it, grant the user an ACL for it, or name another \
         with --to (`to`)"
    )]
    NoTopic(Arc<str>),
    /// The destination has fewer partitions than it had.
    #[error(
        "topic {topic} has no partition {partition} any more; --to {topic} (`to`) chooses one by the key"
    )]
    NoPartition {
        /// The destination.
        topic: Arc<str>,
        /// The partition that the record names.
        partition: i32,
    },
    /// The broker or the client does not take a record of this size.
    #[error(
        "its {bytes} bytes are too large for topic {topic}; raise the topic's max.message.bytes, and \
         KAFKA_PROPERTY_MESSAGE_MAX_BYTES"
    )]
    TooLarge {
        /// The destination.
        topic: Arc<str>,
        /// Key and value together.
        bytes: usize,
    },
}

impl Refusal {
    /// The word for it in JSON and in logs.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Header(_) => "header",
            Self::Count => "count",
            Self::UnreadableHeaders(_) => "unreadable_headers",
            Self::Origin(_) => "origin",
            Self::AmbiguousOrigin { .. } => "ambiguous_origin",
            Self::TooOften(_) => "too_often",
            Self::NoTopic(_) => "no_topic",
            Self::NoPartition { .. } => "no_partition",
            Self::TooLarge { .. } => "too_large",
        }
    }
}
