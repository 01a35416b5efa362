//! `harness mutants`: breaks the engine on purpose, rule by rule, and looks whether the simulation sees it.

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Args;
use kafka_core::__simulation::{Check, MUTANTS, activate};

use crate::simulate::{run_many, silence_panics};

/// Breaks the engine on purpose, rule by rule: each breakage must be seen by the check that is for it.
#[derive(Args)]
pub(crate) struct MutantsArgs {
    /// How many seeds each gets.
    #[arg(long, default_value_t = 3000)]
    seeds: u64,
    /// Only those whose name contains this.
    #[arg(long)]
    only: Option<String>,
}

pub(crate) fn run(args: &MutantsArgs) -> ExitCode {
    silence_panics();
    println!(
        "{:<26} {:<12} {:>6}  seen before that by",
        "mutant", "checker", "seeds"
    );
    let (mut caught, mut survived) = (0, 0);
    for (mutant, check) in MUTANTS {
        let name = format!("{mutant:?}");
        if args
            .only
            .as_ref()
            .is_some_and(|only| !name.contains(only.as_str()))
        {
            continue;
        }
        activate(Some(*mutant));
        let is_it = |found: Check| found == *check;
        let report = run_many(0..args.seeds, |run| {
            run.violation
                .as_ref()
                .is_some_and(|violation| is_it(violation.check))
        });
        activate(None);
        let mut others = BTreeMap::<Check, usize>::new();
        let mut seeds = None;
        for run in &report.failed {
            match &run.violation {
                Some(violation) if is_it(violation.check) => {
                    seeds.get_or_insert(run.seed + 1);
                }
                Some(violation) if seeds.is_none() => {
                    *others.entry(violation.check).or_default() += 1;
                }
                _ => {}
            }
        }
        let others: Vec<_> = others
            .iter()
            .map(|(check, count)| format!("{check:?} {count}"))
            .collect();
        let needed = seeds.map_or_else(|| "-".to_owned(), |seeds| seeds.to_string());
        println!(
            "{name:<26} {:<12} {needed:>6}  {}",
            format!("{check:?}"),
            others.join(", ")
        );
        match seeds {
            Some(_) => caught += 1,
            None => survived += 1,
        }
    }
    if survived > 0 {
        println!("FAIL {survived} of {} mutants survived", caught + survived);
        return ExitCode::FAILURE;
    }
    println!("PASS {caught} mutants, each caught by its checker");
    ExitCode::SUCCESS
}
