//! Records that fail among those that do not: do the good ones keep their rate?

use std::time::Duration;

use super::hang::{rate_text, show};
use super::load::{Keys, Recipe};
use super::rate::{self, Pair};
use super::service::{Service, Stage};
use crate::progress::progress;
use crate::verdict::{Line, Verdict};

const GOOD: Recipe = Recipe {
    keys: Keys::Uniform(10_000),
    value: 200,
    noise: 32,
    is_poisoned: false,
    hangs: None,
};

const RECORDS: u64 = 600_000;

/// How long calls take. With the longest, records that fail may only get in the way of others; with 1 ms two processors
/// are the limit, and what a dead letter costs shows, too. Without work it is nothing but that: no limit is meant for it.
const WORK_MS: [u64; 3] = [10, 1, 0];

const LIMIT: Duration = Duration::from_secs(30);

pub(crate) fn measure(stage: &Stage<'_>, pairs: u32) -> anyhow::Result<Vec<Line>> {
    let clean = stage.topic("good", GOOD, RECORDS)?;
    let mixed = Recipe {
        is_poisoned: true,
        ..GOOD
    };
    let mixed = stage.topic("mixed", mixed, RECORDS)?;
    let mut lines = Vec::new();
    for work_ms in WORK_MS {
        let (mut rates, mut has_failed) = (Vec::new(), true);
        for number in 1..=pairs {
            progress(&format!("  {work_ms} ms: pair {number} of {pairs}"));
            let order = if number % 2 == 1 { [0, 1] } else { [1, 0] };
            let mut pair = [None, None];
            for arm in order {
                let topic = if arm == 0 { &clean } else { &mixed };
                let (rate, failed) = run(stage, topic, work_ms)?;
                pair[arm] = rate;
                has_failed &= failed || arm == 0;
            }
            if let [Some(without), Some(with)] = pair {
                progress(&format!("    {}", show(&Pair { without, with })));
                rates.push(Pair { without, with });
            }
        }
        let is_judged = work_ms > 0;
        lines.push(Line {
            figure: format!("4 % poison: rate of the good records, calls of {work_ms} ms"),
            limit: if is_judged { ">= 90 %" } else { "none" }.into(),
            measured: rate_text(&rates),
            verdict: match (is_judged, has_failed) {
                (false, _) => Verdict::Information,
                (true, false) => Verdict::Inconclusive,
                (true, true) => rate::judge(&rates),
            },
        });
    }
    stage.delete(&clean)?;
    stage.delete(&mixed)?;
    Ok(lines)
}

/// Runs an arm: the rate of its good records, and whether others failed.
fn run(stage: &Stage<'_>, topic: &str, work_ms: u64) -> anyhow::Result<(Option<f64>, bool)> {
    let mut args = stage.args(topic);
    args.work_ms = work_ms;
    let mut service = Service::start(stage, &args)?;
    let rate = service.rate(stage.interrupt, RECORDS, LIMIT)?;
    let has_failed = service.counts.dead_letters > 0 && service.counts.retries > 0;
    // Before it stops: what fails goes on for a while.
    drop(service);
    Ok((rate, has_failed))
}
