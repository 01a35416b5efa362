//! `harness chaos`: workers, brokers and the network are hurt while records are handled, and nothing may be lost.
//!
//! | file | has |
//! |---|---|
//! | `profile`, `scenario`, `fault` | what is tried, all of it chosen by a seed |
//! | `stage`, `topics`, `conductor`, `network` | how a scenario runs |
//! | `writer`, `workload` | the records |
//! | `fleet`, `worker`, `ledger` | services in processes of their own, and what each of them writes down |
//! | `sampler` | what is committed, over time |
//! | `remains` | what is on the brokers in the end |
//! | `evidence`, `check` | what was left behind, and its judge, which does no I/O |
//! | `report`, `timeline` | the result for people |

mod check;
mod conductor;
mod evidence;
mod fault;
mod fleet;
mod ledger;
mod network;
mod profile;
mod remains;
mod report;
mod sampler;
mod scenario;
mod stage;
mod timeline;
mod topics;
mod worker;
mod workload;
mod writer;

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use test_support::DEFAULT_VERSION;

// For all files of this folder; `limits` has them, too.
use crate::{clock, interrupt, progress, random};

use self::check::{Judgement, Verdict, judge};
use self::interrupt::Interrupt;
use self::profile::Profile;
use self::progress::progress;
use self::scenario::{KINDS, Scenario};
use self::stage::Stage;
use self::worker::Protocol;
pub(crate) use self::worker::{WorkerArgs, run as run_worker};

/// Hurt workers and brokers of a real Kafka while records are handled, and check every promise.
///
/// All choices follow from the seed; the times at which things happen do not quite.
#[derive(Args)]
#[command(
    after_help = "Ends with 0 if everything passed, 1 if a promise was broken or Kafka does not start, 2 if a fault did not happen,
130 if it was interrupted. Ledgers of what did not pass are kept."
)]
pub(crate) struct ChaosArgs {
    /// How much: a few minutes, or tens of minutes
    #[arg(long, value_enum)]
    profile: Profile,

    /// The first seed
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// How many seeds of each scenario, instead of what the profile says
    #[arg(long)]
    seeds: Option<u64>,

    /// Only this scenario; may be repeated
    #[arg(long, value_name = "NAME")]
    scenario: Vec<String>,

    /// How members share the partitions; "consumer" needs Kafka 4
    #[arg(long, value_enum, default_value = "cooperative")]
    protocol: Protocol,

    /// Version of Apache Kafka
    #[arg(long, value_name = "VERSION", default_value = DEFAULT_VERSION)]
    kafka: String,

    /// librdkafka's debug contexts in the workers' logs, such as cgrp,protocol
    #[arg(long, value_name = "CONTEXTS")]
    client_debug: Option<String>,

    /// Fail for what is known to be broken, too
    #[arg(long)]
    strict: bool,

    /// Try a scenario whose fault did not happen once more, with the next seed; that one counts
    #[arg(long)]
    second_try: bool,

    /// Write a table and pictures into this folder, and keep all ledgers there
    #[arg(long, value_name = "FOLDER")]
    report: Option<PathBuf>,
}

/// A scenario that has run.
struct Outcome {
    scenario: Scenario,
    judgement: Judgement,
    folder: PathBuf,
    /// The rig did what it was told.
    is_sound: bool,
    /// It proved nothing, and was tried again.
    is_superseded: bool,
}

impl Outcome {
    fn counts(&self) -> bool {
        !self.is_superseded
    }
}

