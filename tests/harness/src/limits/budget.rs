//! Does a service stay within the memory that it was given, whatever it has to do?

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::load::{Keys, Recipe, Writer};
use super::memory::{Memory, SLACK};
use super::service::{MAX_IN_FLIGHT_BYTES, PARTITIONS, Service, Stage};
use super::worker::{Counts, WorkerArgs};
use crate::interrupt::Interrupt;
use crate::progress::progress;
use crate::verdict::Line;

/// `queued.max.messages.kbytes`, as the runtime sets it.
const QUEUE: u64 = 32 << 20;

/// What a service has to do, to see what that takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strain {
    /// 2 GB of records of 1 KiB.
    Backlog,
    /// 2 GB of records of 100 KiB.
    Large,
    /// A key for each of 1,000,000 records.
    Keys,
    /// Every call fails, and the breaker is off.
    Failing,
    /// Every call fails, and the breaker opens.
    Broken,
}

const LIMIT: Duration = Duration::from_mins(3);

/// A record that fails is written again by the service: no more of them than this wait.
const AHEAD: u64 = 200_000;

/// Old segments go within seconds: a run of hours takes no more of the disk than one of minutes.
const RETENTION: [(&str, &str); 3] = [
    ("retention.bytes", "134217728"),
    ("segment.bytes", "16777216"),
    ("file.delete.delay.ms", "1000"),
];

/// Returns the peak of a service that has nothing to do.
pub(crate) fn idle(stage: &Stage<'_>) -> anyhow::Result<u64> {
    let topic = stage.topic("idle", Strain::Backlog.recipe(), 0)?;
    let service = Service::start(stage, &stage.args(&topic))?;
    stage.interrupt.sleep(Duration::from_secs(3))?;
    let peak = service.peak()?;
    service.stop()?;
    stage.delete(&topic)?;
    Ok(peak)
}

/// Strains a service; `lasts` says for how long, if every call fails.
pub(crate) fn measure(
    stage: &Stage<'_>,
    strain: Strain,
    idle: u64,
    lasts: Duration,
) -> anyhow::Result<Line> {
    let (counts, peak) = match strain.records() {
        Some(records) => work_off(stage, strain, records)?,
        None => fail(stage, strain, lasts)?,
    };
    let memory = Memory {
        budget: MAX_IN_FLIGHT_BYTES as u64 + QUEUE,
        idle,
        peak,
    };
    Ok(Line {
        figure: format!("peak memory: {}", strain.name(lasts)),
        limit: format!(
            "{} MB = {} in flight + {} queue + {}",
            megabytes(memory.limit()),
            megabytes(MAX_IN_FLIGHT_BYTES as u64),
            megabytes(QUEUE),
            megabytes(SLACK)
        ),
        measured: format!(
            "{} MB (idle {}); most in flight {} records, {} MB{}",
            megabytes(peak),
            megabytes(idle),
            counts.most_in_flight,
            megabytes(counts.most_held_bytes),
            strain.details(&counts)
        ),
        verdict: memory.judge(strain.has_arisen(&counts)),
    })
}

impl Strain {
    fn name(self, lasts: Duration) -> String {
        match self {
            Self::Backlog => "2 GB of records of 1 KiB".into(),
            Self::Large => "2 GB of records of 100 KiB".into(),
            Self::Keys => "1,000,000 keys".into(),
            Self::Failing => format!("every call fails for {} s, breaker off", lasts.as_secs()),
            Self::Broken => format!("every call fails for {} s, breaker on", lasts.as_secs()),
        }
    }

    /// How many records there are; `None`: as many as it takes.
    fn records(self) -> Option<u64> {
        match self {
            Self::Backlog => Some(2_000_000),
            Self::Large => Some(20_000),
            Self::Keys => Some(1_000_000),
            Self::Failing | Self::Broken => None,
        }
    }

    /// Values compress as change events do, about six to one: a fetch is far larger in memory than on the wire.
    fn recipe(self) -> Recipe {
        let (keys, value) = match self {
            Self::Large => (Keys::Uniform(10_000), 100 << 10),
            Self::Keys => (Keys::Distinct, 200),
            Self::Backlog | Self::Failing | Self::Broken => (Keys::Uniform(100_000), 1 << 10),
        };
        Recipe {
            keys,
            value,
            noise: value / 8,
            is_poisoned: false,
            hangs: None,
        }
    }

    fn change(self, args: &mut WorkerArgs) {
        match self {
            // Slower than records come.
            Self::Backlog => args.work_ms = 20,
            Self::Large => {
                args.work_ms = 20;
                args.concurrency = 50;
            }
            Self::Keys => args.work_ms = 1,
            Self::Failing | Self::Broken => {
                args.fails = true;
                args.attempts = 3;
                args.has_breaker = self == Self::Broken;
            }
        }
    }

