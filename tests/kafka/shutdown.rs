//! A process that is told to end: this binary as a child, with one slow handler. And a stop of a runtime that is idle.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use kafka_runtime::{Handler, Raw, RecordMetadata, Runtime, topic_handler};
use test_support::{KafkaCluster, NewRecord, Suite, TestResult, Topics, eventually, unique_name};

use crate::common::{BoxError, LIMIT, Log, Running, attribute_handler, committed, config, create};

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .test(
            "shutdown::sigterm_finishes_what_runs_commits_and_exits_with_0",
            sigterm_drains,
        )
        .test("shutdown::a_second_sigterm_ends_at_once", second_sigterm)
        .test(
            "shutdown::after_sigkill_everything_not_committed_is_handled_again",
            sigkill,
        )
        .test(
            "shutdown::sigterm_ends_a_process_that_cannot_connect",
            sigterm_without_a_broker,
        )
        .test(
            "shutdown::a_stop_takes_the_grace_only_if_something_runs",
            nothing_runs,
        )
}

/// How long a call of the child takes; that there is one makes this process the child.
const MILLISECONDS: &str = "TEST_CHILD_MILLISECONDS";

#[topic_handler("${TEST_CHILD_TOPIC:none}", name = "child", concurrency = 4)]
async fn child(_: Raw, at: RecordMetadata) -> anyhow::Result<()> {
    let pause = std::env::var(MILLISECONDS)?.parse()?;
    let mut out = std::io::stdout();
    writeln!(out, "start {}", at.offset())?;
    tokio::time::sleep(Duration::from_millis(pause)).await;
    writeln!(out, "end {}", at.offset())?;
    Ok(())
}

/// Runs the child's service, configured from the environment, if this process is the child.
pub(crate) fn as_child() -> Option<ExitCode> {
    std::env::var(MILLISECONDS).ok()?;
    let result: Result<(), BoxError> = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(BoxError::from)
        .and_then(|tokio| {
            let runtime = Runtime::builder()
                .handlers([attribute_handler("child")?])
                .build()?;
            Ok(tokio.block_on(runtime.run())?)
        });
    Some(match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error is the only one left to tell.
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    })
}

/// A child at work; what is left of it ends with the test.
struct Service {
    child: Child,
    lines: Log<String>,
}

impl Service {
    fn start(
        servers: &str,
        group_id: &str,
        topic: &str,
        milliseconds: u64,
    ) -> Result<Self, BoxError> {
        let mut child = Command::new(std::env::current_exe()?)
            .env(MILLISECONDS, milliseconds.to_string())
            .env("TEST_CHILD_TOPIC", topic)
            .env("KAFKA_BOOTSTRAP_SERVERS", servers)
            .env("KAFKA_GROUP_ID", group_id)
            .env("KAFKA_SHUTDOWN_GRACE", "5s")
            .env("KAFKA_SESSION_TIMEOUT", "3s")
            .env("KAFKA_HEARTBEAT_INTERVAL", "1s")
            .env_remove("KAFKA_RIG")
            .stdout(Stdio::piped())
            .spawn()?;
        let out = child.stdout.take().ok_or("no standard output")?;
        let lines = Log::default();
        let seen = lines.clone();
        std::thread::spawn(move || {
            BufReader::new(out)
                .lines()
                .map_while(Result::ok)
                .for_each(|line| seen.push(line));
        });
        Ok(Self { child, lines })
    }

    fn signal(&self, signal: &str) -> TestResult {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args([signal, &pid]).status()?;
        status
            .success()
            .then_some(())
            .ok_or_else(|| "no such process".into())
    }

    async fn ended(&mut self) -> Result<ExitStatus, BoxError> {
        let mut status = None;
        eventually(LIMIT, async || {
            status = self.child.try_wait().ok().flatten();
            status.is_some()
        })
        .await?;
        status.ok_or_else(|| "still there".into())
    }

