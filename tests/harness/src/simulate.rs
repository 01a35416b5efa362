//! `harness simulate`: the engine in simulated runs, seed by seed.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what it prints is what it is for"
)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use kafka_core::__simulation::{Counts, Run, run as run_seed};

/// Runs the engine in simulated runs: one thread, paused time, a seeded scheduler, every promise checked.
#[derive(Args)]
pub(crate) struct SimulateArgs {
    /// How many seeds.
    #[arg(long, default_value_t = 5000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// This seed alone, with what happened in it, line by line.
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
}

/// Seeds that failed are told until there are this many.
const TOLD: usize = 10;

pub(crate) fn run(args: &SimulateArgs) -> ExitCode {
    silence_panics();
    if let Some(seed) = args.seed {
        let run = run_one(seed, true);
        for line in &run.trace {
            println!("{line}");
        }
        println!("{:#?}", run.counts);
        if let Some(violation) = run.violation {
            println!(
                "FAIL seed {seed}: {:?} in step {}: {}",
                violation.check, violation.step, violation.text
            );
            return ExitCode::FAILURE;
        }
        println!("PASS seed {seed}");
        return ExitCode::SUCCESS;
    }
    let started = Instant::now();
    let report = run_many(args.from..args.from + args.seeds, |_| false);
    let counts = report.counts;
    println!(
        "{} records, {} calls ({} with batches, {} failed as a whole), {} failed, {} dead letters, {} parked, {} behind them, {} commits, {} handled again\n\
         {} revokes, {} superseded, {} losses, {} kills, {} suspends, {} stops, {} refused commits, {} refused writes, \
         {} pauses, {} calls reported, {} breaks",
        counts.records,
        counts.calls,
        counts.batches,
        counts.batches_failed,
        counts.failed,
        counts.dead_letters,
        counts.parked,
        counts.followed,
        counts.commits,
        counts.duplicates,
        counts.revokes,
        counts.superseded,
        counts.losses,
        counts.kills,
        counts.suspends,
        counts.stops,
        counts.refused_commits,
        counts.refused_writes,
        counts.pauses,
        counts.reported,
        counts.breaks,
    );
    for failed in report.failed.iter().take(TOLD) {
        if let Some(violation) = &failed.violation {
            println!(
                "FAIL {:?} in step {}: {}\n     cargo harness simulate --seed {}",
                violation.check, violation.step, violation.text, failed.seed
            );
        }
    }
    let rate = u128::from(report.seeds) * 1000 / started.elapsed().as_millis().max(1);
    if !report.failed.is_empty() {
        println!(
            "FAIL {} of {} seeds, {rate} seeds/s",
            report.failed.len(),
            report.seeds
        );
        return ExitCode::FAILURE;
    }
    let unseen = counts.unseen();
    if !unseen.is_empty() {
        println!(
            "INCONCLUSIVE {} seeds, in which there was no {}",
            report.seeds,
            unseen.join(", no ")
        );
        return ExitCode::FAILURE;
    }
    println!("PASS {} seeds, {rate} seeds/s", report.seeds);
    ExitCode::SUCCESS
}

/// What many runs came to.
pub(crate) struct Report {
    pub(crate) seeds: u64,
    pub(crate) counts: Counts,
    /// By seed.
    pub(crate) failed: Vec<Run>,
}

/// Runs seeds on all cores, until all are run or `is_enough` says so of a failed one.
pub(crate) fn run_many(
    seeds: std::ops::Range<u64>,
    is_enough: impl Fn(&Run) -> bool + Sync,
) -> Report {
    let next = AtomicU64::new(seeds.start);
    let is_over = AtomicBool::new(false);
    let report = Mutex::new(Report {
        seeds: 0,
        counts: Counts::default(),
        failed: Vec::new(),
    });
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    let run = run_one(seed, false);
                    let mut report = report
                        .lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner);
                    report.seeds += 1;
                    report.counts.add(&run.counts);
                    if report.seeds.is_multiple_of(5000)
                        && started.elapsed() > Duration::from_secs(5)
                    {
                        eprintln!("{} seeds, {} failed", report.seeds, report.failed.len());
                    }
                    if run.violation.is_some() {
                        if is_enough(&run) {
                            is_over.store(true, Ordering::Relaxed);
                        }
                        report.failed.push(run);
                    }
                }
            });
        }
    });
    let mut report = report
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    report.failed.sort_by_key(|run| run.seed);
    report
}

/// A panic of the engine is a violation of its own.
fn run_one(seed: u64, with_trace: bool) -> Run {
    catch_unwind(AssertUnwindSafe(|| run_seed(seed, with_trace))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Run::panicked(seed, text.unwrap_or_default())
    })
}

/// Handlers panic as the simulation says: nobody wants to read that. What is not caught is told as a violation.
pub(crate) fn silence_panics() {
    std::panic::set_hook(Box::new(|_| {}));
}