    /// True if what was to drive up the memory has happened.
    fn has_arisen(self, counts: &Counts) -> bool {
        let is_full = counts.pauses > 0;
        match self {
            Self::Backlog | Self::Large => is_full,
            Self::Keys => Some(counts.good) >= self.records(),
            Self::Failing => is_full && counts.retries > 0 && counts.dead_letters > 0,
            Self::Broken => is_full && counts.breaker_openings > 0,
        }
    }

    fn details(self, counts: &Counts) -> String {
        match self {
            Self::Backlog | Self::Large | Self::Keys => String::new(),
            Self::Failing | Self::Broken => format!(
                "; {} retries, {} dead letters",
                counts.retries, counts.dead_letters
            ),
        }
    }
}

/// Has a service handle a backlog.
fn work_off(stage: &Stage<'_>, strain: Strain, records: u64) -> anyhow::Result<(Counts, u64)> {
    let topic = stage.topic("backlog", strain.recipe(), records)?;
    let mut args = stage.args(&topic);
    strain.change(&mut args);
    let mut service = Service::start(stage, &args)?;
    watch(&mut service, stage.interrupt, LIMIT, |counts| {
        counts.good >= records
    })?;
    let result = (service.counts.clone(), service.peak()?);
    service.stop()?;
    stage.delete(&topic)?;
    Ok(result)
}

/// Has a service fail for a while: as fast as it fails, records are written.
fn fail(stage: &Stage<'_>, strain: Strain, lasts: Duration) -> anyhow::Result<(Counts, u64)> {
    let topic = test_support::unique_name("failing");
    let mut args = stage.args(&topic);
    strain.change(&mut args);
    let dead_letters = format!("{}.{topic}.dlq", args.group);
    for topic in [&topic, &dead_letters] {
        let created = stage.topics.create_with(topic, PARTITIONS, &RETENTION);
        stage.tokio.block_on(created)?;
    }
    let finished = AtomicU64::new(0);
    let writing = stage.interrupt.part();
    let (result, written) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| feed(stage, &topic, strain, &finished, &writing));
        let result = endure(stage, &args, lasts, &finished);
        writing.end();
        let written = writer
            .join()
            .unwrap_or_else(|_| unreachable!("it does not panic"));
        (result, written)
    });
    written?;
    for topic in [&topic, &dead_letters] {
        stage.delete(topic)?;
    }
    result
}

/// Runs a service for a while.
fn endure(
    stage: &Stage<'_>,
    args: &WorkerArgs,
    lasts: Duration,
    finished: &AtomicU64,
) -> anyhow::Result<(Counts, u64)> {
    let mut service = Service::start(stage, args)?;
    watch(&mut service, stage.interrupt, lasts, |counts| {
        finished.store(counts.dead_letters, Relaxed);
        false
    })?;
    // It is killed when it is dropped: its retries would hold up its stop.
    Ok((service.counts.clone(), service.peak()?))
}

/// Writes records ahead of the service, but not too far.
fn feed(
    stage: &Stage<'_>,
    topic: &str,
    strain: Strain,
    finished: &AtomicU64,
    interrupt: &Interrupt,
) -> anyhow::Result<()> {
    let mut writer = Writer::new(stage.servers(), topic, strain.recipe())?;
    while !interrupt.is_set() {
        if writer.written < finished.load(Relaxed) + AHEAD {
            let until = writer.counted + 1000;
            if writer.write_until(until, interrupt).is_err() && !interrupt.is_set() {
                break;
            }
        } else {
            let _ = interrupt.sleep(Duration::from_millis(20));
        }
    }
    writer.finish()
}

/// Watches a service until it is done or the time is up, and tells how it goes.
fn watch(
    service: &mut Service,
    interrupt: &Interrupt,
    limit: Duration,
    mut is_done: impl FnMut(&Counts) -> bool,
) -> anyhow::Result<()> {
    const TELL: Duration = Duration::from_secs(5);
    let until = Instant::now() + limit;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || service.wait(interrupt, left.min(TELL), |one| is_done(&one.counts))? {
            return Ok(());
        }
        progress(&format!(
            "  {} handled, {} retries, {} dead letters; {} in flight at most; peak {} MB",
            service.counts.good,
            service.counts.retries,
            service.counts.dead_letters,
            service.counts.most_in_flight,
            megabytes(service.peak()?)
        ));
    }
}

fn megabytes(bytes: u64) -> String {
    (bytes / 1_000_000).to_string()
}

#[cfg(test)]
mod tests {
    use super::{Counts, Strain};

    #[test]
    fn a_service_that_kept_up_was_not_strained() {
        let kept_up = Counts {
            good: 2_000_000,
            ..Counts::default()
        };
        let paused = Counts {
            pauses: 1,
            ..Counts::default()
        };

        assert!(!Strain::Backlog.has_arisen(&kept_up));
        assert!(Strain::Backlog.has_arisen(&paused));
        assert!(!Strain::Failing.has_arisen(&paused));
        assert!(!Strain::Broken.has_arisen(&paused));
        assert!(!Strain::Keys.has_arisen(&paused));
        assert!(Strain::Keys.has_arisen(&kept_up));
    }
}
