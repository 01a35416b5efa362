//! One list of delivery cases, run on every backend: the broker in memory, librdkafka's mock cluster, real Kafka.
//!
//! | file | has |
//! |---|---|
//! | `case`, `case/…` | the cases, written once |
//! | `stage` | what a case can do to a runtime and its broker: [`stage::Stage`], [`stage::Fault`] |
//! | `handler` | the handler of most cases, driven by the values of records |
//! | `memory`, `embedded`, `real` | the backends |
//! | `service` | what the two with librdkafka share |
//! | `difference` | what differs between them: declared, printed, checked |

mod case;
mod difference;
mod embedded;
mod handler;
mod memory;
mod real;
mod service;
mod stage;

use std::process::ExitCode;

use test_support::{KafkaCluster, Suite};
use tracing_subscriber::EnvFilter;

use crate::case::{CASES, Case};
use crate::difference::{Backend, How};

fn main() -> ExitCode {
    // Errors only, unless RUST_LOG says otherwise; also keeps the start table off standard error.
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let mut suite = Suite::new(real::cluster()).local_test(
        "the_declared_differences_are_those_of_the_cases_and_of_the_document",
        difference::check,
    );
    for case in CASES {
        let Case { name, is_hurting } = *case;
        for backend in [Backend::Memory, Backend::Embedded, Backend::Real] {
            let full = format!("{backend}::{name}");
            let on_cluster = async move |cluster: &KafkaCluster| real::play(case, cluster).await;
            suite = match backend {
                Backend::Memory => suite.local_test(full, move || memory::play(name)),
                Backend::Embedded => suite.local_test(full, move || embedded::play(name)),
                Backend::Real if is_hurting => suite.rig_test(full, on_cluster),
                Backend::Real => suite.test(full, on_cluster),
            };
            suite = match difference::of(backend, name) {
                Some(declared) if declared.how == How::NotRun => suite.ignore(declared.text()),
                Some(declared) => suite.remark(declared.how.to_string()),
                None => suite,
            };
        }
    }
    // Not on standard output, which tools read that ask for the list of tests.
    let _ = difference::print(&mut std::io::stderr());
    suite.run()
}
