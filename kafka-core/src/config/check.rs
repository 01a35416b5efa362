//! Tells what is missing in a configuration and what contradicts itself.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::Config;
use super::address;
use super::choice::{GroupProtocol, MissingTopics, SaslMechanism};
use super::error::ConfigProblem;
use super::property::{LOOK_AHEAD, owner};
use super::setting::named;

/// What the crate was built with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Build {
    pub(super) ssl: bool,
    pub(super) gssapi: bool,
    pub(super) zstd: bool,
}

impl Build {
    pub(super) const CURRENT: Self = Self {
        ssl: cfg!(any(
            feature = "ssl",
            feature = "ssl-vendored",
            feature = "gssapi"
        )),
        gssapi: cfg!(feature = "gssapi"),
        zstd: cfg!(feature = "zstd"),
    };
}

impl Config {
    pub(super) fn problems(&self, build: Build) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        self.check_addresses(&mut problems);
        self.check_ssl(&mut problems, build);
        self.check_sasl(&mut problems, build);
        self.check_group(&mut problems);
        self.check_ranges(&mut problems);
        self.check_properties(&mut problems);
        self.check_nul(&mut problems);
        problems
    }

    fn check_addresses(&self, problems: &mut Vec<ConfigProblem>) {
        let addresses = self.addresses();
        if addresses.is_empty() {
            problems.push(ConfigProblem::NoBootstrapServers);
        }
        let shown = address::shown(addresses.iter());
        for (address, shown) in addresses.iter().zip(&shown) {
            if let Err(fix) = address::check(address) {
                problems.push(ConfigProblem::BadAddress {
                    address: shown.clone(),
                    fix,
                });
            }
        }
        let is_said = self.ssl.is_some() || self.is_environments_address();
        let abroad = addresses
            .iter()
            .position(|address| !address::is_loopback(address));
        if let Some(at) = abroad.filter(|_| !is_said) {
            problems.push(ConfigProblem::SecurityNotChosen {
                address: shown[at].clone(),
            });
        }
    }

    fn check_ssl(&self, problems: &mut Vec<ConfigProblem>, build: Build) {
        if self.is_ssl() {
            if !build.ssl {
                let what = match self.ssl {
                    Some(_) => named("ssl"),
                    None => format!("TLS, which the address of {} uses,", named("environment")),
                };
                problems.push(ConfigProblem::FeatureIsOff {
                    what,
                    feature: "ssl",
                });
            }
            self.check_client_certificate(problems);
            return;
        }
        let set = [
            ("ssl_ca_location", self.ssl_ca_location.is_some()),
            ("ssl_ca_pem", self.ssl_ca_pem.is_some()),
            (
                "ssl_certificate_location",
                self.ssl_certificate_location.is_some(),
            ),
            ("ssl_key_location", self.ssl_key_location.is_some()),
            ("ssl_key_password", self.ssl_key_password.is_some()),
            (
                "ssl_endpoint_identification",
                self.ssl_endpoint_identification.is_some(),
            ),
        ];
        let settings = set
            .iter()
            .filter(|(_, is_set)| *is_set)
            .map(|(name, _)| named(name));
        let properties = self.properties_under(&["ssl.", "enable.ssl."]);
        let all = settings.chain(properties);
        problems.extend(all.map(|what| ConfigProblem::SslIsOff { what }));
    }

    /// A certificate without its key, or the reverse, would be left unused in silence.
    fn check_client_certificate(&self, problems: &mut Vec<ConfigProblem>) {
        let is_given = |property: &str| self.properties.0.contains_key(property);
        let has_certificate =
            self.ssl_certificate_location.is_some() || is_given("ssl.certificate.pem");
        let has_key = self.ssl_key_location.is_some() || is_given("ssl.key.pem");
        let (what, missing) = match (has_certificate, has_key) {
            (true, false) => ("a client certificate", "ssl_key_location"),
            (false, true) => ("a client key", "ssl_certificate_location"),
            _ => return,
        };
        problems.push(ConfigProblem::Missing {
            what: what.to_owned(),
            missing: named(missing),
        });
    }

    fn check_sasl(&self, problems: &mut Vec<ConfigProblem>, build: Build) {
        let has_username = self
            .sasl_username
            .as_ref()
            .is_some_and(|name| !name.is_empty());
        let has_password = self
            .sasl_password
            .as_ref()
            .is_some_and(|word| !word.0.is_empty());
        let credentials = [
            ("sasl_username", has_username),
            ("sasl_password", has_password),
        ];
        let Some(mechanism) = self.sasl_mechanism else {
            let settings = credentials
                .iter()
                .filter(|(_, is_set)| *is_set)
                .map(|(name, _)| named(name));
            let all = settings.chain(self.properties_under(&["sasl.", "enable.sasl."]));
            problems.extend(all.map(|what| ConfigProblem::SaslIsOff { what }));
            return;
        };

        let what = || format!("SASL {}", mechanism.as_str());
        let feature = match mechanism {
            // librdkafka has PLAIN in every build.
            SaslMechanism::Plain => None,
            SaslMechanism::Gssapi => (!build.gssapi).then_some("gssapi"),
            _ => (!build.ssl).then_some("ssl"),
        };
        problems.extend(feature.map(|feature| ConfigProblem::FeatureIsOff {
            what: what(),
            feature,
        }));
        for (name, is_set) in credentials {
            if mechanism.takes_password() && !is_set {
                problems.push(ConfigProblem::Missing {
                    what: what(),
                    missing: named(name),
                });
            } else if !mechanism.takes_password() && is_set {
                problems.push(ConfigProblem::Contradiction {
                    what: named(name),
                    with: what(),
                    reason: "it takes none; its settings are properties, `sasl.oauthbearer.*` or `sasl.kerberos.*`",
                });
            }
        }
        let tokens = [
            "sasl.oauthbearer.method",
            "enable.sasl.oauthbearer.unsecure.jwt",
        ];
        let has_tokens = tokens
            .iter()
            .any(|name| self.properties.0.contains_key(*name));
        if mechanism == SaslMechanism::OAuthBearer && !has_tokens {
            problems.push(ConfigProblem::Missing {
                what: what(),
                missing:
                    "the properties sasl.oauthbearer.method=oidc, sasl.oauthbearer.client.id, \
                          sasl.oauthbearer.client.secret and sasl.oauthbearer.token.endpoint.url"
                        .to_owned(),
            });
        }
    }

    /// The properties that begin so and are passed through; the others are refused anyway.
    fn properties_under(&self, starts: &[&str]) -> Vec<String> {
        let names = self
            .properties
            .0
            .keys()
            .filter(|name| owner(name).is_none());
        names
            .filter(|name| starts.iter().any(|start| name.starts_with(start)))
            .map(|name| format!("the property {name}"))
            .collect()
    }

    fn check_group(&self, problems: &mut Vec<ConfigProblem>) {
        if self.group_protocol == GroupProtocol::Consumer {
            let set = [
                ("session_timeout", self.session_timeout.is_some()),
                ("heartbeat_interval", self.heartbeat_interval.is_some()),
                ("partition_assignment", self.partition_assignment.is_some()),
            ];
            problems.extend(set.iter().filter(|(_, is_set)| *is_set).map(|(name, _)| {
                ConfigProblem::Contradiction {
                    what: named(name),
                    with: format!("{} = consumer", named("group_protocol")),
                    reason: "librdkafka refuses it, since with this protocol the broker decides; remove one of the two",
                }
            }));
            return;
        }
        let is_set = self.session_timeout.is_some() || self.heartbeat_interval.is_some();
        if is_set && self.heartbeat_interval_or_default() >= self.session_timeout_or_default() {
            problems.push(ConfigProblem::Contradiction {
                what: format!("{} = {:?}", named("heartbeat_interval"), self.heartbeat_interval_or_default()),
                with: format!("{} = {:?}", named("session_timeout"), self.session_timeout_or_default()),
                reason: "the member would be taken for gone between two heartbeats; a third of the session timeout is usual",
            });
        }
    }

    fn check_ranges(&self, problems: &mut Vec<ConfigProblem>) {
        const HOUR: u128 = 3_600_000;
        const DAY: u128 = 24 * HOUR;
        let optional = [
            // librdkafka refuses a session timeout above max.poll.interval.ms, which stays at its 5 minutes.
            (
                "session_timeout",
                self.session_timeout,
                1..=300_000,
                "from 1ms to 5m",
            ),
            (
                "heartbeat_interval",
                self.heartbeat_interval,
                1..=HOUR,
                "from 1ms to 1h",
            ),
            (
                "statistics_interval",
                self.statistics_interval,
                1000..=DAY,
                "from 1s to 24h",
            ),
            // 0 would switch commits off.
            (
                "commit_interval",
                Some(self.commit_interval),
                1..=DAY,
                "from 1ms to 24h",
            ),
            (
                "request_timeout",
                Some(self.request_timeout),
                1..=HOUR,
                "from 1ms to 1h",
            ),
            (
                "drain_timeout",
                Some(self.drain_timeout),
                0..=HOUR,
                "at most 1h",
            ),
            (
                "shutdown_grace",
                Some(self.shutdown_grace),
                0..=DAY,
                "at most 24h",
            ),
        ];
        for (setting, value, range, allowed) in optional {
            if let Some(value) = value {
                check_milliseconds(problems, setting, value, range, allowed);
            }
        }
        let mut refuse =
            |setting, allowed| problems.push(ConfigProblem::OutsideRange { setting, allowed });
        if self.max_in_flight_records == 0 {
            refuse("max_in_flight_records", "1 or more");
        }
        if self.max_in_flight_bytes == 0 {
            refuse("max_in_flight_bytes", "1B or more");
        }
        if let MissingTopics::Create { partitions, replication } = self.missing_topics
            // The wire has them signed.
            && (i32::try_from(partitions).is_err() || i16::try_from(replication).is_err() || partitions == 0 || replication == 0)
        {
            refuse("missing_topics", "with 1 partition and 1 replica or more");
        }
    }

    fn check_properties(&self, problems: &mut Vec<ConfigProblem>) {
        for name in self.properties.0.keys() {
            let reason = match owner(name) {
                Some(owner) => owner.reason(),
                None if name.trim().is_empty() => "it has no name".to_owned(),
                None => continue,
            };
            problems.push(ConfigProblem::RefusedProperty {
                property: name.clone(),
                reason,
            });
        }
        let (given, missing): (Vec<&str>, Vec<&str>) = LOOK_AHEAD
            .into_iter()
            .partition(|name| self.properties.0.contains_key(*name));
        if !given.is_empty() && !missing.is_empty() {
            problems.push(ConfigProblem::Missing {
                what: format!("the property {}", given.join(", ")),
                missing: format!(
                    "{} too: the three limits of the look-ahead belong together",
                    missing.join(", ")
                ),
            });
        }
    }

    /// librdkafka takes C strings, and an error of its binding would show the value.
    fn check_nul(&self, problems: &mut Vec<ConfigProblem>) {
        let group_id = self.group_id.as_deref().unwrap_or_default();
        let maps = [
            self.consumer_properties(group_id),
            self.producer_properties(),
        ];
        let names: BTreeSet<_> = maps
            .iter()
            .flatten()
            .filter(|(name, value)| name.contains('\0') || value.contains('\0'))
            .map(|(name, _)| name)
            .collect();
        problems.extend(names.into_iter().map(|name| ConfigProblem::Nul {
            what: format!("the value of {}", name.escape_debug()),
        }));
    }
}

pub(super) fn check_milliseconds(
    problems: &mut Vec<ConfigProblem>,
    setting: &'static str,
    value: Duration,
    range: RangeInclusive<u128>,
    allowed: &'static str,
) {
    if !range.contains(&value.as_millis()) {
        problems.push(ConfigProblem::OutsideRange { setting, allowed });
    }
}

#[cfg(test)]
mod tests {
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
}
