//! `kafka-runtime`: what operators do to the topics of a service, and what developers have printed, as commands.

mod redrive;
mod rows;
mod time;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// What operators do to the topics of a service, and what its developers need not write.
///
/// Where the brokers are, TLS and SASL come from the same `KAFKA_…` variables as those of the service: docs/CONFIGURATION.md.
#[derive(Parser)]
#[command(name = "kafka-runtime", version, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Redrive(redrive::RedriveArgs),
    Rows(rows::RowsArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // The report tells of every record that was refused, so the log need not; RUST_LOG=kafka_runtime=info is a line for
    // each record.
    let quiet = || EnvFilter::new("warn,kafka_runtime::redrive=off");
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| quiet()))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let result = match cli.command {
        Command::Redrive(args) => redrive::run(args),
        Command::Rows(args) => rows::run(args),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // There is nobody else to tell.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
