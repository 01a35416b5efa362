//! What the engine costs for each record: the ways that this project's own tool measures (feature `costs`, for
//! `cargo run --release -p kafka-runtime-benches`). Not part of the public interface.
//!
//! A way is a function that takes written records until so many in all are through. It runs in one thread and reads no
//! clock to decide anything, so two calls differ by the same instructions and allocations on any day.

mod absent;
mod client;
mod copies;
mod service;

use std::sync::Arc;
use std::time::Duration;

use self::client::Client;
use self::copies::Copies;
use self::service::Service;
use crate::client::{Consumer, RecordSink};
use crate::handler::Handler;
use crate::record::{Offset, RawRecord};

/// The topic of all records.
pub const TOPIC: &str = "auth.public.users";
/// Its partitions.
const PARTITIONS: i32 = 8;
/// Records of one partition in a row: a fetch brings up to 1 MiB of it, about 1,300 change events.
const FETCH: usize = 1300;
/// Records of one poll, as the engine asks for them.
const MOST: usize = 512;

/// Takes records until so many in all are through.
pub type Way = Box<dyn FnMut(usize) -> anyhow::Result<()>>;

/// Records that were written to a topic before, in the order in which a client brings them.
#[derive(Debug)]
pub struct Written(Vec<Stored>);

#[derive(Debug)]
struct Stored {
    partition: i32,
    offset: Offset,
    key: Vec<u8>,
    value: Arc<[u8]>,
}

impl Written {
    /// Writes records with a key and a value: each to the partition of its key, as a producer does.
    pub fn new(records: impl IntoIterator<Item = (Vec<u8>, Arc<[u8]>)>) -> Self {
        let mut next = [0_i64; PARTITIONS as usize];
        let mut written: Vec<_> = records
            .into_iter()
            .map(|(key, value)| {
                let partition = partition_of(&key);
                let offset = &mut next[usize::try_from(partition).unwrap_or_default()];
                *offset += 1;
                Stored {
                    partition,
                    offset: Offset(*offset - 1),
                    key,
                    value,
                }
            })
            .collect();
        // Records come at the rate at which they were written, a fetch of each partition after the other.
        for block in written.chunks_mut(FETCH * PARTITIONS as usize) {
            block.sort_by_key(|record| record.partition);
        }
        Self(written)
    }
}

/// FNV-1a: the engine's own hash would give all keys of a partition to a few of its lanes.
fn partition_of(key: &[u8]) -> i32 {
    let hash = key.iter().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    });
    i32::try_from(hash % PARTITIONS.unsigned_abs()).unwrap_or_default()
}

/// The client alone: what it lends is looked at by nobody.
pub fn client(written: Written) -> Way {
    struct Nobody;

    impl RecordSink for Nobody {
        fn record(&mut self, record: &RawRecord<'_>) {
            std::hint::black_box(record);
        }
    }

    polled(written, Nobody, |_| ())
}

/// The client, and the copy of what it lends into batches, which are dropped.
pub fn copy(written: Written) -> Way {
    polled(written, Copies::new(PARTITIONS), Copies::finish)
}

/// The engine with a handler, until everything is stored.
///
/// # Errors
/// There is no runtime for its lanes.
pub fn engine(written: Written, handler: &Handler) -> anyhow::Result<Way> {
    let mut service = Service::start(written, handler)?;
    Ok(Box::new(move |until| service.go_on(until)))
}

fn polled<S: RecordSink + 'static>(
    written: Written,
    mut sink: S,
    mut after_poll: impl FnMut(&mut S) + 'static,
) -> Way {
    let (mut client, asked) = Client::new(written);
    Box::new(move |until| {
        asked.lend(until)?;
        while client.lent() < until {
            client.poll(Duration::ZERO, MOST, &mut sink);
            after_poll(&mut sink);
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::record::Record;

    fn written(records: usize) -> Written {
        Written::new((0..records).map(|n| {
            let key = (n % 100).to_string().into_bytes();
            (key, Arc::from(&b"value"[..]))
        }))
    }

    #[test]
    fn every_way_goes_exactly_as_far_as_it_is_told() {
        let called = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&called);
        let handler = Handler::new(TOPIC, move |_: Record| {
            counter.fetch_add(1, Ordering::Relaxed);
            std::future::ready(())
        });
        let mut way = engine(written(5000), &handler).unwrap();

        way(2000).unwrap();
        assert_eq!(called.load(Ordering::Relaxed), 2000);
        way(5000).unwrap();
        assert_eq!(called.load(Ordering::Relaxed), 5000);

        for mut way in [client(written(3000)), copy(written(3000))] {
            way(1000).unwrap();
            way(3000).unwrap();
        }
    }

    #[test]
    fn more_than_there_is_cannot_be_taken() {
        assert!(client(written(10))(11).is_err());
    }

    #[test]
    fn a_handler_that_never_ends_is_told() {
        let handler = Handler::new(TOPIC, |_: Record| std::future::pending::<()>());

        assert!(engine(written(10), &handler).unwrap()(10).is_err());
    }
}
