//! Which addresses may be reached. A public name may point to a private address (DNS rebinding, a
//! mistake, a metadata service), so the check is on the address that will be connected to.
//!
//! Source: the IANA special-purpose registries (RFC 6890 and its updates); an IPv6 address that
//! carries an IPv4 address (mapped, compatible, 6to4, NAT64, Teredo) is judged by that address too.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Which addresses may be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressRule {
    /// Only addresses of the public internet.
    PublicOnly,
    /// Any address: for receivers in the operator's own network, which the operator has allowed. Never a guest's rule.
    Any,
}

/// The address is not of the public internet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a public address")]
pub struct NotPublic(pub IpAddr);

impl AddressRule {
    /// Whether this address may be reached.
    pub fn check(self, address: IpAddr) -> Result<(), NotPublic> {
        let public = match (self, address) {
            (Self::Any, _) => true,
            (Self::PublicOnly, IpAddr::V4(v4)) => public_v4(v4),
            (Self::PublicOnly, IpAddr::V6(v6)) => public_v6(v6),
        };
        if public { Ok(()) } else { Err(NotPublic(address)) }
    }

    /// Whether all of these may be reached: a name may lead to several.
    pub(crate) fn check_all(self, addresses: &[SocketAddr]) -> Result<(), NotPublic> {
        addresses.iter().try_for_each(|address| self.check(address.ip()))
    }
}

/// What is not public in IPv4: network and length of its prefix.
const SPECIAL_V4: [(Ipv4Addr, u32); 20] = [
    (Ipv4Addr::UNSPECIFIED, 8),            // this network
    (Ipv4Addr::new(10, 0, 0, 0), 8),       // private
    (Ipv4Addr::new(100, 64, 0, 0), 10),    // shared address space, CGNAT (RFC 6598)
    (Ipv4Addr::new(127, 0, 0, 0), 8),      // loopback
    (Ipv4Addr::new(168, 63, 129, 16), 32), // Azure's metadata service: public by number alone
    (Ipv4Addr::new(169, 254, 0, 0), 16),   // link-local, metadata services
    (Ipv4Addr::new(172, 16, 0, 0), 12),    // private
    (Ipv4Addr::new(192, 0, 0, 0), 24),     // protocol assignments
    (Ipv4Addr::new(192, 0, 2, 0), 24),     // documentation
    (Ipv4Addr::new(192, 31, 196, 0), 24),  // AS112
    (Ipv4Addr::new(192, 52, 193, 0), 24),  // AMT
    (Ipv4Addr::new(192, 88, 99, 0), 24),   // 6to4 relays
    (Ipv4Addr::new(192, 168, 0, 0), 16),   // private
    (Ipv4Addr::new(192, 175, 48, 0), 24),  // AS112
    (Ipv4Addr::new(198, 18, 0, 0), 15),    // benchmarking
    (Ipv4Addr::new(198, 51, 100, 0), 24),  // documentation
    (Ipv4Addr::new(203, 0, 113, 0), 24),   // documentation
    (Ipv4Addr::new(224, 0, 0, 0), 4),      // multicast
    (Ipv4Addr::new(240, 0, 0, 0), 4),      // reserved
    (Ipv4Addr::BROADCAST, 32),             // broadcast
];

/// What is not public inside 2000::/3, the only global unicast space of IPv6.
const SPECIAL_V6: [(Ipv6Addr, u32); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), // protocol assignments: Teredo, ORCHID, …
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32), // documentation
    (Ipv6Addr::new(0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0), 48), // AS112
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20), // documentation (RFC 9637)
];

fn public_v4(address: Ipv4Addr) -> bool {
    !SPECIAL_V4
        .iter()
        .any(|(network, length)| (u32::from(address) ^ u32::from(*network)).leading_zeros() >= *length)
}

fn public_v6(address: Ipv6Addr) -> bool {
    if let Some(carried) = carried_v4(address) {
        return public_v4(carried);
    }
    let within = |network: Ipv6Addr, length: u32| {
        (u128::from(address) ^ u128::from(network)).leading_zeros() >= length
    };
    let global = within(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
    global
        && !SPECIAL_V6
            .iter()
            .any(|(network, length)| within(*network, *length))
}

/// The IPv4 address inside: 6to4 (2002::/16) and NAT64 (64:ff9b::/96). Mapped and compatible ones
/// (::/80) are refused whatever they carry: no name has a reason to resolve to them.
fn carried_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let ([0x2002, high, low, ..] | [0x0064, 0xff9b, 0, 0, 0, 0, high, low]) = address.segments() else {
        return None;
    };
    Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_addresses_may_be_reached() {
        for address in [
            "8.8.8.8",
            "142.250.74.37",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "2a00:1450:4001:80b::200e",
            "2607:f8b0:4004:800::200a",
            "64:ff9b::8.8.8.8",
            "2002:0808:0808::1",
        ] {
            assert_eq!(
                AddressRule::PublicOnly.check(address.parse().unwrap()),
                Ok(()),
                "{address}"
            );
        }
    }

    #[test]
    fn all_other_addresses_may_not_be_reached() {
        for address in [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::7f00:1",
            "64:ff9b::10.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:2::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "2002:a9fe:a9fe::",
            "2002:c0a8:101::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            let address = address.parse().unwrap();
            assert_eq!(AddressRule::PublicOnly.check(address), Err(NotPublic(address)));
        }
    }
}
