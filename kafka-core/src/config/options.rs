//! The options of the imperative surface: plain structs with `..Default::default()`.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::Config;
use super::check::{Build, check_milliseconds};
use super::choice::{
    ConnectRetry, Environment, GroupProtocol, IsolationLevel, MissingTopics, PartitionAssignment,
    SaslMechanism,
};
use super::error::{ConfigError, ConfigProblem};
use super::secret::{Properties, REDACTED};

/// How to reach the brokers. The default is the development cluster, with TLS.
///
/// ```
/// use std::time::Duration;
/// use kafka_core::{ClientOptions, ConnectRetry, Environment};
///
/// let options = ClientOptions {
///     client_id: "your-service-name".into(),
///     environment: Environment::Development,
///     bootstrap_servers: None,
///     ssl: true,
///     retry: ConnectRetry { initial_retry_time: Duration::from_millis(100), retries: 8 },
///     ..Default::default()
/// };
/// # let _ = options;
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ClientOptions {
    /// How brokers name this client; empty is the program's name.
    pub client_id: String,
    /// The cluster, unless `bootstrap_servers` says otherwise.
    pub environment: Environment,
    /// Addresses (`host:port`) that win over that of the environment.
    pub bootstrap_servers: Option<Vec<String>>,
    /// Whether connections use TLS. Default true, as both environments do.
    pub ssl: bool,
    /// Certificates that vouch for the brokers: a PEM file or a directory. Default: the system's.
    pub ssl_ca_location: Option<String>,
    /// The same as text.
    pub ssl_ca_pem: Option<String>,
    /// The client's certificate (a PEM file), for mutual TLS.
    pub ssl_certificate_location: Option<String>,
    /// The client's private key (a PEM file), for mutual TLS.
    pub ssl_key_location: Option<String>,
    /// The passphrase of the private key.
    pub ssl_key_password: Option<String>,
    /// How the client proves who it is. Default: not at all.
    pub sasl: Option<Sasl>,
    /// How patiently the first connection is tried again.
    pub retry: ConnectRetry,
    /// How long one attempt to connect may take. Default 5 s.
    pub request_timeout: Duration,
    /// More properties for librdkafka.
    pub properties: BTreeMap<String, String>,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            client_id: String::new(),
            environment: Environment::Development,
            bootstrap_servers: None,
            ssl: true,
            ssl_ca_location: None,
            ssl_ca_pem: None,
            ssl_certificate_location: None,
            ssl_key_location: None,
            ssl_key_password: None,
            sasl: None,
            retry: ConnectRetry::default(),
            request_timeout: Config::REQUEST_TIMEOUT,
            properties: BTreeMap::new(),
        }
    }
}

impl ClientOptions {
    /// Returns the configuration that says the same.
    pub fn to_config(&self) -> Config {
        let options = self.clone();
        let mut config = Config::new()
            .environment(options.environment)
            .ssl(options.ssl)
            .connect_retry(options.retry)
            .request_timeout(options.request_timeout);
        config.client_id = Some(options.client_id).filter(|id| !id.is_empty());
        config.bootstrap_servers = options.bootstrap_servers.map(Into::into);
        config.ssl_ca_location = options.ssl_ca_location;
        config.ssl_ca_pem = options.ssl_ca_pem;
        config.ssl_certificate_location = options.ssl_certificate_location;
        config.ssl_key_location = options.ssl_key_location;
        config.ssl_key_password = options.ssl_key_password.map(super::secret::Secret);
        config.properties = Properties(options.properties);
        match options.sasl {
            Some(sasl) => sasl.apply(config),
            None => config,
        }
    }
}

impl fmt::Debug for ClientOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClientOptions")
            .field(&self.to_config())
            .finish()
    }
}

/// How a client proves who it is, for [`ClientOptions`].
#[derive(Clone, PartialEq, Eq)]
pub struct Sasl {
    mechanism: SaslMechanism,
    credentials: Option<(String, String)>,
}

