//! What librdkafka is given: our defaults, the typed settings, and the properties that are passed through.

use std::collections::BTreeMap;

use super::Config;
use super::choice::{GroupProtocol, MissingTopics};
use super::options::ProducerOptions;

/// Which clients a property is for. An admin client takes only what is for [`Side::All`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Side {
    All,
    Consumer,
    Producer,
}

impl Side {
    fn takes(self, of_property: Self) -> bool {
        of_property == Self::All || of_property == self
    }
}

/// A librdkafka default that we change.
pub(super) struct Changed {
    pub(super) property: &'static str,
    pub(super) value: &'static str,
    pub(super) side: Side,
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "for docs/CONFIGURATION.md, which a test compares")
    )]
    pub(super) why: &'static str,
}

const fn changed(
    property: &'static str,
    value: &'static str,
    side: Side,
    why: &'static str,
) -> Changed {
    Changed {
        property,
        value,
        side,
        why,
    }
}

/// The defaults of librdkafka that we change, whatever the typed settings say.
pub(super) const CHANGED: &[Changed] = &[
    changed(
        "enable.auto.offset.store",
        "false",
        Side::Consumer,
        "an offset is stored when its record is finished, not when it is polled",
    ),
    changed(
        "enable.auto.commit",
        "true",
        Side::Consumer,
        "stored offsets are committed in the background, also when partitions are revoked and on close",
    ),
    changed(
        "auto.offset.reset",
        "error",
        Side::Consumer,
        "where a group begins, and what happens to an offset out of range, is decided by `start` and `on_out_of_range`",
    ),
    changed(
        "enable.partition.eof",
        "false",
        Side::Consumer,
        "the end of a partition is no event of a record",
    ),
    changed(
        "allow.auto.create.topics",
        "false",
        Side::Consumer,
        "a misspelt topic is reported, not created; see `missing_topics`",
    ),
    changed(
        "check.crcs",
        "true",
        Side::Consumer,
        "a batch that was damaged on its way is not handled",
    ),
    changed(
        "fetch.queue.backoff.ms",
        "10",
        Side::Consumer,
        "with the two below: a short look-ahead, refilled at once (librdkafka: 1000)",
    ),
    changed(
        "fetch.wait.max.ms",
        "100",
        Side::Consumer,
        "a partition that was paused is asked for again within this time, also when the others are idle (librdkafka: 500)",
    ),
    changed(
        "max.partition.fetch.bytes",
        "262144",
        Side::Consumer,
        "of each partition, as it is compressed: it comes on top of the queue, many times as large (librdkafka: 1048576)",
    ),
    changed(
        "queued.min.messages",
        "10000",
        Side::Consumer,
        "of each partition (librdkafka: 100000)",
    ),
    changed(
        "queued.max.messages.kbytes",
        "32768",
        Side::Consumer,
        "of each consumer: memory is bounded (librdkafka: 65536)",
    ),
    changed(
        "topic.metadata.propagation.max.ms",
        "10000",
        Side::Producer,
        "a record for a topic that does not exist is an error after this time (librdkafka: 30000)",
    ),
    changed(
        "partitioner",
        "murmur2_random",
        Side::Producer,
        "a key goes to the partition that Java clients, Debezium and KafkaJS choose, so the order of a key holds whoever writes it",
    ),
    changed(
        "socket.keepalive.enable",
        "true",
        Side::All,
        "a broker that vanished without a word is noticed",
    ),
];

/// The three limits of the look-ahead inside librdkafka: they belong together.
pub(super) const LOOK_AHEAD: [&str; 3] = [
    "fetch.queue.backoff.ms",
    "queued.min.messages",
    "queued.max.messages.kbytes",
];

