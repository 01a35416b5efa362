//! What a record costs as something grows: partitions, handlers, keys, calls at once, bytes, the backlog.
//!
//! Processor time is that from the first record to the last: what a start takes is a column of its own.

use super::arm::Arm;
use super::event::Events;
use super::keys::Keys;
use super::plot::{self, Series, Words};
use super::process::Trial;
use super::report::Chapter;
use super::stage::{self, Filled, Stage};
use super::target::Target;
use super::throughput::{self, Measured, Plan};
use super::waiting::sleep_takes;
use super::work::Work;
use super::worker::other_topics;
use crate::progress::progress;
use crate::table::aligned;
use crate::verdict::Line;

const KEYS: Keys = Keys::Uniform(10_000);

/// The size of an event that is not padded, in bytes.
const PLAIN: u64 = 790;

/// How much more a figure may be that should not grow: one round of a point is 1.4 times as dear as another on a machine
/// that has something else to do.
const FLAT: f64 = 1.5;

/// Something that grows.
struct Growth {
    /// Also the name of its picture.
    name: &'static str,
    points: Vec<Point>,
}

/// How much it was, and what that took.
struct Point {
    much: u64,
    arm: Arm,
    records: u64,
    measured: Measured,
}

/// What was found so far.
#[derive(Default)]
struct Found {
    rows: Vec<[String; 9]>,
    lines: Vec<Line>,
    pictures: Vec<(String, String)>,
}

pub(crate) fn measure(stage: &Stage<'_>) -> anyhow::Result<Chapter> {
    let mut found = Found::default();
    partitions(stage, &mut found)?;
    handlers(stage, &mut found)?;
    keys(stage, &mut found)?;
    in_flight(stage, &mut found)?;
    bytes(stage, &mut found)?;
    backlog(stage, &mut found)?;
    let head = [
        "what grows",
        "how much",
        "arm",
        "records",
        "records/s",
        "us of CPU per record",
        "ms of CPU before the first",
        "s before the first",
        "peak MB",
    ];
    Ok(Chapter {
        title: "What a record costs as something grows".into(),
        text: aligned(head, found.rows),
        pictures: found.pictures,
        lines: found.lines,
    })
}

fn partitions(stage: &Stage<'_>, found: &mut Found) -> anyhow::Result<()> {
    let mut growth = Growth::of("partitions");
    for many in [1, 8, 50, 200] {
        let filled = stage.fill("growth", many, 300_000, Events::new(KEYS, 0))?;
        growth.read(
            stage,
            &filled,
            u64::from(many.unsigned_abs()),
            &[Arm::Key],
            &none(&filled),
        )?;
        stage.delete(&filled)?;
    }
    // A fetch brings fewer records of each partition, and each partition is paused and resumed by itself.
    found.judge(&growth, Arm::Key, 1, 2.0);
    found.add(&growth)
}

fn handlers(stage: &Stage<'_>, found: &mut Found) -> anyhow::Result<()> {
    const MANY: [usize; 4] = [1, 10, 50, 200];
    let mut growth = Growth::of("handlers");
    let filled = stage.fill("growth", 1, 300_000, Events::new(KEYS, 0))?;
    let others: Vec<_> = other_topics(&filled.topic, MANY[3]).collect();
    for topic in &others {
        stage.interrupt.check()?;
        stage.tokio.block_on(stage.topics.create(topic, 1))?;
    }
    for many in MANY {
        let trial = Trial {
            handlers: many,
            ..none(&filled)
        };
        growth.read(stage, &filled, many as u64, &[Arm::Key], &trial)?;
    }
    stage.delete(&filled)?;
    // The others have nothing to do: their topics are only asked for, once in each fetch. What grows is the start: each
    // group is new, and creates a dead letter topic for each handler.
    found.judge(&growth, Arm::Key, 1, FLAT);
    found.add(&growth)
}

fn keys(stage: &Stage<'_>, found: &mut Found) -> anyhow::Result<()> {
    let mut growth = Growth::of("distinct keys");
    for many in [10, 1_000, 100_000, 1_000_000] {
        let events = Events::new(Keys::Uniform(many), 0);
        let filled = stage.fill("growth", 8, 500_000, events)?;
        growth.read(stage, &filled, many, &[Arm::Key], &none(&filled))?;
        stage.delete(&filled)?;
    }
    // What is kept of a key ends with its last record under way; only the cache has more to hold.
    found.judge(&growth, Arm::Key, 10, 2.0);
    found.add(&growth)
}

