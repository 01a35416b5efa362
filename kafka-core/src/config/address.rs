//! The addresses of the brokers that are asked first.

use std::fmt;
use std::net::IpAddr;

/// A list of `host:port`, from a text with commas, an array or a vector.
///
/// ```
/// use kafka_core::BootstrapServers;
///
/// let list = BootstrapServers::from(["a:9092", "b:9092"]);
/// assert_eq!(list, BootstrapServers::from("a:9092, b:9092"));
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct BootstrapServers(Vec<String>);

impl BootstrapServers {
    /// Iterates over the addresses.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn joined(&self) -> String {
        self.0.join(",")
    }

    fn collect<S: AsRef<str>>(lists: impl IntoIterator<Item = S>) -> Self {
        let mut addresses = Vec::new();
        for list in lists {
            // Like Kafka's own clients: blanks around an address and empty places between commas mean nothing.
            let parts = list.as_ref().split(',').map(str::trim);
            addresses.extend(parts.filter(|part| !part.is_empty()).map(str::to_owned));
        }
        Self(addresses)
    }
}

impl From<&str> for BootstrapServers {
    fn from(list: &str) -> Self {
        Self::collect([list])
    }
}

impl From<String> for BootstrapServers {
    fn from(list: String) -> Self {
        Self::collect([list])
    }
}

impl<S: AsRef<str>> From<Vec<S>> for BootstrapServers {
    fn from(addresses: Vec<S>) -> Self {
        Self::collect(addresses)
    }
}

impl<S: AsRef<str>> From<&[S]> for BootstrapServers {
    fn from(addresses: &[S]) -> Self {
        Self::collect(addresses)
    }
}

impl<S: AsRef<str>, const N: usize> From<[S; N]> for BootstrapServers {
    fn from(addresses: [S; N]) -> Self {
        Self::collect(addresses)
    }
}

impl fmt::Debug for BootstrapServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        shown(self.iter()).fmt(f)
    }
}

/// Returns the addresses without what may be a password in them: `user:password@host`, `host?token=..`.
pub(super) fn shown<'a>(addresses: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut shown: Vec<String> = addresses.into_iter().map(str::to_owned).collect();
    let last_with_user = shown.iter().rposition(|address| address.contains('@'));
    for (at, address) in shown.iter_mut().enumerate() {
        match last_with_user {
            // A password with a comma in it was taken for two addresses.
            Some(last) if at < last => "..".clone_into(address),
            _ => *address = without_password(address),
        }
    }
    shown
}

fn without_password(address: &str) -> String {
    let is_scheme = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+-._".contains(&b))
    };
    let (scheme, rest) = match address.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => (format!("{scheme}://"), rest),
        _ => (String::new(), address),
    };
    let (start, host) = rest
        .rsplit_once('@')
        .map_or(("", rest), |(_, host)| ("..@", host));
    let host = host.split(['?', '#']).next().unwrap_or_default();
    format!("{scheme}{start}{host}")
}

/// Returns what to change, unless the address is `host:port`.
pub(super) fn check(address: &str) -> Result<(), &'static str> {
    if address.contains('@') {
        return Err(
            "user and password go into KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD, and the address is host:port",
        );
    }
    if address.contains("://") {
        return Err(
            "leave the scheme out, the address is host:port; KAFKA_SSL says whether TLS is used",
        );
    }
    if address.contains([' ', ';', '\t', '\n']) {
        return Err("separate addresses by commas");
    }
    let Some((host, port)) = address.rsplit_once(':') else {
        return Err("add the port: host:port, usually 9092");
    };
    let is_bracketed = host.starts_with('[') && host.ends_with(']');
    if host.contains(':') && !is_bracketed {
        return Err("put an IPv6 address into brackets: [::1]:9092");
    }
    if host.is_empty() || host.contains('/') {
        return Err("the address is host:port");
    }
    match port.parse::<u16>() {
        Ok(1..) => Ok(()),
        _ => Err("the port is a number from 1 to 65535"),
    }
}

/// True if the connection cannot leave this machine.
pub(super) fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let name = host.to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_host_and_port() {
        for address in ["a:9092", "a.b.svc:1", "127.0.0.1:65535", "[::1]:9092"] {
            assert_eq!(check(address), Ok(()), "{address}");
        }
        for (address, fix) in [
            ("a", "add the port"),
            ("kafka://a:9092", "leave the scheme out"),
            ("http://a:9092/", "leave the scheme out"),
            ("user:canary@a:9092", "KAFKA_SASL_USERNAME"),
            ("::1:9092", "brackets"),
            ("a:0", "65535"),
            ("a:port", "65535"),
            ("a:9092/x", "65535"),
            (":9092", "host:port"),
            ("a:9092 b:9092", "commas"),
            ("a:9092;b:9092", "commas"),
        ] {
            let said = check(address).err().unwrap_or_default();
            assert!(said.contains(fix), "{address}: {said}");
        }
    }

    #[test]
    fn loopback_is_by_name_or_number() {
        for address in [
            "localhost:9092",
            "LOCALHOST:1",
            "a.localhost:1",
            "127.1.2.3:1",
            "[::1]:9092",
        ] {
            assert!(is_loopback(address), "{address}");
        }
        for address in [
            "a:9092",
            "10.0.0.1:9092",
            "bootstrap.127.0.0.1.nip.io:9094",
            "localhost.evil.com:1",
        ] {
            assert!(!is_loopback(address), "{address}");
        }
    }

    #[test]
    fn a_password_in_an_address_is_not_shown() {
        for address in [
            "user:canary@a:9092",
            "kafka://user:canary@a:9092",
            "canary:c://canary@a:9092",
            "user:canary,x@a:9092",
            "a:9092?token=canary",
        ] {
            let text = format!("{:?}", BootstrapServers::from(address));
            assert!(
                !text.contains("canary") && text.contains("a:9092"),
                "{text}"
            );
        }
    }
}
