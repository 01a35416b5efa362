//! The public surface against a real Apache Kafka: every test is a service that somebody could have written.
//!
//! All share one broker; those that hurt a broker start their own. A child process ([`shutdown`]) is this very binary,
//! told so by an environment variable.

mod bad_input;
mod batch;
mod common;
mod damage;
mod delivery;
mod failure;
mod handlers;
mod imperative;
mod outage;
mod producer;
mod rebalance;
mod redrive;
mod retry_topics;
mod security;
mod shutdown;
mod startup;
mod too_large;

use std::process::ExitCode;

use test_support::{KafkaCluster, Suite};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    // Errors only, unless RUST_LOG says otherwise; also keeps the start table off standard error.
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    if let Some(exit_code) = shutdown::as_child() {
        return exit_code;
    }
    let suite = Suite::new(KafkaCluster::builder().tls(true));
    let suite = handlers::add(suite);
    let suite = delivery::add(suite);
    let suite = failure::add(suite);
    let suite = redrive::add(suite);
    let suite = retry_topics::add(suite);
    let suite = bad_input::add(suite);
    let suite = batch::add(suite);
    let suite = startup::add(suite);
    let suite = outage::add(suite);
    let suite = damage::add(suite);
    let suite = too_large::add(suite);
    let suite = shutdown::add(suite);
    let suite = rebalance::add(suite);
    let suite = imperative::add(suite);
    let suite = producer::add(suite);
    let suite = security::add(suite);
    suite.run()
}
