//! A backlog that is read without any work: what each arm makes of it.

use std::collections::BTreeMap;

use super::Outline;
use super::arm::Arm;
use super::event::Events;
use super::keys::Keys;
use super::plot::{self, Series};
use super::process::Trial;
use super::report::Chapter;
use super::stage::{self, Stage};
use super::target::Target;
use super::throughput::{self, Measured, Plan, ratio};
use super::work::Work;

const ARMS: [Arm; 16] = [
    Arm::Poll,
    Arm::LoopDefaults,
    Arm::Loop,
    Arm::Stream,
    Arm::Lanes,
    Arm::RuststreamDefault,
    Arm::RuststreamTracked,
    Arm::RuststreamKeyed,
    Arm::RuststreamThreads,
    Arm::Key,
    Arm::Partition,
    Arm::None,
    Arm::Batch,
    Arm::Borrowed,
    Arm::Event,
    Arm::Raw,
];

pub(crate) fn measure(stage: &Stage<'_>, outline: &Outline) -> anyhow::Result<Chapter> {
    let keys = Keys::zipf(10_000);
    let filled = stage.fill("backlog", 8, outline.records, Events::new(keys, 0))?;
    let arms = match &*outline.arms {
        [] => &ARMS[..],
        arms => arms,
    };
    let plan = Plan {
        filled: &filled,
        arms,
        trial: Trial {
            records: outline.records,
            ..Trial::of(&filled.topic, Work::None, stage::LIMIT)
        },
        rounds: outline.rounds,
    };
    let measured = throughput::measure(stage, &plan)?;
    stage.delete(&filled)?;

    let rate = |arm, of| ratio(&measured, arm, of, |one| one.rate.median());
    let cpu = |arm, of| ratio(&measured, arm, of, |one| one.cpu_us.median());
    let ours = measured.get(&Arm::Key);
    let one = |figure: fn(&Measured) -> f64| ours.map_or(f64::NAN, figure);
    let lines = vec![
        Target::AtLeast(1.5).judge("rate, key order, of the hand-written loop", rate(Arm::Key, Arm::Loop), 2, ""),
        Target::AtLeast(5.0).judge("rate, key order, of the hand-written loop with librdkafka's defaults", rate(Arm::Key, Arm::LoopDefaults), 2, ""),
        Target::AtMost(1.0).judge("CPU per record, key order, of the hand-written loop", cpu(Arm::Key, Arm::Loop), 2, ""),
        Target::AtMost(0.8).judge("CPU per record, `DatabaseEvent`, source and old row not read, of the hand-written loop", cpu(Arm::Event, Arm::Loop), 2, ""),
        Target::AtMost(45.0).judge("peak RSS, defaults", one(|one| one.peak_mb.median()), 0, " MB"),
        Target::AtMost(1.5).judge("start to first record, a group without rivals", one(|one| one.start_seconds.median()), 2, " s"),
    ];
    Ok(Chapter {
        title: format!("A backlog of {} records, no work", outline.records),
        text: throughput::table(&measured),
        pictures: vec![("backlog.svg".into(), picture(&measured)?)],
        lines,
    })
}

/// Rate and processor time of each arm, as bars.
fn picture(measured: &BTreeMap<Arm, Measured>) -> anyhow::Result<String> {
    let of = |title: &str, figure: fn(&Measured) -> f64| Series {
        name: title.to_owned(),
        points: (0..)
            .map(f64::from)
            .zip(measured.values().map(figure))
            .collect(),
    };
    let arms: Vec<_> = measured.keys().map(|arm| arm.name()).collect();
    plot::bars(
        &arms,
        &[
            of("k records/s", |one| one.rate.median() / 1e3),
            of("us of CPU per record", |one| one.cpu_us.median()),
        ],
    )
}
