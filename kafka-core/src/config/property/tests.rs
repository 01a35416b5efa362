use std::time::Duration;

use super::*;
use crate::{PartitionAssignment, SaslMechanism};

fn local() -> Config {
    Config::new()
        .bootstrap_servers("localhost:9092")
        .client_id("me")
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn a_consumer_gets_the_defaults_that_keep_the_promises() {
    let expected = map(&[
        ("allow.auto.create.topics", "false"),
        ("auto.commit.interval.ms", "1000"),
        ("auto.offset.reset", "error"),
        ("bootstrap.servers", "localhost:9092"),
        ("check.crcs", "true"),
        ("client.id", "me"),
        ("enable.auto.commit", "true"),
        ("enable.auto.offset.store", "false"),
        ("enable.partition.eof", "false"),
        ("fetch.queue.backoff.ms", "10"),
        ("fetch.wait.max.ms", "100"),
        ("group.id", "analytics"),
        ("isolation.level", "read_committed"),
        ("max.partition.fetch.bytes", "262144"),
        ("partition.assignment.strategy", "cooperative-sticky"),
        ("queued.max.messages.kbytes", "32768"),
        ("queued.min.messages", "10000"),
        ("security.protocol", "plaintext"),
        ("socket.keepalive.enable", "true"),
    ]);

    assert_eq!(local().consumer_properties("analytics"), expected);
}

#[test]
fn a_producer_loses_and_doubles_nothing() {
    let expected = map(&[
        ("acks", "all"),
        ("bootstrap.servers", "localhost:9092"),
        ("client.id", "me"),
        ("compression.type", "none"),
        ("enable.idempotence", "true"),
        ("linger.ms", "5"),
        ("max.in.flight.requests.per.connection", "5"),
        ("partitioner", "murmur2_random"),
        ("security.protocol", "plaintext"),
        ("socket.keepalive.enable", "true"),
        ("topic.metadata.propagation.max.ms", "10000"),
    ]);

    assert_eq!(local().producer_properties(), expected);
}

#[test]
fn the_consumer_protocol_leaves_out_what_librdkafka_refuses_with_it() {
    let config = local()
        .group_protocol(GroupProtocol::Consumer)
        .session_timeout(Duration::from_secs(30));

    let map = config.consumer_properties("g");

    assert_eq!(
        map.get("group.protocol").map(String::as_str),
        Some("consumer")
    );
    for name in [
        "partition.assignment.strategy",
        "session.timeout.ms",
        "heartbeat.interval.ms",
    ] {
        assert!(!map.contains_key(name), "{name}");
    }
}

#[test]
fn typed_settings_of_the_group_are_passed_in_milliseconds() {
    let map = local()
        .session_timeout(Duration::from_secs(30))
        .heartbeat_interval(Duration::from_secs(3))
        .partition_assignment(PartitionAssignment::Range)
        .group_instance_id("pod-1")
        .statistics_interval(Some(Duration::from_secs(5)))
        .consumer_properties("g");

    for (name, value) in [
        ("session.timeout.ms", "30000"),
        ("heartbeat.interval.ms", "3000"),
        ("partition.assignment.strategy", "range"),
        ("group.instance.id", "pod-1"),
        ("statistics.interval.ms", "5000"),
    ] {
        assert_eq!(map.get(name).map(String::as_str), Some(value), "{name}");
    }
}

#[test]
fn the_security_protocol_follows_from_tls_and_sasl() {
    let protocol = |config: Config| {
        config
            .admin_properties()
            .remove("security.protocol")
            .unwrap_or_default()
    };

    assert_eq!(protocol(local()), "plaintext");
    assert_eq!(protocol(local().ssl(true)), "ssl");
    assert_eq!(
        protocol(local().sasl_mechanism(SaslMechanism::Plain)),
        "sasl_plaintext"
    );
    assert_eq!(
        protocol(local().ssl(true).sasl_mechanism(SaslMechanism::Plain)),
        "sasl_ssl"
    );
    assert_eq!(
        protocol(Config::new().environment(crate::Environment::Production)),
        "ssl"
    );
}

#[test]
fn a_property_reaches_only_the_clients_it_is_for() {
    let config = local()
        .property("fetch.min.bytes", "10")
        .property("batch.size", "20")
        .property("client.rack", "a");

    let consumer = config.consumer_properties("g");
    let producer = config.producer_properties();
    let admin = config.admin_properties();

    assert!(consumer.contains_key("fetch.min.bytes") && !consumer.contains_key("batch.size"));
    assert!(!producer.contains_key("fetch.min.bytes") && producer.contains_key("batch.size"));
    assert!(!admin.contains_key("fetch.min.bytes") && !admin.contains_key("batch.size"));
    assert!(
        [consumer, producer, admin]
            .iter()
            .all(|map| map.contains_key("client.rack"))
    );
}

#[test]
fn a_property_changes_our_default_but_not_what_is_owned() {
    let map = local()
        .property("check.crcs", "false")
        .property("enable.auto.commit", "false")
        .consumer_properties("g");

    assert_eq!(map.get("check.crcs").map(String::as_str), Some("false"));
    assert_eq!(
        map.get("enable.auto.commit").map(String::as_str),
        Some("true")
    );
}

#[test]
fn every_owning_setting_is_in_the_table() {
    for (property, owner) in OWNED {
        assert!(property == &property.to_ascii_lowercase());
        let Owner::Setting(method) = owner else {
            continue;
        };
        let is_there = super::super::setting::SETTINGS
            .iter()
            .any(|setting| setting.method == *method);
        assert!(is_there, "{property}: {method}");
    }
}
