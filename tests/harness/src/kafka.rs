//! `harness kafka`: a real Kafka at hand, for as long as the command runs.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::str::FromStr;
use std::time::Instant;

use anyhow::{Context, bail};
use clap::{Args, builder::PossibleValuesParser, builder::TypedValueParser};
use test_support::{DEFAULT_VERSION, KafkaCluster, PASSWORD, Topics, USER};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Run a real Apache Kafka on 127.0.0.1 until Ctrl-C.
///
/// Needs Java 17, and Maven the first time: it fetches the jars into
/// ~/.cache/kafka-runtime. The ports are free ones; the lines to export go to standard
/// output, everything else to standard error. The data is removed at the end.
#[derive(Args)]
#[command(after_help = "Example:
  harness kafka --topic orders:4
  export KAFKA_BOOTSTRAP_SERVERS=…   # in another terminal, as printed")]
pub(crate) struct KafkaArgs {
    /// Number of nodes; three keep three replicas of everything
    #[arg(long, default_value = "1", value_parser = PossibleValuesParser::new(["1", "3"]).try_map(|text| usize::from_str(&text)))]
    nodes: usize,

    /// Add listeners for TLS and for SASL over TLS
    #[arg(long)]
    tls: bool,

    /// Add listeners behind TCP proxies
    #[arg(long)]
    proxy: bool,

    /// Version of Apache Kafka; KIP-848 needs 4.1.1
    #[arg(long, default_value = DEFAULT_VERSION)]
    version: String,

    /// Create a topic; may be repeated
    #[arg(long, value_name = "NAME:PARTITIONS")]
    topic: Vec<TopicSpec>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct TopicSpec {
    name: String,
    partitions: i32,
}

impl FromStr for TopicSpec {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some((name, partitions)) = text.rsplit_once(':') else {
            bail!("write it as NAME:PARTITIONS, for example orders:4");
        };
        let partitions = partitions.parse().context("PARTITIONS is not a number")?;
        if name.is_empty() || partitions < 1 {
            bail!("a topic has a name and at least one partition");
        }
        Ok(Self {
            name: name.into(),
            partitions,
        })
    }
}

pub(crate) fn run(args: &KafkaArgs) -> anyhow::Result<()> {
    let started = Instant::now();
    progress(&format!(
        "starting Apache Kafka {} ({} node{}) …",
        args.version,
        args.nodes,
        if args.nodes == 1 { "" } else { "s" }
    ));
    let cluster = KafkaCluster::builder()
        .nodes(args.nodes)
        .tls(args.tls)
        .proxied(args.proxy)
        .version(&args.version)
        .start()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(create_topics(&cluster, &args.topic))?;

    // Before the lines that tell others that it runs: they may end it at once.
    let mut end = runtime.block_on(async { End::listen() })?;

    io::stdout().write_all(exports(&cluster)?.as_bytes())?;
    progress(&format!(
        "ready after {:.1} s; Ctrl-C ends it",
        started.elapsed().as_secs_f32()
    ));
    runtime.block_on(end.told());
    progress("stopping …");
    Ok(()) // dropping the cluster ends its nodes
}

async fn create_topics(cluster: &KafkaCluster, specs: &[TopicSpec]) -> anyhow::Result<()> {
    let topics = Topics::new(cluster.bootstrap_servers())?;
    for spec in specs {
        topics.create(&spec.name, spec.partitions).await?;
        progress(&format!(
            "created topic {} with {} partition(s)",
            spec.name, spec.partitions
        ));
    }
    Ok(())
}

/// Returns lines for a shell, the user of the SASL listener in a comment.
fn exports(cluster: &KafkaCluster) -> anyhow::Result<String> {
    let mut lines = String::new();
    let servers = cluster.bootstrap_servers();
    writeln!(lines, "export KAFKA_BOOTSTRAP_SERVERS={servers}")?;
    if let Ok(proxied) = cluster.proxied_bootstrap_servers() {
        writeln!(lines, "# Behind proxies: {proxied}")?;
    }
    if let Ok(tls) = cluster.tls() {
        let ssl = tls.ssl_bootstrap();
        let sasl_ssl = tls.sasl_ssl_bootstrap();
        let ca = tls.ca_pem_path().display();
        writeln!(lines, "# TLS: {ssl}")?;
        writeln!(
            lines,
            "# TLS and SASL (SCRAM-SHA-512, PLAIN; {USER} / {PASSWORD}): {sasl_ssl}"
        )?;
        writeln!(lines, "# CA: {ca}")?;
    }
    Ok(lines)
}

/// The signals that end the command; until it listens they kill it.
struct End {
    interrupt: Signal,
    terminate: Signal,
}

impl End {
    /// Must be called within a tokio runtime.
    fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn told(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "standard output is for the lines to export"
)]
fn progress(line: &str) {
    eprintln!("{line}");
}

#[cfg(test)]
mod tests {
    use super::TopicSpec;

    #[test]
    fn a_topic_is_a_name_and_a_number() {
        let spec = "a.b:4".parse::<TopicSpec>().ok();

        let expected = TopicSpec {
            name: "a.b".into(),
            partitions: 4,
        };
        assert_eq!(spec, Some(expected));
    }

    #[test]
    fn a_topic_without_partitions_is_refused() {
        for text in ["orders", "orders:", "orders:0", ":4"] {
            assert!(text.parse::<TopicSpec>().is_err(), "{text}");
        }
    }
}
