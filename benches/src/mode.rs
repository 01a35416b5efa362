//! What is measured.

use std::fmt;
use std::future::{poll_fn, ready};
use std::hint::black_box;
use std::task::Poll;
use std::time::Duration;

use clap::ValueEnum;
use kafka_core::costs::{TOPIC, Way, client, copy, engine};
use kafka_runtime::{Batch, DatabaseEvent, Handler, Ordering, Raw, Record, registered};
use serde::{Deserialize, Serialize};

use crate::event::{Plain, Row, written};

/// One way of a record, from the client on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mode {
    /// The client alone: the floor of all others.
    Client,
    /// The client, and the copy into batches.
    Copy,
    /// The engine with a handler that reads nothing, records of a key in order.
    Key,
    /// The same, records of a partition in order.
    Partition,
    /// The same, in no order.
    None,
    /// A handler of batches that reads nothing.
    Batch,
    /// The same, and each call waits once: as all that do some work will.
    BatchWaits,
    /// Key order, an envelope and rows of owned serde structs.
    Plain,
    /// Key order, `DatabaseEvent` of an owned row; the old row is not read.
    Event,
    /// Key order, `DatabaseEvent` of a row that borrows from the record.
    Borrowed,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}

impl Mode {
    pub(crate) fn all() -> Vec<Self> {
        Self::value_variants().to_vec()
    }

    /// Returns how often it has to run. Batches that wait keep a map of their keys, which is hashed in another way in each
    /// process: that takes more or less, by 5 %.
    pub(crate) fn runs(self) -> usize {
        if self == Self::BatchWaits { 7 } else { 1 }
    }

    /// Returns its way for so many records that are written already.
    pub(crate) fn way(self, records: usize) -> anyhow::Result<Way> {
        let handler = match self {
            Self::Client => return Ok(client(written(records))),
            Self::Copy => return Ok(copy(written(records))),
            Self::Key => raw(Ordering::Key),
            Self::Partition => raw(Ordering::Partition),
            Self::None => raw(Ordering::None),
            // Whatever is there is a batch: no timer decides.
            Self::Batch => Handler::batch(TOPIC, |records: Batch<Raw>| {
                black_box(&records);
                ready(())
            })
            .linger(Duration::ZERO),
            Self::BatchWaits => Handler::batch(TOPIC, |records: Batch<Raw>| {
                let mut has_waited = false;
                poll_fn(move |cx| {
                    if std::mem::replace(&mut has_waited, true) {
                        black_box(&records);
                        return Poll::Ready(());
                    }
                    cx.waker().wake_by_ref();
                    Poll::Pending
                })
            })
            .linger(Duration::ZERO),
            Self::Plain => Handler::new(TOPIC, |event: Plain| {
                black_box(&event);
                ready(())
            }),
            Self::Event => Handler::new(TOPIC, |event: DatabaseEvent<Row>| {
                black_box(&event);
                ready(())
            }),
            Self::Borrowed => {
                let mut handlers = registered().into_iter();
                let handler = handlers.find(|handler| handler.name() == "borrowed");
                handler.ok_or_else(|| anyhow::anyhow!("the handler `borrowed` is not linked"))?
            }
        };
        engine(written(records), &handler)
    }
}

fn raw(ordering: Ordering) -> Handler {
    Handler::new(TOPIC, |record: Record| async move {
        black_box(&record);
    })
    .ordering(ordering)
}
