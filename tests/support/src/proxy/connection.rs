//! One connection of a client, and the one to the broker that it stands for.
//!
//! Each direction is a reader, which finds where requests and responses begin and does to them
//! what the faults say, and a writer, which delivers each piece when it is due.

use std::collections::HashMap;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use super::faults::Faults;
use super::{ApiKey, Both, Direction, Shared, batch};

/// How much is read at once.
const PIECE: usize = 64 * 1024;

/// How many pieces may be on their way; then the sender waits, as for a full TCP window.
const PIECES: usize = 256;

/// The length that precedes a request or response, and does not count itself.
const LENGTH: usize = 4;

/// Length, API key, API version, correlation id.
const REQUEST_HEADER: usize = 12;

/// Length, correlation id.
const RESPONSE_HEADER: usize = 8;

/// A piece of the stream and when it is due.
type Piece = (Instant, Vec<u8>);

/// Why a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// One side closed it.
    Closed,
    /// The proxy closes it at a request.
    Dropped,
    /// One side reset it, or does not speak Kafka's protocol.
    Broken,
    /// The proxy resets it.
    Reset,
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Broken
    }
}

/// Serves clients until the proxy's runtime ends.
pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((client, _)) => {
                tokio::spawn(serve(client, Arc::clone(&shared)));
            }
            // Of one client that left already, or no descriptor is free for a while.
            Err(_) => sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn serve(mut client: TcpStream, shared: Arc<Shared>) {
    let (is_refused, resets) = {
        let faults = shared.faults.borrow();
        (faults.refuse, faults.resets)
    };
    if is_refused {
        reset_on_drop(&client);
        drop(client);
        shared.count(|counters| counters.refused += 1);
        return;
    }
    shared.count(|counters| counters.connections += 1);
    let Ok(mut broker) = connect(&client, shared.broker).await else {
        reset_on_drop(&client);
        return;
    };
    let connection = Connection {
        shared,
        resets,
        is_holed: Both::default(),
        asked: Mutex::default(),
    };
    let end = {
        let (from_client, to_client) = client.split();
        let (from_broker, to_broker) = broker.split();
        tokio::select! {
            end = connection.pass(Direction::ToBroker, from_client, to_broker) => end,
            end = connection.pass(Direction::ToClient, from_broker, to_client) => end,
            () = connection.is_to_be_reset() => End::Reset,
        }
    };
    if matches!(end, End::Broken | End::Reset) {
        reset_on_drop(&client);
        reset_on_drop(&broker);
    }
    drop((client, broker));
    connection.shared.count(|counters| match end {
        End::Closed | End::Broken => {}
        End::Dropped => counters.drops += 1,
        End::Reset => counters.resets += 1,
    });
}

async fn connect(client: &TcpStream, broker: SocketAddr) -> io::Result<TcpStream> {
    let connected = TcpStream::connect(broker).await?;
    connected.set_nodelay(true)?;
    client.set_nodelay(true)?;
    Ok(connected)
}

/// With nothing to linger for, a close is an RST. It fails only for what is closed already.
fn reset_on_drop(stream: &TcpStream) {
    let _ = stream.set_zero_linger();
}

struct Connection {
    shared: Arc<Shared>,
    /// How many resets of all connections there had been when it came.
    resets: u64,
    /// Whether a cut swallowed bytes of a direction.
    is_holed: Both<AtomicBool>,
    /// What each request under way asks, by its correlation id.
    asked: Mutex<HashMap<i32, ApiKey>>,
}

impl Connection {
    /// Passes on what goes one way, until that side closes or a fault ends it.
    async fn pass(&self, direction: Direction, from: ReadHalf<'_>, to: WriteHalf<'_>) -> End {
        let (queue, pieces) = mpsc::channel(PIECES);
        match tokio::try_join!(
            self.read(direction, from, queue),
            self.write(direction, to, pieces)
        ) {
            Ok(_) => End::Closed,
            Err(end) => end,
        }
    }

