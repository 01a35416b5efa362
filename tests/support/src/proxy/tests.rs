//! The faults of a proxy, on a server that sends back what it gets.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::{ApiKey, Counters, Direction, Proxy, batch};
use crate::RigError;

/// How long something may take that is to happen.
const LIMIT: Duration = Duration::from_secs(10);

/// How long nothing happens that is not to happen.
const SILENCE: Duration = Duration::from_millis(100);

type TestResult = Result<(), Box<dyn std::error::Error>>;

/// A server that answers each request: the correlation id, and then what followed it.
struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<ApiKey>>>,
}

impl Server {
    fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let seen = Arc::<Mutex<Vec<ApiKey>>>::default();
        let server = Self {
            address,
            seen: Arc::clone(&seen),
        };
        // Threads that nobody joins: they end with the test's process.
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let seen = Arc::clone(&seen);
                thread::spawn(move || answer(client, &seen));
            }
        });
        Ok(server)
    }

    fn seen(&self) -> Vec<ApiKey> {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

fn answer(mut client: TcpStream, seen: &Mutex<Vec<ApiKey>>) -> io::Result<()> {
    loop {
        let request = read_frame(&mut client)?;
        let key = ApiKey(i16::from_be_bytes([request[0], request[1]]));
        seen.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(key);
        write_frame(&mut client, &request[4..])?;
    }
}

fn read_frame(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut frame = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut frame)?;
    Ok(frame)
}

fn write_frame(stream: &mut TcpStream, frame: &[u8]) -> io::Result<()> {
    let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
    stream.write_all(&[&length.to_be_bytes(), frame].concat())
}

/// A client of the server, through the proxy.
struct Client {
    stream: TcpStream,
    correlation_id: i32,
}

impl Client {
    fn connect(proxy: &Proxy) -> io::Result<Self> {
        let stream = TcpStream::connect(proxy.bootstrap_servers())?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LIMIT))?;
        let correlation_id = 0;
        Ok(Self {
            stream,
            correlation_id,
        })
    }

    fn send(&mut self, key: ApiKey, body: &[u8]) -> io::Result<()> {
        self.correlation_id += 1;
        let header = [&key.0.to_be_bytes()[..], &[0, 0]].concat();
        let id = self.correlation_id.to_be_bytes();
        write_frame(&mut self.stream, &[&header, &id[..], body].concat())
    }

    /// Returns the body of the next answer.
    fn receive(&mut self) -> io::Result<Vec<u8>> {
        Ok(read_frame(&mut self.stream)?.split_off(4))
    }

    fn ask(&mut self, key: ApiKey, body: &[u8]) -> io::Result<Vec<u8>> {
        self.send(key, body)?;
        self.receive()
    }

    fn hears_nothing(&mut self) -> io::Result<bool> {
        self.hears_nothing_for(SILENCE)
    }

    fn hears_nothing_for(&mut self, time: Duration) -> io::Result<bool> {
        self.stream.set_read_timeout(Some(time))?;
        let read = self.stream.peek(&mut [0]);
        self.stream.set_read_timeout(Some(LIMIT))?;
        Ok(read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock))
    }

    /// Returns how the connection ended: `None` for an orderly close.
    fn ended(&mut self) -> io::Result<Option<io::ErrorKind>> {
        match self.stream.read(&mut [0]) {
            Ok(0) => Ok(None),
            Ok(_) => Err(io::Error::other("an answer")),
            Err(error) => Ok(Some(error.kind())),
        }
    }
}

const RESET: Option<io::ErrorKind> = Some(io::ErrorKind::ConnectionReset);

fn set_up() -> Result<(Server, Proxy), RigError> {
    let server = Server::start().map_err(RigError::io("start a server"))?;
    let proxy = Proxy::start(0, server.address)?;
    Ok((server, proxy))
}

