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
            problems.extend(set.iter().filter(|(_, is_set)| *is_set).map(|(name, _)| ConfigProblem::Contradiction {
                what: named(name),
                with: format!("{} = consumer", named("group_protocol")),
                reason: "librdkafka refuses it, since with this protocol the broker decides; remove one of the two",
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
            (
                "max_call_age",
                Some(self.max_call_age),
                1..=DAY,
                "from 1ms to 24h",
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
mod tests;
