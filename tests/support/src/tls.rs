//! Certificates for the TLS listeners, and where a test finds them.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    KeyUsagePurpose,
};

use crate::RigError;

/// The user that the SASL listeners know.
pub const USER: &str = "alice";

/// The password of [`USER`], for SCRAM-SHA-512 and for PLAIN.
pub const PASSWORD: &str = "alice-secret";

/// Where the TLS listeners of a cluster are and what a client needs to trust them.
#[derive(Clone, Debug)]
pub struct Tls {
    pub(crate) ssl_bootstrap: String,
    pub(crate) sasl_ssl_bootstrap: String,
    pub(crate) wrong_host_bootstrap: String,
    pub(crate) files: CertificateFiles,
}

impl Tls {
    /// Returns the addresses for `security.protocol=ssl`.
    pub fn ssl_bootstrap(&self) -> &str {
        &self.ssl_bootstrap
    }

    /// Returns the addresses for `security.protocol=sasl_ssl`: SCRAM-SHA-512 and PLAIN, as
    /// [`USER`] with [`PASSWORD`].
    pub fn sasl_ssl_bootstrap(&self) -> &str {
        &self.sasl_ssl_bootstrap
    }

    /// Returns addresses for `security.protocol=ssl` where the same CA vouches for another
    /// host: a client that verifies host names must refuse them.
    pub fn wrong_host_bootstrap(&self) -> &str {
        &self.wrong_host_bootstrap
    }

    /// Returns the CA that signed the brokers' certificates, for `ssl.ca.location`.
    pub fn ca_pem_path(&self) -> &Path {
        &self.files.ca
    }

    /// Returns a CA that signed none of them.
    pub fn other_ca_pem_path(&self) -> &Path {
        &self.files.other_ca
    }
}

/// The PEM files that the brokers and the tests read.
#[derive(Clone, Debug)]
pub(crate) struct CertificateFiles {
    ca: PathBuf,
    other_ca: PathBuf,
    /// Key and certificate for `localhost` and 127.0.0.1.
    keystore: PathBuf,
    /// Key and certificate for a host that does not exist.
    wrong_host_keystore: PathBuf,
}

impl CertificateFiles {
    /// Makes two CAs and the brokers' certificates in `folder`.
    pub(crate) fn create(folder: &Path) -> Result<Self, RigError> {
        fs::create_dir_all(folder).map_err(RigError::io(format!("create {}", folder.display())))?;
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            fs::write(&path, text).map_err(RigError::io(format!("write {}", path.display())))?;
            Ok::<_, RigError>(path)
        };
        let ca = certificate_authority("kafka-runtime test CA")?;
        let other_ca = certificate_authority("kafka-runtime other test CA")?;
        Ok(Self {
            ca: write("ca.pem", ca.pem())?,
            other_ca: write("other-ca.pem", other_ca.pem())?,
            keystore: write("broker.pem", keystore(&ca, &["localhost", "127.0.0.1"])?)?,
            wrong_host_keystore: write("wrong-host.pem", keystore(&ca, &["other-host.invalid"])?)?,
        })
    }

    /// Returns the broker properties of the three TLS listeners.
    pub(crate) fn properties(&self) -> Vec<(String, String)> {
        let scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
        let plain = format!(
            "org.apache.kafka.common.security.plain.PlainLoginModule required \
             user_{USER}=\"{PASSWORD}\";"
        );
        let location = |path: &Path| path.display().to_string();
        [
            ("ssl.keystore.type", "PEM".into()),
            ("ssl.keystore.location", location(&self.keystore)),
            ("ssl.truststore.type", "PEM".into()),
            ("ssl.truststore.location", location(&self.ca)),
            ("listener.name.wronghost.ssl.keystore.type", "PEM".into()),
            (
                "listener.name.wronghost.ssl.keystore.location",
                location(&self.wrong_host_keystore),
            ),
            ("sasl.enabled.mechanisms", "SCRAM-SHA-512,PLAIN".into()),
            (
                "listener.name.saslssl.scram-sha-512.sasl.jaas.config",
                scram.into(),
            ),
            ("listener.name.saslssl.plain.sasl.jaas.config", plain),
        ]
        .map(|(key, value): (&str, String)| (key.to_owned(), value))
        .into()
    }
}

/// Returns the storage tool's argument that makes [`USER`] known for SCRAM.
pub(crate) fn scram_argument() -> String {
    format!("SCRAM-SHA-512=[name={USER},password={PASSWORD}]")
}

fn certificate_authority(name: &str) -> Result<CertifiedIssuer<'static, KeyPair>, RigError> {
    let mut params = named(name, &[])?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}

/// Returns a PKCS#8 key and its chain in one text, as Kafka's PEM keystore wants them.
fn keystore(ca: &CertifiedIssuer<'_, KeyPair>, hosts: &[&str]) -> Result<String, RigError> {
    let key = KeyPair::generate()?;
    let certificate = named("kafka-runtime test broker", hosts)?.signed_by(&key, ca)?;
    Ok([key.serialize_pem(), certificate.pem(), ca.pem()].concat())
}

fn named(name: &str, hosts: &[&str]) -> Result<CertificateParams, RigError> {
    let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(hosts)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::{certificate_authority, keystore};

    #[test]
    fn a_keystore_is_a_key_and_its_chain() -> Result<(), crate::RigError> {
        let text = keystore(&certificate_authority("a CA")?, &["localhost", "127.0.0.1"])?;

        assert!(text.starts_with("-----BEGIN PRIVATE KEY-----"));
        assert_eq!(text.matches("-----BEGIN CERTIFICATE-----").count(), 2);
        Ok(())
    }
}
