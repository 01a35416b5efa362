//! `harness cdc`: the real way of a change, from PostgreSQL through Debezium to Kafka.

mod capture;
mod case;
mod configuration;
mod demo;
mod golden;

use clap::{Args, Subcommand};

/// Run PostgreSQL, Kafka and Debezium on 127.0.0.1 until Ctrl-C.
///
/// Two tables, users and orders, of a database auth are followed by Debezium's connector: their changes are in the topics
/// auth.public.users and auth.public.orders. Needs the programs of a PostgreSQL server, Java 17, and Maven the first time:
/// it fetches the jars into ~/.cache/kafka-runtime. The ports are free ones; the lines to export go to standard output,
/// everything else to standard error. The data is removed at the end.
#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Example:
  harness cdc
  psql \"$DATABASE_URL\"   # in another terminal, after the lines that were printed"
)]
pub(crate) struct CdcArgs {
    #[command(flatten)]
    demo: demo::DemoArgs,

    #[command(subcommand)]
    command: Option<CdcCommand>,
}

#[derive(Subcommand)]
enum CdcCommand {
    Capture(capture::CaptureArgs),
}

pub(crate) fn run(args: &CdcArgs) -> anyhow::Result<()> {
    match &args.command {
        Some(CdcCommand::Capture(args)) => capture::run(args),
        None => demo::run(&args.demo),
    }
}
