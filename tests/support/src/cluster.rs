//! A cluster of one or three nodes on 127.0.0.1 that ends with the test.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use tempfile::TempDir;

use crate::error::RigError;
use crate::jars::{Bundle, DEFAULT_VERSION};
use crate::java::{Java, Tuning};
use crate::node::{Node, NodeTemplate};
use crate::port;
use crate::properties::{Features, NodePorts, server_properties};
use crate::proxy::Proxy;
use crate::tls::{CertificateFiles, Tls, scram_argument};

/// Another process can take a port between the choice and the start; twice is bad luck.
const ATTEMPTS: usize = 3;

/// To the console, which is the node's log file.
pub(crate) const LOG4J: &str = "\
log4j.rootLogger=INFO, console
log4j.appender.console=org.apache.log4j.ConsoleAppender
log4j.appender.console.layout=org.apache.log4j.PatternLayout
log4j.appender.console.layout.ConversionPattern=%d{HH:mm:ss,SSS} %-5p %c{1}: %m%n
";

/// A running Kafka: its own nodes, or only the address of somebody else's.
///
/// Dropping it kills the nodes and removes their data. If this process dies without
/// dropping it, the nodes die too, and only the temporary folder stays.
#[derive(Debug)]
pub struct KafkaCluster {
    bootstrap_servers: String,
    /// Declared before the folder, so that the nodes end before their data goes.
    nodes: Vec<Node>,
    /// Node 1's first; empty without [`ClusterBuilder::proxied`].
    proxies: Vec<Proxy>,
    tls: Option<Tls>,
    _folder: Option<TempDir>,
}

impl KafkaCluster {
    /// Starts the description of a cluster: one node, no TLS, [`DEFAULT_VERSION`].
    pub fn builder() -> ClusterBuilder {
        ClusterBuilder::default()
    }

    /// Uses a cluster that runs already and that this rig does not control.
    pub fn external(bootstrap_servers: impl Into<String>) -> Self {
        Self {
            bootstrap_servers: bootstrap_servers.into(),
            nodes: Vec::new(),
            proxies: Vec::new(),
            tls: None,
            _folder: None,
        }
    }

    /// Returns the plaintext addresses of all nodes.
    pub fn bootstrap_servers(&self) -> &str {
        &self.bootstrap_servers
    }

    /// Returns the node with this `node.id`, 1 for the first.
    ///
    /// # Errors
    ///
    /// [`RigError::NoSuchNode`] if there is none, as in an external cluster.
    pub fn node(&self, id: usize) -> Result<&Node, RigError> {
        self.nodes
            .iter()
            .find(|node| node.id() == id)
            .ok_or(RigError::NoSuchNode(id))
    }

    /// Returns the nodes that the rig started, node 1 first.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Returns the addresses of all proxies. Who bootstraps from them stays behind a proxy for
    /// every node; [`bootstrap_servers`](Self::bootstrap_servers) has the way around them.
    ///
    /// # Errors
    ///
    /// [`RigError::NoProxy`] if the cluster was built without.
    pub fn proxied_bootstrap_servers(&self) -> Result<String, RigError> {
        if self.proxies.is_empty() {
            return Err(RigError::NoProxy);
        }
        let addresses: Vec<_> = self.proxies.iter().map(Proxy::bootstrap_servers).collect();
        Ok(addresses.join(","))
    }

    /// Returns the proxy in front of the node with this `node.id`.
    ///
    /// # Errors
    ///
    /// [`RigError::NoProxy`] if the cluster was built without, [`RigError::NoSuchNode`].
    pub fn proxy(&self, id: usize) -> Result<&Proxy, RigError> {
        if self.proxies.is_empty() {
            return Err(RigError::NoProxy);
        }
        id.checked_sub(1)
            .and_then(|index| self.proxies.get(index))
            .ok_or(RigError::NoSuchNode(id))
    }

    /// Returns the proxies of all nodes, node 1's first; none if the cluster was built without.
    pub fn proxies(&self) -> &[Proxy] {
        &self.proxies
    }

    /// Returns the TLS listeners and their certificates.
    ///
    /// # Errors
    ///
    /// [`RigError::NoTls`] if the cluster was built without.
    pub fn tls(&self) -> Result<&Tls, RigError> {
        self.tls.as_ref().ok_or(RigError::NoTls)
    }
}

