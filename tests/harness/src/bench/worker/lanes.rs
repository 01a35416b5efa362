//! Lanes that one writes by hand: messages are detached and sent to tasks by the hash of their key; what is finished is
//! tracked for each partition, so that nothing is committed past a record that is not.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Message, OwnedMessage};
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::WorkerArgs;
use super::hand_written::config;
use super::tally::Tally;
use crate::bench::event::Envelope;
use crate::bench::work::Work;

/// Messages that wait for their task.
const QUEUED: usize = 20_000;

/// How often offsets are stored.
const STORE: Duration = Duration::from_millis(100);

/// The offsets of a partition that were read and are not finished, and the next one to read.
#[derive(Default)]
struct Tracker {
    open: BTreeSet<i64>,
    next: i64,
}

type Trackers = Arc<Vec<Mutex<Tracker>>>;

pub(super) fn run(args: &WorkerArgs, tally: &Arc<Tally>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let trackers: Trackers = Arc::new((0..256).map(|_| Mutex::default()).collect());
    // Without waiting, more tasks than processors only cost.
    let lanes = match args.work {
        Work::Wait(_) => args.concurrency,
        _ => 8,
    };
    let lanes: Vec<_> = (0..lanes)
        .map(|_| {
            let (send, receive) = mpsc::unbounded_channel();
            let (tally, trackers) = (Arc::clone(tally), Arc::clone(&trackers));
            runtime.spawn(lane(receive, args.work, tally, trackers));
            send
        })
        .collect();
    let room = Arc::new(Semaphore::new(QUEUED));
    let consumer: BaseConsumer = config(args).create()?;
    consumer.subscribe(&[&args.topic])?;
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    let mut stored_at = Instant::now();
    loop {
        if let Some(message) = consumer.poll(Duration::from_millis(10)) {
            let message = message?.detach();
            {
                let mut tracker = lock(&trackers[usize::try_from(message.partition())?]);
                tracker.open.insert(message.offset());
                tracker.next = message.offset() + 1;
            }
            let hash = hasher.hash_one(message.key());
            let lane = usize::try_from(hash % lanes.len() as u64)?;
            let permit = runtime.block_on(Arc::clone(&room).acquire_owned())?;
            lanes[lane].send((message, permit)).ok().context("a lane")?;
        }
        if stored_at.elapsed() >= STORE {
            stored_at = Instant::now();
            store(&consumer, &args.topic, &trackers)?;
        }
    }
}

async fn lane(
    mut messages: mpsc::UnboundedReceiver<(OwnedMessage, OwnedSemaphorePermit)>,
    work: Work,
    tally: Arc<Tally>,
    trackers: Trackers,
) {
    while let Some((message, _permit)) = messages.recv().await {
        let value = message.payload().unwrap_or_default();
        let event: Option<Envelope> = serde_json::from_slice(value).ok();
        work.run().await;
        if let Some(event) = &event {
            tally.event(event.after.as_ref(), event.ts_ns);
        }
        if let Some(tracker) = usize::try_from(message.partition())
            .ok()
            .and_then(|partition| trackers.get(partition))
        {
            lock(tracker).open.remove(&message.offset());
        }
    }
}

fn store(consumer: &BaseConsumer, topic: &str, trackers: &Trackers) -> anyhow::Result<()> {
    let mut list = TopicPartitionList::new();
    for (partition, tracker) in (0..).zip(trackers.iter()) {
        let tracker = lock(tracker);
        let done = tracker.open.first().copied().unwrap_or(tracker.next);
        if done > 0 {
            list.add_partition_offset(topic, partition, Offset::Offset(done))?;
        }
    }
    if list.count() > 0 {
        consumer.store_offsets(&list)?;
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
