//! How to reach Kafka and how to behave there: one value, from the environment or by hand.
//!
//! [`Config`] holds what was said; nothing is refused while it is built, so the order of the calls does not matter.
//! [`Config::validate`] then tells every contradiction at once. `setting` has the table of all settings, `property`
//! what librdkafka is given.

mod address;
mod builder;
mod check;
mod choice;
#[cfg(test)]
mod docs;
mod environment;
mod error;
mod options;
mod property;
pub(crate) mod secret;
mod setting;
mod value;

use std::time::Duration;

pub use address::BootstrapServers;
pub use choice::{
    ConnectRetry, Environment, GroupProtocol, IsolationLevel, MissingTopics, OutOfRange,
    PartitionAssignment, SaslMechanism,
};
pub use error::{ConfigError, ConfigProblem};
pub use options::{Acks, ClientOptions, Compression, ConsumerOptions, ProducerOptions, Sasl};

use secret::{Properties, Secret};

/// The settings of a runtime: where the brokers are, how to talk to them, how much to hold in memory.
///
/// Every setting has an environment variable and a builder method of the same name; docs/CONFIGURATION.md lists them.
/// What is not set has a default that loses no records. Secrets do not show in `Debug`.
///
/// ```
/// use std::time::Duration;
/// use kafka_core::Config;
///
/// let config = Config::new()
///     .bootstrap_servers("localhost:9092")
///     .group_id("analytics")
///     .session_timeout(Duration::from_secs(30))
///     .property("fetch.min.bytes", "1024");
/// config.validate()?;
/// # Ok::<(), kafka_core::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Config {
    pub(crate) bootstrap_servers: Option<BootstrapServers>,
    pub(crate) environment: Option<Environment>,
    pub(crate) group_id: Option<String>,
    pub(crate) client_id: Option<String>,
    pub(crate) ssl: Option<bool>,
    pub(crate) ssl_ca_location: Option<String>,
    pub(crate) ssl_ca_pem: Option<String>,
    pub(crate) ssl_certificate_location: Option<String>,
    pub(crate) ssl_key_location: Option<String>,
    pub(crate) ssl_key_password: Option<Secret>,
    pub(crate) ssl_endpoint_identification: Option<bool>,
    pub(crate) sasl_mechanism: Option<SaslMechanism>,
    pub(crate) sasl_username: Option<String>,
    pub(crate) sasl_password: Option<Secret>,
    pub(crate) group_protocol: GroupProtocol,
    pub(crate) group_instance_id: Option<String>,
    pub(crate) partition_assignment: Option<PartitionAssignment>,
    pub(crate) session_timeout: Option<Duration>,
    pub(crate) heartbeat_interval: Option<Duration>,
    pub(crate) isolation_level: IsolationLevel,
    pub(crate) commit_interval: Duration,
    pub(crate) on_out_of_range: OutOfRange,
    pub(crate) missing_topics: MissingTopics,
    pub(crate) max_in_flight_records: usize,
    pub(crate) max_in_flight_bytes: usize,
    pub(crate) drain_timeout: Duration,
    pub(crate) max_call_age: Duration,
    pub(crate) shutdown_grace: Duration,
    pub(crate) connect_retry: ConnectRetry,
    pub(crate) request_timeout: Duration,
    pub(crate) dead_letter_error_text: bool,
    pub(crate) statistics_interval: Option<Duration>,
    pub(crate) properties: Properties,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            bootstrap_servers: None,
            environment: None,
            group_id: None,
            client_id: None,
            ssl: None,
            ssl_ca_location: None,
            ssl_ca_pem: None,
            ssl_certificate_location: None,
            ssl_key_location: None,
            ssl_key_password: None,
            ssl_endpoint_identification: None,
            sasl_mechanism: None,
            sasl_username: None,
            sasl_password: None,
            group_protocol: GroupProtocol::Classic,
            group_instance_id: None,
            partition_assignment: None,
            session_timeout: None,
            heartbeat_interval: None,
            isolation_level: IsolationLevel::ReadCommitted,
            commit_interval: Duration::from_secs(1),
            on_out_of_range: OutOfRange::Fail,
            missing_topics: MissingTopics::Fail,
            max_in_flight_records: 16_000,
            max_in_flight_bytes: 64 << 20,
            drain_timeout: Duration::from_secs(5),
            max_call_age: Duration::from_mins(1),
            shutdown_grace: Duration::from_secs(10),
            connect_retry: ConnectRetry::default(),
            request_timeout: Self::REQUEST_TIMEOUT,
            dead_letter_error_text: false,
            statistics_interval: None,
            properties: Properties::default(),
        }
    }
}

