//! Counts what was handled, and tells when it is all.

use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::{Deserialize, Serialize};

use crate::bench::event::{BorrowedUser, User, checksum};
use crate::clock::{self, Nanos};

/// The line that an arm prints when it has handled all records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) records: u64,
    pub(crate) checksum: u64,
    /// When the program began, and the first and the last record were handled: of the monotonic clock.
    pub(crate) started_ns: Nanos,
    pub(crate) first_ns: Nanos,
    pub(crate) last_ns: Nanos,
    /// When all but the last tenth of the records were handled: under order by key, the hottest key may come last.
    #[serde(default)]
    pub(crate) bulk_ns: Nanos,
}

#[derive(Debug)]
pub(crate) struct Tally {
    records: u64,
    started: Nanos,
    first: AtomicU64,
    bulk: AtomicU64,
    count: AtomicU64,
    checksum: AtomicU64,
}

impl Tally {
    pub(crate) fn new(records: u64) -> Self {
        Self {
            records,
            started: clock::now(),
            first: AtomicU64::new(0),
            bulk: AtomicU64::new(0),
            count: AtomicU64::new(0),
            checksum: AtomicU64::new(0),
        }
    }

    pub(crate) fn row(&self, user: Option<&User>) {
        self.add(user.map_or(0, |user| {
            checksum(user.id, &user.email, &user.name, user.version)
        }));
    }

    pub(crate) fn borrowed_row(&self, user: Option<&BorrowedUser<'_>>) {
        self.add(user.map_or(0, |user| {
            checksum(user.id, user.email, user.name, user.version)
        }));
    }

    /// Takes note that a record was handled.
    pub(crate) fn add(&self, checksum: u64) {
        self.checksum.fetch_add(checksum, Relaxed);
        let count = self.count.fetch_add(1, Relaxed) + 1;
        if count == 1 {
            self.first.store(clock::now(), Relaxed);
        }
        if count == self.records - self.records / 10 {
            self.bulk.store(clock::now(), Relaxed);
        }
        if count == self.records {
            self.tell();
        }
    }

    #[expect(clippy::print_stdout, reason = "it is the result")]
    fn tell(&self) {
        let done = Done {
            records: self.records,
            checksum: self.checksum.load(Relaxed),
            started_ns: self.started,
            first_ns: self.first.load(Relaxed),
            bulk_ns: self.bulk.load(Relaxed),
            last_ns: clock::now(),
        };
        println!("{}", serde_json::to_string(&done).unwrap_or_default());
        let _ = std::io::stdout().flush();
    }
}