fn eventually(condition: impl Fn() -> bool) -> Result<(), &'static str> {
    let deadline = Instant::now() + LIMIT;
    while !condition() {
        if Instant::now() >= deadline {
            return Err("still not so");
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

#[test]
fn requests_and_answers_pass_and_are_counted() -> TestResult {
    let (_server, proxy) = set_up()?;
    let mut client = Client::connect(&proxy)?;
    let large = vec![7; 300_000];

    assert_eq!(client.ask(ApiKey::PRODUCE, b"small")?, b"small");
    assert_eq!(client.ask(ApiKey::PRODUCE, &large)?, large);
    assert_eq!(client.ask(ApiKey::METADATA, b"")?, b"");

    let counters = proxy.counters();
    assert_eq!(counters.connections, 1);
    assert_eq!(counters.requests(ApiKey::PRODUCE), 2);
    assert_eq!(counters.requests(ApiKey::METADATA), 1);
    assert_eq!(counters.bytes.to_broker, 3 * 12 + 5 + 300_000);
    // Counted when delivered, and the client may be faster than that.
    eventually(|| proxy.counters().bytes.to_client == 3 * 8 + 5 + 300_000)?;
    Ok(())
}

#[test]
fn a_delay_keeps_the_order() -> TestResult {
    let (_server, proxy) = set_up()?;
    let mut client = Client::connect(&proxy)?;
    for direction in Direction::BOTH {
        proxy.delay(direction, Duration::from_millis(60));
    }

    let begun = Instant::now();
    for number in 0..20 {
        client.send(ApiKey::PRODUCE, &[number])?;
    }
    let answers: Vec<_> = (0..20)
        .map(|_| client.receive())
        .collect::<Result<_, _>>()?;

    assert!(answers.concat().into_iter().eq(0..20));
    let took = begun.elapsed();
    // Once each way, not once per request.
    assert!(took >= Duration::from_millis(120), "{took:?}");
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(proxy.counters().delayed.to_broker, 20 * 13);

    proxy.heal();
    client.ask(ApiKey::PRODUCE, b"")?;
    assert_eq!(proxy.counters().delayed.to_broker, 20 * 13);
    Ok(())
}

#[test]
fn a_cut_to_the_broker_swallows_requests() -> TestResult {
    let (server, proxy) = set_up()?;
    let mut client = Client::connect(&proxy)?;
    proxy.cut(Direction::ToBroker);

    client.send(ApiKey::PRODUCE, b"lost")?;

    assert!(client.hears_nothing()?);
    assert_eq!(server.seen(), []);
    assert_eq!(proxy.counters().swallowed.to_broker, 16);
    Ok(())
}

#[test]
fn a_cut_to_the_client_swallows_answers() -> TestResult {
    let (server, proxy) = set_up()?;
    let mut client = Client::connect(&proxy)?;
    proxy.cut(Direction::ToClient);

    client.send(ApiKey::PRODUCE, b"done")?;

    assert!(client.hears_nothing()?);
    assert_eq!(server.seen(), [ApiKey::PRODUCE]);
    assert_eq!(proxy.counters().swallowed.to_client, 12);
    Ok(())
}

#[test]
fn a_mended_cut_resets_only_connections_that_lost_bytes() -> TestResult {
    let (_server, proxy) = set_up()?;
    let (mut talks, mut is_silent) = (Client::connect(&proxy)?, Client::connect(&proxy)?);
    proxy.cut(Direction::ToBroker);
    talks.send(ApiKey::PRODUCE, b"lost")?;
    eventually(|| proxy.counters().swallowed.to_broker > 0)?;

    proxy.mend(Direction::ToBroker);

    assert_eq!(talks.ended()?, RESET);
    assert_eq!(is_silent.ask(ApiKey::PRODUCE, b"a")?, b"a");
    eventually(|| proxy.counters().resets == 1)?;
    Ok(())
}

#[test]
fn a_cut_swallows_the_end_of_a_connection_too() -> TestResult {
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let proxy = Proxy::start(0, server.local_addr()?)?;
    let mut client = Client::connect(&proxy)?;
    let (mut broker_side, _) = server.accept()?;
    proxy.cut(Direction::ToBroker);
    client.send(ApiKey::PRODUCE, b"lost")?;
    eventually(|| proxy.counters().swallowed.to_broker > 0)?;

    drop(client);

    broker_side.set_read_timeout(Some(SILENCE))?;
    assert!(
        broker_side
            .read(&mut [0])
            .is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock)
    );
    proxy.heal();
    broker_side.set_read_timeout(Some(LIMIT))?;
    assert!(
        broker_side
            .read(&mut [0])
            .is_err_and(|e| e.kind() == io::ErrorKind::ConnectionReset)
    );
    Ok(())
}

#[test]
fn new_connections_can_be_refused() -> TestResult {
    let (_server, proxy) = set_up()?;
    let mut before = Client::connect(&proxy)?;
    before.ask(ApiKey::METADATA, b"")?;

    proxy.refuse_connections();
    // The reset may be faster than the end of `connect`.
    let refused = Client::connect(&proxy).and_then(|mut client| client.ended());
    assert!(matches!(refused, Ok(RESET) | Err(_)), "{refused:?}");
    eventually(|| proxy.counters().refused == 1)?;
    assert_eq!(before.ask(ApiKey::METADATA, b"a")?, b"a");

    proxy.accept_connections();
    assert_eq!(Client::connect(&proxy)?.ask(ApiKey::METADATA, b"b")?, b"b");
    Ok(())
}

#[test]
fn a_reset_closes_what_is_open_with_rst() -> TestResult {
    let (_server, proxy) = set_up()?;
    let mut clients = [Client::connect(&proxy)?, Client::connect(&proxy)?];
    for client in &mut clients {
        client.ask(ApiKey::METADATA, b"")?;
    }

    proxy.reset_connections();

    for client in &mut clients {
        assert_eq!(client.ended()?, RESET);
    }
    eventually(|| proxy.counters().resets == 2)?;
    assert_eq!(Client::connect(&proxy)?.ask(ApiKey::METADATA, b"a")?, b"a");
    Ok(())
}

#[test]
fn connections_can_be_reset_after_a_random_time() -> TestResult {
    let (_server, proxy) = set_up()?;
    let mut old = Client::connect(&proxy)?;
    old.ask(ApiKey::METADATA, b"")?;

    let begun = Instant::now();
    proxy.reset_connections_after(Duration::from_millis(50)..=Duration::from_millis(150), 7);
    let mut new = Client::connect(&proxy)?;
    for client in [&mut old, &mut new] {
        assert_eq!(client.ended()?, RESET);
    }
    assert!(begun.elapsed() >= Duration::from_millis(50));
    eventually(|| proxy.counters().resets == 2)?;

    let mut spared = Client::connect(&proxy)?;
    proxy.keep_connections();
    assert!(spared.hears_nothing_for(Duration::from_millis(200))?); // it would be dead by now
    assert_eq!(spared.ask(ApiKey::METADATA, b"a")?, b"a");
    Ok(())
}

#[test]
fn a_held_request_keeps_back_those_behind_it_on_its_connection() -> TestResult {
    let (server, proxy) = set_up()?;
    let (mut holds, mut other) = (Client::connect(&proxy)?, Client::connect(&proxy)?);
    proxy.hold(ApiKey::FETCH);

    assert_eq!(holds.ask(ApiKey::METADATA, b"0")?, b"0");
    holds.send(ApiKey::FETCH, b"1")?;
    holds.send(ApiKey::METADATA, b"2")?;
    assert!(holds.hears_nothing()?);
    assert_eq!(other.ask(ApiKey::HEARTBEAT, b"3")?, b"3");
    assert_eq!(server.seen(), [ApiKey::METADATA, ApiKey::HEARTBEAT]);
    assert_eq!(proxy.counters().held, 1);

    proxy.release(ApiKey::FETCH);
    assert_eq!(holds.receive()?, b"1");
    assert_eq!(holds.receive()?, b"2");
    Ok(())
}

#[test]
fn a_held_request_arrives_although_its_client_left() -> TestResult {
    let (server, proxy) = set_up()?;
    let mut client = Client::connect(&proxy)?;
    proxy.hold(ApiKey::OFFSET_COMMIT);
    client.send(ApiKey::OFFSET_COMMIT, b"")?;
    eventually(|| proxy.counters().held == 1)?;

    drop(client);
    proxy.release(ApiKey::OFFSET_COMMIT);

    eventually(|| server.seen() == [ApiKey::OFFSET_COMMIT])?;
    Ok(())
}

#[test]
fn a_held_connection_can_be_reset() -> TestResult {
    let (server, proxy) = set_up()?;
    let mut client = Client::connect(&proxy)?;
    proxy.hold(ApiKey::FETCH);
    client.send(ApiKey::FETCH, b"")?;
    eventually(|| proxy.counters().held == 1)?;

    proxy.reset_connections();

    assert_eq!(client.ended()?, RESET);
    assert_eq!(server.seen(), []);
    Ok(())
}

#[test]
fn a_connection_is_dropped_at_a_request_that_the_broker_does_not_see() -> TestResult {
    let (server, proxy) = set_up()?;
    proxy.drop_connections_at(ApiKey::JOIN_GROUP, 2);

    for _ in 0..2 {
        let mut client = Client::connect(&proxy)?;
        client.ask(ApiKey::METADATA, b"")?;
        client.send(ApiKey::JOIN_GROUP, b"")?;
        assert_eq!(client.ended()?, None);
    }
    let mut client = Client::connect(&proxy)?;
    assert_eq!(client.ask(ApiKey::JOIN_GROUP, b"a")?, b"a");

    let seen = [ApiKey::METADATA, ApiKey::METADATA, ApiKey::JOIN_GROUP];
    assert_eq!(server.seen(), seen);
    assert_eq!(proxy.counters().requests(ApiKey::JOIN_GROUP), 3);
    eventually(|| proxy.counters().drops == 2)?;
    Ok(())
}

#[test]
fn a_batch_is_spoilt_once_and_only_in_a_fetch_response() -> TestResult {
    let (_server, proxy) = set_up()?;
    let mut client = Client::connect(&proxy)?;
    let response = [b"head", &batch::batch_of(&[5; 1000])[..], b"tail"].concat();
    proxy.flip_fetched(1);

    assert_eq!(client.ask(ApiKey::PRODUCE, &response)?, response);
    assert_eq!(client.ask(ApiKey::FETCH, b"no batch")?, b"no batch");
    let spoilt = client.ask(ApiKey::FETCH, &response)?;
    assert_eq!(client.ask(ApiKey::FETCH, &response)?, response);

    let differ: Vec<_> = (0..response.len())
        .filter(|place| spoilt[*place] != response[*place])
        .collect();
    assert!(matches!(differ[..], [_]), "{differ:?}");
    assert_eq!(spoilt[differ[0]], 4);
    assert_eq!(proxy.counters().flips, 1);
    Ok(())
}

#[test]
fn a_client_is_reset_while_no_broker_is_there() -> TestResult {
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    let proxy = Proxy::start(0, nobody)?;

    let ended = Client::connect(&proxy).and_then(|mut client| client.ended());

    assert!(matches!(ended, Ok(RESET) | Err(_)), "{ended:?}");
    Ok(())
}

#[test]
fn counters_of_several_proxies_add_up() -> TestResult {
    let (_server, proxy) = set_up()?;
    Client::connect(&proxy)?.ask(ApiKey::FETCH, b"")?;
    let counters = proxy.counters();

    let sum: Counters = [counters.clone(), counters].into_iter().sum();

    assert_eq!(sum.connections, 2);
    assert_eq!(sum.requests(ApiKey::FETCH), 2);
    assert_eq!(sum.bytes.to_broker, 24);
    Ok(())
}
