//! Dead letters that are put back: by the library, and by the command.

use std::collections::BTreeSet;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use kafka_runtime::redrive::{COUNT_HEADER, Redrive, RedriveError, RedriveStart, Refusal};
use kafka_runtime::{Config, Handler, Headers, Offset, PermanentError, Raw, Record};
use test_support::{
    KafkaCluster, NewRecord, StoredRecord, Suite, TestResult, Topics, eventually, unique_name,
};

use crate::common::{BoxError, LIMIT, Log, Running, committed, config, create, start};
use crate::failure::records;

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .test("redrive::a_mended_handler_receives_the_same_bytes", mended)
        .test("redrive::a_dry_run_changes_nothing", dry_run)
        .test("redrive::a_limit_leaves_the_rest", limit)
        .test(
            "redrive::a_record_that_fails_again_is_put_back_so_often",
            fails_again,
        )
        .test("redrive::forged_headers_are_refused", forged)
        .test(
            "redrive::a_record_that_is_too_large_is_refused_alone",
            too_large,
        )
        .test("redrive::a_run_that_is_dropped_loses_nothing", dropped)
        .test("redrive::a_command_that_is_killed_loses_nothing", killed)
        .test(
            "redrive::a_command_that_is_interrupted_doubles_nothing",
            interrupted,
        )
        .test(
            "redrive::a_position_that_cannot_be_committed_is_told",
            group_in_use,
        )
        .test(
            "redrive::with_the_protocol_consumer_it_is_the_same",
            protocol_consumer,
        )
        .test("redrive::the_command_reports_and_exits", command)
        .test("redrive::the_command_tells_what_is_wrong", command_errors)
}

/// A topic, its group, and its dead letter topic.
struct Names {
    topic: String,
    group: String,
    dead: String,
}

impl Names {
    fn new(prefix: &str) -> Self {
        let (topic, group) = (unique_name(prefix), unique_name("group"));
        let dead = format!("{group}.{topic}.dlq");
        Self { topic, group, dead }
    }

    fn redrive(&self, cluster: &KafkaCluster) -> Redrive {
        Redrive::new(self.dead.as_str()).config(plain(cluster))
    }

    /// A dead letter as the failure path writes it, made by hand.
    fn letter(&self, value: impl Into<Vec<u8>>) -> NewRecord {
        NewRecord::to(&self.dead)
            .key("k")
            .value(value)
            .header("kafka_runtime.dead_letter.topic", self.topic.as_str())
            .header("kafka_runtime.dead_letter.partition", "0")
            .header("kafka_runtime.dead_letter.group", self.group.as_str())
            .header("kafka_runtime.dead_letter.handler", "by_hand")
            .header("kafka_runtime.dead_letter.class", "permanent")
    }

    fn position(&self) -> String {
        format!("{}.redrive", self.dead)
    }

    /// Creates both topics, with this many dead letters.
    async fn with_letters(&self, cluster: &KafkaCluster, count: usize) -> Result<Topics, BoxError> {
        let topics = create(cluster, &self.topic, 1).await?;
        create(cluster, &self.dead, 1).await?;
        let letters = (0..count).map(|n| self.letter(n.to_string()));
        topics.produce_all(letters).await?;
        Ok(topics)
    }
}

/// A configuration without a group.
fn plain(cluster: &KafkaCluster) -> Config {
    Config::new()
        .bootstrap_servers(cluster.bootstrap_servers())
        .ssl(false)
}

/// A handler that fails for good.
fn broken(topic: &str) -> Handler {
    Handler::new(topic, |_: Raw| async {
        Err::<(), _>(PermanentError::new("broken"))
    })
    .with_name("broken")
}

/// What a record is made of, but for where and when it is.
type Parts = (
    i32,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    Vec<(String, Option<Vec<u8>>)>,
);

