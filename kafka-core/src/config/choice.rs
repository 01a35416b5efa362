//! The settings that are one of a few words.

use std::time::Duration;

use super::value::{Choice, Expected, number};

/// A cluster with a known address, reached with TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Environment {
    /// The development cluster: `bootstrap.127.0.0.1.nip.io:9094`.
    #[default]
    Development,
    /// The in-cluster service: `kafka-cluster-dual-role-0.kafka.svc.cluster.local:9094`.
    Production,
}

impl Environment {
    /// Returns the address of the cluster.
    pub fn bootstrap_servers(self) -> &'static str {
        match self {
            Self::Development => "bootstrap.127.0.0.1.nip.io:9094",
            Self::Production => "kafka-cluster-dual-role-0.kafka.svc.cluster.local:9094",
        }
    }
}

impl Choice for Environment {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("development", Self::Development),
        ("production", Self::Production),
        ("dev", Self::Development),
        ("prod", Self::Production),
    ];
}

/// How a client proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SaslMechanism {
    /// User name and password, readable for whoever reads the connection: only with TLS.
    Plain,
    /// User name and password, never sent (SHA-256).
    ScramSha256,
    /// User name and password, never sent (SHA-512).
    ScramSha512,
    /// A token of an identity provider; its settings are the properties `sasl.oauthbearer.*`.
    OAuthBearer,
    /// Kerberos; its settings are the properties `sasl.kerberos.*`.
    Gssapi,
}

impl SaslMechanism {
    /// The name that Kafka uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::OAuthBearer => "OAUTHBEARER",
            Self::Gssapi => "GSSAPI",
        }
    }

    /// True if the mechanism takes a user name and a password.
    pub(super) fn takes_password(self) -> bool {
        matches!(self, Self::Plain | Self::ScramSha256 | Self::ScramSha512)
    }
}

impl Choice for SaslMechanism {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("PLAIN", Self::Plain),
        ("SCRAM-SHA-256", Self::ScramSha256),
        ("SCRAM-SHA-512", Self::ScramSha512),
        ("OAUTHBEARER", Self::OAuthBearer),
        ("GSSAPI", Self::Gssapi),
    ];
}

/// How a consumer group agrees who reads what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum GroupProtocol {
    /// One member assigns for all. The default.
    #[default]
    Classic,
    /// The broker assigns (KIP-848; Kafka 4.0 and later).
    Consumer,
}

impl GroupProtocol {
    /// The name that Kafka uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Consumer => "consumer",
        }
    }
}

impl Choice for GroupProtocol {
    const WORDS: &'static [(&'static str, Self)] =
        &[("classic", Self::Classic), ("consumer", Self::Consumer)];
}

/// Which member gets which partition, with [`GroupProtocol::Classic`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PartitionAssignment {
    /// Balanced, and members keep what they have: a rebalance stops only what moves. The default.
    #[default]
    CooperativeSticky,
    /// Neighbouring partitions, topic by topic; every rebalance stops all members.
    Range,
    /// One by one in turn; every rebalance stops all members.
    RoundRobin,
}

impl PartitionAssignment {
    /// The name that librdkafka uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CooperativeSticky => "cooperative-sticky",
            Self::Range => "range",
            Self::RoundRobin => "roundrobin",
        }
    }
}

impl Choice for PartitionAssignment {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("cooperative-sticky", Self::CooperativeSticky),
        ("range", Self::Range),
        ("roundrobin", Self::RoundRobin),
    ];
}

/// Whether records of a transaction are seen before it is committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum IsolationLevel {
    /// Only records of committed transactions. The default.
    #[default]
    ReadCommitted,
    /// Every record, also of transactions that were aborted.
    ReadUncommitted,
}

impl IsolationLevel {
    /// The name that Kafka uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadCommitted => "read_committed",
            Self::ReadUncommitted => "read_uncommitted",
        }
    }
}