    /// Returns the offsets of the lines that begin with this word.
    fn offsets(&self, word: &str) -> Vec<i64> {
        let lines = self.lines.all();
        let mut offsets: Vec<_> = lines
            .iter()
            .filter_map(|line| line.strip_prefix(word)?.trim().parse().ok())
            .collect();
        offsets.sort_unstable();
        offsets
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It has ended, or ends now.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn produce(topics: &Topics, topic: &str, count: usize) -> TestResult {
    let records = (0..count).map(|n| NewRecord::to(topic).key(n.to_string()).value("x"));
    topics.produce_all(records).await?;
    Ok(())
}

async fn sigterm_drains(cluster: &KafkaCluster) -> TestResult {
    let (topic, group) = (unique_name("term"), unique_name("group"));
    let topics = create(cluster, &topic, 1).await?;
    produce(&topics, &topic, 20).await?;
    let mut service = Service::start(cluster.bootstrap_servers(), &group, &topic, 700)?;
    eventually(LIMIT, async || service.offsets("end").len() >= 4).await?;
    eventually(LIMIT, async || service.offsets("start").len() >= 8).await?;

    let begun = Instant::now();
    service.signal("-TERM")?;
    let status = service.ended().await?;

    assert_eq!(status.code(), Some(0));
    assert!(
        begun.elapsed() < Duration::from_secs(7),
        "{:?}",
        begun.elapsed()
    );
    let (started, ended) = (service.offsets("start"), service.offsets("end"));
    assert_eq!(started, ended, "a call was cut");
    assert!(ended.len() < 20, "there was nothing left to drain");
    let count = i64::try_from(ended.len())?;
    assert!(ended.into_iter().eq(0..count), "{started:?}");
    committed(&topics, &group, &topic, &[count]).await
}

async fn second_sigterm(cluster: &KafkaCluster) -> TestResult {
    let (topic, group) = (unique_name("twice"), unique_name("group"));
    let topics = create(cluster, &topic, 1).await?;
    produce(&topics, &topic, 1).await?;
    let mut service = Service::start(cluster.bootstrap_servers(), &group, &topic, 60_000)?;
    eventually(LIMIT, async || service.offsets("start").len() == 1).await?;

    // Signals that are not taken yet count as one: as often as it needs to be two.
    let begun = Instant::now();
    eventually(LIMIT, async || {
        service.signal("-TERM").is_err() || matches!(service.child.try_wait(), Ok(Some(_)))
    })
    .await?;
    let status = service.ended().await?;

    assert_eq!(status.code(), Some(143));
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    Ok(())
}

async fn sigkill(cluster: &KafkaCluster) -> TestResult {
    let (topic, group) = (unique_name("kill"), unique_name("group"));
    let topics = create(cluster, &topic, 1).await?;
    produce(&topics, &topic, 200).await?;
    let first = Service::start(cluster.bootstrap_servers(), &group, &topic, 50)?;
    eventually(LIMIT, async || {
        let offsets = topics.committed_offsets(&group, &topic).await;
        offsets.is_ok_and(|offsets| offsets.get(&0).is_some_and(|offset| *offset > 10))
    })
    .await?;

    first.signal("-KILL")?;
    let Service { lines, .. } = &first;
    let end_of_first = { first.offsets("end") };
    let committed_by_first = topics
        .committed_offsets(&group, &topic)
        .await?
        .get(&0)
        .copied()
        .unwrap_or(0);
    assert!(committed_by_first < 200, "there was nothing left");
    for offset in 0..committed_by_first {
        assert!(
            end_of_first.contains(&offset),
            "{offset} was committed and never ended: {lines:?}"
        );
    }

    let second = Service::start(cluster.bootstrap_servers(), &group, &topic, 1)?;
    committed(&topics, &group, &topic, &[200]).await?;
    let mut ends: BTreeMap<i64, usize> = BTreeMap::new();
    for offset in end_of_first.into_iter().chain(second.offsets("end")) {
        *ends.entry(offset).or_default() += 1;
    }
    assert!(ends.keys().copied().eq(0..200));
    assert_eq!(second.offsets("start")[0], committed_by_first);
    Ok(())
}

async fn sigterm_without_a_broker(_: &KafkaCluster) -> TestResult {
    let address = std::net::TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .to_string();
    let mut service = Service::start(&address, "g", "t", 1)?;

    // Taken once it listens for signals; before that it dies of the first one.
    let begun = Instant::now();
    let connecting = Duration::from_millis(500);
    eventually(LIMIT, async || begun.elapsed() > connecting).await?;
    assert!(
        service.child.try_wait()?.is_none(),
        "it has given up already"
    );
    let begun = Instant::now();
    service.signal("-TERM")?;
    let status = service.ended().await?;

    assert_eq!(status.code(), Some(0));
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    Ok(())
}

async fn nothing_runs(cluster: &KafkaCluster) -> TestResult {
    let (topic, group) = (unique_name("idle"), unique_name("group"));
    let topics = create(cluster, &topic, 2).await?;
    produce(&topics, &topic, 10).await?;
    let log = Log::<i64>::default();
    let seen = log.clone();
    let handler = Handler::new(&topic, move |_: Raw, at: RecordMetadata| {
        seen.push(at.offset());
        async {}
    });
    // Neither the grace nor the commit interval ends in the time that the test gives a stop.
    let config = config(cluster, &group)
        .shutdown_grace(LIMIT * 2)
        .commit_interval(LIMIT * 2);
    let running = Running::start(Runtime::builder().config(config).handlers([handler]))?;
    log.reaches(10).await?;
    running.stop().await?;
    let found = topics.committed_offsets(&group, &topic).await?;
    assert_eq!(found.values().sum::<i64>(), 10);
    Ok(())
}
