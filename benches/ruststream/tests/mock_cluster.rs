//! Runs the service on librdkafka's mock cluster: what it counts, what it commits, what runs at the same time.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: a panic is the failure"
)]

use std::io::{BufRead as _, BufReader, Read as _};
use std::ops::Range;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use rustix::process::{Pid, Signal, kill_process};
use rustix::time::{ClockId, clock_gettime};
use serde::Deserialize;

const TOPIC: &str = "app.public.customers";
const MODES: [&str; 4] = ["default", "tracked", "keyed", "threads"];
const PATIENCE: Duration = Duration::from_mins(1);

/// A mock cluster with one topic.
struct Kafka {
    cluster: MockCluster<'static, DefaultProducerContext>,
    partitions: i32,
}

impl Kafka {
    fn start(partitions: i32) -> Self {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic(TOPIC, partitions, 1).unwrap();
        Self {
            cluster,
            partitions,
        }
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.cluster.bootstrap_servers());
        config
    }

    fn produce<'a>(&self, records: impl IntoIterator<Item = &'a (String, String)>) {
        let producer: BaseProducer = self.client().create().unwrap();
        for (key, value) in records {
            producer
                .send(BaseRecord::to(TOPIC).key(key).payload(value))
                .map_err(|(error, _)| error)
                .unwrap();
        }
        producer.flush(PATIENCE).unwrap();
    }

    /// How many records this group committed, over all partitions.
    fn committed(&self, group: &str) -> i64 {
        let consumer: BaseConsumer = self.client().set("group.id", group).create().unwrap();
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition_range(TOPIC, 0, self.partitions - 1);
        let committed = consumer.committed_offsets(partitions, PATIENCE).unwrap();
        let offsets = committed
            .elements()
            .into_iter()
            .map(|partition| match partition.offset() {
                Offset::Offset(offset) => offset,
                _ => 0,
            });
        offsets.sum()
    }

    fn arm(&self, mode: &str, records: usize, options: &[&str]) -> Arm {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ruststream-arm"))
            .args([
                "--servers",
                &self.cluster.bootstrap_servers(),
                "--topic",
                TOPIC,
            ])
            .args([
                "--group",
                mode,
                "--mode",
                mode,
                "--records",
                &records.to_string(),
            ])
            .args(["--property", "fetch.queue.backoff.ms=10"])
            .args(options)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || {
            stdout
                .lines()
                .try_for_each(|line| sender.send(line.unwrap()))
        });
        Arm { child, lines }
    }
}

/// The service, running.
struct Arm {
    child: Child,
    lines: Receiver<String>,
}

impl Arm {
    fn report(&self) -> Report {
        let line = self.lines.recv_timeout(PATIENCE).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// Asks it to end, and tells whether it ended well, what else it printed, and what it told.
    fn end(mut self) -> (bool, Vec<String>, String) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        self.ended()
    }

    fn ended(&mut self) -> (bool, Vec<String>, String) {
        let mut told = String::new();
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut told)
            .unwrap();
        let success = self.child.wait().unwrap().success();
        (success, self.lines.iter().collect(), told)
    }
}

impl Drop for Arm {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Report {
    records: usize,
    checksum: u64,
    started_ns: u64,
    first_ns: u64,
    last_ns: u64,
}

impl Report {
    fn took(&self) -> Duration {
        Duration::from_nanos(self.last_ns - self.first_ns)
    }
}

/// Changes of rows, as Debezium writes them. Every tenth deletes its row.
fn changes(numbers: Range<u64>) -> Vec<(String, String)> {
    numbers
        .map(|number| {
            let row = serde_json::json!({
                "id": number,
                "email": email(number),
                "name": name(number),
                "status": "active",
                "balance": "12.50",
                "created_at": 1_700_000_000_000_000_i64,
                "version": version(number),
                "note": (number % 3 == 0).then_some("a \"quoted\" note"),
            });
            let deletes = number % 10 == 9;
            let event = serde_json::json!({
                "before": deletes.then_some(&row),
                "after": (!deletes).then_some(&row),
                "source": {
                    "version": "3.0.0.Final", "connector": "postgresql", "name": "app", "ts_ms": 1_700_000_000_000_i64,
                    "snapshot": "false", "db": "app", "sequence": "[\"1\",\"2\"]", "ts_us": 1_700_000_000_000_000_i64,
                    "ts_ns": 1_700_000_000_000_000_000_i64, "schema": "public", "table": "customers", "txId": 7,
                    "lsn": 42, "xmin": null,
                },
                "op": if deletes { "d" } else { "u" },
                "ts_ms": 1_700_000_000_000_i64,
                "ts_us": 1_700_000_000_000_000_i64,
                "ts_ns": 1_700_000_000_000_000_000_i64,
                "transaction": null,
            });
            (format!("{{\"id\":{}}}", number % 97), event.to_string())
        })
        .collect()
}

fn email(number: u64) -> String {
    format!("customer-{number}@example.com")
}

fn name(number: u64) -> String {
    format!("Customer {number}")
}

fn version(number: u64) -> u64 {
    number % 5
}

fn checksum(numbers: Range<u64>) -> u64 {
    let updated = numbers.filter(|number| number % 10 != 9);
    updated
        .map(|number| number + (email(number).len() + name(number).len()) as u64 + version(number))
        .sum()
}

fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap() * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap()
}

