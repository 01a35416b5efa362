//! Latency, open loop: records are due at a steady pace whatever becomes of them, and say when they were due.

use std::thread;
use std::time::Duration;

use anyhow::Context;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use test_support::unique_name;

use super::Outline;
use super::arm::Arm;
use super::event::Events;
use super::figures::Figures;
use super::keys::Keys;
use super::plot::{self, Series, Words};
use super::process::{Running, Sample, Trial};
use super::report::Chapter;
use super::stage::Stage;
use super::target::Target;
use super::work::Work;
use super::worker::{FAILING, READY};
use crate::clock;
use crate::progress::progress;
use crate::table::aligned;

const PARTITIONS: i32 = 8;
const LIMIT: Duration = Duration::from_mins(1);

/// For how long records come.
const LASTS: Duration = Duration::from_secs(10);

/// What happens meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    Nothing,
    /// A record fails again and again: those of its key wait, and all others should not notice.
    Retrying,
    /// Another member joins, and leaves again.
    Rebalance,
    /// One record of a hundred cannot be decoded.
    Poison,
}

impl Trouble {
    fn name(self) -> &'static str {
        match self {
            Self::Nothing => "",
            Self::Retrying => "one key is retrying",
            Self::Rebalance => "a member joins and leaves",
            Self::Poison => "1 % poison",
        }
    }
}

const CASES: [(u64, Trouble, &[Arm]); 5] = [
    (2_000, Trouble::Nothing, &[Arm::Loop, Arm::Stream, Arm::Key]),
    (
        20_000,
        Trouble::Nothing,
        &[Arm::Loop, Arm::Stream, Arm::Key],
    ),
    (2_000, Trouble::Retrying, &[Arm::Key]),
    (2_000, Trouble::Rebalance, &[Arm::Key]),
    (2_000, Trouble::Poison, &[Arm::Key]),
];

/// Percentiles of one run, in milliseconds, and its processor time.
#[derive(Clone, Debug, Default)]
struct Latencies {
    p50: Figures,
    p99: Figures,
    p999: Figures,
    most: Figures,
    cpu_us: Figures,
}

impl Latencies {
    /// All but one record in so many are handled within so many milliseconds.
    fn series(&self, arm: Arm) -> Series {
        let points = [(2.0, &self.p50), (100.0, &self.p99), (1000.0, &self.p999)];
        Series {
            name: arm.name(),
            points: points.map(|(of, late)| (of, late.median())).to_vec(),
        }
    }
}

/// What a picture is drawn of: the pace of most services.
const PICTURED: (u64, Trouble) = (2_000, Trouble::Nothing);

pub(crate) fn measure(stage: &Stage<'_>, outline: &Outline) -> anyhow::Result<Chapter> {
    let mut rows = Vec::new();
    let mut lines = Vec::new();
    let mut pictures = Vec::new();
    for (rate, trouble, arms) in CASES {
        let mut measured: Vec<_> = arms
            .iter()
            .map(|arm| (*arm, Latencies::default()))
            .collect();
        for _ in 0..outline.rounds {
            for (arm, latencies) in &mut measured {
                run(stage, *arm, rate, trouble)?.add_to(latencies);
                progress(&format!(
                    "  {rate} records/s, {:8} {:26} p50 {:.2} ms, p99 {:.2} ms",
                    arm.name(),
                    trouble.name(),
                    latencies.p50.median(),
                    latencies.p99.median()
                ));
            }
        }
        for (arm, one) in &measured {
            rows.push([
                rate.to_string(),
                arm.name(),
                trouble.name().to_owned(),
                one.p50.show(2),
                one.p99.show(2),
                one.p999.show(2),
                one.most.show(1),
                one.cpu_us.show(1),
            ]);
        }
        if (rate, trouble) == PICTURED {
            let words = Words {
                title: "2,000 records/s: how late",
                x: "all but one record in",
                y: "ms",
            };
            let all: Vec<_> = measured.iter().map(|(arm, one)| one.series(*arm)).collect();
            pictures.push(("latency.svg".into(), plot::lines(words, &all)?));
            let of = |arm, figure: fn(&Latencies) -> &Figures| {
                let found = measured.iter().find(|(one, _)| *one == arm);
                found.map_or(f64::NAN, |(_, one)| figure(one).median())
            };
            let p50 = of(Arm::Key, |one| &one.p50) / of(Arm::Loop, |one| &one.p50);
            let p99 = of(Arm::Key, |one| &one.p99) / of(Arm::Loop, |one| &one.p99);
            let cpu = of(Arm::Key, |one| &one.cpu_us) / of(Arm::Stream, |one| &one.cpu_us);
            lines.push(Target::AtMost(1.1).judge(
                "p50 at 2,000 records/s, of the hand-written loop",
                p50,
                2,
                "",
            ));
            lines.push(Target::AtMost(1.2).judge(
                "p99 at 2,000 records/s, of the hand-written loop",
                p99,
                2,
                "",
            ));
            lines.push(Target::AtMost(1.0).judge(
                "CPU per record at 2,000 records/s, of the hand-written StreamConsumer",
                cpu,
                2,
                "",
            ));
        }
    }
    Ok(Chapter {
        title: "Latency, open loop".into(),
        text: aligned(
            [
                "records/s",
                "arm",
                "meanwhile",
                "p50 ms",
                "p99 ms",
                "p99.9 ms",
                "most ms",
                "us of CPU per record",
            ],
            rows,
        ),
        pictures,
        lines,
    })
}

