//! Ctrl-C and SIGTERM: everything that waits looks at it, so that what was started is ended in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::bail;
use tokio::signal::unix::{SignalKind, signal};

/// Whether the run, or a part of it, is to end early. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupt {
    run: Arc<AtomicBool>,
    part: Arc<AtomicBool>,
}

impl Interrupt {
    /// Listens for the signals on a tokio runtime; the second one ends the process at once, and its children by their
    /// watchdogs.
    pub(crate) fn listen(runtime: &tokio::runtime::Runtime) -> anyhow::Result<Self> {
        let this = Self::default();
        let told = this.clone();
        let _inside = runtime.enter();
        let (mut interrupt, mut terminate) = (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        );
        runtime.spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                if told.run.swap(true, Ordering::SeqCst) {
                    std::process::exit(130);
                }
            }
        });
        Ok(this)
    }

    /// For a part of the run, which can be ended alone.
    pub(crate) fn part(&self) -> Self {
        Self {
            run: Arc::clone(&self.run),
            part: Arc::default(),
        }
    }

    /// Ends the part.
    pub(crate) fn end(&self) {
        self.part.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.run.load(Ordering::SeqCst) || self.part.load(Ordering::SeqCst)
    }

    /// Fails once a signal has come.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        if self.is_set() {
            bail!("interrupted");
        }
        Ok(())
    }

    pub(crate) fn sleep(&self, duration: Duration) -> anyhow::Result<()> {
        let until = Instant::now() + duration;
        loop {
            self.check()?;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(Duration::from_millis(50)));
        }
    }
}
