//! Handlers that wait, as for an answer, or keep a processor busy.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Outline;
use super::arm::Arm;
use super::event::Events;
use super::keys::Keys;
use super::process::Trial;
use super::report::Chapter;
use super::stage::{Filled, Stage};
use super::target::Target;
use super::throughput::{self, Measured, Plan, ratio};
use super::work::Work;
use crate::progress::progress;
use crate::table::aligned;
use crate::verdict::Line;

/// How long an arm may take: the slowest wait for one record after the other.
const LIMIT: Duration = Duration::from_mins(4);

/// One kind of work, and the arms that do it.
struct Case {
    name: &'static str,
    keys: Keys,
    records: u64,
    work: Work,
    arms: &'static [Arm],
}

/// What bounds a case from below, apart from any runtime.
struct Bounds {
    all: Duration,
    bulk: Duration,
}

/// What was found so far.
#[derive(Default)]
struct Found {
    rows: Vec<[String; 7]>,
    lines: Vec<Line>,
}

pub(crate) fn measure(stage: &Stage<'_>, outline: &Outline) -> anyhow::Result<Chapter> {
    let [one, ten] = [1, 10].map(|ms| sleep_takes(stage, ms));
    let timers = format!(
        "A timer of 1 ms takes {:.2} ms here, one of 10 ms {:.2} ms.",
        one.as_secs_f64() * 1e3,
        ten.as_secs_f64() * 1e3
    );
    progress(&format!("  {timers}"));
    let mut found = Found::default();
    zipf_keys(stage, outline, one, &mut found)?;
    by_partition(stage, outline, one, &mut found)?;
    uniform_keys(stage, outline, ten, &mut found)?;
    computing(stage, outline, &mut found)?;
    let head = [
        "work",
        "arm",
        "records/s",
        "of what is possible",
        "first four of five",
        "us of CPU per record",
        "peak MB",
    ];
    Ok(Chapter {
        title: "Handlers that wait or compute".into(),
        text: format!("{timers}\n\n{}", aligned(head, found.rows)),
        pictures: Vec::new(),
        lines: found.lines,
    })
}

/// The hottest key has a tenth of all records: alone it decides how long all take.
fn zipf_keys(
    stage: &Stage<'_>,
    outline: &Outline,
    each: Duration,
    found: &mut Found,
) -> anyhow::Result<()> {
    let case = Case {
        name: "1 ms, Zipf keys",
        keys: Keys::zipf(10_000),
        records: 50_000,
        work: Work::Wait(1),
        arms: &[
            Arm::Lanes,
            Arm::RuststreamKeyed,
            Arm::RuststreamThreads,
            Arm::Key,
        ],
    };
    let (filled, measured) = run(stage, outline, &case)?;
    let bounds = Bounds {
        all: filled.keys.least(each),
        bulk: filled.keys.least_for(80, each),
    };
    found.rows.extend(rows_of(&case, &measured, &bounds));
    let figure = "1 ms of waiting, Zipf keys, concurrency 1,000";
    let Some(ours) = measured.get(&Arm::Key) else {
        return Ok(());
    };
    let bulk = 0.8 * case.records() / ours.bulk_took.median() / 1e3;
    found.lines.extend([
        Target::AtLeast(0.97).judge(
            &format!("{figure}: rate, of what the hottest key allows"),
            bounds.all.as_secs_f64() / ours.took.median(),
            2,
            "",
        ),
        Target::AtLeast(36.0).judge(
            &format!("{figure}: the same before the hot tail (four of five records)"),
            bulk,
            1,
            " k records/s",
        ),
        Target::AtMost(10.0).judge(
            &format!("{figure}: CPU per record"),
            ours.cpu_us.median(),
            1,
            " us",
        ),
    ]);
    Ok(())
}

fn by_partition(
    stage: &Stage<'_>,
    outline: &Outline,
    each: Duration,
    found: &mut Found,
) -> anyhow::Result<()> {
    let case = Case {
        name: "1 ms, order by partition",
        keys: Keys::Uniform(10_000),
        records: 20_000,
        work: Work::Wait(1),
        arms: &[Arm::Partition],
    };
    let (filled, measured) = run(stage, outline, &case)?;
    let bounds = Bounds {
        all: filled.partitions.least(each),
        bulk: filled.partitions.least_for(80, each),
    };
    found.rows.extend(rows_of(&case, &measured, &bounds));
    let took = measured.get(&Arm::Partition).map(|ours| ours.took.median());
    found.lines.push(Target::AtLeast(0.92).judge(
        "1 ms of waiting, order by partition, 8 partitions: rate, of partitions / time",
        bounds.all.as_secs_f64() / took.unwrap_or(f64::NAN),
        2,
        "",
    ));
    Ok(())
}

