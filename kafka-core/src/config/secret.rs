//! Keeps secrets out of `Debug`, logs and errors.

use std::collections::BTreeMap;
use std::fmt;

use super::address;

/// What is shown instead of a secret.
pub(super) const REDACTED: &str = "[redacted]";

/// Parts of property names whose values are secrets. The last two are no names of secrets, but hold them:
/// the OAuth settings in one line, and the shell command that gets a Kerberos ticket.
const SECRET_PARTS: [&str; 9] = [
    "password",
    "secret",
    "token",
    "key.pem",
    "passphrase",
    "credential",
    "jaas",
    "oauthbearer.config",
    "kinit.cmd",
];

/// True if the value of this librdkafka property must not be shown.
pub(crate) fn is_secret(property: &str) -> bool {
    // Also for a name as an environment variable spells it.
    let name = property.to_ascii_lowercase().replace('_', ".");
    SECRET_PARTS.iter().any(|part| name.contains(part))
}

/// Returns librdkafka properties as they may be logged.
pub(crate) fn redacted(properties: &BTreeMap<String, String>) -> BTreeMap<&str, String> {
    properties
        .iter()
        .map(|(name, value)| (name.as_str(), shown(name, value)))
        .collect()
}

fn shown(name: &str, value: &str) -> String {
    match name {
        _ if is_secret(name) => REDACTED.to_owned(),
        "bootstrap.servers" => address::shown(value.split(',')).join(","),
        _ => value.to_owned(),
    }
}

/// Returns a text of others, such as an error of the client, without the secrets among these properties.
///
/// librdkafka quotes the value of a property that it refuses.
pub(crate) fn scrubbed(text: &str, properties: &BTreeMap<String, String>) -> String {
    let mut secrets: Vec<&str> = properties
        .iter()
        .filter(|(name, value)| is_secret(name) && !value.is_empty())
        .map(|(_, value)| value.as_str())
        .collect();
    // The longest first: one secret may be a part of another.
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets.into_iter().fold(text.to_owned(), |text, secret| {
        text.replace(secret, REDACTED)
    })
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(pub(super) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

/// Properties for librdkafka, as the user gave them.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Properties(pub(super) BTreeMap<String, String>);

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        redacted(&self.0).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_property_of_librdkafka_that_holds_a_secret_is_known() {
        for name in [
            "sasl.password",
            "ssl.key.password",
            "ssl.key.pem",
            "ssl.keystore.password",
            "sasl.oauthbearer.client.secret",
            "sasl.oauthbearer.client.credentials.client.secret",
            "sasl.oauthbearer.assertion.private.key.pem",
            "sasl.oauthbearer.assertion.private.key.passphrase",
            "sasl.oauthbearer.config",
            "sasl.kerberos.kinit.cmd",
            "sasl.jaas.config",
            "SSL_KEY_PEM",
        ] {
            assert!(is_secret(name), "{name}");
        }
        assert!(!is_secret("fetch.min.bytes"));
        assert!(!is_secret("ssl.ca.pem"));
    }

    #[test]
    fn secrets_are_scrubbed_from_what_librdkafka_says() {
        let properties = BTreeMap::from([
            ("sasl.password".to_owned(), "canary".to_owned()),
            ("ssl.key.password".to_owned(), "canary-2".to_owned()),
            ("ssl.keystore.password".to_owned(), String::new()),
            ("client.rack".to_owned(), "rack".to_owned()),
        ]);

        let text = scrubbed("rack: canary-2 canary", &properties);

        assert_eq!(text, "rack: [redacted] [redacted]");
    }

    #[test]
    fn a_redacted_map_keeps_names_and_harmless_values() {
        let properties = BTreeMap::from([
            ("sasl.password".to_owned(), "canary".to_owned()),
            ("fetch.min.bytes".to_owned(), "1".to_owned()),
            (
                "bootstrap.servers".to_owned(),
                "user:canary@a:9092,b:9092".to_owned(),
            ),
        ]);

        let text = format!("{:?}", redacted(&properties));

        assert!(!text.contains("canary"), "{text}");
        assert!(
            text.contains("sasl.password") && text.contains(r#""1""#),
            "{text}"
        );
        assert!(text.contains("b:9092"), "{text}");
    }
}
