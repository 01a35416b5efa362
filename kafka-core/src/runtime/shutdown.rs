//! When a runtime is asked to stop: SIGTERM or SIGINT; a second one ends the process.

/// Waits for SIGTERM or SIGINT (Ctrl-C where there are no signals).
///
/// From then on a second signal ends the process at once, with the status that a shell gives it: 128 + its number.
///
/// # Cancellation
/// Cancel-safe. Once called, the process no longer dies of these signals by itself.
pub async fn shutdown_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (Ok(mut term), Ok(mut int)) = (
            signal(SignalKind::terminate()),
            signal(SignalKind::interrupt()),
        ) else {
            tracing::error!(
                target: crate::observe::TARGET,
                "no signal handler could be installed: the runtime stops only by control().shutdown()"
            );
            return std::future::pending().await;
        };
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        tokio::spawn(async move {
            let number = tokio::select! {
                _ = term.recv() => SignalKind::terminate().as_raw_value(),
                _ = int.recv() => SignalKind::interrupt().as_raw_value(),
            };
            std::process::exit(128 + number);
        });
    }
    #[cfg(not(unix))]
    {
        let _ = tokio::signal::ctrl_c().await;
        tokio::spawn(async {
            let _ = tokio::signal::ctrl_c().await;
            std::process::exit(130);
        });
    }
}