fn in_flight(stage: &Stage<'_>, found: &mut Found) -> anyhow::Result<()> {
    const NAME: &str = "calls at once, 10 ms each";
    let each = sleep_takes(stage, 10).as_secs_f64();
    let mut growth = Growth::of(NAME);
    for (many, records) in [
        (1, 400),
        (10, 4_000),
        (100, 40_000),
        (1_000, 200_000),
        (10_000, 400_000),
    ] {
        let filled = stage.fill("growth", 8, records, Events::new(KEYS, 0))?;
        let trial = Trial {
            work: Work::Wait(10),
            concurrency: many,
            ..none(&filled)
        };
        growth.read(stage, &filled, many as u64, &[Arm::Key], &trial)?;
        stage.delete(&filled)?;
    }
    // With fewer the process sleeps between any two records, and each pays for a wakeup.
    found.judge(&growth, Arm::Key, 100, 2.0);
    let of_possible = |one: &Point| one.measured.rate.median() * each / number(one.much);
    for many in [1, 100, 1_000] {
        let share = growth.at(Arm::Key, many).map_or(f64::NAN, of_possible);
        // A timer is late, and the last records leave places empty.
        found.lines.push(Target::AtLeast(0.9).judge(
            &format!("{NAME}: {many}: rate, of concurrency / time"),
            share,
            2,
            "",
        ));
    }
    found.draw(
        &format!("{NAME}: the rate"),
        "calls at once",
        "of concurrency / time",
        &[growth.series(Arm::Key, "", of_possible)],
    )?;
    found.add(&growth)
}

fn bytes(stage: &Stage<'_>, found: &mut Found) -> anyhow::Result<()> {
    let mut growth = Growth::of("bytes of a record");
    for (size, records) in [
        (0, 300_000),
        (10 << 10, 30_000),
        (100 << 10, 3_000),
        (1 << 20, 300),
    ] {
        let events = Events::new(KEYS, size);
        let filled = stage.fill("growth", 8, records, events)?;
        let much = (size as u64).max(PLAIN);
        growth.read(stage, &filled, much, &[Arm::Raw, Arm::Key], &none(&filled))?;
        stage.delete(&filled)?;
    }
    let of_byte = |one: &Point| one.measured.steady_us.median() * 1e3 / number(one.much);
    for arm in [Arm::Raw, Arm::Key] {
        let (least, most) = (growth.at(arm, 10 << 10), growth.at(arm, 1 << 20));
        // From 10 KiB on it is the bytes that cost, and those of a large record are touched no more often.
        found.lines.push(Target::AtMost(FLAT).judge(
            &format!(
                "{}, 1 MiB instead of 10 KiB: CPU per byte, {}",
                growth.name,
                arm.name()
            ),
            most.map_or(f64::NAN, of_byte) / least.map_or(f64::NAN, of_byte),
            2,
            "",
        ));
    }
    let series = [Arm::Raw, Arm::Key].map(|arm| growth.series(arm, &arm.name(), of_byte));
    found.draw(
        "bytes of a record: what a byte costs",
        growth.name,
        "ns of CPU per byte",
        &series,
    )?;
    found.rows.extend(growth.rows());
    Ok(())
}

fn backlog(stage: &Stage<'_>, found: &mut Found) -> anyhow::Result<()> {
    let mut growth = Growth::of("backlog");
    for records in [100_000, 1_000_000, 3_000_000] {
        let filled = stage.fill("growth", 8, records, Events::new(KEYS, 0))?;
        growth.read(stage, &filled, records, &[Arm::Key], &none(&filled))?;
        stage.delete(&filled)?;
    }
    // Nothing is kept of a record that was handled.
    found.judge(&growth, Arm::Key, 100_000, FLAT);
    let peak = |one: &Point| one.measured.peak_mb.median();
    // The client's queue has 32 MiB, and what is fetched and what is under way come on top. A ratio would say less: the
    // queue fills up only where the broker is faster. Eight bytes left behind by each record would be 24 MB.
    found.lines.push(Target::AtMost(65.0).judge(
        "backlog, 3000000: peak RSS",
        growth.at(Arm::Key, 3_000_000).map_or(f64::NAN, peak),
        0,
        " MB",
    ));
    found.draw(
        "backlog: memory",
        "records",
        "peak MB",
        &[growth.series(Arm::Key, "", peak)],
    )?;
    found.add(&growth)
}