async fn mended(cluster: &KafkaCluster) -> TestResult {
    let names = Names::new("mended");
    let topics = create(cluster, &names.topic, 3).await?;
    let mut sources = Vec::new();
    for n in 0..12_u8 {
        let key = [b'k', n % 4, 0xff];
        let record = NewRecord::to(&names.topic)
            .key(key)
            // Not where the key would go.
            .partition(i32::from(n % 4 % 3))
            .value([n, 0, 0xfe])
            .header("trace", [0xff, n])
            .header("trace", "again")
            .null_header("none");
        sources.push(record);
    }
    sources.push(NewRecord::to(&names.topic).partition(2));
    topics.produce_all(sources).await?;
    let running = start(cluster, &names.group, [broken(&names.topic)])?;
    records(&topics, &names.dead, 13).await?;
    running.stop().await?;
    let originals: Vec<Parts> = topics
        .read_all(&names.topic)
        .await?
        .into_iter()
        .map(|record| (record.partition, record.key, record.value, record.headers))
        .collect();

    let report = names.redrive(cluster).run().await?;

    assert!(report.is_clean() && report.put_back == 13, "{report}");
    let ends = topics.end_offsets(&names.dead).await?;
    let ends: Vec<i64> = ends.into_values().collect();
    let moved: Vec<i64> = report.partitions.iter().map(|p| p.position.0).collect();
    assert_eq!(moved, ends);
    let log = Log::<Parts>::default();
    let seen = log.clone();
    let handler = Handler::new(&names.topic, move |record: Record, headers: Headers| {
        let headers = headers.iter().map(|(name, value)| {
            let name = String::from_utf8_lossy(name).into_owned();
            (name, value.map(<[u8]>::to_vec))
        });
        seen.push((
            record.partition(),
            record.key().map(<[u8]>::to_vec),
            record.value().map(<[u8]>::to_vec),
            headers.collect(),
        ));
        std::future::ready(())
    })
    .ordering(kafka_runtime::Ordering::Partition);
    let running = start(cluster, &names.group, [handler])?;
    let received = log.reaches(13).await?;
    running.stop().await?;

    let count = (COUNT_HEADER.to_owned(), Some(b"1".to_vec()));
    for partition in 0..3 {
        let of_keys = |all: &[Parts], key: Option<Vec<u8>>| -> Vec<Parts> {
            let of_key = all.iter().filter(|(p, k, ..)| *p == partition && *k == key);
            of_key.cloned().collect()
        };
        let keys: BTreeSet<_> = originals.iter().map(|(_, key, ..)| key.clone()).collect();
        for key in keys {
            let mut expected = of_keys(&originals, key.clone());
            for (_, _, _, headers) in &mut expected {
                headers.push(count.clone());
            }
            assert_eq!(of_keys(&received, key), expected);
        }
    }
    let again = names.redrive(cluster).run().await?;
    assert_eq!((again.read(), again.is_clean()), (0, true), "{again}");
    assert_eq!(log.len(), 13);
    Ok(())
}

async fn dry_run(cluster: &KafkaCluster) -> TestResult {
    let names = Names::new("dry");
    let topics = names.with_letters(cluster, 3).await?;

    let report = names.redrive(cluster).dry_run(true).run().await?;

    assert_eq!((report.put_back, report.is_clean()), (3, true), "{report}");
    assert!(topics.read_all(&names.topic).await?.is_empty());
    let group = names.position();
    let committed = topics.committed_offsets(&group, &names.dead).await?;
    assert!(committed.is_empty());
    Ok(())
}

async fn limit(cluster: &KafkaCluster) -> TestResult {
    let names = Names::new("limit");
    let topics = names.with_letters(cluster, 5).await?;

    let report = names.redrive(cluster).limit(2).run().await?;

    assert_eq!(report.put_back, 2, "{report}");
    committed(&topics, &names.position(), &names.dead, &[2]).await?;
    let report = names.redrive(cluster).run().await?;
    assert_eq!(report.put_back, 3, "{report}");
    let found = topics.read_all(&names.topic).await?;
    let values: Vec<_> = found.iter().map(StoredRecord::value_text).collect();
    assert_eq!(values, ["0", "1", "2", "3", "4"]);
    Ok(())
}

