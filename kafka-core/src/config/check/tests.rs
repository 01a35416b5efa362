use super::*;
use crate::{ConfigError, Environment, PartitionAssignment};

const ALL: Build = Build {
    ssl: true,
    gssapi: true,
    zstd: true,
};
const NONE: Build = Build {
    ssl: false,
    gssapi: false,
    zstd: false,
};

fn local() -> Config {
    Config::new().bootstrap_servers("localhost:9092")
}

fn text(config: &Config, build: Build) -> String {
    ConfigError::from_problems(config.problems(build))
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default()
}

#[track_caller]
fn refuses(config: &Config, parts: &[&str]) {
    let text = text(config, ALL);
    for part in parts {
        assert!(text.contains(part), "{part:?} in {text:?}");
    }
}

#[test]
fn brokers_on_this_machine_need_nothing_else() {
    assert_eq!(local().problems(NONE), []);
}

#[test]
fn where_the_brokers_are_must_be_said() {
    refuses(&Config::new(), &["KAFKA_BOOTSTRAP_SERVERS", "KAFKA_ENV"]);
    refuses(
        &Config::new().bootstrap_servers(" , "),
        &["KAFKA_BOOTSTRAP_SERVERS"],
    );
}

#[test]
fn a_bad_address_is_told_with_its_fix() {
    let config = Config::new()
        .ssl(false)
        .bootstrap_servers("kafka://a:9092,b");

    refuses(
        &config,
        &[
            r#""kafka://a:9092": leave the scheme out"#,
            r#""b": add the port"#,
        ],
    );
}

#[test]
fn encryption_is_chosen_outside_this_machine() {
    let config = Config::new().bootstrap_servers("localhost:9092,broker.internal:9092");

    refuses(
        &config,
        &[
            "\"broker.internal:9092\"",
            "KAFKA_SSL=true",
            "KAFKA_SSL=false",
        ],
    );
    assert_eq!(config.clone().ssl(true).problems(ALL), []);
    assert_eq!(config.clone().ssl(false).problems(ALL), []);
    let with_sasl = config
        .sasl_mechanism(SaslMechanism::Plain)
        .sasl_username("user")
        .sasl_password("word");
    refuses(
        &with_sasl,
        &["nothing says whether the connection is encrypted"],
    );
}

#[test]
fn an_environment_is_reached_with_tls() {
    let config = Config::new().environment(Environment::Production);

    assert_eq!(config.problems(ALL), []);
    assert!(config.is_ssl());
    let elsewhere = config.bootstrap_servers("a:9092");
    assert!(!elsewhere.is_ssl());
    refuses(
        &elsewhere,
        &["nothing says whether the connection is encrypted"],
    );
}

