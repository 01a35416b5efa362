//! A TCP proxy in front of one broker: does to connections what networks do to them.
//!
//! A broker tells its clients where to find it. The listener of a proxy tells them the proxy's
//! address, so a client that bootstraps through a proxy stays behind one for every broker
//! ([`ClusterBuilder::proxied`](crate::ClusterBuilder::proxied)). The proxy reads where requests
//! and responses begin, and what they ask; it speaks plaintext only.
//!
//! | file | has |
//! |---|---|
//! | `proxy` | [`Proxy`]: the faults to choose from |
//! | `proxy/faults` | what is switched on now |
//! | `proxy/connection` | one client's connection, and the faults as they happen to it |
//! | `proxy/batch` | where in a fetch response a record batch lies |
//! | `proxy/counters` | [`Counters`]: proof that a fault happened |

mod batch;
mod connection;
mod counters;
mod faults;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{self, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use crate::RigError;
use faults::{Faults, RandomResets};

pub use counters::Counters;

/// The proxy of one broker. Its faults may be switched at any time, from any thread, and apply
/// to open connections too; each is counted ([`counters`](Self::counters)). No method blocks.
///
/// The node behind it may be killed and started again: every client connection has a
/// connection to the broker of its own, and ends with it.
///
/// ```no_run
/// # use test_support::{ApiKey, Direction, KafkaCluster, RigError};
/// # use std::time::Duration;
/// # fn example() -> Result<(), RigError> {
/// let cluster = KafkaCluster::builder().nodes(3).proxied(true).start()?;
/// let clients_use = cluster.proxied_bootstrap_servers()?;
///
/// cluster.proxy(2)?.hold(ApiKey::FETCH);
/// for proxy in cluster.proxies() {
///     proxy.delay(Direction::ToClient, Duration::from_millis(200));
/// }
/// # Ok(())
/// # }
/// ```
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
}

/// What the proxy and its connections have in common.
struct Shared {
    broker: SocketAddr,
    /// Every change wakes every connection.
    faults: watch::Sender<Faults>,
    counters: Mutex<Counters>,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Requests, from the client.
    ToBroker,
    /// Responses, from the broker.
    ToClient,
}

impl Direction {
    /// Both of them.
    pub const BOTH: [Self; 2] = [Self::ToBroker, Self::ToClient];
}

/// One of something for each [`Direction`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Both<T> {
    /// That of the way from client to broker.
    pub to_broker: T,
    /// That of the way from broker to client.
    pub to_client: T,
}

impl<T> Both<T> {
    pub(crate) fn of(&self, direction: Direction) -> &T {
        match direction {
            Direction::ToBroker => &self.to_broker,
            Direction::ToClient => &self.to_client,
        }
    }

    pub(crate) fn of_mut(&mut self, direction: Direction) -> &mut T {
        match direction {
            Direction::ToBroker => &mut self.to_broker,
            Direction::ToClient => &mut self.to_client,
        }
    }
}

/// The number by which Kafka's protocol tells requests apart. Any number will do; those that
/// clients send most have names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiKey(pub i16);

#[expect(missing_docs, reason = "Kafka's names")]
impl ApiKey {
    pub const PRODUCE: Self = Self(0);
    pub const FETCH: Self = Self(1);
    pub const LIST_OFFSETS: Self = Self(2);
    pub const METADATA: Self = Self(3);
    pub const OFFSET_COMMIT: Self = Self(8);
    pub const OFFSET_FETCH: Self = Self(9);
    pub const FIND_COORDINATOR: Self = Self(10);
    pub const JOIN_GROUP: Self = Self(11);
    pub const HEARTBEAT: Self = Self(12);
    pub const LEAVE_GROUP: Self = Self(13);
    pub const SYNC_GROUP: Self = Self(14);
    pub const API_VERSIONS: Self = Self(18);
    pub const CREATE_TOPICS: Self = Self(19);
    pub const INIT_PRODUCER_ID: Self = Self(22);
    pub const END_TXN: Self = Self(26);
    pub const TXN_OFFSET_COMMIT: Self = Self(28);
    pub const CONSUMER_GROUP_HEARTBEAT: Self = Self(68);
}

impl Proxy {
    /// Listens on `port` of 127.0.0.1 for clients of `broker`, which need not be there yet.
    pub(crate) fn start(port: u16, broker: SocketAddr) -> Result<Self, RigError> {
        let doing = || RigError::io(format!("start a proxy on port {port}"));
        // A thread of its own: the tests that share a cluster have a runtime each.
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("proxy")
            .enable_all()
            .build()
            .map_err(doing())?;
        let listener = net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(doing())?;
        listener.set_nonblocking(true).map_err(doing())?;
        let address = listener.local_addr().map_err(doing())?;
        let listener = {
            let _entered = runtime.enter();
            TcpListener::from_std(listener).map_err(doing())?
        };
        let shared = Arc::new(Shared {
            broker,
            faults: watch::Sender::new(Faults::default()),
            counters: Mutex::default(),
        });
        runtime.spawn(connection::accept(listener, Arc::clone(&shared)));
        Ok(Self {
            address,
            shared,
            runtime: Some(runtime),
        })
    }

