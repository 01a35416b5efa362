//! kafka-runtime, with a handler of each kind.

use std::sync::Arc;
use std::time::Duration;

use kafka_runtime::{
    Batch, Config, DatabaseEvent, Handler, Ordering, Outcome, Raw, Retry, Runtime, State,
    topic_handler,
};

use super::WorkerArgs;
use super::tally::Tally;
use crate::bench::arm::Arm;
use crate::bench::event::{BorrowedUser, Envelope, User};
use crate::bench::work::Work;

/// The key whose records always fail.
pub(crate) const FAILING: u64 = 1_000_000_000;

/// They fail for as long as anything is measured.
const RETRY: Retry = Retry {
    attempts: 10_000,
    initial: Duration::from_millis(50),
    max: Duration::from_millis(200),
};

/// Payloads that borrow need the macro; its topic is in the environment of this process.
#[topic_handler("${BENCH_TOPIC}", concurrency = 1000)]
async fn borrowed(
    event: DatabaseEvent<BorrowedUser<'_>>,
    State((tally, work)): State<(Arc<Tally>, Work)>,
) {
    work.run().await;
    tally.borrowed_event(event.after(), event.ts_ns);
}

pub(super) fn run(args: &WorkerArgs, tally: &Arc<Tally>) -> anyhow::Result<()> {
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let mut config = Config::new()
        .bootstrap_servers(args.servers.as_str())
        .ssl(false)
        .group_id(&args.group);
    for (name, value) in args.properties() {
        config = config.property(name, value);
    }
    let builder = Runtime::builder().config(config);
    let builder = match args.arm {
        Arm::Borrowed => builder.state((Arc::clone(tally), args.work)),
        _ => builder.handlers(handlers(args, tally)),
    };
    tokio.block_on(builder.build()?.run())?;
    if let Some(file) = &args.latencies {
        tally.tell_latencies(file);
    }
    Ok(())
}

/// One for the topic, and more for topics of their own.
fn handlers(args: &WorkerArgs, tally: &Arc<Tally>) -> Vec<Handler> {
    let others = other_topics(&args.topic, args.handlers).map(|topic| {
        let args = WorkerArgs {
            topic,
            ..args.clone()
        };
        handler(&args, Arc::clone(tally))
    });
    let one = handler(args, Arc::clone(tally));
    std::iter::once(one).chain(others).collect()
}

/// Returns the topics of the other handlers of a service with so many.
pub(crate) fn other_topics(topic: &str, handlers: usize) -> impl Iterator<Item = String> {
    (2..=handlers).map(move |number| format!("{topic}-{number}"))
}

fn handler(args: &WorkerArgs, tally: Arc<Tally>) -> Handler {
    let (topic, work) = (args.topic.as_str(), args.work);
    let handler = match args.arm {
        Arm::Event => Handler::new(topic, move |event: DatabaseEvent<User>| {
            let tally = Arc::clone(&tally);
            async move {
                work.run().await;
                tally.event(event.after(), event.ts_ns);
            }
        }),
        Arm::Raw => Handler::new(topic, move |_: Raw| {
            let tally = Arc::clone(&tally);
            async move {
                work.run().await;
                tally.add(0);
            }
        }),
        Arm::Batch => Handler::batch(topic, move |batch: Batch<Envelope>| {
            let tally = Arc::clone(&tally);
            async move {
                for event in batch.payloads() {
                    work.run().await;
                    tally.event(event.after.as_ref(), event.ts_ns);
                }
            }
        }),
        _ => Handler::new(topic, move |event: Envelope| {
            let tally = Arc::clone(&tally);
            async move {
                let user = event.after.as_ref();
                if user.is_some_and(|user| user.id == FAILING) {
                    return Outcome::retry("it always does");
                }
                work.run().await;
                tally.event(user, event.ts_ns);
                Outcome::Ack
            }
        })
        .retry(RETRY),
    };
    let handler = match args.arm {
        Arm::Partition => handler.ordering(Ordering::Partition),
        Arm::None => handler.ordering(Ordering::None),
        _ => handler,
    };
    handler.with_name("bench").concurrency(args.concurrency)
}
