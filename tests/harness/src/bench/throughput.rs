//! A backlog, read by one arm after the other: rate, processor time and memory.

use std::collections::BTreeMap;

use super::arm::Arm;
use super::figures::Figures;
use super::process::{Sample, Trial, run};
use super::stage::{Filled, Stage};
use crate::progress::progress;

/// How a backlog is read.
pub(crate) struct Plan<'a> {
    pub(crate) filled: &'a Filled,
    pub(crate) arms: &'a [Arm],
    pub(crate) trial: Trial<'a>,
    pub(crate) rounds: u32,
}

/// What an arm took, round by round.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    pub(crate) rate: Figures,
    pub(crate) bulk_rate: Figures,
    pub(crate) cpu_us: Figures,
    pub(crate) peak_mb: Figures,
    pub(crate) start_seconds: Figures,
    /// Microseconds per record, by thread.
    pub(crate) threads: BTreeMap<String, Figures>,
}

impl Measured {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    fn add(&mut self, sample: &Sample) {
        self.rate.push(sample.rate());
        self.bulk_rate.push(sample.bulk_rate());
        self.cpu_us.push(sample.cpu_us());
        self.peak_mb.push(sample.peak_bytes as f64 / 1e6);
        self.start_seconds.push(sample.start_seconds());
        for (name, ns) in &sample.threads {
            let us = *ns as f64 / 1e3 / sample.done.records as f64;
            self.threads.entry(name.clone()).or_default().push(us);
        }
    }
}

/// Runs the arms in rounds, each round in another order: the machine gets slower and faster, and what runs after what
/// must not matter.
pub(crate) fn measure(
    stage: &Stage<'_>,
    plan: &Plan<'_>,
) -> anyhow::Result<BTreeMap<Arm, Measured>> {
    let mut measured: BTreeMap<Arm, Measured> = BTreeMap::new();
    for round in 0..plan.rounds {
        let mut arms = plan.arms.to_vec();
        let shift = round as usize * arms.len() / plan.rounds as usize;
        arms.rotate_left(shift);
        for arm in arms {
            let trial = Trial {
                arm,
                ..plan.trial.clone()
            };
            let sample = run(stage, &trial)?;
            let is_whole = sample.done.records == plan.trial.records;
            let is_right = !arm.decodes()
                || plan.trial.records != plan.filled.records
                || sample.done.checksum == plan.filled.checksum;
            anyhow::ensure!(
                is_whole && is_right,
                "the arm {} has not decoded every record: {:?}",
                arm.name(),
                sample.done
            );
            progress(&format!(
                "  round {} of {}: {:18} {:>9.0} records/s, {:6.2} us of CPU, {:4.0} MB",
                round + 1,
                plan.rounds,
                arm.name(),
                sample.rate(),
                sample.cpu_us(),
                sample.peak_bytes as f64 / 1e6
            ));
            measured.entry(arm).or_default().add(&sample);
        }
    }
    Ok(measured)
}

/// Writes the table.
pub(crate) fn table(measured: &BTreeMap<Arm, Measured>) -> String {
    let yardstick = measured.get(&Arm::Loop);
    let mut lines = vec![
        "| arm | k records/s | of the loop | us of CPU per record | of the loop | peak MB | us by thread |"
            .to_owned(),
        "|---|---|---|---|---|---|---|".to_owned(),
    ];
    let mut thousands = |arm: &Arm, one: &Measured| {
        let of = |ours: f64, theirs: Option<f64>| {
            theirs.map_or_else(|| "-".to_owned(), |theirs| format!("{:.2}", ours / theirs))
        };
        let (least, greatest) = one.rate.spread();
        let threads: Vec<_> = one
            .threads
            .iter()
            .filter(|(_, us)| us.median() >= 0.05)
            .map(|(name, us)| format!("{name} {:.2}", us.median()))
            .collect();
        lines.push(format!(
            "| {} | {:.0} ({:.0} to {:.0}) | {} | {} | {} | {:.0} | {} |",
            arm.name(),
            one.rate.median() / 1e3,
            least / 1e3,
            greatest / 1e3,
            of(one.rate.median(), yardstick.map(|one| one.rate.median())),
            one.cpu_us.show(2),
            of(
                one.cpu_us.median(),
                yardstick.map(|one| one.cpu_us.median())
            ),
            one.peak_mb.median(),
            threads.join(", ")
        ));
    };
    for (arm, one) in measured {
        thousands(arm, one);
    }
    lines.join("\n") + "\n"
}