    /// Returns where clients find the proxy.
    pub fn bootstrap_servers(&self) -> String {
        self.address.to_string()
    }

    /// Returns what happened so far.
    pub fn counters(&self) -> Counters {
        self.shared.count(|counters| counters.clone())
    }

    /// Lets every byte of one direction arrive `latency` later than it would, in order. Zero
    /// ends it for the bytes to come.
    pub fn delay(&self, direction: Direction, latency: Duration) {
        self.switch(|faults| *faults.delay.of_mut(direction) = latency);
    }

    /// Swallows what goes one way, ends of connections included, and leaves connections open.
    pub fn cut(&self, direction: Direction) {
        self.switch(|faults| *faults.cut.of_mut(direction) = true);
    }

    /// Ends a [`cut`](Self::cut). Connections that lost bytes to it are reset: TCP delivers no
    /// stream with a hole.
    pub fn mend(&self, direction: Direction) {
        self.switch(|faults| *faults.cut.of_mut(direction) = false);
    }

    /// Resets new connections as soon as they are accepted.
    pub fn refuse_connections(&self) {
        self.switch(|faults| faults.refuse = true);
    }

    /// Ends [`refuse_connections`](Self::refuse_connections).
    pub fn accept_connections(&self) {
        self.switch(|faults| faults.refuse = false);
    }

    /// Closes all connections that are open now, with RST.
    pub fn reset_connections(&self) {
        self.switch(|faults| faults.resets += 1);
    }

    /// Closes each connection with RST when it has lived for a random time, those that are
    /// open counted from now. The same `seed` gives the same times, in the order in which
    /// connections come.
    pub fn reset_connections_after(&self, between: RangeInclusive<Duration>, seed: u64) {
        self.switch(|faults| faults.reset_at_random(Some(RandomResets::new(between, seed))));
    }

    /// Ends [`reset_connections_after`](Self::reset_connections_after).
    pub fn keep_connections(&self) {
        self.switch(|faults| faults.reset_at_random(None));
    }

    /// Keeps requests with this key from the broker until they are
    /// [`release`](Self::release)d. What follows on their connection waits behind them, as
    /// Kafka answers in order. A client that gives up meanwhile does not take its request
    /// back: it arrives late.
    pub fn hold(&self, key: ApiKey) {
        self.switch(|faults| {
            faults.held.insert(key);
        });
    }

    /// Ends [`hold`](Self::hold): what was held goes on to the broker.
    pub fn release(&self, key: ApiKey) {
        self.switch(|faults| {
            faults.held.remove(&key);
        });
    }

    /// Closes the connection at each of the next `times` requests with this key, before the
    /// broker sees them. `u64::MAX` is for ever, 0 ends it.
    pub fn drop_connections_at(&self, key: ApiKey, times: u64) {
        self.switch(|faults| {
            faults.drops.insert(key, times);
        });
    }

    /// Flips a bit of the first record batch of the next `times` fetch responses that have a
    /// whole one, so that its checksum is wrong; 0 ends it. A client of librdkafka notices
    /// only with `check.crcs=true`, which is not its default. It then goes on reading at a
    /// wrong place of the response (2.12.1, `rd_kafka_msgset_reader_v2`), which may cost it
    /// all records of the response if the batch has some kilobytes.
    pub fn flip_fetched(&self, times: u64) {
        self.switch(|faults| faults.flips = times);
    }

    /// Ends all faults, see [`mend`](Self::mend) and [`release`](Self::release).
    pub fn heal(&self) {
        self.switch(Faults::end);
    }

    fn switch(&self, change: impl FnOnce(&mut Faults)) {
        self.shared.faults.send_modify(change);
    }
}

impl Shared {
    fn count<T>(&self, change: impl FnOnce(&mut Counters) -> T) -> T {
        // A panic while it was held leaves nothing half done.
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut counters)
    }

    /// Asks the faults for something that they have a limited number of.
    fn take<T>(&self, taking: impl FnOnce(&mut Faults) -> T) -> Option<T> {
        let mut taken = None;
        self.faults.send_if_modified(|faults| {
            taken = Some(taking(faults));
            false // of no interest to others
        });
        taken
    }
}

impl Drop for Proxy {
    /// Without waiting: it may be dropped within a runtime, where that is not allowed.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("address", &self.address)
            .field("broker", &self.shared.broker)
            .field("faults", &*self.shared.faults.borrow())
            .finish_non_exhaustive()
    }
}
