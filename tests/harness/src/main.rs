//! `harness`: commands for working on kafka-runtime.

mod bench;
mod bulk;
mod cdc;
mod chaos;
mod clock;
mod interrupt;
mod kafka;
mod limits;
mod mutants;
mod progress;
mod random;
mod resources;
mod simulate;
mod table;
mod verdict;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Commands for working on kafka-runtime.
#[derive(Parser)]
#[command(name = "harness", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Kafka(kafka::KafkaArgs),
    Cdc(cdc::CdcArgs),
    Mutants(mutants::MutantsArgs),
    Simulate(simulate::SimulateArgs),
    Chaos(chaos::ChaosArgs),
    /// A worker of `chaos`
    #[command(hide = true)]
    ChaosWorker(chaos::WorkerArgs),
    Bench(bench::BenchArgs),
    /// An arm of `bench`
    #[command(hide = true)]
    BenchWorker(bench::WorkerArgs),
    Limits(limits::LimitsArgs),
    /// The service of `limits`
    #[command(hide = true)]
    LimitsWorker(limits::WorkerArgs),
}

fn main() -> anyhow::Result<ExitCode> {
    match Cli::parse().command {
        Command::Kafka(args) => kafka::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Cdc(args) => cdc::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Mutants(args) => Ok(mutants::run(&args)),
        Command::Simulate(args) => Ok(simulate::run(&args)),
        Command::Chaos(args) => chaos::run(&args),
        Command::ChaosWorker(args) => chaos::run_worker(&args).map(|()| ExitCode::SUCCESS),
        Command::Bench(args) => bench::run(&args),
        Command::BenchWorker(args) => bench::run_worker(&args).map(|()| ExitCode::SUCCESS),
        Command::Limits(args) => limits::run(&args),
        Command::LimitsWorker(args) => limits::run_worker(&args).map(|()| ExitCode::SUCCESS),
    }
}
