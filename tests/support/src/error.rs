//! What can go wrong between a test and its Kafka.

use std::io;
use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// A failure of the rig, never of the code under test.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RigError {
    /// A program that the rig runs is not installed, or too old.
    #[error(
        "{0}; install it (tests of Kafka alone can use a running one: KAFKA_BOOTSTRAP_SERVERS)"
    )]
    MissingTool(String),

    /// The version cannot be part of a Maven coordinate.
    #[error("{0:?} is not a version; write it like \"3.9.1\"")]
    InvalidVersion(String),

    /// A node count that the rig does not build.
    #[error("a cluster of {0} nodes is not supported; ask for 1 or 3")]
    InvalidNodeCount(usize),

    /// Neither `KAFKA_RUNTIME_CACHE` nor `XDG_CACHE_HOME` nor `HOME` is set.
    #[error("no folder to cache the Kafka jars in; set KAFKA_RUNTIME_CACHE")]
    NoCacheFolder,

    /// Maven could not bring what a rig runs.
    #[error("Maven could not fetch {what}:\n{output}")]
    Fetch {
        /// What was asked for, with its version.
        what: String,
        /// The end of what Maven printed.
        output: String,
    },

    /// A file, folder or process operation failed.
    #[error("cannot {doing}")]
    Io {
        /// What the rig was about to do, with the path.
        doing: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },

    /// The test certificates could not be made.
    #[error("cannot make the test certificates")]
    Certificate(#[from] rcgen::Error),

    /// The storage tool refused the node's properties.
    #[error("cannot format the log folder of node {node}:\n{output}")]
    Format {
        /// `node.id` of the node.
        node: usize,
        /// The end of what the tool printed.
        output: String,
    },

    /// A node ended before it served.
    #[error("node {node} ended while starting ({status}); the end of its log:\n{tail}")]
    NodeEnded {
        /// `node.id` of the node.
        node: usize,
        /// How the process ended.
        status: String,
        /// The last lines it logged.
        tail: String,
    },

    /// PostgreSQL did not start.
    #[error("PostgreSQL could not {doing}:\n{output}")]
    PostgresFailed {
        /// What it was to do.
        doing: String,
        /// The end of what it printed.
        output: String,
    },

    /// PostgreSQL refused statements, or could not be reached.
    #[error("{message}\n  in: {doing}")]
    Sql {
        /// The statements.
        doing: String,
        /// What the server, or the client, said.
        message: String,
    },

    /// The worker of Kafka Connect did not start.
    #[error("Kafka Connect did not start ({reason}); the end of its log:\n{tail}")]
    ConnectFailed {
        /// How it ended, or how long it was waited for.
        reason: String,
        /// The last lines it logged.
        tail: String,
    },

    /// Kafka Connect refused a request.
    #[error("Kafka Connect refuses to {doing}: {answer}")]
    ConnectRefused {
        /// What was asked of it.
        doing: String,
        /// Its answer, or why there was none.
        answer: String,
    },

    /// A connector, or its task, does not run.
    #[error("connector {name} does not run: {status}")]
    ConnectorFailed {
        /// The connector's name.
        name: String,
        /// Its status with the stack traces, as Connect reports it.
        status: String,
    },

    /// A node found one of its ports taken by another process.
    #[error("another process took a port of node {node}; try again")]
    PortTaken {
        /// `node.id` of the node.
        node: usize,
    },

    /// A node runs but did not answer in time.
    #[error("node {node} does not answer after {waited:?}; the end of its log:\n{tail}")]
    NotReady {
        /// `node.id` of the node.
        node: usize,
        /// How long the rig waited.
        waited: Duration,
        /// The last lines it logged.
        tail: String,
    },

    /// The cluster has no such node, or was not started by this rig.
    #[error("the cluster has no node {0}")]
    NoSuchNode(usize),

    /// The node is stopped or killed; there is no process to signal.
    #[error("node {0} does not run")]
    NodeDown(usize),

    /// The cluster was started without [`tls(true)`](crate::ClusterBuilder::tls).
    #[error("the cluster has no TLS listeners; build it with .tls(true)")]
    NoTls,

    /// The cluster was started without [`proxied(true)`](crate::ClusterBuilder::proxied).
    #[error("the cluster has no proxies; build it with .proxied(true)")]
    NoProxy,

    /// The client could not do what a test asked for.
    #[error("cannot {doing}")]
    Client {
        /// What the rig was about to do.
        doing: String,
        /// Why it failed.
        #[source]
        source: KafkaError,
    },

    /// The broker refused to create or delete a topic.
    #[error("the broker refuses to {doing}: {code}")]
    Refused {
        /// What was asked of it.
        doing: String,
        /// Its answer.
        code: RDKafkaErrorCode,
    },

    /// A node refused a request that the rig sent without a client.
    #[error("a node refuses to {doing}: error code {code} {message:?}")]
    NotDone {
        /// What was asked of it.
        doing: String,
        /// Its error code, by the protocol's table.
        code: i16,
        /// What it said.
        message: String,
    },

    /// The cluster did not show an expected state in time.
    #[error("{waiting_for}: not so after {waited:?}")]
    NotInTime {
        /// The state waited for.
        waiting_for: String,
        /// How long the rig waited.
        waited: Duration,
    },

    /// A blocking part of the rig panicked.
    #[error("a task of the rig ended early")]
    Task(#[from] tokio::task::JoinError),
}

impl RigError {
    /// Names what was being done, for `map_err`.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        |source| Self::Io { doing, source }
    }

    /// Names what was being done, for `map_err`.
    pub(crate) fn client(doing: impl Into<String>) -> impl FnOnce(KafkaError) -> Self {
        let doing = doing.into();
        |source| Self::Client { doing, source }
    }
}

/// Returns the last `lines` lines of `text`.
pub(crate) fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::tail;

    #[test]
    fn the_tail_is_the_last_lines() {
        assert_eq!(tail("a\nb\nc\n", 2), "b\nc");
    }

    #[test]
    fn the_tail_of_a_short_text_is_all_of_it() {
        assert_eq!(tail("a", 40), "a");
        assert_eq!(tail("", 40), "");
    }
}
