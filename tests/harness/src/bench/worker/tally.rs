//! Counts what was handled, and tells when it is all.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

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
    /// When the first four of five records were handled: under order by key, those of the hottest keys come last.
    #[serde(default)]
    pub(crate) bulk_ns: Nanos,
    /// Processor time of the process when the first and the last record were handled, of the arms that tell it.
    #[serde(default)]
    pub(crate) first_cpu_ns: Nanos,
    #[serde(default)]
    pub(crate) last_cpu_ns: Nanos,
}

/// The line that an arm prints when it has handled its first record.
pub(crate) const READY: &str = "ready";

/// An arm that measures latencies is done when nothing has come for this long.
const QUIET: Duration = Duration::from_millis(2500);

#[derive(Debug)]
pub(crate) struct Tally {
    records: u64,
    started: Nanos,
    first: AtomicU64,
    first_cpu: AtomicU64,
    bulk: AtomicU64,
    count: AtomicU64,
    checksum: AtomicU64,
    /// How long after their time records were handled, in microseconds, if somebody wants to know.
    latencies: Option<Mutex<Vec<u32>>>,
}

impl Tally {
    pub(crate) fn new(records: u64) -> Self {
        Self {
            records,
            started: clock::now(),
            first: AtomicU64::new(0),
            first_cpu: AtomicU64::new(0),
            bulk: AtomicU64::new(0),
            count: AtomicU64::new(0),
            checksum: AtomicU64::new(0),
            latencies: None,
        }
    }

    /// Measures latencies, and writes them to a file when no more records come.
    pub(crate) fn with_latencies(file: PathBuf) -> Arc<Self> {
        let this = Arc::new(Self {
            latencies: Some(Mutex::default()),
            ..Self::new(u64::MAX)
        });
        let told = Arc::clone(&this);
        thread::spawn(move || told.tell_when_quiet(&file));
        this
    }

    /// Takes note of an event; `ts_ns` is when it was due, if latencies are measured.
    pub(crate) fn event(&self, user: Option<&User>, ts_ns: Option<i64>) {
        let user = user.map(|user| (user.id, &*user.email, &*user.name, user.version));
        self.columns(user, ts_ns);
    }

    pub(crate) fn borrowed_event(&self, user: Option<&BorrowedUser<'_>>, ts_ns: Option<i64>) {
        let user = user.map(|user| (user.id, user.email, user.name, user.version));
        self.columns(user, ts_ns);
    }

    fn columns(&self, user: Option<(u64, &str, &str, u64)>, ts_ns: Option<i64>) {
        if let Some(latencies) = &self.latencies {
            return self.late(latencies, ts_ns.and_then(|ns| Nanos::try_from(ns).ok()));
        }
        self.add(user.map_or(0, |(id, email, name, version)| {
            checksum(id, email, name, version)
        }));
    }

    /// Takes note of how late a record is; one that was never due is for warming up.
    fn late(&self, latencies: &Mutex<Vec<u32>>, due: Option<Nanos>) {
        let now = clock::now();
        if self.first.load(Relaxed) == 0 {
            self.first.store(now, Relaxed);
            say(READY);
        }
        if let Some(due) = due.filter(|due| *due > 0) {
            let late = u32::try_from(now.saturating_sub(due) / 1000).unwrap_or(u32::MAX);
            let mut all = latencies.lock().unwrap_or_else(PoisonError::into_inner);
            all.push(late);
        }
    }

    fn late_so_far(&self) -> Vec<u32> {
        let all = self.latencies.as_ref().map(Mutex::lock);
        all.map_or_else(Vec::new, |all| {
            all.unwrap_or_else(PoisonError::into_inner).clone()
        })
    }

    fn tell_when_quiet(&self, file: &Path) {
        let mut seen = 0;
        loop {
            thread::sleep(QUIET);
            let all = self.late_so_far();
            if !all.is_empty() && all.len() == seen {
                return self.tell_latencies(file);
            }
            seen = all.len();
        }
    }

    /// Writes the latencies down.
    pub(crate) fn tell_latencies(&self, file: &Path) {
        let all = self.late_so_far();
        // Whoever reads misses it, and says so.
        let _ = fs::write(file, serde_json::to_string(&all).unwrap_or_default());
        self.tell(all.len() as u64);
    }

    /// Takes note that a record was handled.
    pub(crate) fn add(&self, checksum: u64) {
        self.checksum.fetch_add(checksum, Relaxed);
        let count = self.count.fetch_add(1, Relaxed) + 1;
        if count == 1 {
            self.first.store(clock::now(), Relaxed);
            self.first_cpu.store(clock::cpu(), Relaxed);
        }
        if count == self.records * 4 / 5 {
            self.bulk.store(clock::now(), Relaxed);
        }
        if count == self.records {
            self.tell(count);
        }
    }

    fn tell(&self, records: u64) {
        let done = Done {
            records,
            checksum: self.checksum.load(Relaxed),
            started_ns: self.started,
            first_ns: self.first.load(Relaxed),
            bulk_ns: self.bulk.load(Relaxed),
            last_ns: clock::now(),
            first_cpu_ns: self.first_cpu.load(Relaxed),
            last_cpu_ns: clock::cpu(),
        };
        say(&serde_json::to_string(&done).unwrap_or_default());
    }
}

#[expect(clippy::print_stdout, reason = "it is the result")]
fn say(line: &str) {
    println!("{line}");
    let _ = std::io::stdout().flush();
}
