//! Waiting for what will be so, and names that nobody else uses.

use std::hash::{BuildHasher, RandomState};
use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};

const POLL: Duration = Duration::from_millis(20);

/// A condition that [`eventually`] waited for in vain.
#[derive(Debug, thiserror::Error)]
#[error("{caller}: still not so after {limit:?}")]
pub struct NotInTime {
    caller: &'static Location<'static>,
    limit: Duration,
}

/// Waits until `condition` holds; asks it every 20 ms, and once more at the end.
///
/// The caller's place is part of the error, so a test needs no message:
/// `eventually(SECONDS_10, async || handled.len() == 3).await?`.
///
/// # Errors
///
/// [`NotInTime`] if the condition does not hold after `limit`.
#[track_caller]
pub fn eventually(
    limit: Duration,
    mut condition: impl AsyncFnMut() -> bool,
) -> impl Future<Output = Result<(), NotInTime>> {
    let caller = Location::caller();
    async move {
        let deadline = Instant::now() + limit;
        loop {
            let is_last = Instant::now() >= deadline;
            if condition().await {
                return Ok(());
            }
            if is_last {
                return Err(NotInTime { caller, limit });
            }
            sleep(POLL).await;
        }
    }
}

/// Returns a topic name or group id that no other test of this or another process uses.
pub fn unique_name(prefix: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    // Randomly keyed per call, which is all the randomness needed here.
    let random = RandomState::new().hash_one(std::process::id()) & 0xffff_ffff;
    format!("{prefix}-{random:08x}-{number}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{eventually, unique_name};

    fn block_on<T>(future: impl Future<Output = T>) -> Result<T, std::io::Error> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        Ok(runtime.block_on(future))
    }

    #[test]
    fn a_condition_is_asked_until_it_holds() -> Result<(), std::io::Error> {
        let mut asked = 0;
        let waited = block_on(eventually(Duration::from_secs(10), async || {
            asked += 1;
            asked == 3
        }))?;

        assert!(waited.is_ok());
        assert_eq!(asked, 3);
        Ok(())
    }

    #[test]
    fn a_condition_that_never_holds_names_the_caller() -> Result<(), std::io::Error> {
        let waited = block_on(eventually(Duration::ZERO, async || false))?;

        let message = waited.map_err(|error| error.to_string());
        assert!(matches!(message, Err(text) if text.contains("waiting.rs:")));
        Ok(())
    }

    #[test]
    fn unique_names_differ() {
        assert_ne!(unique_name("orders"), unique_name("orders"));
    }
}
