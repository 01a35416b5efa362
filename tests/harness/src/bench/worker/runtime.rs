//! kafka-runtime, with a handler of each kind.

use std::sync::Arc;

use kafka_runtime::{
    Batch, Config, DatabaseEvent, Handler, Ordering, Raw, Runtime, State, topic_handler,
};

use super::WorkerArgs;
use super::tally::Tally;
use crate::bench::arm::Arm;
use crate::bench::event::{BorrowedUser, Envelope, User};
use crate::bench::work::Work;

/// Payloads that borrow need the macro; its topic is in the environment of this process.
#[topic_handler("${BENCH_TOPIC}", concurrency = 1000)]
async fn borrowed(
    event: DatabaseEvent<BorrowedUser<'_>>,
    State((tally, work)): State<(Arc<Tally>, Work)>,
) {
    work.run().await;
    tally.borrowed_row(event.after());
}

pub(super) fn run(args: &WorkerArgs, tally: Arc<Tally>) -> anyhow::Result<()> {
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
    let builder = if args.arm == Arm::Borrowed {
        builder.state((tally, args.work))
    } else {
        builder.handlers(vec![handler(args, tally)])
    };
    Ok(tokio.block_on(builder.build()?.run())?)
}

fn handler(args: &WorkerArgs, tally: Arc<Tally>) -> Handler {
    let (topic, work) = (args.topic.as_str(), args.work);
    let handler = match args.arm {
        Arm::Event => Handler::new(topic, move |event: DatabaseEvent<User>| {
            let tally = Arc::clone(&tally);
            async move {
                work.run().await;
                tally.row(event.after());
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
                    tally.row(event.after.as_ref());
                }
            }
        }),
        _ => Handler::new(topic, move |event: Envelope| {
            let tally = Arc::clone(&tally);
            async move {
                work.run().await;
                tally.row(event.after.as_ref());
            }
        }),
    };
    let handler = match args.arm {
        Arm::Partition => handler.ordering(Ordering::Partition),
        Arm::None => handler.ordering(Ordering::None),
        _ => handler,
    };
    handler.with_name("bench").concurrency(args.concurrency)
}
