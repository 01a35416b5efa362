//! The builder methods of [`Config`]: one for each setting.

use std::time::Duration;

use super::Config;
use super::address::BootstrapServers;
use super::choice::{
    ConnectRetry, Environment, GroupProtocol, IsolationLevel, MissingTopics, OutOfRange,
    PartitionAssignment, SaslMechanism,
};
use super::secret::Secret;

impl Config {
    /// Sets the brokers that are asked first: `"a:9092,b:9092"`, an array or a vector. Wins over the environment's address.
    pub fn bootstrap_servers(mut self, servers: impl Into<BootstrapServers>) -> Self {
        self.bootstrap_servers = Some(servers.into());
        self
    }

    /// Chooses a cluster with a known address, which is reached with TLS unless [`ssl`](Self::ssl) says otherwise.
    pub fn environment(mut self, environment: Environment) -> Self {
        self.environment = Some(environment);
        self
    }

    /// Sets the consumer group of handlers that name none.
    pub fn group_id(mut self, id: impl Into<String>) -> Self {
        self.group_id = Some(id.into());
        self
    }

    /// Sets how brokers name this client in logs, metrics and quotas. Default: the program's name.
    pub fn client_id(mut self, id: impl Into<String>) -> Self {
        self.client_id = Some(id.into());
        self
    }

    /// Says whether connections use TLS. Must be said unless the brokers are on loopback or those of an [`Environment`].
    pub fn ssl(mut self, on: bool) -> Self {
        self.ssl = Some(on);
        self
    }

    /// Sets the certificates that vouch for the brokers: a PEM file or a directory. Default: the system's.
    pub fn ssl_ca_location(mut self, path: impl Into<String>) -> Self {
        self.ssl_ca_location = Some(path.into());
        self
    }

    /// Sets the certificates that vouch for the brokers, as the text of a PEM file.
    pub fn ssl_ca_pem(mut self, pem: impl Into<String>) -> Self {
        self.ssl_ca_pem = Some(pem.into());
        self
    }

    /// Sets the client's certificate (a PEM file), for mutual TLS.
    pub fn ssl_certificate_location(mut self, path: impl Into<String>) -> Self {
        self.ssl_certificate_location = Some(path.into());
        self
    }

    /// Sets the client's private key (a PEM file), for mutual TLS.
    pub fn ssl_key_location(mut self, path: impl Into<String>) -> Self {
        self.ssl_key_location = Some(path.into());
        self
    }

    /// Sets the passphrase of the private key.
    pub fn ssl_key_password(mut self, password: impl Into<String>) -> Self {
        self.ssl_key_password = Some(Secret(password.into()));
        self
    }

    /// Says whether a broker's certificate must be for its host name. Default true.
    pub fn ssl_endpoint_identification(mut self, on: bool) -> Self {
        self.ssl_endpoint_identification = Some(on);
        self
    }

    /// Sets how the client proves who it is.
    pub fn sasl_mechanism(mut self, mechanism: SaslMechanism) -> Self {
        self.sasl_mechanism = Some(mechanism);
        self
    }

    /// Sets the user name for PLAIN and SCRAM.
    pub fn sasl_username(mut self, username: impl Into<String>) -> Self {
        self.sasl_username = Some(username.into());
        self
    }

    /// Sets the password for PLAIN and SCRAM.
    pub fn sasl_password(mut self, password: impl Into<String>) -> Self {
        self.sasl_password = Some(Secret(password.into()));
        self
    }

    /// Sets how a consumer group agrees who reads what.
    pub fn group_protocol(mut self, protocol: GroupProtocol) -> Self {
        self.group_protocol = protocol;
        self
    }

    /// Makes the member static: a restart within the session timeout causes no rebalance. Unique for each process.
    pub fn group_instance_id(mut self, id: impl Into<String>) -> Self {
        self.group_instance_id = Some(id.into());
        self
    }

    /// Sets who gets which partition, with the classic protocol.
    pub fn partition_assignment(mut self, assignment: PartitionAssignment) -> Self {
        self.partition_assignment = Some(assignment);
        self
    }

    /// Sets after which silence a member has left, with the classic protocol. Default 45 s.
    pub fn session_timeout(mut self, timeout: Duration) -> Self {
        self.session_timeout = Some(timeout);
        self
    }

    /// Sets how often a member is heard of, with the classic protocol. Default 3 s.
    pub fn heartbeat_interval(mut self, interval: Duration) -> Self {
        self.heartbeat_interval = Some(interval);
        self
    }

    /// Says whether records of aborted transactions are seen.
    pub fn isolation_level(mut self, level: IsolationLevel) -> Self {
        self.isolation_level = level;
        self
    }

    /// Sets how often finished offsets are committed. Default 1 s.
    pub fn commit_interval(mut self, interval: Duration) -> Self {
        self.commit_interval = interval;
        self
    }

    /// Sets what happens if a committed offset is not on the broker any more.
    pub fn on_out_of_range(mut self, policy: OutOfRange) -> Self {
        self.on_out_of_range = policy;
        self
    }

    /// Sets what happens if a handler's topic does not exist at start.
    pub fn missing_topics(mut self, policy: MissingTopics) -> Self {
        self.missing_topics = policy;
        self
    }

    /// Sets the most records polled and not yet acked, over all partitions. Default 16,000.
    pub fn max_in_flight_records(mut self, records: usize) -> Self {
        self.max_in_flight_records = records;
        self
    }

    /// Sets the same in bytes; the first limit reached holds. Default 64 MiB.
    pub fn max_in_flight_bytes(mut self, bytes: usize) -> Self {
        self.max_in_flight_bytes = bytes;
        self
    }

    /// Sets how long running calls of a revoked partition may finish. Default 5 s.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.drain_timeout = timeout;
        self
    }

    /// Sets after how long a call that still runs is reported, with the place of its record
    /// ([`Event::CallHangs`](crate::Event::CallHangs)). Default 1 min.
    pub fn max_call_age(mut self, age: Duration) -> Self {
        self.max_call_age = age;
        self
    }

    /// Sets how long running calls may finish when the process stops. Default 10 s.
    pub fn shutdown_grace(mut self, grace: Duration) -> Self {
        self.shutdown_grace = grace;
        self
    }

    /// Sets how patiently the first connection is tried again.
    pub fn connect_retry(mut self, retry: ConnectRetry) -> Self {
        self.connect_retry = retry;
        self
    }

    /// Sets how long one attempt to connect, or to ask for topics, may take. Default 5 s.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// Says whether dead letters carry the error's text, which may quote the record. Default false.
    pub fn dead_letter_error_text(mut self, on: bool) -> Self {
        self.dead_letter_error_text = on;
        self
    }

    /// Sets how often librdkafka reports its statistics; `None`, the default, is never.
    pub fn statistics_interval(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.statistics_interval = interval.into();
        self
    }

    /// Gives librdkafka a property that has no setting of its own.
    ///
    /// Consumers are given those for consumers, producers those for producers. [`validate`](Self::validate) refuses
    /// properties that have a setting and those that would break the delivery promises.
    pub fn property(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties.0.insert(name.into(), value.into());
        self
    }
}
