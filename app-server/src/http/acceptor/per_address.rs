//! Sockets before their handshake, by address, at a door for other machines. One address takes a part of the places only, so
//! that it shuts out nobody else.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use skein_config::access::Door;

use super::Peer;
use crate::policy;

/// The numbers of such sockets.
#[derive(Debug, Default)]
pub(super) struct PendingByAddress(Mutex<HashMap<IpAddr, usize>>);

/// The place of one of them, until it is dropped.
#[derive(Debug)]
pub(super) struct AddressPlace {
    all: Arc<PendingByAddress>,
    address: IpAddr,
}

/// The address has all of its places.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct AddressFull;

impl PendingByAddress {
    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        // Each change is whole before anything can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for this socket; `None` at a door of this machine, which has no such limit.
    ///
    /// # Errors
    /// Its address has as many as it may have.
    pub(super) fn admit(self: &Arc<Self>, peer: &Peer) -> Result<Option<AddressPlace>, AddressFull> {
        let Peer::Tcp(tcp) = peer else { return Ok(None) };
        if tcp.door != Door::Remote {
            return Ok(None);
        }
        let address = tcp.peer.ip().to_canonical();
        let mut counts = self.lock();
        let count = counts.entry(address).or_default();
        if *count >= policy::SOCKETS_OF_ADDRESS {
            return Err(AddressFull);
        }
        *count += 1;
        Ok(Some(AddressPlace { all: Arc::clone(self), address }))
    }
}

impl Drop for AddressPlace {
    fn drop(&mut self) {
        let mut counts = self.all.lock();
        if let Some(left) = counts.get_mut(&self.address) {
            *left -= 1;
            if *left == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::TcpPeer;
    use super::*;

    fn peer(door: Door, last: u8) -> Peer {
        let (local, peer) = (([10, 0, 0, 1], 1).into(), ([10, 0, 0, last], 2).into());
        Peer::Tcp(TcpPeer { local, peer, door, certificate: None, name: None })
    }

    #[test]
    fn one_address_takes_a_part_of_the_places_and_gives_them_back() {
        let all = Arc::new(PendingByAddress::default());
        let admit = |door, last| all.admit(&peer(door, last));
        let mut taken: Vec<_> =
            (0..policy::SOCKETS_OF_ADDRESS).map(|_| admit(Door::Remote, 7).unwrap()).collect();
        assert_eq!(admit(Door::Remote, 7).err(), Some(AddressFull));
        let other = admit(Door::Remote, 8).unwrap();
        assert!(admit(Door::Loopback, 7).unwrap().is_none(), "this machine has no such limit");
        taken.pop();
        taken.push(admit(Door::Remote, 7).unwrap());
        drop((taken, other));
        assert!(all.lock().is_empty());
    }
}
