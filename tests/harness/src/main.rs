//! `harness`: commands for working on kafka-runtime.

mod kafka;

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
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Kafka(args) => kafka::run(&args),
    }
}