#[test]
fn every_mode_handles_every_record_and_commits_it() {
    let kafka = Kafka::start(4);
    kafka.produce(&changes(0..1_000));
    for mode in MODES {
        let before = now_ns();
        let arm = kafka.arm(mode, 1_000, &["--spin", "100"]);
        let report = arm.report();
        let (success, more, told) = arm.end();

        assert_eq!(
            (report.records, report.checksum),
            (1_000, checksum(0..1_000)),
            "{mode}: {report:?}"
        );
        assert!(before < report.started_ns, "{mode}: {report:?}");
        assert!(report.started_ns < report.first_ns, "{mode}: {report:?}");
        assert!(report.first_ns < report.last_ns, "{mode}: {report:?}");
        assert!(report.last_ns < now_ns(), "{mode}: {report:?}");
        assert!(success, "{mode}: {told}");
        assert_eq!((more, told), (vec![], String::new()), "{mode}");
        assert_eq!(kafka.committed(mode), 1_000, "{mode}");
        println!(
            "{mode}: {:?} after {:?}",
            report.took(),
            Duration::from_nanos(report.first_ns - report.started_ns)
        );
    }
}

#[test]
fn lanes_wait_at_the_same_time_and_a_loop_does_not() {
    let kafka = Kafka::start(1);
    kafka.produce(&changes(0..200));
    for mode in MODES {
        let arm = kafka.arm(mode, 200, &["--wait-ms", "10"]);
        let report = arm.report();
        println!("{mode}: {:?}", report.took());
        assert_eq!(report.checksum, checksum(0..200), "{mode}");
        let alone = Duration::from_secs(2);
        if matches!(mode, "default" | "tracked") {
            assert!(report.took() >= alone, "{mode}: {:?}", report.took());
        } else {
            // By key, of one partition: 97 keys on 8 lanes.
            assert!(report.took() < alone / 2, "{mode}: {:?}", report.took());
        }
    }
}

#[test]
fn only_the_default_commits_what_is_still_handled() {
    let kafka = Kafka::start(1);
    kafka.produce(&changes(0..100));
    let forever = [
        "--wait-ms",
        "600000",
        "--property",
        "auto.commit.interval.ms=100",
    ];
    let arms = MODES.map(|mode| (mode, kafka.arm(mode, 100, &forever)));

    let started = Instant::now();
    while kafka.committed("default") == 0 {
        assert!(started.elapsed() < PATIENCE, "the default does not commit");
        thread::sleep(Duration::from_millis(50));
    }
    // The others had as long, and get as long once more.
    thread::sleep(started.elapsed());
    for (mode, arm) in arms {
        let expected = i64::from(mode == "default");
        assert_eq!(kafka.committed(mode), expected, "{mode}");
        assert!(arm.lines.try_recv().is_err(), "{mode}");
    }
}

#[test]
fn a_record_that_is_no_event_ends_it() {
    let kafka = Kafka::start(1);
    kafka.produce(&[("key".to_owned(), "{\"op\":".to_owned())]);
    for mode in MODES {
        let mut arm = kafka.arm(mode, 1, &[]);
        let (success, lines, told) = arm.ended();
        assert!(!success, "{mode}: {told}");
        assert_eq!(lines, Vec::<String>::new(), "{mode}");
        assert!(told.contains("decode failed"), "{mode}: {told}");
    }
}