pub(crate) fn run(args: &ChaosArgs) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let scenarios = chosen(args)?;
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let interrupt = Interrupt::listen(&tokio)?;
    let scratch = tempfile::Builder::new()
        .prefix("kafka-runtime-chaos-")
        .tempdir()?;
    let base = args
        .report
        .clone()
        .unwrap_or_else(|| scratch.path().to_owned());
    fs::create_dir_all(&base).with_context(|| format!("create {}", base.display()))?;
    let mut stage: Option<Stage> = None;
    let mut outcomes = Vec::new();
    let count = scenarios.len();
    let mut left: VecDeque<(Scenario, bool)> = scenarios.into_iter().map(|s| (s, false)).collect();
    while let Some((scenario, is_second)) = left.pop_front() {
        progress(&format!(
            "{} of {count}: {} seed {}: {}",
            count - left.len(),
            scenario.name,
            scenario.seed,
            scenario.schedule
        ));
        let on = match stage.take() {
            Some(stage) => stage,
            None => Stage::set(&args.kafka, &tokio, &interrupt)?,
        };
        let mut outcome = perform(args, &on, scenario, &base);
        if interrupt.is_set() {
            progress("interrupted; what was started is ended");
            break;
        }
        tell(&outcome);
        // After an error of the rig nobody knows what the cluster is like.
        stage = outcome.is_sound.then_some(on);
        let is_open = outcome.judgement.verdict() == Verdict::Inconclusive;
        if args.second_try && is_open && !is_second {
            outcome.is_superseded = true;
            left.push_front((args.profile.next(&outcome.scenario), true));
        }
        if outcome.judgement.verdict() == Verdict::Pass && args.report.is_none() {
            conductor::clean(&outcome.folder);
        }
        outcomes.push(outcome);
        if let Some(folder) = &args.report {
            let command = again(args, args.seed, args.seeds, &args.scenario);
            report::write(folder, &command, &outcomes)?;
        }
    }
    drop(stage);
    let verdict = total(&outcomes);
    let is_needed = outcomes
        .iter()
        .any(|outcome| outcome.counts() && outcome.judgement.verdict() != Verdict::Pass);
    if is_needed && args.report.is_none() {
        let _ = scratch.keep();
    }
    conclude(args, &outcomes, verdict, started);
    if interrupt.is_set() {
        return Ok(ExitCode::from(130));
    }
    Ok(match verdict {
        Verdict::Pass => ExitCode::SUCCESS,
        Verdict::Fail => ExitCode::from(1),
        Verdict::Inconclusive => ExitCode::from(2),
    })
}

/// Runs one scenario and judges it.
fn perform(args: &ChaosArgs, stage: &Stage, scenario: Scenario, base: &Path) -> Outcome {
    let name = format!("{}-{}", scenario.name, scenario.seed);
    let folder = base.join(&name);
    // Workers append to their ledgers: what an earlier run left here would be judged as theirs.
    conductor::clean(&folder);
    let mut judgement = Judgement::default();
    let mut is_sound = true;
    match conductor::run(stage, &scenario, &folder) {
        Ok(evidence) => {
            judgement = judge(&evidence, scenario.expectation);
            if args.strict {
                judgement.be_strict();
            }
            let title = format!(
                "{} seed {}: {}",
                scenario.name,
                scenario.seed,
                judgement.verdict()
            );
            let picture = timeline::draw(&title, &evidence, &judgement.figures.finishes);
            if let Err(error) = fs::write(base.join(format!("{name}.svg")), picture) {
                progress(&format!("the picture cannot be written: {error}"));
            }
        }
        Err(error) => {
            is_sound = false;
            judgement.inconclusive.push(format!("{error:#}"));
        }
    }
    Outcome {
        scenario,
        judgement,
        folder,
        is_sound,
        is_superseded: false,
    }
}

fn chosen(args: &ChaosArgs) -> anyhow::Result<Vec<Scenario>> {
    for name in &args.scenario {
        if !KINDS.iter().any(|kind| kind.name == name) {
            let names: Vec<String> = KINDS
                .iter()
                .map(|kind| format!("{} ({})", kind.name, kind.about))
                .collect();
            bail!(
                "there is no scenario {name}; there are: {}",
                names.join(", ")
            );
        }
    }
    let mut scenarios = args
        .profile
        .scenarios(args.seed, args.seeds, &args.scenario);
    for scenario in &mut scenarios {
        scenario.protocol = args.protocol;
        scenario.client_debug.clone_from(&args.client_debug);
    }
    Ok(scenarios)
}

/// How many violations of a promise are told; the ledgers have the rest.
const TOLD: usize = 5;

