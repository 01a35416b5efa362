//! `harness cdc capture`: writes the goldens, by running all cases while a connector for each configuration streams.
//!
//! All connectors read the same database through slots of their own, so the statements run once. What a record belongs
//! to is told by time: after each case a logical message (the barrier) is sent through all connectors, and the next case
//! begins once the barrier has arrived from each of them. Connect's producers write in order, so whatever has a timestamp
//! up to then belongs to that case.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, bail};
use clap::Args;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use test_support::{DEBEZIUM_VERSION, DEFAULT_VERSION, Database, Pipeline, RigError, Topics};
use tokio::task::JoinSet;

use super::case::{Case, SCHEMA, cases};
use super::configuration::{Configuration, configurations};
use super::golden::{self, Line};
use crate::progress::progress;

/// The database, and the prefix of the barrier's messages.
const DATABASE: &str = "capture";
const BARRIER: &str = "barrier";

/// The case of what the connectors found when they started.
const SNAPSHOT: &str = "snapshot";

/// A barrier takes a tenth of a second; the first waits for all snapshots.
const BARRIER_LIMIT: Duration = Duration::from_mins(2);

/// How often a barrier that does not come makes look for a connector that failed.
const LOOK: Duration = Duration::from_secs(3);

/// The records after the last barrier (an incremental snapshot goes on in the background) have come when none comes for
/// this long.
const QUIET: Duration = Duration::from_secs(3);

/// Capture the goldens of change data capture into tests/goldens.
///
/// Starts PostgreSQL, Kafka and Kafka Connect, runs the statements of tests/harness/src/cdc/cases.sql and writes what
/// arrives, one file per configuration of the connector.
#[derive(Args)]
pub(crate) struct CaptureArgs {
    /// Folder of the goldens
    #[arg(long, default_value = "tests/goldens", value_name = "FOLDER")]
    into: PathBuf,

    /// Capture this configuration only; may be repeated
    #[arg(long, value_name = "CONFIGURATION")]
    only: Vec<String>,
}

pub(crate) fn run(args: &CaptureArgs) -> anyhow::Result<()> {
    let all = configurations();
    if let Some(unknown) = args
        .only
        .iter()
        .find(|name| !all.iter().any(|known| known.name() == *name))
    {
        bail!("there is no configuration {unknown}");
    }
    let chosen: Vec<Configuration> = all
        .into_iter()
        .filter(|one| args.only.is_empty() || args.only.iter().any(|name| name == one.name()))
        .collect();

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let pipeline = Pipeline::builder().tells_progress().start()?;
    runtime.block_on(capture(&pipeline, &chosen, args))
}

async fn capture(
    pipeline: &Pipeline,
    chosen: &[Configuration],
    args: &CaptureArgs,
) -> anyhow::Result<()> {
    let database = pipeline.postgres().create_database(DATABASE).await?;
    database.execute(SCHEMA).await.context("schema.sql")?;
    let topics = Arc::new(Topics::new(pipeline.kafka().bootstrap_servers())?);
    for configuration in chosen {
        topics.create(&message_topic(configuration), 1).await?;
    }
    for configuration in chosen {
        let config = configuration
            .connector()
            .config(pipeline.postgres(), &database);
        pipeline
            .connect()
            .create_connector(configuration.name(), &config)?;
    }
    for configuration in chosen {
        pipeline
            .wait_streaming(&database, configuration.connector())
            .await?;
    }
    progress(&format!("{} connectors stream", chosen.len()));

    let ends = run_cases(pipeline, &database, chosen).await?;
    wait_until_quiet(&topics, chosen).await?;

    let versions = BTreeMap::from([
        ("debezium", DEBEZIUM_VERSION.to_owned()),
        ("kafka", DEFAULT_VERSION.to_owned()),
        ("postgresql", pipeline.postgres().version().to_owned()),
    ]);
    let mut total = 0;
    for configuration in chosen {
        let lines = read(&topics, configuration, &ends).await?;
        let count = lines.len();
        let bytes = golden::write(&args.into, configuration, &versions, lines)?;
        total += bytes;
        progress(&format!(
            "{:28} {count:4} records {:6} KB",
            configuration.name(),
            bytes / 1024
        ));
    }
    progress(&format!("{} KB in all", total / 1024));
    Ok(())
}

/// A case that is over: until when (milliseconds since 1970) its records were written.
struct End {
    case: String,
    until: i64,
}

