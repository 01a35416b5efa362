//! `harness cdc`: the real way of a change, from PostgreSQL through Debezium to Kafka.

mod capture;
mod case;
mod configuration;
mod golden;

use clap::{Args, Subcommand};

/// Run PostgreSQL, Kafka and Debezium on 127.0.0.1, or capture goldens from them.
#[derive(Args)]
pub(crate) struct CdcArgs {
    #[command(subcommand)]
    command: CdcCommand,
}

#[derive(Subcommand)]
enum CdcCommand {
    Capture(capture::CaptureArgs),
}

pub(crate) fn run(args: &CdcArgs) -> anyhow::Result<()> {
    match &args.command {
        CdcCommand::Capture(args) => capture::run(args),
    }
}