impl Sasl {
    /// User name and password, readable for whoever reads the connection: only with TLS.
    pub fn plain(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self::with_password(SaslMechanism::Plain, username, password)
    }

    /// User name and password, never sent (SHA-256).
    pub fn scram_sha_256(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self::with_password(SaslMechanism::ScramSha256, username, password)
    }

    /// User name and password, never sent (SHA-512).
    pub fn scram_sha_512(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self::with_password(SaslMechanism::ScramSha512, username, password)
    }

    /// A token of an identity provider; its settings are the properties `sasl.oauthbearer.*`.
    pub fn oauth_bearer() -> Self {
        Self {
            mechanism: SaslMechanism::OAuthBearer,
            credentials: None,
        }
    }

    /// Kerberos; its settings are the properties `sasl.kerberos.*`.
    pub fn gssapi() -> Self {
        Self {
            mechanism: SaslMechanism::Gssapi,
            credentials: None,
        }
    }

    fn with_password(
        mechanism: SaslMechanism,
        username: impl Into<String>,
        password: impl Into<String>,
    ) -> Self {
        Self {
            mechanism,
            credentials: Some((username.into(), password.into())),
        }
    }

    fn apply(self, config: Config) -> Config {
        let config = config.sasl_mechanism(self.mechanism);
        match self.credentials {
            Some((username, password)) => config.sasl_username(username).sasl_password(password),
            None => config,
        }
    }
}

impl fmt::Debug for Sasl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sasl")
            .field("mechanism", &self.mechanism)
            .field(
                "username",
                &self.credentials.as_ref().map(|(username, _)| username),
            )
            .field("password", &self.credentials.as_ref().map(|_| REDACTED))
            .finish()
    }
}

/// How a consumer takes part in its group.
///
/// ```
/// use std::time::Duration;
/// use kafka_core::ConsumerOptions;
///
/// let options = ConsumerOptions {
///     group_id: "your-service-group".into(),
///     session_timeout: Duration::from_secs(30),
///     heartbeat_interval: Duration::from_secs(3),
///     ..Default::default()
/// };
/// # let _ = options;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerOptions {
    /// The consumer group.
    pub group_id: String,
    /// A member not heard of for this long has left. Default 45 s. With the classic protocol.
    pub session_timeout: Duration,
    /// How often a member is heard of. Default 3 s. With the classic protocol.
    pub heartbeat_interval: Duration,
    /// How the group agrees who reads what.
    pub group_protocol: GroupProtocol,
    /// Static membership: unique for each process of the group.
    pub group_instance_id: Option<String>,
    /// Who gets which partition, with the classic protocol.
    pub partition_assignment: PartitionAssignment,
    /// Whether records of aborted transactions are seen.
    pub isolation_level: IsolationLevel,
    /// What happens if a handler's topic does not exist at start.
    pub missing_topics: MissingTopics,
}

impl Default for ConsumerOptions {
    fn default() -> Self {
        Self {
            group_id: String::new(),
            session_timeout: Config::SESSION_TIMEOUT,
            heartbeat_interval: Config::HEARTBEAT_INTERVAL,
            group_protocol: GroupProtocol::default(),
            group_instance_id: None,
            partition_assignment: PartitionAssignment::default(),
            isolation_level: IsolationLevel::default(),
            missing_topics: MissingTopics::default(),
        }
    }
}