/// Says what a [`KafkaCluster`] is to be like.
#[derive(Clone, Debug)]
pub struct ClusterBuilder {
    nodes: usize,
    tls: bool,
    proxied: bool,
    authorizer: bool,
    tuning: Tuning,
    version: String,
    properties: BTreeMap<String, String>,
}

impl Default for ClusterBuilder {
    fn default() -> Self {
        Self {
            nodes: 1,
            tls: false,
            proxied: false,
            authorizer: false,
            tuning: Tuning::QuickStart,
            version: DEFAULT_VERSION.into(),
            properties: BTreeMap::new(),
        }
    }
}

impl ClusterBuilder {
    /// Sets the number of nodes: 1, or 3 with three replicas of which two must be in sync.
    #[must_use]
    pub fn nodes(mut self, nodes: usize) -> Self {
        self.nodes = nodes;
        self
    }

    /// Adds TLS and SASL listeners, see [`Tls`].
    #[must_use]
    pub fn tls(mut self, tls: bool) -> Self {
        self.tls = tls;
        self
    }

    /// Adds a listener with a [`Proxy`] in front of it to each node.
    #[must_use]
    pub fn proxied(mut self, proxied: bool) -> Self {
        self.proxied = proxied;
        self
    }

    /// Lets nodes look at rules (ACLs) of who may do what. At first there are none and
    /// everybody may do everything, see [`KafkaCluster::deny_write`].
    #[must_use]
    pub fn authorizer(mut self, authorizer: bool) -> Self {
        self.authorizer = authorizer;
        self
    }

    /// Runs the nodes for throughput over minutes instead of a quick start: all of Java's
    /// compilers, its collector for servers, and 1 GB of heap each.
    #[must_use]
    pub fn for_throughput(mut self) -> Self {
        self.tuning = Tuning::Throughput;
        self
    }

    /// Sets the Kafka version. KIP-848 (`group.protocol=consumer`) needs "4.1.1".
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = version.into();
        self
    }

    /// Sets a broker property, on all nodes, over what the rig would set.
    #[must_use]
    pub fn property(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties.insert(key.into(), value.into());
        self
    }

    /// Returns why a cluster cannot be started on this machine, if it cannot.
    pub fn obstacle(&self) -> Option<RigError> {
        Java::find()
            .err()
            .or_else(|| match Bundle::kafka(&self.version) {
                Ok(bundle) => bundle.obstacle(),
                Err(error) => Some(error),
            })
    }

    /// Starts the nodes and waits until each of them serves and knows the others.
    /// Blocks for some seconds, and for the download on a machine's first start.
    ///
    /// # Errors
    ///
    /// Any [`RigError`] of starting; those of a node carry the end of its log.
    pub fn start(self) -> Result<KafkaCluster, RigError> {
        if !matches!(self.nodes, 1 | 3) {
            return Err(RigError::InvalidNodeCount(self.nodes));
        }
        let java = Java::find()?;
        let jars = Bundle::kafka(&self.version)?.fetch()?;
        let mut attempt = 1;
        loop {
            match self.start_with(&java, &jars) {
                Err(RigError::PortTaken { .. }) if attempt < ATTEMPTS => attempt += 1,
                result => return result,
            }
        }
    }

    fn start_with(&self, java: &Java, jars: &Path) -> Result<KafkaCluster, RigError> {
        let folder = tempfile::Builder::new()
            .prefix("kafka-runtime-")
            .tempdir()
            .map_err(RigError::io("create a temporary folder"))?;
        let ports: Vec<NodePorts> = port::free(self.nodes * NodePorts::COUNT)?
            .chunks(NodePorts::COUNT)
            .filter_map(NodePorts::from_slice)
            .collect();
        let certificates = if self.tls {
            Some(CertificateFiles::create(&folder.path().join("tls"))?)
        } else {
            None
        };
        let log4j = folder.path().join("log4j.properties");
        fs::write(&log4j, LOG4J).map_err(RigError::io("write log4j.properties"))?;
        let template = NodeTemplate {
            java,
            jars,
            log4j: &log4j,
            tuning: self.tuning,
            heap_megabytes: match (self.tuning, self.nodes) {
                (Tuning::QuickStart, 1) => 384,
                (Tuning::QuickStart, _) => 512,
                (Tuning::Throughput, _) => 1024,
            },
            cluster_id: &random_cluster_id(),
            scram: self.tls.then(scram_argument),
        };

        let features = Features {
            tls: certificates.as_ref(),
            is_proxied: self.proxied,
            has_authorizer: self.authorizer,
        };
        let mut nodes = Vec::with_capacity(self.nodes);
        let mut proxies = Vec::new();
        for (node_ports, id) in ports.iter().zip(1..) {
            let own_folder = folder.path().join(format!("node-{id}"));
            fs::create_dir(&own_folder).map_err(RigError::io("create a node's folder"))?;
            let data = own_folder.join("data");
            let properties = server_properties(id, &ports, &data, features, &self.properties);
            nodes.push(Node::create(
                &template,
                id,
                node_ports.plaintext,
                &own_folder,
                &properties,
            )?);
            if self.proxied {
                proxies.push(proxy(id, *node_ports)?);
            }
        }

        let cluster = KafkaCluster {
            bootstrap_servers: addresses(&ports, |node| node.plaintext),
            nodes,
            proxies,
            tls: certificates.map(|files| Tls {
                ssl_bootstrap: addresses(&ports, |node| node.ssl),
                sasl_ssl_bootstrap: addresses(&ports, |node| node.sasl_ssl),
                wrong_host_bootstrap: addresses(&ports, |node| node.wrong_host),
                files,
            }),
            _folder: Some(folder),
        };
        cluster.start_all()?;
        Ok(cluster)
    }
}

