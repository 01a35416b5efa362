//! Change data capture end to end: SQL statements in a real PostgreSQL, their events in a real Kafka.
//!
//! All share one pipeline; each has a database and a connector of its own. They run one after the other, since some of
//! them hurt the worker that carries everybody's changes.

mod arrival;
mod columns;
mod filter;
mod form;
mod handlers;
mod message;
mod migration;
mod outage;
mod printed;
mod service;
mod stage;

use std::process::ExitCode;

use test_support::{Pipeline, Suite};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    // Errors only, unless RUST_LOG says otherwise.
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let suite = Suite::new(Pipeline::builder()).one_at_a_time();
    let suite = arrival::add(suite);
    let suite = handlers::add(suite);
    let suite = columns::add(suite);
    let suite = filter::add(suite);
    let suite = form::add(suite);
    let suite = message::add(suite);
    let suite = migration::add(suite);
    let suite = outage::add(suite);
    let suite = printed::add(suite);
    suite.run()
}
