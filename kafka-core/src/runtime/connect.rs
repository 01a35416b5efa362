//! Makes sure that a cluster answers before anything is started on it.

use std::sync::Arc;
use std::time::Duration;

use crate::client::Cluster;
use crate::client::factory::ClientFactory;
use crate::config::{Config, ConnectRetry};
use crate::error::{ClientError, ConnectError};

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
            attempt = attempts,
            retry_in_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
            error = %source,
            "cannot connect, trying again"
        );
        tokio::time::sleep(delay).await;
    }
}

/// Runs a call that blocks.
pub(crate) async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, ClientError> + Send + 'static,
) -> Result<T, ClientError> {
    match tokio::task::spawn_blocking(call).await {
        Ok(result) => result,
        Err(error) => Err(ClientError::Other(error.to_string())),
    }
}

/// What one question to a cluster may take.
pub(crate) const QUESTION: Duration = Duration::from_secs(10);