impl KafkaCluster {
    /// Three nodes need each other to become ready, so all start before any is awaited.
    /// Awaiting each alone first finds one that ended without waiting for it in the others.
    fn start_all(&self) -> Result<(), RigError> {
        for node in &self.nodes {
            node.spawn()?;
        }
        for node in &self.nodes {
            node.wait_until_serving(&[node.id()])?;
        }
        let ids: Vec<usize> = self.nodes.iter().map(Node::id).collect();
        self.nodes
            .iter()
            .try_for_each(|node| node.wait_until_serving(&ids))
    }
}

/// Starts the proxy of node `id`, which need not run yet.
fn proxy(id: usize, ports: NodePorts) -> Result<Proxy, RigError> {
    let node = SocketAddr::from((Ipv4Addr::LOCALHOST, ports.behind_proxy));
    Proxy::start(ports.proxy, node).map_err(|error| match error {
        RigError::Io { source, .. } if source.kind() == ErrorKind::AddrInUse => {
            RigError::PortTaken { node: id }
        }
        other => other,
    })
}

fn addresses(ports: &[NodePorts], port: impl Fn(&NodePorts) -> u16) -> String {
    ports
        .iter()
        .map(|node| format!("127.0.0.1:{}", port(node)))
        .collect::<Vec<_>>()
        .join(",")
}

/// Returns 16 bytes in base64. A node refuses peers of another cluster, so a stranger on a
/// port that once was ours does no harm.
fn random_cluster_id() -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    let random = [0, 1].map(|half| RandomState::new().hash_one(half).to_le_bytes());
    let digits = random
        .as_flattened()
        .iter()
        .map(|byte| char::from(DIGITS[usize::from(byte & 63)]));
    // A leading dash would be an option of the storage tool; the last digit has two bits.
    "kafka".chars().chain(digits).chain("A".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::{KafkaCluster, random_cluster_id};
    use crate::RigError;

    #[test]
    fn a_cluster_id_has_22_digits() {
        let id = random_cluster_id();

        assert_eq!(id.len(), 22);
        assert_ne!(id, random_cluster_id());
    }

    #[test]
    fn two_nodes_are_refused() {
        let started = KafkaCluster::builder().nodes(2).start();

        assert!(matches!(started, Err(RigError::InvalidNodeCount(2))));
    }

    #[test]
    fn an_external_cluster_has_no_nodes_no_tls_and_no_proxies() {
        let cluster = KafkaCluster::external("kafka:9092");

        assert_eq!(cluster.bootstrap_servers(), "kafka:9092");
        assert!(matches!(cluster.node(1), Err(RigError::NoSuchNode(1))));
        assert!(matches!(cluster.tls(), Err(RigError::NoTls)));
        assert!(matches!(cluster.proxy(1), Err(RigError::NoProxy)));
    }
}