impl ConsumerOptions {
    /// Returns the client's configuration with these options in it.
    ///
    /// What stands at its default is not set: the client's own configuration (of
    /// [`KafkaManager::from_config`](crate::KafkaManager::from_config)) holds there, and `group_protocol: Consumer` does
    /// not contradict the defaults of the classic protocol.
    pub fn to_config(&self, client: &Config) -> Config {
        fn unless_default<T: PartialEq + Clone>(value: &T, default: &T) -> Option<T> {
            (value != default).then(|| value.clone())
        }
        let options = self.clone();
        let default = Self::default();
        let mut config = client.clone();
        if let Some(protocol) = unless_default(&options.group_protocol, &default.group_protocol) {
            config = config.group_protocol(protocol);
        }
        if let Some(level) = unless_default(&options.isolation_level, &default.isolation_level) {
            config = config.isolation_level(level);
        }
        if let Some(policy) = unless_default(&options.missing_topics, &default.missing_topics) {
            config = config.missing_topics(policy);
        }
        let group_id = Some(options.group_id).filter(|id| !id.is_empty());
        config.group_id = group_id.or(config.group_id);
        config.group_instance_id = options.group_instance_id.or(config.group_instance_id);
        let session_timeout = unless_default(&options.session_timeout, &default.session_timeout);
        config.session_timeout = session_timeout.or(config.session_timeout);
        let interval = unless_default(&options.heartbeat_interval, &default.heartbeat_interval);
        config.heartbeat_interval = interval.or(config.heartbeat_interval);
        let assignment =
            unless_default(&options.partition_assignment, &default.partition_assignment);
        config.partition_assignment = assignment.or(config.partition_assignment);
        config
    }
}

/// How a producer writes. The default loses and doubles nothing.
///
/// ```
/// use kafka_core::ProducerOptions;
///
/// let options = ProducerOptions { max_in_flight_requests: 1, idempotent: true, ..Default::default() };
/// assert!(options.validate().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerOptions {
    /// The most requests under way to one broker. Default 5, which is the most that `idempotent` allows. Without
    /// `idempotent`, more than 1 lets a retry change the order.
    pub max_in_flight_requests: u32,
    /// Whether a retry is written once only. Default true.
    pub idempotent: bool,
    /// Who must have a record before it counts as written.
    pub acks: Acks,
    /// How long records wait for others to share a request. Default 5 ms, at most 1 min.
    pub linger: Duration,
    /// How batches are compressed.
    pub compression: Compression,
}

impl Default for ProducerOptions {
    fn default() -> Self {
        Self {
            max_in_flight_requests: 5,
            idempotent: true,
            acks: Acks::All,
            linger: Duration::from_millis(5),
            compression: Compression::None,
        }
    }
}

impl ProducerOptions {
    /// Checks that the options do not contradict each other.
    pub fn validate(&self) -> Result<(), ConfigError> {
        ConfigError::from_problems(self.problems(Build::CURRENT))
    }

    fn problems(&self, build: Build) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        let mut contradicts_idempotence = |what: String, reason: &'static str| {
            if self.idempotent {
                problems.push(ConfigProblem::Contradiction {
                    what,
                    with: "idempotent: true".to_owned(),
                    reason,
                });
            }
        };
        if self.max_in_flight_requests > 5 {
            contradicts_idempotence(
                format!("max_in_flight_requests: {}", self.max_in_flight_requests),
                "the broker remembers the last 5 requests of a producer; set 5 or less",
            );
        }
        if self.acks != Acks::All {
            contradicts_idempotence(
                format!("acks: Acks::{:?}", self.acks),
                "only what all replicas have is written once; set Acks::All",
            );
        }
        if !(1..=1_000_000).contains(&self.max_in_flight_requests) {
            problems.push(ConfigProblem::OutsideRange {
                setting: "max_in_flight_requests",
                allowed: "from 1 to 1000000",
            });
        }
        check_milliseconds(
            &mut problems,
            "linger",
            self.linger,
            0..=60_000,
            "at most 1m",
        );
        if self.compression == Compression::Zstd && !build.zstd {
            problems.push(ConfigProblem::FeatureIsOff {
                what: "compression: Compression::Zstd".to_owned(),
                feature: "zstd",
            });
        }
        problems
    }
}

