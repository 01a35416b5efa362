//! A backlog, read by one arm after the other: rate, processor time and memory.

use std::collections::BTreeMap;

use super::arm::Arm;
use super::figures::Figures;
use super::process::{Sample, Trial, run};
use super::stage::{Filled, Stage};
use crate::progress::progress;
use crate::table::aligned;

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
    /// Seconds that the whole backlog took, and the first four of five records.
    pub(crate) took: Figures,
    pub(crate) bulk_took: Figures,
    pub(crate) cpu_us: Figures,
    /// The same without the start, and what the start took in milliseconds; of the arms that tell it.
    pub(crate) steady_us: Figures,
    pub(crate) start_cpu_ms: Figures,
    pub(crate) peak_mb: Figures,
    pub(crate) start_seconds: Figures,
    /// Microseconds per record, by thread.
    pub(crate) threads: BTreeMap<String, Figures>,
}

impl Measured {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    fn add(&mut self, sample: &Sample) {
        self.rate.push(sample.rate());
        self.took.push(sample.took().as_secs_f64());
        self.bulk_took.push(sample.bulk_took().as_secs_f64());
        self.cpu_us.push(sample.cpu_us());
        self.steady_us.push(sample.steady_us());
        self.start_cpu_ms.push(sample.start_cpu_ms());
        self.peak_mb.push(sample.peak_mb());
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
                sample.peak_mb()
            ));
            measured.entry(arm).or_default().add(&sample);
        }
    }
    Ok(measured)
}

/// Returns how a figure of one arm compares with that of another.
pub(crate) fn ratio(
    measured: &BTreeMap<Arm, Measured>,
    arm: Arm,
    of: Arm,
    figure: impl Fn(&Measured) -> f64,
) -> f64 {
    match (measured.get(&arm), measured.get(&of)) {
        (Some(arm), Some(of)) => figure(arm) / figure(of),
        _ => f64::NAN,
    }
}

/// Writes the table.
pub(crate) fn table(measured: &BTreeMap<Arm, Measured>) -> String {
    let of_the_loop = |arm, figure: fn(&Measured) -> f64| {
        let ratio = ratio(measured, arm, Arm::Loop, figure);
        if ratio.is_nan() {
            "-".to_owned()
        } else {
            format!("{ratio:.2}")
        }
    };
    let row = |(arm, one): (&Arm, &Measured)| {
        let (least, greatest) = one.rate.spread();
        let rate = one.rate.median();
        let threads: Vec<_> = one
            .threads
            .iter()
            .filter(|(_, us)| us.median() >= 0.05)
            .map(|(name, us)| format!("{name} {:.2}", us.median()))
            .collect();
        [
            arm.name(),
            format!(
                "{:.0} ({:.0} to {:.0})",
                rate / 1e3,
                least / 1e3,
                greatest / 1e3
            ),
            of_the_loop(*arm, |one| one.rate.median()),
            one.cpu_us.show(2),
            of_the_loop(*arm, |one| one.cpu_us.median()),
            format!("{:.0}", one.peak_mb.median()),
            threads.join(", "),
        ]
    };
    let head = [
        "arm",
        "k records/s",
        "of the loop",
        "us of CPU per record",
        "of the loop",
        "peak MB",
        "us by thread",
    ];
    aligned(head, measured.iter().map(row))
}