impl Choice for IsolationLevel {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("read_committed", Self::ReadCommitted),
        ("read_uncommitted", Self::ReadUncommitted),
    ];
}

/// What happens if a topic of a handler does not exist at start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MissingTopics {
    /// The start fails and names them. The default.
    #[default]
    Fail,
    /// The runtime starts, and consumes them when they appear.
    Wait,
    /// The broker creates them by itself when it is asked for them, as `auto.create.topics.enable` lets it.
    Auto,
    /// The runtime creates them.
    Create {
        /// Partitions of each.
        partitions: u32,
        /// Replicas of each partition.
        replication: u16,
    },
}

impl MissingTopics {
    pub(super) fn parse(text: &str) -> Result<Self, Expected> {
        let form = || {
            Expected::from("fail, wait, auto or create:PARTITIONS:REPLICATION, such as create:6:3")
        };
        let mut parts = text.split(':').map(str::trim);
        let read = (
            parts.next().map(str::to_ascii_lowercase),
            parts.next(),
            parts.next(),
            parts.next(),
        );
        match (read.0.as_deref(), read.1, read.2, read.3) {
            (Some("fail"), None, ..) => Ok(Self::Fail),
            (Some("wait"), None, ..) => Ok(Self::Wait),
            (Some("auto"), None, ..) => Ok(Self::Auto),
            (Some("create"), Some(partitions), Some(replication), None) => Ok(Self::Create {
                partitions: number(partitions).map_err(|_| form())?,
                replication: number(replication).map_err(|_| form())?,
            }),
            _ => Err(form()),
        }
    }
}

/// What happens if a committed offset is not on the broker any more, because retention was faster than the group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutOfRange {
    /// The runtime ends with an error that names the range lost. The default: records were missed.
    #[default]
    Fail,
    /// Goes on at the oldest record there is, and reports the range lost.
    Earliest,
    /// Goes on at the end, and reports the range lost.
    Latest,
}

impl Choice for OutOfRange {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("fail", Self::Fail),
        ("earliest", Self::Earliest),
        ("latest", Self::Latest),
    ];
}

/// How patiently the first connection is tried again: the wait doubles each time, up to 30 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectRetry {
    /// The first wait. Default 100 ms.
    pub initial_retry_time: Duration,
    /// Attempts after the first one. Default 8.
    pub retries: u32,
}

impl Default for ConnectRetry {
    fn default() -> Self {
        Self {
            initial_retry_time: Duration::from_millis(100),
            retries: 8,
        }
    }
}

impl ConnectRetry {
    /// Returns the wait before a retry (from 1), or `None` if it is one too many.
    pub(crate) fn delay(&self, retry: u32) -> Option<Duration> {
        const LONGEST_WAIT: Duration = Duration::from_secs(30);
        if retry > self.retries {
            return None;
        }
        let factor = 2_u32.saturating_pow(retry.saturating_sub(1));
        Some(
            self.initial_retry_time
                .saturating_mul(factor)
                .min(LONGEST_WAIT),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_thirty_seconds_and_ends() {
        let retry = ConnectRetry {
            initial_retry_time: Duration::from_secs(4),
            retries: 5,
        };

        let waits: Vec<_> = (1..=6)
            .map(|n| retry.delay(n).map(|d| d.as_secs()))
            .collect();

        assert_eq!(
            waits,
            [Some(4), Some(8), Some(16), Some(30), Some(30), None]
        );
    }

    #[test]
    fn missing_topics_are_created_with_both_numbers_given() {
        assert_eq!(
            MissingTopics::parse("create:6:3"),
            Ok(MissingTopics::Create {
                partitions: 6,
                replication: 3
            })
        );
        assert_eq!(MissingTopics::parse("Wait"), Ok(MissingTopics::Wait));
        for text in [
            "create",
            "create:6",
            "create:a:b",
            "create:6:3:1",
            "fail:1",
            "ignore",
        ] {
            assert!(MissingTopics::parse(text).is_err(), "{text}");
        }
    }
}
