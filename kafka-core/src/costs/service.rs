//! A real engine with its lanes, in one thread, on a clock that goes by rounds.

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use super::absent::Absent;
use super::client::{Asked, Client};
use super::{TOPIC, Written};
use crate::client::Cluster;
use crate::config::Config;
use crate::engine::backpressure::Budget;
use crate::engine::monitor::Monitor;
use crate::engine::poll::{Command, Engine, EngineConfig, Parts};
use crate::engine::pulse::Pulse;
use crate::engine::route::{FirstError, GroupServices, Routes};
use crate::engine::spawn::Spawner;
use crate::error::ClientError;
use crate::extract::Services;
use crate::failure::dead_letter::{DeadLetters, WriteRoom};
use crate::failure::retry_topic::MOST_PARKED;
use crate::handler::Handler;
use crate::observe::Observers;
use crate::producer::ProducerClient;
use crate::start::activate;

const GROUP: &str = "costs";
/// So long a round takes on the engine's clock: what is done every 100 ms is done once for 25,600 records, at any speed of
/// the machine.
const ROUND: Duration = Duration::from_millis(2);
/// The same once all records are lent: everything that is due is done.
const LAST_ROUND: Duration = Duration::from_secs(1);
/// A member that is measured may be as slow as it is: the lanes compare the rounds with the time of day.
const SESSION: Duration = Duration::from_hours(24);
/// With 8 partitions each has one lane.
const CORES: usize = 2;
/// After so many rounds in which nothing was stored, nothing will be.
const PATIENCE: usize = 1000;

pub(super) struct Service {
    runtime: Runtime,
    engine: Engine,
    failed: Arc<FirstError>,
    asked: Arc<Asked>,
    now: Instant,
    /// An engine that nobody can tell anything any more stops.
    _commands: Sender<Command>,
}

impl Service {
    pub(super) fn start(written: Written, handler: &Handler) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        let (client, asked) = Client::new(written);
        let config = Config::default();
        let failed = Arc::new(FirstError::default());
        let mut routes = Routes::of_group(&GROUP.into());
        routes.add_topic(TOPIC.into(), activate(handler, None));
        let producer: Arc<dyn ProducerClient> = Arc::new(Absent);
        let cluster: Arc<dyn Cluster> = Arc::new(Absent);
        let (engine, commands) = Engine::new(Parts {
            consumer: Box::new(client),
            config: EngineConfig {
                budget: Budget {
                    records: config.max_in_flight_records,
                    bytes: config.max_in_flight_bytes,
                },
                drain_timeout: config.drain_timeout,
                shutdown_grace: config.shutdown_grace,
                cores: CORES,
                on_out_of_range: config.on_out_of_range,
                session_timeout: SESSION,
                heartbeat_interval: config.heartbeat_interval_or_default(),
                commit_interval: config.commit_interval,
                is_told_of_silence: true,
                most_parked: MOST_PARKED,
            },
            group: GroupServices {
                group_id: GROUP.into(),
                services: Arc::new(Services::default()),
                dead_letters: Arc::new(DeadLetters {
                    producer,
                    cluster,
                    observers: Observers::default(),
                    error_text: false,
                    created: tokio::sync::Mutex::default(),
                    room: WriteRoom::default(),
                    group_id: GROUP.into(),
                    failed: Arc::clone(&failed),
                }),
                observers: Observers::default(),
                failed: Arc::clone(&failed),
                pulse: Arc::new(Pulse::new(SESSION)),
                max_call_age: config.max_call_age,
            },
            routes,
            spawner: Spawner::Tokio(runtime.handle().clone()),
            monitor: Arc::new(Monitor::new(GROUP.into())),
            retry_consumer: Box::new(|| Err(ClientError::Unsupported("retry topics".to_owned()))),
            flush: Box::new(|_| {}),
        });
        Ok(Self {
            runtime,
            engine,
            failed,
            asked,
            now: Instant::now(),
            _commands: commands,
        })
    }

    /// Handles records until so many in all are stored.
    pub(super) fn go_on(&mut self, until: usize) -> anyhow::Result<()> {
        self.asked.lend(until)?;
        let (mut stored, mut rounds) = (self.asked.stored(), 0);
        while stored < until {
            self.round()?;
            rounds += 1;
            if self.asked.stored() > stored {
                (stored, rounds) = (self.asked.stored(), 0);
            }
            anyhow::ensure!(rounds < PATIENCE, "{stored} of {until} records are stored");
        }
        Ok(())
    }

    fn round(&mut self) -> anyhow::Result<()> {
        self.engine.poll(self.now);
        let engine = &self.engine;
        self.runtime.block_on(async {
            loop {
                // Every lane that was woken has its turn.
                tokio::task::yield_now().await;
                if !engine.is_ahead() {
                    break;
                }
            }
        });
        self.now += if self.asked.is_dry() {
            LAST_ROUND
        } else {
            ROUND
        };
        self.engine.advance(self.now);
        self.failed.take().map_or(Ok(()), |error| Err(error.into()))
    }
}
