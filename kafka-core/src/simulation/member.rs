//! A member of the simulated group: a real engine with a handler that does what the world says.

use std::collections::BTreeSet;
use std::sync::mpsc::Sender;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::executor::TaskQueue;
use super::random::Random;
use super::setup::Setup;
use super::world::{
    Attempt, Check, DEAD, End, GROUP, Kind, RETRY_GROUP, SECRET, SECRET_NUMBER, SharedWorld, TOPIC,
};
use crate::client::Cluster;
use crate::client::memory::MemberId;
use crate::decode_error::DecodeError;
use crate::engine::backpressure::Load;
use crate::engine::monitor::{GroupState, Monitor};
use crate::engine::poll::{Command, Engine, EngineConfig, Parts};
use crate::engine::pulse::Pulse;
use crate::engine::route::{FirstError, GroupServices, Routes};
use crate::engine::spawn::Spawner;
use crate::extract::{FromBatchContext, HandlerContext, Services};
use crate::failure::dead_letter::{DeadLetters, WriteRoom};
use crate::observe::{Event, Observer, Observers};
use crate::producer::ProducerClient;
use crate::record::TopicPartition;
use crate::start::activate;
use crate::{
    Batch, BatchOutcome, BatchRecord, BoxError, CancellationToken, Handler, Json, PermanentError,
    RecordMetadata,
};

/// A call that runs for longer must be reported.
pub(super) const MAX_CALL_AGE: Duration = Duration::from_secs(6);
/// By then.
pub(super) const REPORT_MARGIN: Duration = Duration::from_secs(1);
/// Beyond the grace: calls that were cancelled get a moment, producers are flushed, the member leaves.
const STOP_MARGIN: Duration = Duration::from_secs(2);

pub(super) struct SimMember {
    pub(super) id: MemberId,
    /// Its client for retry topics, once it has one.
    pub(super) retry_id: Arc<OnceLock<MemberId>>,
    engine: Option<Engine>,
    queue: TaskQueue,
    commands: Sender<Command>,
    pub(super) monitor: Arc<Monitor>,
    failed: Arc<FirstError>,
    pub(super) world: SharedWorld,
    /// What the coordinator gave it.
    pub(super) owned: BTreeSet<TopicPartition>,
    /// What the coordinator wants back.
    pub(super) revoking: BTreeSet<TopicPartition>,
    /// The coordinator counts it as a member.
    pub(super) is_valid: bool,
    pub(super) is_suspended: bool,
    stop_since: Option<Instant>,
    has_polled: bool,
}

pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl SimMember {
    pub(super) fn join(world: &SharedWorld) -> Self {
        let (setup, broker) = {
            let world = world.lock();
            (world.setup.clone(), world.broker.clone())
        };
        let (id, consumer) = broker.join(GROUP);
        broker.member(id).set_eager(setup.is_eager);
        let queue = TaskQueue::default();
        let monitor = Arc::new(Monitor::new(GROUP.into()));
        let failed = Arc::new(FirstError::default());
        let observers = Observers::new(vec![Arc::new(Watcher {
            world: world.clone(),
            member: id,
        })]);
        let handler = handler(&setup, world, id);
        let mut routes = Routes::default();
        routes.add_topic(TOPIC.into(), activate(&handler, Some(DEAD.into())));
        let retry_broker = broker.clone();
        let retry_id = Arc::new(OnceLock::new());
        let joined = Arc::clone(&retry_id);
        let producer: Arc<dyn ProducerClient> = Arc::new(broker.clone());
        let cluster: Arc<dyn Cluster> = Arc::new(broker);
        let (engine, commands) = Engine::new(Parts {
            consumer,
            config: EngineConfig {
                budget: setup.budget,
                drain_timeout: setup.drain_timeout,
                shutdown_grace: setup.shutdown_grace,
                cores: setup.cores,
                on_out_of_range: crate::OutOfRange::Fail,
                session_timeout: setup.session_timeout,
                heartbeat_interval: Duration::from_secs(3),
                commit_interval: Duration::from_secs(1),
                is_told_of_silence: true,
                most_parked: setup.most_parked,
            },
            group: GroupServices {
                group_id: GROUP.into(),
                services: Arc::new(Services::default()),
                dead_letters: Arc::new(DeadLetters {
                    producer,
                    cluster,
                    observers: observers.clone(),
                    error_text: false,
                    created: tokio::sync::Mutex::default(),
                    room: WriteRoom::default(),
                    group_id: GROUP.into(),
                    failed: Arc::clone(&failed),
                }),
                observers,
                failed: Arc::clone(&failed),
                pulse: Arc::new(Pulse::new(setup.session_timeout)),
                max_call_age: MAX_CALL_AGE,
            },
            routes,
            spawner: Spawner::Queue(queue.clone()),
            monitor: Arc::clone(&monitor),
            retry_consumer: Box::new(move || {
                let (id, consumer) = retry_broker.join(RETRY_GROUP);
                let _ = joined.set(id);
                // The whole assignment each time.
                retry_broker.member(id).set_eager(true);
                let most = setup.slow_scans.then_some(1);
                retry_broker
                    .member(id)
                    .set_faults(|faults| faults.most = most);
                Ok(consumer)
            }),
            flush: Box::new(|_| {}),
        });
        Self {
            id,
            retry_id,
            engine: Some(engine),
            queue,
            commands,
            monitor,
            failed,
            world: world.clone(),
            owned: BTreeSet::new(),
            revoking: BTreeSet::new(),
            is_valid: true,
            is_suspended: false,
            stop_since: None,
            has_polled: false,
        }
    }

    pub(super) fn is_gone(&self) -> bool {
        self.engine.is_none()
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stop_since.is_some()
    }

    /// Can it work at all?
    pub(super) fn is_up(&self) -> bool {
        !self.is_gone() && !self.is_suspended
    }

    pub(super) fn tell(&self, command: Command) {
        let _ = self.commands.send(command);
    }

    pub(super) fn stop(&mut self) {
        self.tell(Command::Stop);
        self.stop_since.get_or_insert(now());
    }

    /// Commits what it stored, as its clients do by themselves.
    pub(super) fn commit(&self) {
        let broker = self.world.lock().broker.clone();
        broker.member(self.id).commit();
        if let Some(retry_id) = self.retry_id.get() {
            broker.member(*retry_id).commit();
        }
    }

    /// Runs one of its tasks; false if none is ready.
    pub(super) fn run_one(&mut self, random: &mut Random) -> bool {
        self.is_up() && self.queue.run_one(random)
    }

    /// Goes on with its poll thread: half a round.
    pub(super) fn half_round(&mut self) {
        let Some(engine) = self.engine.as_mut().filter(|_| !self.is_suspended) else {
            return;
        };
        if !self.has_polled {
            engine.poll(now());
            self.has_polled = true;
            self.world.lock().had_round(self.id);
            return;
        }
        self.has_polled = false;
        let held = self.world.lock().broker.member(self.id).assigned();
        let is_done = engine.advance(now());
        self.check_memory();
        let late = self.stop_since.map(|since| now() - since);
        let limit = self.world.lock().setup.shutdown_grace + STOP_MARGIN;
        if late.is_some_and(|late| late > limit) {
            self.world.lock().violate(
                Check::Stop,
                format!("member {} still stops after {late:?}", self.id.0),
            );
        }
        if is_done {
            self.leave(&held);
        }
    }

    /// Its engine has come to its end: it leaves the group.
    fn leave(&mut self, held: &[TopicPartition]) {
        let Some(engine) = self.engine.take() else {
            return;
        };
        let error = self.failed.take();
        {
            let mut world = self.world.lock();
            let is_late = self
                .stop_since
                .is_some_and(|since| now() - since >= world.setup.shutdown_grace);
            for at in held {
                world.excuse_if_hindered(self.id, at, is_late);
            }
            if let Some(error) = error {
                world.violate(Check::Stall, format!("member {} ended: {error}", self.id.0));
            }
        }
        engine.leave();
        self.world.lock().counts.stops += 1;
        // What was told to stop ends by itself; what did not goes with the process.
        let mut random = Random::new(0);
        for _ in 0..1000 {
            if !self.queue.run_one(&mut random) {
                break;
            }
        }
        self.queue.close();
    }

    /// Ends it as `kill -9` does.
    pub(super) fn kill(&mut self) {
        drop(self.engine.take());
        self.queue.close();
    }

    /// True if it has nothing to do until somebody or time does something.
    pub(super) fn is_running(&self) -> bool {
        self.is_up() && !self.is_stopping() && self.monitor.state() == GroupState::Running
    }

    fn check_memory(&self) {
        let setup = self.world.lock().setup.clone();
        let broker = self.world.lock().broker.clone();
        let status = self.monitor.status();
        if status.state != GroupState::Running {
            return;
        }
        let parked = self.retry_id.get();
        let parked = parked.map_or(0, |id| broker.member(*id).assigned().len());
        let load = |records| Load { records, bytes: 0 };
        let sources = status.partitions.iter().map(|one| load(one.in_flight));
        // What waits in retry topics is not known here: with it, more is lent than this.
        let loads: Vec<_> = sources
            .chain(std::iter::repeat_n(load(0), parked))
            .collect();
        let share = setup.budget.share(&loads);
        for partition in status.partitions {
            let view = broker.member(self.id);
            let at = &partition.partition;
            // It must read a partition that it was told to give back to its end, but not more of it.
            if share.is_reached(load(partition.in_flight))
                && view.assigned().contains(at)
                && !view.is_paused(at)
                && self.revoking.is_empty()
            {
                let text = format!(
                    "{at}: {} records wait, {share:?}, and it is not paused",
                    partition.in_flight
                );
                self.world.lock().violate(Check::Memory, text);
            }
        }
    }
}

