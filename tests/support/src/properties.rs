//! Writes the `server.properties` of one node.

use std::collections::BTreeMap;
use std::path::Path;

use crate::tls::CertificateFiles;

/// The ports of one node on 127.0.0.1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NodePorts {
    pub(crate) plaintext: u16,
    pub(crate) controller: u16,
    pub(crate) ssl: u16,
    pub(crate) sasl_ssl: u16,
    pub(crate) wrong_host: u16,
}

impl NodePorts {
    /// How many ports a node takes.
    pub(crate) const COUNT: usize = 5;

    pub(crate) fn from_slice(ports: &[u16]) -> Option<Self> {
        let &[plaintext, controller, ssl, sasl_ssl, wrong_host] = ports else {
            return None;
        };
        Some(Self {
            plaintext,
            controller,
            ssl,
            sasl_ssl,
            wrong_host,
        })
    }
}

/// Returns the properties of node `id`, a broker and a controller in one process.
/// `ports` has those of all nodes, node 1 first. What the test set (`own`) wins.
pub(crate) fn server_properties(
    id: usize,
    ports: &[NodePorts],
    data: &Path,
    tls: Option<&CertificateFiles>,
    own: &BTreeMap<String, String>,
) -> String {
    let mut properties = BTreeMap::new();
    let mut set = |key: &str, value: String| {
        properties.insert(key.to_owned(), value);
    };
    for (key, value) in FOR_TESTS {
        set(key, value.into());
    }

    let replicas = ports.len();
    set("node.id", id.to_string());
    set("log.dirs", data.display().to_string());
    set("controller.quorum.voters", voters(ports));
    set("default.replication.factor", replicas.to_string());
    set("offsets.topic.replication.factor", replicas.to_string());
    set(
        "transaction.state.log.replication.factor",
        replicas.to_string(),
    );
    let in_sync = (replicas / 2 + 1).to_string();
    set("min.insync.replicas", in_sync.clone());
    set("transaction.state.log.min.isr", in_sync);

    let advertised = advertised_listeners(ports[id - 1], tls.is_some());
    let controller = ports[id - 1].controller;
    set(
        "listeners",
        format!("{advertised},CONTROLLER://127.0.0.1:{controller}"),
    );
    set("advertised.listeners", advertised);
    for (key, value) in tls.map(CertificateFiles::properties).unwrap_or_default() {
        set(&key, value);
    }

    properties.extend(own.clone());
    let lines: Vec<String> = properties
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    lines.join("\n") + "\n"
}

/// Where Kafka's defaults are made for clusters that live longer than a test.
const FOR_TESTS: [(&str, &str); 16] = [
    ("process.roles", "broker,controller"),
    ("controller.listener.names", "CONTROLLER"),
    ("inter.broker.listener.name", "PLAINTEXT"),
    (
        "listener.security.protocol.map",
        "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASLSSL:SASL_SSL,WRONGHOST:SSL",
    ),
    // A misspelt topic is an error of the test, not a new topic.
    ("auto.create.topics.enable", "false"),
    // Fewer internal partitions: a faster first join, a faster first transaction.
    ("offsets.topic.num.partitions", "4"),
    ("transaction.state.log.num.partitions", "4"),
    // The first member need not wait for others.
    ("group.initial.rebalance.delay.ms", "0"),
    // Lets a test lose a member in a second. KIP-848 has its own names, and there the
    // broker sets the pace: 5 s between heartbeats would be 5 s per rebalance.
    ("group.min.session.timeout.ms", "1000"),
    ("group.consumer.min.session.timeout.ms", "1000"),
    ("group.consumer.min.heartbeat.interval.ms", "200"),
    ("group.consumer.heartbeat.interval.ms", "500"),
    // How long a killed node is still taken for alive, also by itself after a restart. The
    // default of 9 s is for networks; less than this is not safe on a busy machine.
    ("broker.session.timeout.ms", "4000"),
    ("broker.heartbeat.interval.ms", "500"),
    // Disks are not what is tested.
    ("num.recovery.threads.per.data.dir", "1"),
    ("log.cleaner.dedupe.buffer.size", "4194304"),
];

fn voters(ports: &[NodePorts]) -> String {
    ports
        .iter()
        .zip(1..)
        .map(|(node, id)| format!("{id}@127.0.0.1:{}", node.controller))
        .collect::<Vec<_>>()
        .join(",")
}

fn advertised_listeners(ports: NodePorts, with_tls: bool) -> String {
    let plaintext = format!("PLAINTEXT://127.0.0.1:{}", ports.plaintext);
    if !with_tls {
        return plaintext;
    }
    format!(
        "{plaintext},SSL://127.0.0.1:{},SASLSSL://127.0.0.1:{},WRONGHOST://127.0.0.1:{}",
        ports.ssl, ports.sasl_ssl, ports.wrong_host
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::{NodePorts, server_properties};

    fn ports(first: u16) -> NodePorts {
        NodePorts {
            plaintext: first,
            controller: first + 1,
            ssl: first + 2,
            sasl_ssl: first + 3,
            wrong_host: first + 4,
        }
    }

    fn properties(id: usize, nodes: &[NodePorts], own: &[(&str, &str)]) -> Vec<String> {
        let own: BTreeMap<_, _> = own
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        server_properties(id, nodes, Path::new("/data"), None, &own)
            .lines()
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn every_node_names_all_voters_and_its_own_listeners() {
        let lines = properties(2, &[ports(10), ports(20), ports(30)], &[]);

        for expected in [
            "node.id=2",
            "controller.quorum.voters=1@127.0.0.1:11,2@127.0.0.1:21,3@127.0.0.1:31",
            "advertised.listeners=PLAINTEXT://127.0.0.1:20",
            "listeners=PLAINTEXT://127.0.0.1:20,CONTROLLER://127.0.0.1:21",
        ] {
            assert!(lines.iter().any(|line| line == expected), "{expected}");
        }
    }

    #[test]
    fn three_nodes_go_on_with_two() {
        let lines = properties(1, &[ports(10), ports(20), ports(30)], &[]);

        assert!(lines.iter().any(|line| line == "min.insync.replicas=2"));
        assert!(
            lines
                .iter()
                .any(|line| line == "default.replication.factor=3")
        );
    }

    #[test]
    fn a_property_of_the_test_wins() {
        let lines = properties(1, &[ports(10)], &[("auto.create.topics.enable", "true")]);

        let found: Vec<_> = lines
            .iter()
            .filter(|line| line.starts_with("auto.create.topics.enable="))
            .collect();
        assert_eq!(found, ["auto.create.topics.enable=true"]);
    }
}