/// What a run brought: how late each record was, and the processor time of all.
struct Run {
    late: Vec<u32>,
    cpu_ns: u64,
}

impl Run {
    fn add_to(mut self, latencies: &mut Latencies) {
        self.late.sort_unstable();
        let at = |per_mille: usize| {
            let index = (self.late.len() * per_mille / 1000).min(self.late.len().saturating_sub(1));
            self.late
                .get(index)
                .map_or(f64::NAN, |us| f64::from(*us) / 1e3)
        };
        latencies.p50.push(at(500));
        latencies.p99.push(at(990));
        latencies.p999.push(at(999));
        latencies.most.push(at(1000));
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        latencies
            .cpu_us
            .push(self.cpu_ns as f64 / 1e3 / self.late.len() as f64);
    }
}

fn run(stage: &Stage<'_>, arm: Arm, rate: u64, trouble: Trouble) -> anyhow::Result<Run> {
    let topic = unique_name("latency");
    let group = unique_name("bench");
    stage
        .tokio
        .block_on(stage.topics.create(&topic, PARTITIONS))?;
    let trial = Trial {
        arm,
        is_timed: true,
        group: Some(&group),
        ..Trial::of(&topic, Work::None, LIMIT)
    };
    let mut running = Running::start(stage, &trial)?;
    let mut writer = Writer::new(stage.servers(), &topic)?;
    // The group is there when it handles the first record.
    writer.send(0, None)?;
    running.wait_for(READY, stage.interrupt, LIMIT)?;
    if trouble == Trouble::Retrying {
        writer.send(0, Some(FAILING))?;
    }
    let before = crate::resources::cpu_of(running.id())?;

    let mut others = Vec::new();
    let due = LASTS.as_secs() * rate;
    let start = clock::now() + clock::seconds(1) / 10;
    let mut poisoned = 0;
    for number in 0..due {
        let at = start + number * clock::seconds(1) / rate;
        let now = clock::now();
        if at > now + 50_000 {
            thread::sleep(Duration::from_nanos(at - now));
        }
        if trouble == Trouble::Poison && number % 100 == 50 {
            writer.send_poison()?;
            poisoned += 1;
        } else {
            writer.send(at, None)?;
        }
        if number % rate == 0 {
            stage.interrupt.check()?;
            match (trouble, number / rate) {
                (Trouble::Rebalance, 3) => others.push(Running::start(stage, &trial)?),
                (Trouble::Rebalance, 7) => {
                    others.iter().try_for_each(Running::ask_to_leave)?;
                }
                _ => {}
            }
        }
    }
    writer.producer.flush(LIMIT).context("write the rest")?;
    let mut late = Vec::new();
    for other in others {
        late.extend(other.left(stage.interrupt, LIMIT)?);
    }
    let Sample {
        latencies, cpu_ns, ..
    } = running.finish(stage.interrupt, LIMIT)?;
    late.extend(latencies);
    let expected = usize::try_from(due - poisoned)?;
    anyhow::ensure!(
        late.len() >= expected,
        "{expected} records were due, and {} handled",
        late.len()
    );
    stage.tokio.block_on(stage.topics.delete(&topic))?;
    Ok(Run {
        late,
        cpu_ns: cpu_ns - before,
    })
}

/// Writes one record after the other.
struct Writer<'a> {
    producer: BaseProducer,
    topic: &'a str,
    events: Events,
}

impl<'a> Writer<'a> {
    fn new(servers: &str, topic: &'a str) -> anyhow::Result<Self> {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", servers)
            .set("acks", "1")
            // Without it, 20,000 requests a second are all that the machine does.
            .set("linger.ms", "1")
            .create()
            .context("make a producer")?;
        Ok(Self {
            producer,
            topic,
            events: Events::new(Keys::zipf(10_000), 0),
        })
    }

    /// Writes an event that is due then (0: for warming up), perhaps of a key of its own.
    fn send(&mut self, due: clock::Nanos, id: Option<u64>) -> anyhow::Result<()> {
        let made = self.events.next_due(due, id);
        let partition = made.partition(PARTITIONS);
        self.write(partition, &made.key, made.value.as_bytes())
    }

    fn send_poison(&mut self) -> anyhow::Result<()> {
        let made = self.events.next_due(0, None);
        let partition = made.partition(PARTITIONS);
        let torn = &made.value.as_bytes()[..made.value.len() / 2];
        self.write(partition, &made.key, torn)
    }

    fn write(&self, partition: i32, key: &str, value: &[u8]) -> anyhow::Result<()> {
        let record = BaseRecord::to(self.topic)
            .partition(partition)
            .key(key)
            .payload(value);
        self.producer
            .send(record)
            .map_err(|(error, _)| error)
            .context("write a record")?;
        self.producer.poll(Duration::ZERO);
        Ok(())
    }
}
