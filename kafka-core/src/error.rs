//! What can go wrong between the runtime and Kafka, and how a run ends badly.

use std::any::Any;

use crate::outcome::FailureKind;
use crate::record::RecordPlace;
use crate::start::StartError;

/// An error of the Kafka client, told in words that say what to do. Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The client refused its settings.
    #[error("the Kafka client refuses its settings: {0}")]
    Settings(String),
    /// No broker answers.
    #[error("no broker answers: {0}")]
    Unreachable(String),
    /// The TLS handshake failed: the certificate, its host name, or no TLS on that port.
    #[error(
        "TLS handshake failed: {0}; check that the port speaks TLS, KAFKA_SSL_CA_LOCATION, and that the \
         certificate names the host you connect to"
    )]
    Tls(String),
    /// The broker refused the credentials.
    #[error(
        "authentication failed: {0}; check KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"
    )]
    Authentication(String),
    /// The user may not do this.
    #[error("not permitted: {0}; grant the user an ACL for it")]
    Authorization(String),
    /// The topic or partition does not exist.
    #[error("unknown topic or partition: {0}")]
    UnknownTopic(String),
    /// A committed or current offset is not in the partition any more (or not yet).
    #[error("offset out of range: {0}")]
    OffsetOutOfRange(String),
    /// A batch of records cannot be read: its checksum does not match, or it cannot be decompressed.
    #[error("a batch of records cannot be read: {0}")]
    Corrupt(String),
    /// The group has no use for this member any more: its partitions are somebody else's.
    #[error("not a member of the group any more: {0}")]
    NotAMember(String),
    /// The broker does not know the request.
    #[error("the broker does not support it: {0}")]
    Unsupported(String),
    /// No answer in time.
    #[error("no answer in time: {0}")]
    TimedOut(String),
    /// The client cannot go on.
    #[error("the Kafka client cannot go on: {0}")]
    Fatal(String),
    /// Anything else that a broker or the client says.
    #[error("{0}")]
    Other(String),
}

impl ClientError {
    /// True if another attempt cannot help until somebody changes something.
    pub fn is_permanent(&self) -> bool {
        matches!(
            self,
            Self::Settings(_)
                | Self::Tls(_)
                | Self::Authentication(_)
                | Self::Authorization(_)
                | Self::Unsupported(_)
                | Self::Fatal(_)
        )
    }
}

/// Why no connection could be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Every attempt failed.
    #[error("cannot connect to {} after {attempts} attempts: {source}", brokers.join(", "))]
    GaveUp {
        /// The bootstrap servers that were tried.
        brokers: Vec<String>,
        /// How often.
        attempts: u32,
        /// What the last attempt said.
        source: ClientError,
    },
    /// It was disconnected while it was connecting.
    #[error("disconnected while connecting")]
    Disconnected,
    /// A broker answered, and another attempt cannot help.
    #[error("cannot connect to {}: {source}", brokers.join(", "))]
    Refused {
        /// The bootstrap servers.
        brokers: Vec<String>,
        /// What was said.
        source: ClientError,
    },
}

/// How a run ended badly.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The runtime did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// No connection could be made.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A record failed for good under `on_failure = "stop"`. It is not committed, and nothing past it.
    #[error(
        "handler {handler} failed for good at {record} ({class}), and its policy is to stop: {error}"
    )]
    RecordFailed {
        /// Where the record is.
        record: RecordPlace,
        /// The handler's name.
        handler: String,
        /// Why.
        class: FailureKind,
        /// What the handler said.
        error: String,
    },
    /// The client of a group cannot go on.
    #[error("group {group_id}: {source}")]
    Client {
        /// The consumer group.
        group_id: String,
        /// What the client said.
        source: ClientError,
    },
    /// A producer could not send all that was queued.
    #[error("producer: {0}")]
    Producer(#[source] ClientError),
    /// A thread of the runtime panicked: a defect of this crate.
    #[error("the runtime's thread for group {group_id} panicked: {text}")]
    Panicked {
        /// The consumer group.
        group_id: String,
        /// The panic's text.
        text: String,
    },
}

/// Returns the text of a panic, if it is one.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> Option<String> {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
}
