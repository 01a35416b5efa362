//! The workers of a scenario: processes that are started, signalled, and seen off.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::process::Signal;
use test_support::WatchedProcess;

use super::clock::{self, Nanos, seconds};
use super::evidence::{End, Process};
use super::ledger;
use super::worker::WorkerArgs;

/// A worker has joined its group by then, if nothing keeps it.
const SETTLED: Nanos = seconds(3);

/// A kill waits this long for a call to hit.
const IN_FLIGHT: Duration = Duration::from_millis(500);

/// A worker listens for signals by then.
const LISTENS: Nanos = seconds(1);

/// All workers of a scenario, those that run and those that have ended.
pub(crate) struct Fleet {
    folder: PathBuf,
    template: WorkerArgs,
    lanes: Vec<Option<Worker>>,
    ended: Vec<(PathBuf, Process)>,
    started: usize,
}

struct Worker {
    name: String,
    process: WatchedProcess,
    ledger: PathBuf,
    spawned: Nanos,
    terminated: Option<Nanos>,
    suspended: Option<Nanos>,
    suspensions: Vec<(Nanos, Nanos)>,
}

impl Fleet {
    pub(crate) fn new(folder: &Path, template: WorkerArgs) -> anyhow::Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        Ok(Self {
            folder: folder.to_owned(),
            template,
            lanes: Vec::new(),
            ended: Vec::new(),
            started: 0,
        })
    }

    /// Starts one more worker; returns its name.
    pub(crate) fn join(&mut self) -> anyhow::Result<String> {
        self.started += 1;
        let free = self.lanes.iter().position(Option::is_none);
        let lane = free.unwrap_or_else(|| {
            self.lanes.push(None);
            self.lanes.len() - 1
        });
        let name = format!("w{}.{}", lane + 1, self.started);
        let ledger = self.folder.join(format!("{name}.ledger"));
        let args = WorkerArgs {
            ledger: ledger.clone(),
            ..self.template.clone()
        };
        let program = std::env::current_exe().context("find this program")?;
        let command_line: Vec<OsString> = std::iter::once(program.into_os_string())
            .chain(args.to_command_line().into_iter().map(OsString::from))
            .collect();
        let log = File::create(self.folder.join(format!("{name}.log")))?;
        let spawned = clock::now();
        self.lanes[lane] = Some(Worker {
            name: name.clone(),
            process: WatchedProcess::spawn(&command_line, &log)?,
            ledger,
            spawned,
            terminated: None,
            suspended: None,
            suspensions: Vec::new(),
        });
        Ok(name)
    }

    /// Workers that run and were not told to end.
    pub(crate) fn running(&self) -> usize {
        self.lanes
            .iter()
            .flatten()
            .filter(|worker| worker.terminated.is_none())
            .count()
    }

    /// True if every worker that runs has been given partitions.
    pub(crate) fn is_assigned(&self) -> bool {
        let mut running = self.lanes.iter().flatten();
        running.all(|worker| ledger::has_partitions(&worker.ledger))
    }

    /// Workers that have not ended, whatever they were told.
    pub(crate) fn alive(&self) -> usize {
        self.lanes.iter().flatten().count()
    }

    /// Kills one of the workers that run; returns its name and when.
    pub(crate) fn kill(&mut self, choice: u64) -> anyhow::Result<Option<String>> {
        // One that has had the time to get work, if there is one.
        let now = clock::now();
        let is_settled =
            |worker: &Worker| worker.terminated.is_none() && worker.spawned + SETTLED < now;
        let chosen = self
            .choose(choice, is_settled)
            .or_else(|| self.choose(choice, |worker| worker.terminated.is_none()));
        let Some(lane) = chosen else {
            return Ok(None);
        };
        let Some(mut worker) = self.lanes[lane].take() else {
            return Ok(None);
        };
        let name = worker.name.clone();
        let until = Instant::now() + IN_FLIGHT;
        while !ledger::ends_in_a_call(&worker.ledger) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(2));
        }
        worker.process.signal(Signal::KILL)?;
        worker.process.wait(Duration::from_secs(5))?;
        self.finish(lane, worker, End::Killed);
        Ok(Some(name))
    }

    pub(crate) fn terminate(&mut self, choice: u64) -> anyhow::Result<Option<String>> {
        let chosen = self.choose(choice, |worker| {
            worker.terminated.is_none() && worker.suspended.is_none()
        });
        let Some(worker) = chosen.and_then(|lane| self.lanes[lane].as_mut()) else {
            return Ok(None);
        };
        worker.terminated = Some(clock::now());
        worker.process.signal(Signal::TERM)?;
        Ok(Some(worker.name.clone()))
    }

    pub(crate) fn suspend(&mut self, choice: u64) -> anyhow::Result<Option<String>> {
        let chosen = self.choose(choice, |worker| {
            worker.terminated.is_none() && worker.suspended.is_none()
        });
        let Some(worker) = chosen.and_then(|lane| self.lanes[lane].as_mut()) else {
            return Ok(None);
        };
        worker.suspended = Some(clock::now());
        worker.process.signal(Signal::STOP)?;
        Ok(Some(worker.name.clone()))
    }

    /// Suspends all that run; returns their names.
    pub(crate) fn suspend_all(&mut self) -> anyhow::Result<Vec<String>> {
        let mut names = Vec::new();
        while let Some(name) = self.suspend(0)? {
            names.push(name);
        }
        Ok(names)
    }

    /// Tells all that run to end; returns their names.
    pub(crate) fn terminate_all(&mut self) -> anyhow::Result<Vec<String>> {
        let mut names = Vec::new();
        while let Some(name) = self.terminate(0)? {
            names.push(name);
        }
        Ok(names)
    }

    /// Lets all suspended workers go on; returns their names.
    pub(crate) fn resume(&mut self) -> anyhow::Result<Vec<String>> {
        let mut names = Vec::new();
        for worker in self.lanes.iter_mut().flatten() {
            if let Some(since) = worker.suspended.take() {
                // Before it runs, or what it does first would come before its waking.
                worker.suspensions.push((since, clock::now()));
                worker.process.signal(Signal::CONT)?;
                names.push(worker.name.clone());
            }
        }
        Ok(names)
    }

    /// Takes note of workers that have ended; returns the names of those that nobody told to.
    pub(crate) fn look(&mut self) -> anyhow::Result<Vec<String>> {
        let mut dead = Vec::new();
        for lane in 0..self.lanes.len() {
            let Some(worker) = &mut self.lanes[lane] else {
                continue;
            };
            let Some(status) = worker.process.ended()? else {
                continue;
            };
            let Some(worker) = self.lanes[lane].take() else {
                continue;
            };
            // Until it listens for signals, the first one kills it.
            let is_new = clock::now() < worker.spawned + LISTENS;
            let is_deaf = is_new && status.signal() == Some(Signal::TERM.as_raw());
            let end = match worker.terminated {
                Some(told) if status.success() || is_deaf => End::Terminated { told },
                _ => {
                    dead.push(worker.name.clone());
                    End::ByItself(describe(status))
                }
            };
            self.finish(lane, worker, end);
        }
        Ok(dead)
    }

    /// Kills what still runs and reads all ledgers.
    pub(crate) fn close(&mut self) -> anyhow::Result<Vec<Process>> {
        for lane in 0..self.lanes.len() {
            if let Some(worker) = self.lanes[lane].take() {
                let end = worker
                    .terminated
                    .map_or(End::Killed, |told| End::Hung { told });
                self.finish(lane, worker, end);
            }
        }
        std::mem::take(&mut self.ended)
            .into_iter()
            .map(|(path, process)| {
                // Killed before it could write anything.
                let lines = if path.exists() {
                    ledger::read(&path)?
                } else {
                    Vec::new()
                };
                Ok(Process { lines, ..process })
            })
            .collect()
    }

    fn choose(&self, choice: u64, may: impl Fn(&Worker) -> bool) -> Option<usize> {
        let lanes: Vec<usize> = (0..self.lanes.len())
            .filter(|lane| self.lanes[*lane].as_ref().is_some_and(&may))
            .collect();
        let count = u64::try_from(lanes.len()).ok().filter(|count| *count > 0)?;
        lanes.get(usize::try_from(choice % count).ok()?).copied()
    }

    fn finish(&mut self, lane: usize, mut worker: Worker, end: End) {
        let ended = clock::now();
        if let Some(since) = worker.suspended.take() {
            worker.suspensions.push((since, ended));
        }
        self.ended.push((
            worker.ledger.clone(),
            Process {
                name: worker.name.clone(),
                lane,
                spawned: worker.spawned,
                ended,
                end,
                suspensions: worker.suspensions.clone(),
                lines: Vec::new(),
            },
        ));
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (_, Some(signal)) => format!("signal {signal}"),
        _ => status.to_string(),
    }
}