#[test]
fn a_missing_feature_is_named() {
    let tls = text(&local().ssl(true), NONE);
    let environment = text(&Config::new().environment(Environment::Development), NONE);
    let scram = local()
        .sasl_mechanism(SaslMechanism::ScramSha512)
        .sasl_username("u")
        .sasl_password("p");
    let kerberos = local().sasl_mechanism(SaslMechanism::Gssapi);

    assert!(tls.contains(r#"features = ["ssl"]"#), "{tls}");
    assert!(
        environment.contains("KAFKA_ENV") && environment.contains(r#"["ssl"]"#),
        "{environment}"
    );
    assert!(text(&scram, NONE).contains("SASL SCRAM-SHA-512 needs the feature `ssl`"));
    assert!(text(&kerberos, NONE).contains(r#"features = ["gssapi"]"#));
}

#[test]
fn tls_settings_without_tls_are_refused() {
    let config = local()
        .ssl_ca_location("/ca.pem")
        .ssl_key_password("canary")
        .property("ssl.crl.location", "/crl");

    refuses(
        &config,
        &[
            "`ssl_ca_location` (KAFKA_SSL_CA_LOCATION) is set, but TLS is not on",
            "ssl_key_password",
            "ssl.crl.location",
        ],
    );
}

#[test]
fn a_client_certificate_comes_with_its_key() {
    let config = local().ssl(true).ssl_certificate_location("/tls.crt");

    refuses(&config, &["a client certificate needs `ssl_key_location`"]);
    assert_eq!(
        config.clone().ssl_key_location("/tls.key").problems(ALL),
        []
    );
    assert_eq!(config.property("ssl.key.pem", "..").problems(ALL), []);
}

#[test]
fn a_password_mechanism_needs_user_and_password() {
    refuses(
        &local().sasl_mechanism(SaslMechanism::Plain),
        &[
            "SASL PLAIN needs `sasl_username` (KAFKA_SASL_USERNAME)",
            "KAFKA_SASL_PASSWORD",
        ],
    );
    refuses(&local().sasl_password("canary"), &["but no SASL mechanism"]);
    refuses(
        &local()
            .sasl_mechanism(SaslMechanism::Gssapi)
            .sasl_username("u"),
        &["KAFKA_SASL_USERNAME) contradicts SASL GSSAPI"],
    );
}

#[test]
fn oauth_needs_to_know_where_tokens_come_from() {
    let config = local().sasl_mechanism(SaslMechanism::OAuthBearer);

    refuses(&config, &["sasl.oauthbearer.method=oidc"]);
    assert_eq!(
        config
            .property("sasl.oauthbearer.method", "oidc")
            .problems(ALL),
        []
    );
}

#[test]
fn the_consumer_protocol_refuses_settings_of_the_classic_one() {
    let config = local()
        .group_protocol(GroupProtocol::Consumer)
        .session_timeout(Duration::from_secs(30))
        .heartbeat_interval(Duration::from_secs(3))
        .partition_assignment(PartitionAssignment::CooperativeSticky);

    refuses(
        &config,
        &[
            "3 problems",
            "KAFKA_SESSION_TIMEOUT",
            "KAFKA_HEARTBEAT_INTERVAL",
            "KAFKA_PARTITION_ASSIGNMENT",
            "the broker decides",
        ],
    );
}

#[test]
fn a_heartbeat_is_shorter_than_the_session() {
    refuses(
        &local().session_timeout(Duration::from_secs(2)),
        &["KAFKA_HEARTBEAT_INTERVAL) = 3s contradicts"],
    );
    let near = local()
        .session_timeout(Duration::from_secs(6))
        .heartbeat_interval(Duration::from_secs(5));
    assert_eq!(near.problems(ALL), []);
}

#[test]
fn values_outside_their_range_are_refused() {
    let config = local()
        .session_timeout(Duration::from_secs(301))
        .commit_interval(Duration::from_micros(10))
        .statistics_interval(Duration::from_millis(100))
        .max_in_flight_records(0)
        .max_in_flight_bytes(0)
        .missing_topics(MissingTopics::Create {
            partitions: 0,
            replication: 1,
        });

    refuses(
        &config,
        &[
            "6 problems",
            "KAFKA_SESSION_TIMEOUT) must be from 1ms to 5m",
            "KAFKA_COMMIT_INTERVAL",
            "KAFKA_STATISTICS_INTERVAL",
            "KAFKA_MAX_IN_FLIGHT_RECORDS",
            "KAFKA_MAX_IN_FLIGHT_BYTES",
            "KAFKA_MISSING_TOPICS",
        ],
    );
}

#[test]
fn owned_properties_are_refused_with_what_to_use() {
    for (property, instead) in [
        (
            "session.timeout.ms",
            "use `session_timeout` (KAFKA_SESSION_TIMEOUT)",
        ),
        ("security.protocol", "KAFKA_SSL"),
        ("enable.auto.commit", "else records are lost"),
        ("auto.offset.reset", "on_out_of_range"),
        ("enable.idempotence", "ProducerOptions"),
        ("plugin.library.paths", "foreign code"),
        ("ssl.engine.location", "foreign code"),
        ("", "no name"),
    ] {
        refuses(&local().property(property, "canary"), &[property, instead]);
    }
}

#[test]
fn the_look_ahead_is_changed_as_a_whole() {
    let some = local().property("queued.min.messages", "1000");

    refuses(
        &some,
        &["queued.min.messages needs fetch.queue.backoff.ms, queued.max.messages.kbytes too"],
    );
    let all = some
        .property("fetch.queue.backoff.ms", "5")
        .property("queued.max.messages.kbytes", "1024");
    assert_eq!(all.problems(ALL), []);
}

#[test]
fn a_nul_is_refused_before_librdkafka_sees_it() {
    let config = local().property("client.rack", "canary\0").client_id("a\0");

    refuses(&config, &["value of client.id", "value of client.rack"]);
    assert!(!text(&config, ALL).contains("canary"));
}

#[test]
fn a_handler_without_a_group_needs_the_group_id() {
    assert_eq!(local().group_id("g").require_group_id(), Ok("g"));
    let error = local().group_id("").require_group_id().err();
    assert!(error.is_some_and(|error| error.to_string().contains("KAFKA_GROUP_ID")));
}

#[test]
fn no_secret_shows_in_debug_or_in_any_error() {
    let mut config = Config::new()
        .bootstrap_servers("kafka://user:canary@a:9092")
        .environment(Environment::Production)
        .ssl_key_password("canary")
        .sasl_username("user")
        .sasl_password("canary\0");
    for (property, _) in super::super::property::OWNED {
        config = config.property(*property, "canary");
    }
    for property in [
        "ssl.key.pem",
        "sasl.oauthbearer.client.secret",
        "ssl.keystore.password",
        "queued.min.messages",
    ] {
        config = config.property(property, "canary\0");
    }
    // Names that hold no secret are shown in Debug.
    let mut shown = config.clone();
    shown
        .properties
        .0
        .retain(|name, _| crate::config::secret::is_secret(name));

    for config in [
        config.clone(),
        config.clone().ssl(true),
        config.clone().sasl_mechanism(SaslMechanism::OAuthBearer),
        config
            .sasl_mechanism(SaslMechanism::Plain)
            .group_protocol(GroupProtocol::Consumer),
    ] {
        for build in [ALL, NONE] {
            let problems = config.problems(build);
            let text = format!("{} {problems:?}", text(&config, build));
            assert!(problems.len() > 50 && !text.contains("canary"), "{text}");
        }
    }
    assert!(
        !format!("{shown:?} {shown:#?}").contains("canary"),
        "{shown:?}"
    );
}
