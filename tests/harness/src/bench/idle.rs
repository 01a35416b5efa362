//! What a service costs that has nothing to do.

use std::time::Duration;

use test_support::unique_name;

use super::Outline;
use super::arm::Arm;
use super::event::Events;
use super::figures::Figures;
use super::keys::Keys;
use super::process::{Running, Trial};
use super::report::Chapter;
use super::stage::Stage;
use super::target::Target;
use super::work::Work;
use super::worker::{READY, other_topics};
use crate::progress::progress;
use crate::resources;
use crate::table::aligned;

const LIMIT: Duration = Duration::from_secs(30);
const LASTS: Duration = Duration::from_secs(20);

pub(crate) fn measure(stage: &Stage<'_>, outline: &Outline) -> anyhow::Result<Chapter> {
    let arms = [Arm::Loop, Arm::Stream, Arm::Idle];
    let mut rows = Vec::new();
    let mut ours = f64::NAN;
    for arm in arms {
        let (mut percent, mut peak) = (Figures::default(), Figures::default());
        for _ in 0..outline.rounds {
            let topic = unique_name("idle");
            let filled = stage.fill(&topic, 8, 8, Events::new(Keys::Uniform(8), 0))?;
            let handlers = if arm == Arm::Idle { 50 } else { 1 };
            let others: Vec<_> = other_topics(&filled.topic, handlers).collect();
            for topic in &others {
                stage.tokio.block_on(stage.topics.create(topic, 1))?;
            }
            let trial = Trial {
                arm,
                is_timed: true,
                handlers,
                ..Trial::of(&filled.topic, Work::None, LIMIT)
            };
            let mut running = Running::start(stage, &trial)?;
            running.wait_for(READY, stage.interrupt, LIMIT)?;
            stage.interrupt.sleep(Duration::from_secs(3))?;
            let used = || -> anyhow::Result<u64> {
                Ok(resources::threads_of(running.id())?.values().sum())
            };
            let before = used()?;
            stage.interrupt.sleep(LASTS)?;
            #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
            let part = (used()? - before) as f64 / LASTS.as_nanos() as f64;
            percent.push(part * 100.0);
            #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
            peak.push(resources::peak_of(running.id())? as f64 / 1e6);
            running.stop()?;
            for topic in &others {
                stage.tokio.block_on(stage.topics.delete(topic))?;
            }
            stage.delete(&filled)?;
        }
        progress(&format!(
            "  {:8} {} % of a core",
            arm.name(),
            percent.show(2)
        ));
        rows.push([arm.name(), percent.show(2), peak.show(0)]);
        if arm == Arm::Idle {
            ours = percent.median();
        }
    }
    Ok(Chapter {
        title: "Nothing to do: a topic with 8 partitions; ours has 49 more, with one each, and 50 handlers".into(),
        text: aligned(["arm", "% of a core", "peak MB"], rows),
        pictures: Vec::new(),
        lines: vec![Target::AtMost(0.5).judge("idle, 8 partitions, 50 handlers", ours, 2, " % of a core")],
    })
}
