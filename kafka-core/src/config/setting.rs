//! The table of all settings: their environment variables, defaults and meaning.
//!
//! It drives [`Config::from_env`](super::Config::from_env), the check for unknown variables, the names in errors and
//! the table in `docs/CONFIGURATION.md`.

use super::Config;
use super::choice::{ConnectRetry, MissingTopics};
use super::value::{
    self, Expected, boolean, bytes, choice, duration, duration_or_off, number, secret,
};

/// What the names of librdkafka properties are written after, with `_` for `.`.
pub(super) const PROPERTY: &str = "KAFKA_PROPERTY_";

/// Names of variables that are not ours, whatever they look like.
pub(super) const IGNORE: &str = "KAFKA_RUNTIME_IGNORE";

/// One environment variable and the builder method of the same meaning.
pub(super) struct Setting {
    pub(super) variable: &'static str,
    pub(super) method: &'static str,
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "for docs/CONFIGURATION.md, which a test compares")
    )]
    /// What a value looks like.
    pub(super) form: &'static str,
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "for docs/CONFIGURATION.md, which a test compares")
    )]
    pub(super) default: &'static str,
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "for docs/CONFIGURATION.md, which a test compares")
    )]
    pub(super) meaning: &'static str,
    pub(super) is_secret: bool,
    pub(super) read: fn(Config, &str) -> Result<Config, Expected>,
}

/// Returns the name of a setting for an error: the method and the variable.
pub(super) fn named(method: &str) -> String {
    match SETTINGS.iter().find(|setting| setting.method == method) {
        Some(setting) => format!("`{method}` ({})", setting.variable),
        None => format!("`{method}`"),
    }
}

const fn setting(
    variable: &'static str,
    method: &'static str,
    form: &'static str,
    default: &'static str,
    meaning: &'static str,
    read: fn(Config, &str) -> Result<Config, Expected>,
) -> Setting {
    Setting {
        variable,
        method,
        form,
        default,
        meaning,
        is_secret: false,
        read,
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "a row of the table is made here"
)]
const fn secret_setting(setting: Setting) -> Setting {
    Setting {
        is_secret: true,
        ..setting
    }
}