/// Tells the world what the engine says.
struct Watcher {
    world: SharedWorld,
    member: MemberId,
}

impl Observer for Watcher {
    fn observe(&self, event: &Event<'_>) {
        let shown = format!("{event:?}");
        if shown.contains(SECRET) || shown.contains(SECRET_NUMBER) {
            self.world
                .lock()
                .violate(Check::Secrets, "an event shows what is in a record");
        }
        let mut world = self.world.lock();
        world.note(|| format!("member {} says {event:?}", self.member.0));
        match event {
            Event::Skipped {
                record,
                failure: Some(_),
                ..
            } => {
                let at = TopicPartition::new(record.topic(), record.partition());
                world.skipped(self.member, &at, record.offset());
            }
            Event::DeadLettered { record, .. } => {
                let at = TopicPartition::new(record.topic(), record.partition());
                world.dead_lettered(self.member, &at, record.offset());
            }
            Event::Revoked {
                partitions,
                drained_in,
                ..
            } => {
                world.counts.revokes += 1;
                let is_late = *drained_in >= world.setup.drain_timeout;
                for at in *partitions {
                    world.excuse_if_hindered(self.member, at, is_late);
                    world.fenced(self.member, at);
                }
            }
            Event::Fenced { partitions, .. } => {
                for at in *partitions {
                    world.excuse(at);
                    world.fenced(self.member, at);
                }
            }
            Event::CallHangs {
                partition, offset, ..
            } => world.reported(self.member, partition, *offset),
            Event::BreakerOpened { wait, .. } => world.broke(self.member, Some(*wait)),
            Event::BreakerClosed { .. } => world.broke(self.member, None),
            Event::Lost { partitions, .. } => {
                world.counts.losses += 1;
                for at in *partitions {
                    world.excuse(at);
                    world.end_zombie(self.member, at);
                    world.fenced(self.member, at);
                }
            }
            Event::Parked {
                record, failure, ..
            } => {
                let at = TopicPartition::new(record.topic(), record.partition());
                world.parked(self.member, &at, record.offset(), failure.is_some());
            }
            Event::Assigned { partitions, .. } => {
                for (at, from) in *partitions {
                    world.assigned(self.member, at, *from);
                }
            }
            Event::Paused { .. } => world.counts.pauses += 1,
            _ => {}
        }
    }
}

/// The handler of a member: does what the world says.
fn handler(setup: &Setup, world: &SharedWorld, member: MemberId) -> Handler {
    let handler = match setup.batch {
        None => of_records(world.clone(), member),
        Some(batch) => of_batches(world.clone(), member)
            .batch_size(batch.max)
            .linger(batch.linger),
    };
    let handler = handler
        .ordering(setup.ordering)
        .concurrency(setup.concurrency)
        .retry(setup.retry)
        .breaker(setup.breaker)
        .retry_topics(setup.retry_waits.iter().copied())
        .on_failure(setup.on_failure);
    match setup.timeout {
        Some(timeout) => handler.timeout(timeout),
        None => handler,
    }
}

fn of_records(world: SharedWorld, member: MemberId) -> Handler {
    Handler::new(
        TOPIC,
        move |_: Json<String>, meta: RecordMetadata, cancel: CancellationToken| {
            let attempt = Attempt {
                at: TopicPartition::new(meta.topic(), meta.partition()),
                offset: meta.offset(),
                number: meta.attempt(),
                epoch: meta.epoch(),
            };
            let running = Running::start(&world, member, vec![attempt]).remove(0);
            assert!(
                running.kind != Kind::PanicsAtTheCall || running.failed(),
                "as the world says"
            );
            run_call(running, cancel)
        },
    )
}

/// Which assignment a call belongs to.
struct Epoch(u64);

impl FromBatchContext for Epoch {
    fn from_batch_context(cx: &HandlerContext) -> Result<Self, DecodeError> {
        Ok(Self(cx.epoch()))
    }
}