/// Who must have a record before it counts as written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Acks {
    /// All replicas that are in sync. The default.
    #[default]
    All,
    /// The leader of the partition: lost with it.
    Leader,
    /// Nobody: lost unnoticed.
    None,
}

impl Acks {
    /// The value that Kafka uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Leader => "1",
            Self::None => "0",
        }
    }
}

/// How batches of records are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all. The default.
    #[default]
    None,
    /// gzip.
    Gzip,
    /// Snappy.
    Snappy,
    /// LZ4.
    Lz4,
    /// Zstandard; needs the feature `zstd`.
    Zstd,
}

impl Compression {
    /// The name that Kafka uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(options: &ProducerOptions) -> String {
        let build = Build {
            zstd: false,
            ..Build::CURRENT
        };
        format!("{:?}", options.problems(build))
    }

    #[test]
    fn the_default_client_is_the_development_cluster_with_tls() {
        let map = ClientOptions::default().to_config().admin_properties();

        assert_eq!(
            map.get("bootstrap.servers").map(String::as_str),
            Some("bootstrap.127.0.0.1.nip.io:9094")
        );
        assert_eq!(
            map.get("security.protocol").map(String::as_str),
            Some("ssl")
        );
    }

    #[test]
    fn client_options_say_the_same_as_the_builder() {
        let options = ClientOptions {
            client_id: "me".into(),
            bootstrap_servers: Some(vec!["a:9092".into(), "b:9092".into()]),
            ssl: false,
            sasl: Some(Sasl::scram_sha_256("user", "word")),
            properties: BTreeMap::from([("client.rack".into(), "r".into())]),
            ..Default::default()
        };

        let config = Config::new()
            .environment(Environment::Development)
            .client_id("me")
            .bootstrap_servers("a:9092,b:9092")
            .ssl(false)
            .sasl_mechanism(SaslMechanism::ScramSha256)
            .sasl_username("user")
            .sasl_password("word")
            .property("client.rack", "r");
        assert_eq!(options.to_config(), config);
    }

    #[test]
    fn consumer_options_of_the_new_protocol_do_not_contradict_their_defaults() {
        let client = Config::new().bootstrap_servers("localhost:9092");
        let options = ConsumerOptions {
            group_id: "g".into(),
            group_protocol: GroupProtocol::Consumer,
            ..Default::default()
        };

        assert_eq!(options.to_config(&client).validate(), Ok(()));
    }

    #[test]
    fn consumer_options_at_their_defaults_leave_the_configuration_alone() {
        let client = Config::new()
            .group_id("g")
            .group_protocol(GroupProtocol::Consumer)
            .isolation_level(IsolationLevel::ReadUncommitted)
            .missing_topics(MissingTopics::Wait);

        assert_eq!(ConsumerOptions::default().to_config(&client), client);
    }

    #[test]
    fn an_idempotent_producer_needs_all_acks_and_few_requests() {
        let text = refused(&ProducerOptions {
            max_in_flight_requests: 6,
            acks: Acks::Leader,
            compression: Compression::Zstd,
            ..Default::default()
        });

        for part in ["max_in_flight_requests: 6", "Acks::Leader", "zstd"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let careless = ProducerOptions {
            max_in_flight_requests: 6,
            acks: Acks::Leader,
            idempotent: false,
            ..Default::default()
        };
        assert_eq!(careless.validate(), Ok(()));
        let stuck = ProducerOptions {
            max_in_flight_requests: 0,
            ..Default::default()
        };
        assert!(stuck.validate().is_err());
    }

    #[test]
    fn debug_of_the_options_shows_no_secret() {
        let options = ClientOptions {
            ssl_key_password: Some("canary".into()),
            sasl: Some(Sasl::plain("user", "canary")),
            properties: BTreeMap::from([("ssl.key.pem".into(), "canary".into())]),
            ..Default::default()
        };

        let text = format!("{options:?} {:#?}", options.sasl);

        assert!(!text.contains("canary") && text.contains("user"), "{text}");
    }
}
