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
    /// Where the node listens for its proxy.
    pub(crate) behind_proxy: u16,
    /// Where the proxy listens for clients.
    pub(crate) proxy: u16,
}

impl NodePorts {
    /// How many ports a node takes.
    pub(crate) const COUNT: usize = 7;

    pub(crate) fn from_slice(ports: &[u16]) -> Option<Self> {
        let &[
            plaintext,
            controller,
            ssl,
            sasl_ssl,
            wrong_host,
            behind_proxy,
            proxy,
        ] = ports
        else {
            return None;
        };
        Some(Self {
            plaintext,
            controller,
            ssl,
            sasl_ssl,
            wrong_host,
            behind_proxy,
            proxy,
        })
    }
}

/// What a cluster has beyond plaintext.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Features<'a> {
    pub(crate) tls: Option<&'a CertificateFiles>,
    pub(crate) is_proxied: bool,
    pub(crate) has_authorizer: bool,
}

/// Returns the properties of node `id`, a broker and a controller in one process.
/// `ports` has those of all nodes, node 1 first. What the test set (`own`) wins.
pub(crate) fn server_properties(
    id: usize,
    ports: &[NodePorts],
    data: &Path,
    features: Features<'_>,
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

    let here = ports[id - 1];
    let controller = format!("CONTROLLER://127.0.0.1:{}", here.controller);
    let bound = listeners(here, features, here.behind_proxy);
    set("listeners", format!("{bound},{controller}"));
    let advertised = listeners(here, features, here.proxy);
    set("advertised.listeners", advertised);
    let tls = features.tls.map(CertificateFiles::properties);
    for (key, value) in tls.unwrap_or_default() {
        set(&key, value);
    }
    if features.has_authorizer {
        for (key, value) in AUTHORIZER {
            set(key, value.into());
        }
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
        "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASLSSL:SASL_SSL,WRONGHOST:SSL,PROXY:PLAINTEXT",
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

/// Everybody may do what no rule is about. The nodes need a name of their own, since they have
/// to vote before they know who may; clients on plaintext have none.
const AUTHORIZER: [(&str, &str); 7] = [
    (
        "authorizer.class.name",
        "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    ),
    ("allow.everyone.if.no.acl.found", "true"),
    ("super.users", "User:node"),
    (
        "listener.security.protocol.map",
        "CONTROLLER:SASL_PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASLSSL:SASL_SSL,WRONGHOST:SSL,PROXY:PLAINTEXT",
    ),
    ("sasl.mechanism.controller.protocol", "PLAIN"),
    ("listener.name.controller.sasl.enabled.mechanisms", "PLAIN"),
    (
        "listener.name.controller.plain.sasl.jaas.config",
        "org.apache.kafka.common.security.plain.PlainLoginModule required \
         username=\"node\" password=\"node-secret\" user_node=\"node-secret\";",
    ),
];

fn voters(ports: &[NodePorts]) -> String {
    ports
        .iter()
        .zip(1..)
        .map(|(node, id)| format!("{id}@127.0.0.1:{}", node.controller))
        .collect::<Vec<_>>()
        .join(",")
}

fn listeners(ports: NodePorts, features: Features<'_>, proxy: u16) -> String {
    let mut listeners = vec![("PLAINTEXT", ports.plaintext)];
    if features.tls.is_some() {
        listeners.extend([
            ("SSL", ports.ssl),
            ("SASLSSL", ports.sasl_ssl),
            ("WRONGHOST", ports.wrong_host),
        ]);
    }
    if features.is_proxied {
        listeners.push(("PROXY", proxy));
    }
    listeners
        .iter()
        .map(|(name, port)| format!("{name}://127.0.0.1:{port}"))
        .collect::<Vec<_>>()
        .join(",")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::{Features, NodePorts, server_properties};

    fn ports(first: u16) -> NodePorts {
        NodePorts {
            plaintext: first,
            controller: first + 1,
            ssl: first + 2,
            sasl_ssl: first + 3,
            wrong_host: first + 4,
            behind_proxy: first + 5,
            proxy: first + 6,
        }
    }

    fn properties(id: usize, nodes: &[NodePorts], own: &[(&str, &str)]) -> Vec<String> {
        properties_with(Features::default(), id, nodes, own)
    }

    fn properties_with(
        features: Features<'_>,
        id: usize,
        nodes: &[NodePorts],
        own: &[(&str, &str)],
    ) -> Vec<String> {
        let own: BTreeMap<_, _> = own
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        server_properties(id, nodes, Path::new("/data"), features, &own)
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
    fn a_proxied_node_tells_clients_the_address_of_its_proxy() {
        let features = Features {
            is_proxied: true,
            ..Features::default()
        };

        let lines = properties_with(features, 1, &[ports(10)], &[]);

        for expected in [
            "advertised.listeners=PLAINTEXT://127.0.0.1:10,PROXY://127.0.0.1:16",
            "listeners=PLAINTEXT://127.0.0.1:10,PROXY://127.0.0.1:15,CONTROLLER://127.0.0.1:11",
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
