//! `harness`: commands for working on kafka-runtime.

mod kafka;
mod simulate;

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
    Simulate(simulate::SimulateArgs),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Kafka(args) => kafka::run(&args),
        Command::Simulate(args) => simulate::run(&args),
    }
}
