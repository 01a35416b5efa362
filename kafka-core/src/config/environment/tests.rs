use super::*;
use crate::{ConnectRetry, MissingTopics};

fn from(vars: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let vars = vars
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::from_vars(vars)
}

fn refused(vars: &[(&str, &str)]) -> String {
    from(vars)
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default()
}

#[test]
fn every_setting_is_read_by_its_name() -> Result<(), ConfigError> {
    let config = from(&[
        ("KAFKA_BOOTSTRAP_SERVERS", " a:9092, b:9092 ,"),
        ("KAFKA_GROUP_ID", "analytics"),
        ("KAFKA_SSL", "yes"),
        ("KAFKA_SASL_MECHANISM", "scram-sha-512"),
        ("KAFKA_SESSION_TIMEOUT", "30s"),
        ("KAFKA_CONNECT_RETRIES", "3"),
        ("KAFKA_CONNECT_INITIAL_RETRY_TIME", "1s"),
        ("KAFKA_MAX_IN_FLIGHT_BYTES", "1MiB"),
        ("KAFKA_MISSING_TOPICS", "create:6:3"),
        ("KAFKA_PROPERTY_FETCH_MIN_BYTES", "10"),
        ("KAFKA_PROPERTY_LOG_LEVEL", "7"),
    ])?;

    let by_hand = Config::new()
        .bootstrap_servers(["a:9092", "b:9092"])
        .group_id("analytics")
        .ssl(true)
        .sasl_mechanism(crate::SaslMechanism::ScramSha512)
        .session_timeout(std::time::Duration::from_secs(30))
        .connect_retry(ConnectRetry {
            initial_retry_time: std::time::Duration::from_secs(1),
            retries: 3,
        })
        .max_in_flight_bytes(1 << 20)
        .missing_topics(MissingTopics::Create {
            partitions: 6,
            replication: 3,
        })
        .property("fetch.min.bytes", "10")
        .property("log_level", "7");
    assert_eq!(config, by_hand);
    Ok(())
}

#[test]
fn a_written_default_reads_as_the_default() -> Result<(), ConfigError> {
    for setting in SETTINGS {
        let text = setting.default;
        if matches!(text, "none" | "the system's" | "the program's name") || text.contains(' ') {
            continue;
        }
        let config = from(&[(setting.variable, text)])?;
        // Whether these were said matters: they contradict other settings.
        let is_kept =
            ["partition_assignment", "ssl_endpoint_identification"].contains(&setting.method);

        assert!(
            is_kept || config == Config::new(),
            "{}={text}",
            setting.variable
        );
    }
    Ok(())
}

#[test]
fn an_empty_value_is_none() {
    let config = from(&[
        ("KAFKA_GROUP_ID", " "),
        ("KAFKA_SSL", ""),
        ("KAFKA_SASL_PASSWORD", ""),
    ]);

    assert_eq!(config, Ok(Config::new()));
}

#[test]
fn all_problems_are_told_at_once() {
    let text = refused(&[
        ("KAFKA_SSL", "yess"),
        ("KAFKA_SESSION_TIMEOUT", "30"),
        ("KAFKA_ENV", "staging"),
        ("KAFKA_SASL_PASWORD", "canary"),
    ]);

    for part in [
        "4 problems",
        r#"KAFKA_SSL="yess": expected true or false"#,
        "30ms or 30s",
        "one of development, production",
        "did you mean KAFKA_SASL_PASSWORD?",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("canary"));
}

#[test]
fn a_misspelt_variable_is_refused_with_the_right_name() {
    for (variable, meant) in [
        ("KAFKA_BOOTSTRAP_SERVER", "KAFKA_BOOTSTRAP_SERVERS"),
        ("KAFKA_BOOTSTRAP", "KAFKA_BOOTSTRAP_SERVERS"),
        ("KAFKA_GROUPID", "KAFKA_GROUP_ID"),
        ("KAFKA_GROUP", "KAFKA_GROUP_I"),
        ("KAFKA_SLL", "KAFKA_SSL"),
        ("KAFKA_SSL_CA", "KAFKA_SSL_CA_PEM"),
        ("KAFKA_SSL_CA_LOCATIONS", "KAFKA_SSL_CA_LOCATION"),
        ("KAFKA_SASL_PASSWORD_FILE", "KAFKA_SASL_PASSWORD"),
        ("KAFKA_SASL_USER", "KAFKA_SASL_USERNAME"),
        ("KAFKA_SESION_TIMEOUT", "KAFKA_SESSION_TIMEOUT"),
        ("KAFKA_DRAIN_TIMEOUT_MS", "KAFKA_DRAIN_TIMEOUT"),
        ("KAFKA_TLS_ENABLED", "KAFKA_SSL"),
        ("KAFKA_PROPERTIES_LINGER_MS", "KAFKA_PROPERTY_.."),
    ] {
        let text = refused(&[(variable, "canary")]);

        assert!(
            text.contains(variable) && text.contains(meant),
            "{variable}: {text:?}"
        );
        assert!(!text.contains("canary"));
    }
}