async fn fails_again(cluster: &KafkaCluster) -> TestResult {
    let names = Names::new("again");
    let topics = create(cluster, &names.topic, 1).await?;
    topics
        .produce(NewRecord::to(&names.topic).key("k").value("x"))
        .await?;
    let running = start(cluster, &names.group, [broken(&names.topic)])?;

    for count in 1..=2_usize {
        records(&topics, &names.dead, count).await?;
        let report = names.redrive(cluster).max_redrives(2).run().await?;
        assert_eq!(report.put_back, 1, "{report}");
    }
    let letters = records(&topics, &names.dead, 3).await?;
    let report = names.redrive(cluster).max_redrives(2).run().await?;
    running.stop().await?;

    let counts: Vec<_> = letters
        .iter()
        .map(|letter| letter.header_text(COUNT_HEADER))
        .collect();
    assert_eq!(counts, [None, Some("1".into()), Some("2".into())]);
    assert_eq!((report.put_back, report.refused), (0, 1), "{report}");
    assert_eq!(report.refusals[0].1, Refusal::TooOften(2));
    assert_eq!(topics.read_all(&names.topic).await?.len(), 3);
    Ok(())
}

async fn forged(cluster: &KafkaCluster) -> TestResult {
    let names = Names::new("forged");
    let victim = unique_name("payroll");
    let topics = names.with_letters(cluster, 0).await?;
    create(cluster, &victim, 1).await?;
    let steered = |topic: &str| {
        NewRecord::to(&names.dead)
            .value("x")
            .header("kafka_runtime.dead_letter.topic", topic)
            .header("kafka_runtime.dead_letter.partition", "0")
            .header("kafka_runtime.dead_letter.group", names.group.as_str())
    };
    topics
        .produce_all([
            steered(&victim),
            steered(&names.dead),
            steered("__consumer_offsets"),
            NewRecord::to(&names.dead).value("no headers"),
            names.letter("fine"),
        ])
        .await?;

    let report = names.redrive(cluster).run().await?;

    assert_eq!((report.put_back, report.refused), (1, 4), "{report}");
    assert!(topics.read_all(&victim).await?.is_empty());
    let start = RedriveStart::At(Offset(0));
    let one = names.redrive(cluster).partition(0).start(start);
    let report = one.end(Offset(1)).allow_origin(&victim).run().await?;
    assert_eq!((report.put_back, report.refused), (1, 0), "{report}");
    assert_eq!(topics.read_all(&victim).await?.len(), 1);
    Ok(())
}

async fn too_large(cluster: &KafkaCluster) -> TestResult {
    let names = Names::new("large");
    let topics = create(cluster, &names.dead, 1).await?;
    // The broker refuses a batch as a whole: ten of these together are more than the topic takes.
    topics
        .create_with(&names.topic, 1, &[("max.message.bytes", "20000")])
        .await?;
    let mut letters: Vec<_> = (0..10).map(|_| names.letter(vec![b'x'; 5_000])).collect();
    letters.insert(3, names.letter(vec![b'x'; 30_000]));
    topics.produce_all(letters).await?;

    let report = names.redrive(cluster).run().await?;

    assert_eq!((report.put_back, report.refused), (10, 1), "{report}");
    let (place, refusal) = &report.refusals[0];
    assert!(matches!(refusal, Refusal::TooLarge { .. }));
    assert_eq!(place.offset, Offset(3));
    Ok(())
}

/// Everything that was dead is back, however often.
async fn all_are_back(topics: &Topics, topic: &str, count: usize) -> TestResult {
    let found = topics.read_all(topic).await?;
    let values: BTreeSet<_> = found.iter().map(StoredRecord::value_text).collect();
    assert_eq!(values.len(), count);
    Ok(())
}

/// With [`SLOWLY`], seconds of work.
const MANY: usize = 20_000;

/// A property that makes many requests of it, so that there is a middle to be in.
const SLOWLY: (&str, &str) = ("batch.num.messages", "5");

/// Waits until the first record is back.
async fn has_begun(topics: &Topics, topic: &str) -> TestResult {
    let begun = async || {
        let ends = topics.end_offsets(topic).await;
        ends.is_ok_and(|ends| ends.values().sum::<i64>() > 0)
    };
    Ok(eventually(LIMIT, begun).await?)
}