    async fn read(
        &self,
        direction: Direction,
        from: ReadHalf<'_>,
        queue: mpsc::Sender<Piece>,
    ) -> Result<(), End> {
        let mut from = BufReader::with_capacity(PIECE, from);
        let end = match direction {
            Direction::ToBroker => self.read_requests(&mut from, &queue).await,
            Direction::ToClient => self.read_responses(&mut from, &queue).await,
        };
        if !matches!(end, Err(End::Dropped | End::Reset)) && self.is_swallowed(direction) {
            return pending().await; // the other side does not learn of the end either
        }
        self.is_whole(direction).and(end)
    }

    async fn read_requests(
        &self,
        from: &mut BufReader<ReadHalf<'_>>,
        queue: &mpsc::Sender<Piece>,
    ) -> Result<(), End> {
        while let Some(header) = read_header::<REQUEST_HEADER>(from).await? {
            let [l0, l1, l2, l3, k0, k1, _, _, c0, c1, c2, c3] = header;
            let rest = rest_of([l0, l1, l2, l3], REQUEST_HEADER)?;
            let key = ApiKey(i16::from_be_bytes([k0, k1]));
            self.shared
                .count(|counters| *counters.requests.entry(key).or_default() += 1);
            if self.shared.take(|faults| faults.take_drop(key)) == Some(true) {
                return Err(End::Dropped);
            }
            self.wait_while_held(key).await;
            let correlation = i32::from_be_bytes([c0, c1, c2, c3]);
            self.asked().insert(correlation, key);
            self.forward(Direction::ToBroker, header.to_vec(), rest, from, queue)
                .await?;
        }
        Ok(())
    }

    async fn read_responses(
        &self,
        from: &mut BufReader<ReadHalf<'_>>,
        queue: &mpsc::Sender<Piece>,
    ) -> Result<(), End> {
        while let Some(header) = read_header::<RESPONSE_HEADER>(from).await? {
            let [l0, l1, l2, l3, correlation @ ..] = header;
            let mut rest = rest_of([l0, l1, l2, l3], RESPONSE_HEADER)?;
            let mut piece = header.to_vec();
            let asked = self.asked().remove(&i32::from_be_bytes(correlation));
            if let Some(key) = asked
                && self.is_swallowed(Direction::ToClient)
            {
                self.shared
                    .count(|counters| *counters.lost.entry(key).or_default() += 1);
            }
            if asked == Some(ApiKey::FETCH) && self.shared.faults.borrow().flips > 0 {
                piece.resize(RESPONSE_HEADER + rest, 0);
                from.read_exact(&mut piece[RESPONSE_HEADER..]).await?;
                rest = 0;
                self.flip(&mut piece);
            }
            self.forward(Direction::ToClient, piece, rest, from, queue)
                .await?;
        }
        Ok(())
    }

    async fn wait_while_held(&self, key: ApiKey) {
        if !self.shared.faults.borrow().held.contains(&key) {
            return;
        }
        self.shared.count(|counters| counters.held += 1);
        let mut faults = self.shared.faults.subscribe();
        // The sender lives as long as this connection.
        let _ = faults.wait_for(|now| !now.held.contains(&key)).await;
    }

    fn flip(&self, response: &mut [u8]) {
        if let Some(place) = batch::amid_records(response)
            && self.shared.take(Faults::take_flip) == Some(true)
        {
            response[place] ^= 1;
            self.shared.count(|counters| counters.flips += 1);
        }
    }

    /// Passes on `piece` and the `rest` bytes that follow it.
    async fn forward(
        &self,
        direction: Direction,
        mut piece: Vec<u8>,
        mut rest: usize,
        from: &mut BufReader<ReadHalf<'_>>,
        queue: &mpsc::Sender<Piece>,
    ) -> Result<(), End> {
        loop {
            if rest > 0 {
                let read = from.fill_buf().await?;
                if read.is_empty() {
                    rest = 0; // and the next header ends it
                }
                let part = &read[..read.len().min(rest)];
                piece.extend_from_slice(part);
                rest -= part.len();
                let read = part.len();
                from.consume(read);
            }
            self.send(direction, std::mem::take(&mut piece), queue)
                .await?;
            if rest == 0 {
                return Ok(());
            }
        }
    }

