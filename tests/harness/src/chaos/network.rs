//! Hurts the way between workers and brokers.

use std::time::Duration;

use test_support::{ApiKey, Direction, KafkaCluster, Proxy};

use super::fault::{Network, Request};

/// A connection that is reset lives this long.
const LIFE: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(500)..=Duration::from_millis(1500);

/// Returns the addresses by which the workers find this way.
pub(crate) fn servers(cluster: &KafkaCluster) -> anyhow::Result<String> {
    Ok(cluster.proxied_bootstrap_servers()?)
}

/// Does what the fault says to all connections, those that are open, too.
pub(crate) fn hurt(cluster: &KafkaCluster, fault: Network) {
    let proxies = cluster.proxies();
    let all = |hurt: &dyn Fn(&Proxy)| proxies.iter().for_each(hurt);
    match fault {
        Network::Delay(latency) => all(&|proxy| {
            for direction in Direction::BOTH {
                proxy.delay(direction, latency);
            }
        }),
        Network::Deaf(choice) => {
            let count = u64::try_from(proxies.len()).unwrap_or(1).max(1);
            let chosen = usize::try_from(choice % count).unwrap_or(0);
            if let Some(proxy) = proxies.get(chosen) {
                proxy.cut(Direction::ToClient);
            }
        }
        Network::AllDeaf => all(&|proxy| proxy.cut(Direction::ToClient)),
        Network::AllMute => all(&|proxy| proxy.cut(Direction::ToBroker)),
        Network::Resets(seed) => all(&|proxy| proxy.reset_connections_after(LIFE, seed)),
        Network::Hold(request) => all(&|proxy| proxy.hold(key(request))),
    }
}

/// Ends all faults.
pub(crate) fn heal(cluster: &KafkaCluster) {
    cluster.proxies().iter().for_each(Proxy::heal);
}

fn key(request: Request) -> ApiKey {
    match request {
        Request::Fetch => ApiKey::FETCH,
        Request::Commit => ApiKey::OFFSET_COMMIT,
        Request::Heartbeat => ApiKey::HEARTBEAT,
        Request::JoinGroup => ApiKey::JOIN_GROUP,
        Request::Produce => ApiKey::PRODUCE,
    }
}