async fn dropped(cluster: &KafkaCluster) -> TestResult {
    let names = Names::new("dropped");
    let topics = names.with_letters(cluster, MANY).await?;

    let slowly = names
        .redrive(cluster)
        .config(plain(cluster).property(SLOWLY.0, SLOWLY.1));
    tokio::select! {
        report = slowly.run() => return Err(format!("it was too quick: {}", report?).into()),
        begun = has_begun(&topics, &names.topic) => begun?,
    }
    let report = names.redrive(cluster).run().await?;

    assert!(report.is_clean(), "{report}");
    all_are_back(&topics, &names.topic, MANY).await
}

async fn killed(cluster: &KafkaCluster) -> TestResult {
    let names = Names::new("killed");
    let topics = names.with_letters(cluster, MANY).await?;

    let mut child = slow_command(cluster, &names).spawn()?;
    has_begun(&topics, &names.topic).await?;
    child.kill()?;
    let status = child.wait()?;
    assert!(!status.success(), "it was too quick");
    let report = names.redrive(cluster).run().await?;

    assert!(report.is_clean(), "{report}");
    all_are_back(&topics, &names.topic, MANY).await
}

async fn interrupted(cluster: &KafkaCluster) -> TestResult {
    let names = Names::new("interrupted");
    let topics = names.with_letters(cluster, MANY).await?;

    let mut command = slow_command(cluster, &names);
    let child = command.stdout(Stdio::piped()).spawn()?;
    let pid = child.id().to_string();
    has_begun(&topics, &names.topic).await?;
    let signalled = Command::new("kill").args(["-INT", &pid]).status()?;
    assert!(signalled.success());
    let output = tokio::task::spawn_blocking(|| child.wait_with_output()).await??;

    let text = String::from_utf8(output.stdout)?;
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("stopped before the end"), "{text}");
    let report = names.redrive(cluster).run().await?;
    assert!(report.is_clean() && report.read() > 0, "{report}");
    let found = topics.read_all(&names.topic).await?;
    assert_eq!(found.len(), MANY);
    all_are_back(&topics, &names.topic, MANY).await
}

async fn group_in_use(cluster: &KafkaCluster) -> TestResult {
    let names = Names::new("used");
    let topics = names.with_letters(cluster, 1).await?;
    let other = unique_name("other");
    create(cluster, &other, 1).await?;
    let handler = Handler::new(&other, |_: Raw| async {});
    let running: Running = start(cluster, "in.use", [handler])?;
    running.is_assigned(1).await?;

    let result = names.redrive(cluster).group_id("in.use").run().await;

    running.stop().await?;
    let Err(error @ RedriveError::NotCommitted { .. }) = result else {
        return Err(format!("{result:?}").into());
    };
    assert_eq!(error.report().ok_or("no report")?.put_back, 1);
    assert!(error.to_string().contains("--group"), "{error}");
    assert_eq!(topics.read_all(&names.topic).await?.len(), 1);
    Ok(())
}

async fn protocol_consumer(cluster: &KafkaCluster) -> TestResult {
    let names = Names::new("protocol");
    let topics = names.with_letters(cluster, 2).await?;
    // What a service on Kafka 4 may have in its environment; a redrive is no member, and needs neither.
    let config = config(cluster, "unused")
        .group_protocol(kafka_runtime::GroupProtocol::Consumer)
        .group_instance_id("static");

    let report = names.redrive(cluster).config(config).run().await?;

    assert_eq!(report.put_back, 2, "{report}");
    committed(&topics, &names.position(), &names.dead, &[2]).await
}

/// The command, as an operator has it.
fn kafka_runtime(cluster: &KafkaCluster, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kafka-runtime-under-test"));
    for (name, _) in std::env::vars() {
        if name.starts_with("KAFKA_") || name == "RUST_LOG" {
            command.env_remove(name);
        }
    }
    command
        .arg("redrive")
        .args(arguments)
        .env("KAFKA_BOOTSTRAP_SERVERS", cluster.bootstrap_servers())
        .env("KAFKA_SSL", "false")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

fn slow_command(cluster: &KafkaCluster, names: &Names) -> Command {
    let mut command = kafka_runtime(cluster, &[&names.dead]);
    let variable = SLOWLY.0.to_uppercase().replace('.', "_");
    command.env(format!("KAFKA_PROPERTY_{variable}"), SLOWLY.1);
    command
}

/// How it ended, and what it printed.
struct Ended {
    status: ExitStatus,
    out: String,
    err: String,
}

async fn ended(mut command: Command) -> Result<Ended, BoxError> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    Ok(Ended {
        status: output.status,
        out: String::from_utf8(output.stdout)?,
        err: String::from_utf8(output.stderr)?,
    })
}