/// A trial that does nothing with the records of a topic.
fn none(filled: &Filled) -> Trial<'_> {
    Trial {
        records: filled.records,
        ..Trial::of(&filled.topic, Work::None, stage::LIMIT)
    }
}

fn steady_us(one: &Point) -> f64 {
    one.measured.steady_us.median()
}

impl Growth {
    fn of(name: &'static str) -> Self {
        progress(&format!(" {name}:"));
        Self {
            name,
            points: Vec::new(),
        }
    }

    /// Has arms read a topic, once each.
    fn read(
        &mut self,
        stage: &Stage<'_>,
        filled: &Filled,
        much: u64,
        arms: &[Arm],
        trial: &Trial<'_>,
    ) -> anyhow::Result<()> {
        progress(&format!("  {much}:"));
        let plan = Plan {
            filled,
            arms,
            trial: trial.clone(),
            rounds: 1,
        };
        let measured = throughput::measure(stage, &plan)?;
        let points = measured.into_iter().map(|(arm, measured)| Point {
            much,
            arm,
            records: filled.records,
            measured,
        });
        self.points.extend(points);
        Ok(())
    }

    fn of_arm(&self, arm: Arm) -> impl Iterator<Item = &Point> {
        self.points.iter().filter(move |one| one.arm == arm)
    }

    fn at(&self, arm: Arm, much: u64) -> Option<&Point> {
        self.of_arm(arm).find(|one| one.much == much)
    }

    /// Returns a figure where there is most, as a multiple of that where there is so much.
    fn grown(&self, arm: Arm, from: u64, figure: impl Fn(&Point) -> f64) -> f64 {
        match (self.at(arm, from), self.of_arm(arm).last()) {
            (Some(least), Some(most)) => figure(most) / figure(least),
            _ => f64::NAN,
        }
    }

    fn series(&self, arm: Arm, name: &str, figure: impl Fn(&Point) -> f64) -> Series {
        Series {
            name: name.to_owned(),
            points: self
                .of_arm(arm)
                .map(|one| (number(one.much), figure(one)))
                .collect(),
        }
    }

    fn rows(&self) -> impl Iterator<Item = [String; 9]> {
        self.points.iter().map(|one| {
            [
                self.name.to_owned(),
                one.much.to_string(),
                one.arm.name(),
                one.records.to_string(),
                one.measured.rate.show(0),
                one.measured.steady_us.show(2),
                one.measured.start_cpu_ms.show(0),
                one.measured.start_seconds.show(1),
                one.measured.peak_mb.show(0),
            ]
        })
    }
}

impl Found {
    /// Holds processor time per record, where there is most, to that where there is so much.
    fn judge(&mut self, growth: &Growth, arm: Arm, from: u64, bound: f64) {
        let most = growth.of_arm(arm).last().map_or(0, |one| one.much);
        self.lines.push(Target::AtMost(bound).judge(
            &format!("{}, {most} instead of {from}: CPU per record", growth.name),
            growth.grown(arm, from, steady_us),
            2,
            "",
        ));
    }

    /// Adds the rows, and a picture of processor time per record.
    fn add(&mut self, growth: &Growth) -> anyhow::Result<()> {
        self.rows.extend(growth.rows());
        self.draw(
            growth.name,
            growth.name,
            "us of CPU per record",
            &[growth.series(Arm::Key, "", steady_us)],
        )
    }

    fn draw(&mut self, title: &str, x: &str, y: &str, all: &[Series]) -> anyhow::Result<()> {
        let words: Vec<_> = title
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|word| !word.is_empty())
            .collect();
        let file = format!("growth-{}.svg", words.join("-"));
        let svg = plot::lines(Words { title, x, y }, all)?;
        self.pictures.push((file, svg));
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn number(n: u64) -> f64 {
    n as f64
}