/// Who decides a property that is not to be passed through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// The setting with this builder method.
    Setting(&'static str),
    /// Code: an option of a handler or of a producer, or the engine itself.
    Code(&'static str),
    /// Nobody may set it.
    Nobody(&'static str),
}

impl Owner {
    pub(super) fn reason(self) -> String {
        match self {
            Self::Setting(method) => format!("use {}", super::setting::named(method)),
            Self::Code(reason) | Self::Nobody(reason) => reason.to_owned(),
        }
    }
}

const BY_SECURITY: &str =
    "it follows from KAFKA_SSL (`ssl`) and KAFKA_SASL_MECHANISM (`sasl_mechanism`)";
const BY_ENGINE: &str =
    "the engine stores and commits an offset when its record is finished; else records are lost";
const BY_LOADER: &str = "it loads foreign code into the process";
const BY_ACKS: &str =
    "use `acks` of ProducerOptions; dead letters are always written with acks=all";
const BY_IN_FLIGHT: &str = "use `max_in_flight_requests` of ProducerOptions";
const BY_LINGER: &str = "use `linger` of ProducerOptions";
const BY_COMPRESSION: &str = "use `compression` of ProducerOptions";
const BY_TRANSACTIONS: &str =
    "the runtime's producers run no transactions, and would fail at every send";
const BY_LEGACY: &str = "offsets are kept by the broker";

/// The properties that are not passed through.
pub(super) const OWNED: &[(&str, Owner)] = &[
    ("bootstrap.servers", Owner::Setting("bootstrap_servers")),
    ("metadata.broker.list", Owner::Setting("bootstrap_servers")),
    ("client.id", Owner::Setting("client_id")),
    ("group.id", Owner::Setting("group_id")),
    ("group.instance.id", Owner::Setting("group_instance_id")),
    ("group.protocol", Owner::Setting("group_protocol")),
    ("session.timeout.ms", Owner::Setting("session_timeout")),
    (
        "heartbeat.interval.ms",
        Owner::Setting("heartbeat_interval"),
    ),
    (
        "partition.assignment.strategy",
        Owner::Setting("partition_assignment"),
    ),
    ("isolation.level", Owner::Setting("isolation_level")),
    ("auto.commit.interval.ms", Owner::Setting("commit_interval")),
    (
        "fetch.message.max.bytes",
        Owner::Code("use `max.partition.fetch.bytes`, the same by the name that Kafka has for it"),
    ),
    (
        "statistics.interval.ms",
        Owner::Setting("statistics_interval"),
    ),
    ("allow.auto.create.topics", Owner::Setting("missing_topics")),
    ("ssl.ca.location", Owner::Setting("ssl_ca_location")),
    ("ssl.ca.pem", Owner::Setting("ssl_ca_pem")),
    (
        "ssl.certificate.location",
        Owner::Setting("ssl_certificate_location"),
    ),
    ("ssl.key.location", Owner::Setting("ssl_key_location")),
    ("ssl.key.password", Owner::Setting("ssl_key_password")),
    (
        "ssl.endpoint.identification.algorithm",
        Owner::Setting("ssl_endpoint_identification"),
    ),
    ("sasl.mechanism", Owner::Setting("sasl_mechanism")),
    ("sasl.mechanisms", Owner::Setting("sasl_mechanism")),
    ("sasl.username", Owner::Setting("sasl_username")),
    ("sasl.password", Owner::Setting("sasl_password")),
    ("security.protocol", Owner::Code(BY_SECURITY)),
    (
        "auto.offset.reset",
        Owner::Code(
            "use `start` of a handler for a group without a committed offset, and KAFKA_ON_OUT_OF_RANGE (`on_out_of_range`) for one that is gone",
        ),
    ),
    ("acks", Owner::Code(BY_ACKS)),
    ("request.required.acks", Owner::Code(BY_ACKS)),
    (
        "enable.idempotence",
        Owner::Code(
            "use `idempotent` of ProducerOptions; dead letters are always written idempotently",
        ),
    ),
    ("max.in.flight", Owner::Code(BY_IN_FLIGHT)),
    (
        "max.in.flight.requests.per.connection",
        Owner::Code(BY_IN_FLIGHT),
    ),
    ("linger.ms", Owner::Code(BY_LINGER)),
    ("queue.buffering.max.ms", Owner::Code(BY_LINGER)),
    ("compression.type", Owner::Code(BY_COMPRESSION)),
    ("compression.codec", Owner::Code(BY_COMPRESSION)),
    ("enable.auto.commit", Owner::Nobody(BY_ENGINE)),
    ("auto.commit.enable", Owner::Nobody(BY_ENGINE)),
    ("enable.auto.offset.store", Owner::Nobody(BY_ENGINE)),
    ("offset.store.method", Owner::Nobody(BY_LEGACY)),
    ("offset.store.path", Owner::Nobody(BY_LEGACY)),
    ("offset.store.sync.interval.ms", Owner::Nobody(BY_LEGACY)),
    (
        "enable.partition.eof",
        Owner::Nobody("the engine does not read the end of a partition as an event"),
    ),
    (
        "max.poll.interval.ms",
        Owner::Nobody(
            "the engine always polls, however long a handler takes; bound a handler with its `timeout`",
        ),
    ),
    (
        "group.protocol.type",
        Owner::Nobody("only consumers join the group"),
    ),
    ("transactional.id", Owner::Nobody(BY_TRANSACTIONS)),
    ("transaction.timeout.ms", Owner::Nobody(BY_TRANSACTIONS)),
    (
        "delivery.report.only.error",
        Owner::Nobody("a send that succeeded would wait for ever"),
    ),
    (
        "queuing.strategy",
        Owner::Nobody("records are written in the order they were sent"),
    ),
    (
        "log.queue",
        Owner::Nobody("the runtime reads librdkafka's log there"),
    ),
    (
        "enabled_events",
        Owner::Nobody("the runtime chooses the events it reads"),
    ),
    ("plugin.library.paths", Owner::Nobody(BY_LOADER)),
    ("ssl.engine.location", Owner::Nobody(BY_LOADER)),
    ("ssl.engine.id", Owner::Nobody(BY_LOADER)),
    ("ssl.providers", Owner::Nobody(BY_LOADER)),
];

/// Returns who decides a property, if it is not to be passed through.
pub(super) fn owner(property: &str) -> Option<Owner> {
    OWNED
        .iter()
        .find(|(name, _)| *name == property)
        .map(|(_, owner)| *owner)
}

/// Properties for consumers only, in librdkafka's CONFIGURATION.md, that are passed through.
const FOR_CONSUMERS: &[&str] = &[
    "check.crcs",
    "consume.callback.max.messages",
    "coordinator.query.interval.ms",
    "fetch.error.backoff.ms",
    "fetch.max.bytes",
    "fetch.min.bytes",
    "fetch.queue.backoff.ms",
    "fetch.wait.max.ms",
    "group.remote.assignor",
    "max.partition.fetch.bytes",
    "queued.max.messages.kbytes",
    "queued.min.messages",
];

/// The same for producers.
const FOR_PRODUCERS: &[&str] = &[
    "batch.num.messages",
    "batch.size",
    "compression.level",
    "delivery.timeout.ms",
    "enable.gapless.guarantee",
    "message.send.max.retries",
    "message.timeout.ms",
    "partitioner",
    "produce.offset.report",
    "queue.buffering.backpressure.threshold",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.messages",
    "request.timeout.ms",
    "retries",
    "sticky.partitioning.linger.ms",
];

fn side(property: &str) -> Side {
    if FOR_CONSUMERS.contains(&property) {
        Side::Consumer
    } else if FOR_PRODUCERS.contains(&property) {
        Side::Producer
    } else {
        Side::All
    }
}

/// True if only a client, not a broker, has a setting of this name: a variable that spells it is meant for us.
pub(super) fn is_client_only(property: &str) -> bool {
    // Brokers have it too.
    let is_shared = ["fetch.max.bytes", "request.timeout.ms"].contains(&property);
    let is_ours = side(property) != Side::All
        || property.starts_with("sasl.oauthbearer.")
        || property.starts_with("sasl.kerberos.");
    is_ours && !is_shared
}

impl Config {
    /// Returns the properties of a consumer of this group.
    pub(crate) fn consumer_properties(&self, group_id: &str) -> BTreeMap<String, String> {
        let mut map = self.properties_for(Side::Consumer);
        put(&mut map, "group.id", group_id);
        put(&mut map, "isolation.level", self.isolation_level.as_str());
        put(
            &mut map,
            "allow.auto.create.topics",
            self.missing_topics == MissingTopics::Auto,
        );
        put(
            &mut map,
            "auto.commit.interval.ms",
            self.commit_interval.as_millis(),
        );
        put_some(
            &mut map,
            "group.instance.id",
            self.group_instance_id.as_deref(),
        );
        match self.group_protocol {
            // librdkafka refuses the three settings of the classic protocol here: the broker decides them.
            GroupProtocol::Consumer => put(&mut map, "group.protocol", "consumer"),
            GroupProtocol::Classic => {
                put(
                    &mut map,
                    "partition.assignment.strategy",
                    self.partition_assignment.unwrap_or_default().as_str(),
                );
                let ms = |time: std::time::Duration| time.as_millis();
                put_some(&mut map, "session.timeout.ms", self.session_timeout.map(ms));
                put_some(
                    &mut map,
                    "heartbeat.interval.ms",
                    self.heartbeat_interval.map(ms),
                );
            }
        }
        put_some(
            &mut map,
            "statistics.interval.ms",
            self.statistics_interval.map(|t| t.as_millis()),
        );
        map
    }

    /// Returns the properties of a producer that loses and doubles nothing: the one that writes dead letters.
    pub(crate) fn producer_properties(&self) -> BTreeMap<String, String> {
        self.producer_properties_with(&ProducerOptions::default())
    }

    /// Returns the properties of a producer with these options.
    pub(crate) fn producer_properties_with(
        &self,
        options: &ProducerOptions,
    ) -> BTreeMap<String, String> {
        let mut map = self.properties_for(Side::Producer);
        put(&mut map, "acks", options.acks.as_str());
        put(&mut map, "enable.idempotence", options.idempotent);
        put(
            &mut map,
            "max.in.flight.requests.per.connection",
            options.max_in_flight_requests,
        );
        put(&mut map, "linger.ms", options.linger.as_millis());
        put(&mut map, "compression.type", options.compression.as_str());
        put_some(
            &mut map,
            "statistics.interval.ms",
            self.statistics_interval.map(|t| t.as_millis()),
        );
        map
    }

    /// Returns the properties of an admin client.
    pub(crate) fn admin_properties(&self) -> BTreeMap<String, String> {
        let mut map = self.properties_for(Side::All);
        put(
            &mut map,
            "allow.auto.create.topics",
            self.missing_topics == MissingTopics::Auto,
        );
        map
    }

    /// What is common to all clients, then the changed defaults and the passed-through properties of one side.
    fn properties_for(&self, side_of_client: Side) -> BTreeMap<String, String> {
        let mut map = BTreeMap::new();
        for changed in CHANGED
            .iter()
            .filter(|changed| side_of_client.takes(changed.side))
        {
            put(&mut map, changed.property, changed.value);
        }
        let passed = self.properties.0.iter();
        for (name, value) in passed.filter(|(name, _)| owner(name).is_none()) {
            if side_of_client.takes(side(name)) {
                put(&mut map, name, value);
            }
        }

        put(&mut map, "bootstrap.servers", self.addresses().joined());
        put(&mut map, "client.id", self.client_id_or_program());
        put(&mut map, "security.protocol", self.security_protocol());
        if self.is_ssl() {
            put_some(&mut map, "ssl.ca.location", self.ssl_ca_location.as_deref());
            put_some(&mut map, "ssl.ca.pem", self.ssl_ca_pem.as_deref());
            put_some(
                &mut map,
                "ssl.certificate.location",
                self.ssl_certificate_location.as_deref(),
            );
            put_some(
                &mut map,
                "ssl.key.location",
                self.ssl_key_location.as_deref(),
            );
            put_some(
                &mut map,
                "ssl.key.password",
                self.ssl_key_password.as_ref().map(|secret| &secret.0),
            );
            let algorithm = match self.ssl_endpoint_identification {
                Some(false) => "none",
                Some(true) | None => "https",
            };
            put(&mut map, "ssl.endpoint.identification.algorithm", algorithm);
        }
        if let Some(mechanism) = self.sasl_mechanism {
            put(&mut map, "sasl.mechanism", mechanism.as_str());
            put_some(&mut map, "sasl.username", self.sasl_username.as_deref());
            put_some(
                &mut map,
                "sasl.password",
                self.sasl_password.as_ref().map(|secret| &secret.0),
            );
        }
        map
    }

    fn security_protocol(&self) -> &'static str {
        match (self.is_ssl(), self.sasl_mechanism) {
            (true, Some(_)) => "sasl_ssl",
            (true, None) => "ssl",
            (false, Some(_)) => "sasl_plaintext",
            (false, None) => "plaintext",
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "numbers and texts alike")]
fn put(map: &mut BTreeMap<String, String>, property: &str, value: impl ToString) {
    map.insert(property.to_owned(), value.to_string());
}

fn put_some(map: &mut BTreeMap<String, String>, property: &str, value: Option<impl ToString>) {
    if let Some(value) = value {
        put(map, property, value);
    }
}

#[cfg(test)]
mod tests;