async fn command(cluster: &KafkaCluster) -> TestResult {
    let names = Names::new("command");
    let topics = names.with_letters(cluster, 3).await?;
    topics
        .produce(NewRecord::to(&names.dead).key("secret").value("secret"))
        .await?;

    let dry = ended(kafka_runtime(
        cluster,
        &[&names.dead, "--dry-run", "--json"],
    ))
    .await?;
    assert_eq!(dry.status.code(), Some(1), "{}", dry.err);
    let json: serde_json::Value = serde_json::from_str(&dry.out)?;
    assert_eq!(json["put_back"], 3);
    assert_eq!(json["refusals"][0]["reason"], "header");
    assert_eq!(json["kinds"][0]["handler"], "by_hand");
    assert!(topics.read_all(&names.topic).await?.is_empty());

    let limited = ended(kafka_runtime(cluster, &[&names.dead, "--limit", "2"])).await?;
    assert_eq!(limited.status.code(), Some(0), "{}", limited.err);
    let mut audited = kafka_runtime(cluster, &[&names.dead]);
    audited.env("RUST_LOG", "kafka_runtime=info");
    let rest = ended(audited).await?;
    assert_eq!(rest.status.code(), Some(1), "{}", rest.err);
    for part in ["PUT BACK", "by_hand", "1 put back, 0 skipped, 1 refused"] {
        assert!(rest.out.contains(part), "{part} is not in {}", rest.out);
    }
    let to = format!("to_topic=\"{}\"", names.topic);
    assert!(
        rest.err.contains("put back") && rest.err.contains(&to),
        "{}",
        rest.err
    );
    assert_eq!(topics.read_all(&names.topic).await?.len(), 3);
    let to = [names.dead.as_str(), "--to", &names.topic];
    let decided = ended(kafka_runtime(cluster, &to)).await?;
    assert_eq!(decided.status.code(), Some(0), "{}", decided.err);
    let nothing = ended(kafka_runtime(cluster, &[&names.dead])).await?;
    assert_eq!(nothing.status.code(), Some(0), "{}", nothing.err);
    for shown in [&dry, &limited, &rest, &decided, &nothing] {
        assert!(!shown.out.contains("secret") && !shown.err.contains("secret"));
    }
    Ok(())
}

async fn command_errors(cluster: &KafkaCluster) -> TestResult {
    let names = Names::new("errors");
    names.with_letters(cluster, 1).await?;
    let dead = names.dead.as_str();
    let misspelt = dead.replace(".dlq", ".dql");
    let of_partition = ["--partition", "7"];
    let cases: [(&[&str], i32, &str); 6] = [
        (&[&misspelt], 1, "did you mean"),
        (
            &[dead, of_partition[0], of_partition[1]],
            1,
            "has no partition 7",
        ),
        (&[dead, "--to", dead], 1, "into itself"),
        (
            &[dead, "--to", "nowhere-at-all"],
            1,
            "destination nowhere-at-all does not exist",
        ),
        (&[dead, "--from-offset", "1"], 2, "--partition"),
        (&[dead, "--class", "bad"], 2, "not one of decode, permanent"),
    ];

    for (arguments, code, text) in cases {
        let ended = ended(kafka_runtime(cluster, arguments)).await?;
        assert_eq!(
            ended.status.code(),
            Some(code),
            "{arguments:?} {}",
            ended.err
        );
        assert!(ended.err.contains(text), "{text} is not in {}", ended.err);
    }
    let mut away = kafka_runtime(cluster, &[dead, "--bootstrap-servers", "127.0.0.1:1"]);
    away.env("KAFKA_CONNECT_RETRIES", "0");
    let ended = tokio::time::timeout(Duration::from_secs(20), ended(away)).await??;
    assert_eq!(ended.status.code(), Some(1));
    assert!(
        ended.err.contains("cannot connect to 127.0.0.1:1"),
        "{}",
        ended.err
    );
    Ok(())
}