    async fn send(
        &self,
        direction: Direction,
        piece: Vec<u8>,
        queue: &mpsc::Sender<Piece>,
    ) -> Result<(), End> {
        let length = piece.len() as u64;
        if self.is_swallowed(direction) {
            self.shared
                .count(|counters| *counters.swallowed.of_mut(direction) += length);
            return Ok(());
        }
        self.is_whole(direction)?;
        let delay = *self.shared.faults.borrow().delay.of(direction);
        if !delay.is_zero() {
            self.shared
                .count(|counters| *counters.delayed.of_mut(direction) += length);
        }
        let due = Instant::now() + delay;
        queue.send((due, piece)).await.map_err(|_| End::Broken)
    }

    /// Returns whether what goes this way is lost now, and remembers it.
    fn is_swallowed(&self, direction: Direction) -> bool {
        let faults = self.shared.faults.borrow();
        let is_cut = *faults.cut.of(direction);
        if is_cut {
            // While the faults are borrowed: who mends the cut finds the hole.
            self.is_holed.of(direction).store(true, Ordering::Relaxed);
        }
        is_cut
    }

    /// Errs for a direction that lost bytes: nothing may follow them.
    fn is_whole(&self, direction: Direction) -> Result<(), End> {
        if self.is_holed.of(direction).load(Ordering::Relaxed) {
            return Err(End::Reset);
        }
        Ok(())
    }

    async fn write(
        &self,
        direction: Direction,
        mut to: WriteHalf<'_>,
        mut pieces: mpsc::Receiver<Piece>,
    ) -> Result<(), End> {
        while let Some((due, piece)) = pieces.recv().await {
            // A timer rounds up to a millisecond.
            if due > Instant::now() {
                sleep_until(due).await;
            }
            to.write_all(&piece).await?;
            self.shared
                .count(|counters| *counters.bytes.of_mut(direction) += piece.len() as u64);
        }
        Ok(())
    }

    /// Returns when the faults say that this connection is to be reset.
    async fn is_to_be_reset(&self) {
        let mut changes = self.shared.faults.subscribe();
        let mut seen_draws = 0;
        let mut dies = None;
        loop {
            let (draws, is_over) = {
                let faults = changes.borrow_and_update();
                let is_mended = Direction::BOTH.iter().any(|direction| {
                    self.is_holed.of(*direction).load(Ordering::Relaxed)
                        && !faults.cut.of(*direction)
                });
                (faults.draws, faults.resets != self.resets || is_mended)
            };
            if is_over {
                return;
            }
            if draws != seen_draws {
                seen_draws = draws;
                let lifetime = self.shared.take(Faults::draw_lifetime);
                dies = lifetime.flatten().map(|lifetime| Instant::now() + lifetime);
            }
            let death = async {
                match dies {
                    Some(at) => sleep_until(at).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                _ = changes.changed() => {}
                () = death => return,
            }
        }
    }

    fn asked(&self) -> MutexGuard<'_, HashMap<i32, ApiKey>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the start of the next request or response; `None` when the sender has closed.
async fn read_header<const BYTES: usize>(
    from: &mut BufReader<ReadHalf<'_>>,
) -> Result<Option<[u8; BYTES]>, End> {
    if from.fill_buf().await?.is_empty() {
        return Ok(None);
    }
    let mut header = [0; BYTES];
    from.read_exact(&mut header).await?;
    Ok(Some(header))
}

/// Returns how many bytes follow the header.
fn rest_of(length: [u8; 4], header: usize) -> Result<usize, End> {
    usize::try_from(i32::from_be_bytes(length))
        .ok()
        .and_then(|length| (length + LENGTH).checked_sub(header))
        .ok_or(End::Broken)
}
