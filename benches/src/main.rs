//! `costs`: what the engine costs for each record, in instructions and allocations. Neither depends on how busy the machine
//! is, so a change of a few percent is a change of the code.
//!
//! ```text
//! cargo run --release -p kafka-runtime-benches                # the table
//! cargo run --release -p kafka-runtime-benches -- --check     # against costs.json
//! cargo run --release -p kafka-runtime-benches -- --write     # to costs.json
//! ```

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what it prints is what it is for"
)]

mod allocations;
mod callgrind;
mod event;
mod figures;
mod mode;
mod zipf;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use self::figures::{Figure, Figures};
use self::mode::Mode;

/// Measures what the engine costs for each record.
#[derive(Parser)]
#[command(name = "costs", version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    table: TableArgs,
}

#[derive(Args)]
struct TableArgs {
    /// Compare with the figures that were written; fail if one is above.
    #[arg(long)]
    check: bool,
    /// Write the figures.
    #[arg(long, conflicts_with = "check")]
    write: bool,
    /// These modes alone, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', conflicts_with = "write")]
    modes: Vec<Mode>,
    /// Records of the shorter of two runs; the longer one has twice as many.
    #[arg(long, default_value_t = RECORDS)]
    records: usize,
}

#[derive(Subcommand)]
enum Command {
    /// Run one mode, and print its allocations between so many records and twice as many, as JSON
    Run(RunArgs),
}

#[derive(Args)]
struct RunArgs {
    #[arg(long, value_enum)]
    mode: Mode,
    /// So many records are written twice over.
    #[arg(long, default_value_t = RECORDS)]
    records: usize,
    /// End after so many instead, and print nothing: for callgrind.
    #[arg(long)]
    until: Option<usize>,
}

/// The engine stores offsets once for so many.
const RECORDS: usize = 25_600;
/// Something is missing that a measurement needs.
const CANNOT: u8 = 2;

fn main() -> ExitCode {
    if cfg!(debug_assertions) {
        eprintln!("costs: a debug build says nothing of what a release costs: cargo run --release");
        return ExitCode::from(CANNOT);
    }
    let cli = Cli::parse();
    let done = match &cli.command {
        Some(Command::Run(args)) => run(args).map(|()| ExitCode::SUCCESS),
        None => table(&cli.table),
    };
    done.unwrap_or_else(|error| {
        eprintln!("costs: {error:#}");
        ExitCode::from(CANNOT)
    })
}

fn run(args: &RunArgs) -> anyhow::Result<()> {
    let mut way = args.mode.way(2 * args.records)?;
    if let Some(until) = args.until {
        way(until)?;
        // What is left over is none of a record's costs.
        std::process::exit(0)
    }
    let allocations = allocations::per_record(&mut way, args.records)?;
    println!(
        "{}",
        serde_json::json!({
            "mode": args.mode.to_string(),
            "records": args.records,
            "allocations": allocations,
        })
    );
    Ok(())
}

fn table(args: &TableArgs) -> anyhow::Result<ExitCode> {
    callgrind::is_there()?;
    let modes = if args.modes.is_empty() {
        Mode::all()
    } else {
        args.modes.clone()
    };
    let mut now = Figures::default();
    for mode in modes {
        eprintln!("costs: {mode} ..");
        now.add(
            mode,
            Figure {
                instructions: callgrind::instructions_per_record(mode, args.records)?,
                allocations: allocations::of_process(mode, args.records)?,
            },
        );
    }
    if args.write {
        now.write()?;
    }
    if !args.check {
        println!("{}", now.table(None));
        return Ok(ExitCode::SUCCESS);
    }
    let was = Figures::read()?;
    println!("{}", now.table(Some(&was)));
    let verdict = now.compare(&was);
    for line in &verdict.lines {
        println!("{line}");
    }
    Ok(if verdict.is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