impl Config {
    /// librdkafka's default.
    pub(crate) const SESSION_TIMEOUT: Duration = Duration::from_secs(45);
    /// librdkafka's default.
    pub(crate) const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(3);
    pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

    /// The defaults. Where the brokers are must still be said.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the settings from the environment variables of this process, `KAFKA_..`.
    ///
    /// # Errors
    ///
    /// Every value that cannot be read and every name that is misspelt, at once. Variables that others set for
    /// themselves (`KAFKA_HOME`, `KAFKA_SERVICE_HOST`, ..) are passed over.
    pub fn from_env() -> Result<Self, ConfigError> {
        let (vars, problems) = environment::of_process();
        environment::read(vars, problems)
    }

    /// Reads the settings from pairs of name and value, as [`from_env`](Self::from_env) does.
    ///
    /// ```
    /// use kafka_core::Config;
    ///
    /// let vars = [("KAFKA_SLL".to_owned(), "true".to_owned())];
    /// let error = Config::from_vars(vars).unwrap_err();
    /// assert!(error.to_string().contains("did you mean KAFKA_SSL?"));
    /// ```
    pub fn from_vars(
        vars: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        environment::read(vars, Vec::new())
    }

    /// Checks that the settings are complete and do not contradict each other. Touches no network and no file.
    ///
    /// # Errors
    ///
    /// Every problem at once.
    pub fn validate(&self) -> Result<(), ConfigError> {
        ConfigError::from_problems(self.problems(check::Build::CURRENT))
    }

    /// Returns the consumer group, for a handler that names none.
    pub fn require_group_id(&self) -> Result<&str, ConfigError> {
        self.group_id
            .as_deref()
            .filter(|id| !id.is_empty())
            .ok_or_else(|| ConfigProblem::NoGroupId.into())
    }

    /// Returns the addresses of the brokers that are asked first, none if nothing was said.
    pub(crate) fn addresses(&self) -> BootstrapServers {
        match (&self.bootstrap_servers, self.environment) {
            (Some(servers), _) => servers.clone(),
            (None, Some(environment)) => environment.bootstrap_servers().into(),
            (None, None) => BootstrapServers::default(),
        }
    }

    /// True if connections use TLS: as said, else as the address of the environment does.
    pub(crate) fn is_ssl(&self) -> bool {
        self.ssl.unwrap_or_else(|| self.is_environments_address())
    }

    fn is_environments_address(&self) -> bool {
        self.bootstrap_servers.is_none() && self.environment.is_some()
    }

    /// Returns the client id, by default the program's name.
    pub(crate) fn client_id_or_program(&self) -> String {
        self.client_id
            .clone()
            .or_else(program_name)
            .unwrap_or_else(|| "kafka-runtime".to_owned())
    }

    /// Returns the session timeout that holds with the classic protocol.
    pub(crate) fn session_timeout_or_default(&self) -> Duration {
        self.session_timeout.unwrap_or(Self::SESSION_TIMEOUT)
    }

    /// Returns the heartbeat interval that holds with the classic protocol.
    pub(crate) fn heartbeat_interval_or_default(&self) -> Duration {
        self.heartbeat_interval.unwrap_or(Self::HEARTBEAT_INTERVAL)
    }
}

fn program_name() -> Option<String> {
    let program = std::env::current_exe().ok()?;
    Some(program.file_stem()?.to_str()?.to_owned())
}
