//! Makes sure that a cluster answers before anything is started on it.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::client::Cluster;
use crate::client::factory::ClientFactory;
use crate::config::{Config, ConnectRetry};
use crate::error::{ClientError, ConnectError};
use crate::observe::TARGET;

/// Connects, with the configured retries; a reason that another attempt cannot help ends it at once.
///
/// # Cancellation
/// Dropped before its end, the attempt that runs ends by itself within its timeout.
pub(crate) async fn cluster(
    config: &Config,
    factory: &Arc<dyn ClientFactory>,
) -> Result<Arc<dyn Cluster>, ConnectError> {
    let factory = Arc::clone(factory);
    let timeout = config.request_timeout;
    retrying(config, move || {
        let cluster = factory.cluster()?;
        cluster.check(timeout)?;
        Ok(cluster)
    })
    .await
}

/// Runs attempts on a thread that may block.
pub(crate) async fn retrying<T: Send + 'static>(
    config: &Config,
    attempt: impl Fn() -> Result<T, ClientError> + Clone + Send + 'static,
) -> Result<T, ConnectError> {
    let retry: ConnectRetry = config.connect_retry;
    let brokers = || config.addresses().iter().map(str::to_owned).collect();
    let mut attempts = 0;
    loop {
        attempts += 1;
        let source = match blocking(attempt.clone()).await {
            Ok(value) => return Ok(value),
            Err(source) => source,
        };
        if source.is_permanent() {
            return Err(ConnectError::Refused {
                brokers: brokers(),
                source,
            });
        }
        let Some(delay) = retry.delay(attempts) else {
            return Err(ConnectError::GaveUp {
                brokers: brokers(),
                attempts,
                source,
            });
        };
        tracing::warn!(
            target: TARGET,
            attempt = attempts,
            retry_in_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
            error = %source,
            "cannot connect, trying again"
        );
        tokio::time::sleep(delay).await;
    }
}

/// Runs a call that blocks, on a thread of its own: the end of a tokio runtime waits for its blocking tasks, and a
/// service that is told to stop while no broker answers must not.
pub(crate) async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, ClientError> + Send + 'static,
) -> Result<T, ClientError> {
    let (send, answer) = oneshot::channel();
    let thread = std::thread::Builder::new().name("kafka-question".into());
    thread
        // Nobody waits any more if the future was dropped.
        .spawn(move || drop(send.send(call())))
        .map_err(|error| ClientError::Other(format!("no thread: {error}")))?;
    match answer.await {
        Ok(result) => result,
        Err(_) => Err(ClientError::Other("the client panicked".into())),
    }
}

/// Waits for a future on a thread that may block, for no longer than the limit; the future may be waited for again. What
/// it waits for must complete on another thread.
pub(crate) fn block_on_for<T>(
    limit: Duration,
    mut future: Pin<&mut (impl Future<Output = T> + ?Sized)>,
) -> Option<T> {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::task::Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut cx = std::task::Context::from_waker(&waker);
    let until = Instant::now() + limit;
    loop {
        if let std::task::Poll::Ready(value) = future.as_mut().poll(&mut cx) {
            return Some(value);
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        std::thread::park_timeout(left);
    }
}

/// What one question to a cluster may take.
pub(crate) const QUESTION: Duration = Duration::from_secs(10);