async fn run_cases(
    pipeline: &Pipeline,
    database: &Database,
    chosen: &[Configuration],
) -> anyhow::Result<Vec<End>> {
    let session = database.session().await?;
    let mut barrier = Barrier::new(pipeline.kafka().bootstrap_servers(), chosen)?;
    let snapshot = Case {
        name: SNAPSHOT.into(),
        statements: Vec::new(),
    };
    let mut ends = Vec::new();
    for case in [snapshot].into_iter().chain(cases()?) {
        for statement in &case.statements {
            session
                .execute(statement)
                .await
                .with_context(|| format!("case {}", case.name))?;
        }
        session
            .execute(&format!(
                "SELECT pg_logical_emit_message(false, '{BARRIER}', '{}')",
                case.name
            ))
            .await?;
        barrier
            .wait(pipeline, chosen)
            .with_context(|| format!("case {}", case.name))?;
        ends.push(End {
            case: case.name,
            until: now_ms()?,
        });
        // The next case begins in another millisecond.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(ends)
}

/// Reads the barriers out of the topics with logical messages.
struct Barrier {
    consumer: BaseConsumer,
    /// How many barriers each connector has sent.
    seen: HashMap<String, usize>,
    sent: usize,
}

impl Barrier {
    fn new(bootstrap_servers: &str, chosen: &[Configuration]) -> anyhow::Result<Self> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap_servers)
            .set("group.id", "harness-reads-without-a-group")
            .set("enable.auto.commit", "false")
            .set("fetch.wait.max.ms", "10")
            .create()?;
        let mut partitions = TopicPartitionList::new();
        for one in chosen {
            partitions.add_partition_offset(&message_topic(one), 0, Offset::Beginning)?;
        }
        consumer.assign(&partitions)?;
        Ok(Self {
            consumer,
            seen: HashMap::new(),
            sent: 0,
        })
    }

    /// Waits until the barrier that was sent last has arrived from all connectors. Fails as soon as one of them has.
    fn wait(&mut self, pipeline: &Pipeline, chosen: &[Configuration]) -> anyhow::Result<()> {
        self.sent += 1;
        let deadline = Instant::now() + BARRIER_LIMIT;
        let mut looked = Instant::now();
        loop {
            let missing: Vec<&Configuration> = chosen
                .iter()
                .filter(|one| self.seen.get(&message_topic(one)) < Some(&self.sent))
                .collect();
            if missing.is_empty() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let names: Vec<&str> = missing.iter().map(|one| one.name()).collect();
                bail!("no barrier after {BARRIER_LIMIT:?} from {names:?}");
            }
            if looked.elapsed() > LOOK {
                looked = Instant::now();
                for one in missing {
                    pipeline.connect().wait_running(one.name())?;
                }
            }
            if let Some(message) = self.consumer.poll(Duration::from_millis(100)) {
                let message = message?;
                if is_barrier(message.key()) {
                    *self.seen.entry(message.topic().to_owned()).or_default() += 1;
                }
            }
        }
    }
}

fn message_topic(configuration: &Configuration) -> String {
    format!("{}.message", configuration.connector().prefix())
}

fn is_barrier(key: Option<&[u8]>) -> bool {
    let quoted = format!("\"{BARRIER}\"");
    key.and_then(|key| std::str::from_utf8(key).ok())
        .is_some_and(|key| key.contains(&quoted))
}

async fn wait_until_quiet(topics: &Topics, chosen: &[Configuration]) -> anyhow::Result<()> {
    let mut last = None;
    let mut since = Instant::now();
    while since.elapsed() < QUIET {
        let mut count = 0;
        for topic in topics.names().await? {
            // A heartbeat comes again and again.
            if chosen.iter().any(|one| one.owns(&topic)) && !topic.contains("heartbeat") {
                count += topics.end_offsets(&topic).await?.values().sum::<i64>();
            }
        }
        if last != Some(count) {
            last = Some(count);
            since = Instant::now();
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

/// Reads all that a connector has written, apart from the barriers.
async fn read(
    topics: &Arc<Topics>,
    configuration: &Configuration,
    ends: &[End],
) -> anyhow::Result<Vec<Line>> {
    let mut reads = JoinSet::new();
    for topic in topics.names().await? {
        if configuration.owns(&topic) {
            let topics = Arc::clone(topics);
            reads.spawn(async move {
                let records = topics.read_all(&topic).await?;
                Ok::<_, RigError>((topic, records))
            });
        }
    }
    let mut lines = Vec::new();
    for read in reads.join_all().await {
        let (topic, records) = read?;
        for record in records {
            if is_barrier(record.key.as_deref()) {
                continue;
            }
            let timestamp = record.timestamp.context("a record without timestamp")?;
            let place = ends.partition_point(|end| end.until < timestamp);
            let place = place.min(ends.len() - 1); // what comes after the last barrier
            lines.push(Line::new((place, &ends[place].case), &topic, record)?);
        }
    }
    Ok(lines)
}

fn now_ms() -> anyhow::Result<i64> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    Ok(i64::try_from(since.as_millis())?)
}
