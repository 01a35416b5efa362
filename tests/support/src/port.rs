//! Picks free ports.
//!
//! They come from below the range that the system gives to outgoing connections. A port of
//! that range could be taken by any client while its broker is down, and a client that
//! retries such a port on loopback may even connect to itself.

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;

use crate::RigError;

/// Ends before 32768, where Linux starts its ephemeral ports.
const RANGE: Range<u16> = 20_000..32_000;

/// Returns `count` different ports that were free a moment ago.
pub(crate) fn free(count: usize) -> Result<Vec<u16>, RigError> {
    // Two test processes start looking at different places.
    let start = RandomState::new().hash_one(std::process::id()) % u64::from(range_len());
    let start = u16::try_from(start).unwrap_or_default();
    let ports: Vec<u16> = (0..range_len())
        .map(|step| RANGE.start + (start + step) % range_len())
        .filter(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .take(count)
        .collect();
    if ports.len() < count {
        let full = std::io::ErrorKind::AddrInUse.into();
        return Err(RigError::io("find free ports")(full));
    }
    Ok(ports)
}

const fn range_len() -> u16 {
    RANGE.end - RANGE.start
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{RANGE, free};

    #[test]
    fn free_ports_differ_and_stay_in_the_range() -> Result<(), crate::RigError> {
        let ports = free(15)?;

        assert_eq!(ports.iter().collect::<HashSet<_>>().len(), 15);
        assert!(ports.iter().all(|port| RANGE.contains(port)));
        Ok(())
    }
}