fn tell(outcome: &Outcome) {
    let (scenario, judgement) = (&outcome.scenario, &outcome.judgement);
    let figures = &judgement.figures;
    progress(&format!(
        "{} {} seed {}: {} records, {} finished, {} calls, handled twice: {}, {} dead letters ({} delayed), {} rebalances, {} kills ({} in flight), {} parked, {} deleted unhandled, {} partitions lost, {} foreign calls, {} outages, slowest stop {:?}",
        judgement.verdict(),
        scenario.name,
        scenario.seed,
        figures.records,
        figures.finished,
        figures.calls,
        report::duplicates(figures),
        figures.dead_letters,
        figures.delays,
        figures.rebalances,
        figures.kills,
        figures.kills_in_flight,
        figures.parked,
        figures.deleted,
        figures.losses,
        figures.foreign,
        figures.outages,
        figures.slowest_stop.unwrap_or_default(),
    ));
    for (promise, count) in judgement.counts() {
        progress(&format!("  {promise:?}: {count}"));
        let of_promise = judgement.violations.iter().filter(|v| v.promise == promise);
        of_promise
            .take(TOLD)
            .for_each(|violation| progress(&format!("    {violation}")));
    }
    for (known, count) in judgement.known_counts() {
        progress(&format!("  known: {count} {known}"));
        let one = judgement.known.iter().find(|(other, _)| *other == known);
        if let Some((_, violation)) = one {
            progress(&format!("    {violation}"));
        }
    }
    for reason in &judgement.inconclusive {
        progress(&format!("  inconclusive: {reason}"));
    }
}

fn total(outcomes: &[Outcome]) -> Verdict {
    let any = |verdict| {
        outcomes
            .iter()
            .any(|outcome| outcome.counts() && outcome.judgement.verdict() == verdict)
    };
    if any(Verdict::Fail) {
        Verdict::Fail
    } else if any(Verdict::Inconclusive) || outcomes.is_empty() {
        Verdict::Inconclusive
    } else {
        Verdict::Pass
    }
}

#[expect(clippy::print_stdout, reason = "it is the result")]
fn conclude(args: &ChaosArgs, outcomes: &[Outcome], verdict: Verdict, started: Instant) {
    let count = |verdict| {
        outcomes
            .iter()
            .filter(|outcome| outcome.counts() && outcome.judgement.verdict() == verdict)
            .count()
    };
    for outcome in outcomes
        .iter()
        .filter(|one| one.judgement.verdict() != Verdict::Pass)
    {
        let Scenario { name, seed, .. } = outcome.scenario;
        println!(
            "{} {name} seed {seed}: ledgers in {}; again: {}",
            outcome.judgement.verdict(),
            outcome.folder.display(),
            again(args, seed, Some(1), &[name.to_owned()])
        );
    }
    let known: usize = outcomes.iter().map(|one| one.judgement.known.len()).sum();
    if known > 0 {
        println!("known and not fixed yet: {known} times; --strict fails for them");
    }
    println!("{}", report::Summary::of(outcomes));
    println!(
        "{verdict}: {} passed, {} failed, {} inconclusive; {} s; again: {}",
        count(Verdict::Pass),
        count(Verdict::Fail),
        count(Verdict::Inconclusive),
        started.elapsed().as_secs(),
        again(args, args.seed, args.seeds, &args.scenario)
    );
}

/// The command that does the same again.
fn again(args: &ChaosArgs, seed: u64, seeds: Option<u64>, only: &[String]) -> String {
    let mut line = format!(
        "cargo harness chaos --profile {} --seed {}",
        args.profile.name(),
        seed
    );
    if let Some(seeds) = seeds {
        let _ = write!(line, " --seeds {seeds}");
    }
    for name in only {
        let _ = write!(line, " --scenario {name}");
    }
    if let Some(protocol) = args.protocol.to_possible_value()
        && args.protocol != Protocol::Cooperative
    {
        let _ = write!(line, " --protocol {}", protocol.get_name());
    }
    if args.kafka != DEFAULT_VERSION {
        let _ = write!(line, " --kafka {}", args.kafka);
    }
    if args.strict {
        line.push_str(" --strict");
    }
    if args.second_try {
        line.push_str(" --second-try");
    }
    line
}