fn uniform_keys(
    stage: &Stage<'_>,
    outline: &Outline,
    each: Duration,
    found: &mut Found,
) -> anyhow::Result<()> {
    let case = Case {
        name: "10 ms, uniform keys",
        keys: Keys::Uniform(10_000),
        records: 500_000,
        work: Work::Wait(10),
        arms: &[Arm::Lanes, Arm::Key],
    };
    let (_, measured) = run(stage, outline, &case)?;
    // A thousand at once.
    let bounds = Bounds::of(each.mul_f64(case.records() / 1000.0));
    found.rows.extend(rows_of(&case, &measured, &bounds));
    let took = measured.get(&Arm::Key).map(|ours| ours.took.median());
    found.lines.push(Target::AtLeast(0.9).judge(
        "10 ms of waiting, 10,000 keys, concurrency 1,000: rate, of concurrency / time",
        bounds.all.as_secs_f64() / took.unwrap_or(f64::NAN),
        2,
        "",
    ));
    Ok(())
}

fn computing(stage: &Stage<'_>, outline: &Outline, found: &mut Found) -> anyhow::Result<()> {
    const EACH: Duration = Duration::from_micros(50);
    let case = Case {
        name: "50 us of CPU, Zipf keys",
        keys: Keys::zipf(10_000),
        records: 100_000,
        work: Work::spinning_for(EACH),
        arms: &[Arm::Loop, Arm::RuststreamThreads, Arm::Key],
    };
    let (_, measured) = run(stage, outline, &case)?;
    // On two cores.
    let bounds = Bounds::of(EACH.mul_f64(case.records() / 2.0));
    found.rows.extend(rows_of(&case, &measured, &bounds));
    found.lines.push(Target::AtLeast(1.8).judge(
        "50 us of CPU per record, two cores: rate, of the hand-written loop on one",
        ratio(&measured, Arm::Key, Arm::Loop, |one| one.rate.median()),
        2,
        "",
    ));
    Ok(())
}

impl Bounds {
    /// Those of records that are all alike.
    fn of(all: Duration) -> Self {
        Self {
            all,
            bulk: all.mul_f64(0.8),
        }
    }
}

impl Case {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    fn records(&self) -> f64 {
        self.records as f64
    }
}

fn run(
    stage: &Stage<'_>,
    outline: &Outline,
    case: &Case,
) -> anyhow::Result<(Filled, BTreeMap<Arm, Measured>)> {
    progress(&format!(" {}:", case.name));
    let filled = stage.fill(
        "waiting",
        8,
        case.records,
        Events::new(case.keys.clone(), 0),
    )?;
    let plan = Plan {
        filled: &filled,
        arms: case.arms,
        trial: Trial {
            records: case.records,
            ..Trial::of(&filled.topic, case.work, LIMIT)
        },
        rounds: outline.rounds,
    };
    let measured = throughput::measure(stage, &plan)?;
    stage.delete(&filled)?;
    Ok((filled, measured))
}

fn rows_of(case: &Case, measured: &BTreeMap<Arm, Measured>, bounds: &Bounds) -> Vec<[String; 7]> {
    let row = |(arm, one): (&Arm, &Measured)| {
        [
            case.name.to_owned(),
            arm.name(),
            one.rate.show(0),
            format!("{:.2}", bounds.all.as_secs_f64() / one.took.median()),
            of_bulk(bounds, one),
            one.cpu_us.show(1),
            one.peak_mb.show(0),
        ]
    };
    measured.iter().map(row).collect()
}

/// Returns how the first four of five records compare with their bound; the programs of others do not tell.
fn of_bulk(bounds: &Bounds, one: &Measured) -> String {
    let took = one.bulk_took.median();
    if took == 0.0 {
        "-".to_owned()
    } else {
        format!("{:.2}", bounds.bulk.as_secs_f64() / took)
    }
}

/// Returns what a timer of tokio's really takes, on a runtime that has nothing else to do.
pub(super) fn sleep_takes(stage: &Stage<'_>, ms: u64) -> Duration {
    const TIMES: u32 = 200;
    stage.tokio.block_on(async {
        let started = Instant::now();
        for _ in 0..TIMES {
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
        started.elapsed() / TIMES
    })
}