#[test]
fn a_property_without_its_prefix_is_refused_with_what_to_set() {
    for (variable, instead) in [
        ("KAFKA_SESSION_TIMEOUT_MS", "KAFKA_SESSION_TIMEOUT"),
        ("KAFKA_AUTO_OFFSET_RESET", "start"),
        ("KAFKA_ENABLE_AUTO_COMMIT", "finished"),
        ("KAFKA_SECURITY_PROTOCOL", "KAFKA_SSL"),
        ("KAFKA_FETCH_MIN_BYTES", "KAFKA_PROPERTY_FETCH_MIN_BYTES"),
        (
            "KAFKA_SASL_OAUTHBEARER_METHOD",
            "KAFKA_PROPERTY_SASL_OAUTHBEARER_METHOD",
        ),
    ] {
        let text = refused(&[(variable, "canary")]);

        assert!(
            text.contains(instead) && !text.contains("canary"),
            "{variable}: {text:?}"
        );
    }
}

#[test]
fn variables_of_others_break_nothing() {
    for variable in [
        "KAFKA_HOME",
        "KAFKA_VERSION",
        "KAFKA_OPTS",
        "KAFKA_HEAP_OPTS",
        "KAFKA_LOG4J_OPTS",
        "KAFKA_JVM_PERFORMANCE_OPTS",
        "KAFKA_JMX_PORT",
        "KAFKA_JMX_HOSTNAME",
        "KAFKA_SERVICE_HOST",
        "KAFKA_SERVICE_PORT_KAFKA",
        "KAFKA_PORT",
        "KAFKA_PORT_9092_TCP",
        "KAFKA_PORT_9092_TCP_ADDR",
        "KAFKA_SSL_PORT_9094_TCP_PROTO",
        "KAFKA_CLUSTER_KAFKA_BOOTSTRAP_SERVICE_HOST",
        "KAFKA_CONNECT_SERVICE_PORT",
        "KAFKA_UI_PORT",
        "KAFKA_RIG",
        "KAFKA_RUNTIME_CACHE",
        "KAFKA_BROKER_ID",
        "KAFKA_NODE_ID",
        "KAFKA_CFG_LISTENERS",
        "KAFKA_LISTENERS",
        "KAFKA_ADVERTISED_LISTENERS",
        "KAFKA_ZOOKEEPER_CONNECT",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR",
        "KAFKA_SECURITY_INTER_BROKER_PROTOCOL",
        "KAFKA_SASL_ENABLED_MECHANISMS",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE",
        "KAFKA_COMPRESSION_TYPE",
        "KAFKA_LOG_DIRS",
        "KAFKA_TOPIC",
        "KAFKA_BROKERS",
        "KAFKA_URL",
        "KAFKA_ENV_FILE",
        "KAFKAESQUE",
        "kafka_ssl",
        "SSL",
    ] {
        assert_eq!(from(&[(variable, "x")]), Ok(Config::new()), "{variable}");
    }
}

#[test]
fn a_variable_that_is_said_to_be_foreign_is_not_read() {
    let config = from(&[
        ("KAFKA_RUNTIME_IGNORE", "KAFKA_TLS_ENABLED, KAFKA_SSL"),
        ("KAFKA_TLS_ENABLED", "1"),
        ("KAFKA_SSL", "yess"),
    ]);

    assert_eq!(config, Ok(Config::new()));
}

#[test]
fn a_secret_with_a_line_break_is_refused_unseen() {
    let text = refused(&[
        ("KAFKA_SASL_PASSWORD", "canary\n"),
        ("KAFKA_SSL_CA_PEM", "canary-----"),
    ]);

    assert!(
        text.contains("KAFKA_SASL_PASSWORD: expected no line break"),
        "{text}"
    );
    assert!(!text.contains("canary"), "{text}");
}

#[cfg(unix)]
#[test]
fn only_our_variables_must_be_utf8() {
    use std::os::unix::ffi::OsStringExt;
    let bad = || OsString::from_vec(vec![0xff]);
    let vars = [
        ("KAFKA_GROUP_ID", bad()),
        ("KAFKA_HOME", bad()),
        ("PATH", bad()),
    ];

    let (read, problems) = split_utf8(vars.map(|(name, value)| (name.into(), value)).into_iter());

    assert!(read.is_empty());
    assert_eq!(
        problems,
        [ConfigProblem::NotUtf8 {
            variable: "KAFKA_GROUP_ID".to_owned()
        }]
    );
}