fn of_batches(world: SharedWorld, member: MemberId) -> Handler {
    Handler::batch(
        TOPIC,
        move |batch: Batch<Json<String>>, Epoch(epoch): Epoch, cancel: CancellationToken| {
            let attempt = |record: &BatchRecord<Json<String>>| Attempt {
                at: TopicPartition::new(batch.topic(), batch.partition()),
                offset: record.offset(),
                number: record.attempt(),
                epoch,
            };
            let all = Running::start(&world, member, batch.iter().map(attempt).collect());
            let panics = |running: &Running| running.kind == Kind::PanicsAtTheCall;
            assert!(!all.iter().any(panics) || failed(&all), "as the world says");
            run_batch(all, cancel)
        },
    )
}

async fn run_call(running: Running, cancel: CancellationToken) -> Result<(), BoxError> {
    match running.go_on(&cancel).await {
        How::Well => {
            running.finish(End::Good);
            Ok(())
        }
        How::Badly(error) => {
            running.failed();
            Err(error)
        }
        How::Panics => {
            running.failed();
            as_the_world_says()
        }
    }
}

/// Handles its records one after the other, and tells of them at the end, as a handler with a transaction does.
async fn run_batch(all: Vec<Running>, cancel: CancellationToken) -> Result<BatchOutcome, BoxError> {
    let mut outcome = BatchOutcome::ok();
    let mut bad: Vec<&Running> = Vec::new();
    for (index, running) in all.iter().enumerate() {
        if bad.iter().any(|earlier| running.is_behind(earlier)) {
            running.world.lock().left(running.id);
            outcome.fail(index, "an earlier one of its key failed");
            bad.push(running);
            continue;
        }
        match running.go_on(&cancel).await {
            How::Well => {}
            // Some fail for themselves, some for all.
            How::Badly(error) if running.offset % 3 == 0 => {
                failed(&all);
                return Err(error);
            }
            How::Badly(error) => {
                outcome.fail(index, error);
                bad.push(running);
            }
            How::Panics => {
                failed(&all);
                as_the_world_says()
            }
        }
    }
    for running in &bad {
        running.failed();
    }
    // Those that failed have ended already.
    for running in &all {
        running.finish(End::Good);
    }
    Ok(outcome)
}

/// A call failed for all of its records. Always false.
fn failed(all: &[Running]) -> bool {
    for running in all {
        running.failed();
    }
    if let [first, _, ..] = all {
        first.world.lock().counts.batches_failed += 1;
    }
    false
}

fn as_the_world_says() -> ! {
    #[expect(clippy::panic, reason = "it is what this record is for")]
    {
        panic!("as the world says");
    }
}

/// How an attempt ends.
enum How {
    Well,
    Badly(BoxError),
    Panics,
}

/// An attempt that goes on; dropped before its end, the world learns it.
struct Running {
    world: SharedWorld,
    id: u64,
    kind: Kind,
    offset: i64,
}

impl Running {
    fn start(world: &SharedWorld, member: MemberId, attempts: Vec<Attempt>) -> Vec<Self> {
        let offsets: Vec<_> = attempts.iter().map(|attempt| attempt.offset).collect();
        let started = world.lock().start(member, attempts);
        let running = |((id, kind), offset)| Self {
            world: world.clone(),
            id,
            kind,
            offset,
        };
        started.into_iter().zip(offsets).map(running).collect()
    }

    async fn go_on(&self, cancel: &CancellationToken) -> How {
        match self.kind {
            Kind::Good | Kind::Undecodable | Kind::PanicsAtTheCall => {}
            Kind::Gated(times) => {
                for _ in 0..times {
                    self.gate().await;
                }
            }
            Kind::Sleeps(time) => tokio::time::sleep(time).await,
            Kind::Hangs => {
                tokio::select! {
                    biased;
                    () = cancel.cancelled() => return How::Badly("cancelled".into()),
                    () = self.gate() => {}
                }
            }
            Kind::HangsDeaf => self.gate().await,
            Kind::Transient(_) => return How::Badly("not now".into()),
            Kind::Permanent => return How::Badly(PermanentError::new("never").into()),
            Kind::Panics => return How::Panics,
        }
        How::Well
    }

    fn finish(&self, end: End) {
        self.world.lock().finish(self.id, end);
    }

    /// Always false.
    fn failed(&self) -> bool {
        self.finish(End::Failed);
        false
    }

    /// True if it waits for an earlier one of its batch.
    fn is_behind(&self, earlier: &Self) -> bool {
        self.world.lock().is_behind(earlier.id, self.id)
    }

    async fn gate(&self) {
        std::future::poll_fn(|cx| self.world.lock().poll_gate(self.id, cx.waker())).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.finish(End::Dropped);
    }
}