pub(super) const SETTINGS: &[Setting] = &[
    setting(
        "KAFKA_BOOTSTRAP_SERVERS",
        "bootstrap_servers",
        "host:port,...",
        "that of the environment",
        "The brokers that are asked first. Wins over the address of the environment.",
        |config, text| Ok(config.bootstrap_servers(text)),
    ),
    setting(
        "KAFKA_ENV",
        "environment",
        "development, production (dev, prod)",
        "none",
        "A cluster with a known address: `bootstrap.127.0.0.1.nip.io:9094` or \
         `kafka-cluster-dual-role-0.kafka.svc.cluster.local:9094`, both with TLS.",
        |config, text| Ok(config.environment(choice(text)?)),
    ),
    setting(
        "KAFKA_GROUP_ID",
        "group_id",
        "text",
        "none",
        "The consumer group of handlers that name none.",
        |config, text| Ok(config.group_id(text)),
    ),
    setting(
        "KAFKA_CLIENT_ID",
        "client_id",
        "text",
        "the program's name",
        "How brokers name this client in logs, metrics and quotas.",
        |config, text| Ok(config.client_id(text)),
    ),
    setting(
        "KAFKA_SSL",
        "ssl",
        "true, false",
        "true with the address of an environment, false on loopback; else it must be said",
        "Whether connections use TLS.",
        |config, text| Ok(config.ssl(boolean(text)?)),
    ),
    setting(
        "KAFKA_SSL_CA_LOCATION",
        "ssl_ca_location",
        "path",
        "the system's",
        "Certificates that vouch for the brokers: a PEM file or a directory.",
        |config, text| Ok(config.ssl_ca_location(text)),
    ),
    setting(
        "KAFKA_SSL_CA_PEM",
        "ssl_ca_pem",
        "PEM",
        "none",
        "The same as text. A written `\\n` is a line break.",
        |config, text| Ok(config.ssl_ca_pem(value::pem(text)?)),
    ),
    setting(
        "KAFKA_SSL_CERTIFICATE_LOCATION",
        "ssl_certificate_location",
        "path",
        "none",
        "The client's certificate (PEM), for mutual TLS.",
        |config, text| Ok(config.ssl_certificate_location(text)),
    ),
    setting(
        "KAFKA_SSL_KEY_LOCATION",
        "ssl_key_location",
        "path",
        "none",
        "The client's private key (PEM), for mutual TLS.",
        |config, text| Ok(config.ssl_key_location(text)),
    ),
    secret_setting(setting(
        "KAFKA_SSL_KEY_PASSWORD",
        "ssl_key_password",
        "text",
        "none",
        "The passphrase of the private key.",
        |config, text| Ok(config.ssl_key_password(secret(text)?)),
    )),
    setting(
        "KAFKA_SSL_ENDPOINT_IDENTIFICATION",
        "ssl_endpoint_identification",
        "true, false",
        "true",
        "Whether a broker's certificate must be for its host name.",
        |config, text| Ok(config.ssl_endpoint_identification(boolean(text)?)),
    ),
    setting(
        "KAFKA_SASL_MECHANISM",
        "sasl_mechanism",
        "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER, GSSAPI",
        "none",
        "How the client proves who it is.",
        |config, text| Ok(config.sasl_mechanism(choice(text)?)),
    ),
    setting(
        "KAFKA_SASL_USERNAME",
        "sasl_username",
        "text",
        "none",
        "For PLAIN and SCRAM.",
        |config, text| Ok(config.sasl_username(text)),
    ),
    secret_setting(setting(
        "KAFKA_SASL_PASSWORD",
        "sasl_password",
        "text",
        "none",
        "For PLAIN and SCRAM.",
        |config, text| Ok(config.sasl_password(secret(text)?)),
    )),
    setting(
        "KAFKA_GROUP_PROTOCOL",
        "group_protocol",
        "classic, consumer",
        "classic",
        "`consumer` is KIP-848: the broker assigns (Kafka 4.0 and later).",
        |config, text| Ok(config.group_protocol(choice(text)?)),
    ),
    setting(
        "KAFKA_GROUP_INSTANCE_ID",
        "group_instance_id",
        "text",
        "none",
        "Static membership: a restart within the session timeout causes no rebalance. Unique for each process of the group.",
        |config, text| Ok(config.group_instance_id(text)),
    ),
    setting(
        "KAFKA_PARTITION_ASSIGNMENT",
        "partition_assignment",
        "cooperative-sticky, range, roundrobin",
        "cooperative-sticky",
        "Who gets which partition, with the classic protocol. The same for all members.",
        |config, text| Ok(config.partition_assignment(choice(text)?)),
    ),
    setting(
        "KAFKA_SESSION_TIMEOUT",
        "session_timeout",
        "duration",
        "45s (librdkafka's)",
        "A member not heard of for this long has left. With the classic protocol; at most 5m.",
        |config, text| Ok(config.session_timeout(duration(text)?)),
    ),
    setting(
        "KAFKA_HEARTBEAT_INTERVAL",
        "heartbeat_interval",
        "duration",
        "3s (librdkafka's)",
        "How often a member is heard of. With the classic protocol; a third of the session timeout or less.",
        |config, text| Ok(config.heartbeat_interval(duration(text)?)),
    ),
    setting(
        "KAFKA_ISOLATION_LEVEL",
        "isolation_level",
        "read_committed, read_uncommitted",
        "read_committed",
        "Whether records of aborted transactions are seen.",
        |config, text| Ok(config.isolation_level(choice(text)?)),
    ),
    setting(
        "KAFKA_COMMIT_INTERVAL",
        "commit_interval",
        "duration",
        "1s",
        "How often finished offsets are committed: what may be repeated after a crash.",
        |config, text| Ok(config.commit_interval(duration(text)?)),
    ),
    setting(
        "KAFKA_ON_OUT_OF_RANGE",
        "on_out_of_range",
        "fail, earliest, latest",
        "fail",
        "What happens if a committed offset is not on the broker any more.",
        |config, text| Ok(config.on_out_of_range(choice(text)?)),
    ),
    setting(
        "KAFKA_MISSING_TOPICS",
        "missing_topics",
        "fail, wait, auto, create:PARTITIONS:REPLICATION",
        "fail",
        "What happens if a handler's topic does not exist at start.",
        |config, text| Ok(config.missing_topics(MissingTopics::parse(text)?)),
    ),
    setting(
        "KAFKA_MAX_IN_FLIGHT_RECORDS",
        "max_in_flight_records",
        "number",
        "16000",
        "The most records polled and not yet acked, over all partitions: the look-ahead.",
        |config, text| Ok(config.max_in_flight_records(number(text)?)),
    ),
    setting(
        "KAFKA_MAX_IN_FLIGHT_BYTES",
        "max_in_flight_bytes",
        "size",
        "64MiB",
        "The same in bytes; the first limit reached holds.",
        |config, text| Ok(config.max_in_flight_bytes(bytes(text)?)),
    ),
    setting(
        "KAFKA_DRAIN_TIMEOUT",
        "drain_timeout",
        "duration",
        "5s",
        "How long running calls of a revoked partition may finish before it is given up.",
        |config, text| Ok(config.drain_timeout(duration(text)?)),
    ),
    setting(
        "KAFKA_SHUTDOWN_GRACE",
        "shutdown_grace",
        "duration",
        "10s",
        "How long running calls may finish when the process stops.",
        |config, text| Ok(config.shutdown_grace(duration(text)?)),
    ),
    setting(
        "KAFKA_MAX_CALL_AGE",
        "max_call_age",
        "duration",
        "1m",
        "A call of a handler that runs for longer is reported, with its record's place.",
        |config, text| Ok(config.max_call_age(duration(text)?)),
    ),
    setting(
        "KAFKA_CONNECT_INITIAL_RETRY_TIME",
        "connect_retry",
        "duration",
        "100ms",
        "The wait before the second attempt to connect; it doubles each time, up to 30s.",
        |config, text| {
            let retry = ConnectRetry {
                initial_retry_time: duration(text)?,
                ..config.connect_retry
            };
            Ok(config.connect_retry(retry))
        },
    ),
    setting(
        "KAFKA_CONNECT_RETRIES",
        "connect_retry",
        "number",
        "8",
        "Attempts to connect after the first one.",
        |config, text| {
            let retry = ConnectRetry {
                retries: number(text)?,
                ..config.connect_retry
            };
            Ok(config.connect_retry(retry))
        },
    ),
    setting(
        "KAFKA_REQUEST_TIMEOUT",
        "request_timeout",
        "duration",
        "5s",
        "How long one attempt to connect, or to ask for topics, may take.",
        |config, text| Ok(config.request_timeout(duration(text)?)),
    ),
    setting(
        "KAFKA_DEAD_LETTER_ERROR_TEXT",
        "dead_letter_error_text",
        "true, false",
        "false",
        "Whether dead letters carry the error's text (it may quote the record).",
        |config, text| Ok(config.dead_letter_error_text(boolean(text)?)),
    ),
    setting(
        "KAFKA_STATISTICS_INTERVAL",
        "statistics_interval",
        "duration, off",
        "off",
        "How often librdkafka reports its statistics; at least 1s.",
        |config, text| Ok(config.statistics_interval(duration_or_off(text)?)),
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variable_is_there_once_and_named_like_its_method() {
        for (at, setting) in SETTINGS.iter().enumerate() {
            let by_method = format!("KAFKA_{}", setting.method.to_ascii_uppercase());
            let is_exception = ["environment", "connect_retry"].contains(&setting.method);

            assert!(
                is_exception || setting.variable == by_method,
                "{}",
                setting.variable
            );
            assert!(
                SETTINGS[..at]
                    .iter()
                    .all(|other| other.variable != setting.variable),
                "{}",
                setting.variable
            );
        }
    }

    #[test]
    fn what_is_named_like_a_secret_is_one() {
        for setting in SETTINGS {
            assert_eq!(
                setting.is_secret,
                super::super::secret::is_secret(setting.variable),
                "{}",
                setting.variable
            );
        }
    }
}
