//! Which addresses may be reached. A public name may point to a private address (DNS rebinding, a
//! mistake, a metadata service), so the check is on the address that will be connected to.
//!
//! Source: the IANA special-purpose registries (RFC 6890 and its updates); an IPv6 address that
//! carries an IPv4 address (mapped, compatible, 6to4, NAT64, Teredo) is judged by that address too.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which addresses may be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressRule {
    /// Only addresses of the public internet.
    PublicOnly,
}

/// The address is not of the public internet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a public address")]
pub struct NotPublic(pub IpAddr);

impl AddressRule {
    /// Whether this address may be reached.
    pub fn check(self, address: IpAddr) -> Result<(), NotPublic> {
        let public = match (self, address) {
            (Self::PublicOnly, IpAddr::V4(v4)) => public_v4(v4),
            (Self::PublicOnly, IpAddr::V6(v6)) => public_v6(v6),
        };
        if public { Ok(()) } else { Err(NotPublic(address)) }
    }
}

fn public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, d] = address.octets();
    !matches!(
        (a, b, c, d),
        (0 | 10 | 127, ..)              // this network, private, loopback
            | (100, 64..=127, ..)       // shared address space, CGNAT (RFC 6598)
            | (169, 254, ..)            // link-local, metadata services
            | (172, 16..=31, ..)        // private
            | (192, 0, 0 | 2, _)        // protocol assignments, documentation
            | (192, 31, 196, _)         // AS112
            | (192, 52, 193, _)         // AMT
            | (192, 88, 99, _)          // 6to4 relays
            | (192, 168, ..)            // private
            | (192, 175, 48, _)         // AS112
            | (198, 18..=19, ..)        // benchmarking
            | (198, 51, 100, _)         // documentation
            | (203, 0, 113, _)          // documentation
            | (224..=255, ..) // multicast, reserved, broadcast
    ) && address != Ipv4Addr::new(168, 63, 129, 16) // Azure's metadata and DNS address is public by number
}

fn public_v6(address: Ipv6Addr) -> bool {
    let s = address.segments();
    // Global unicast is 2000::/3 and nothing else; NAT64 is judged by what it carries.
    if let Some(carried) = carried_v4(s) {
        return public_v4(carried);
    }
    let global = matches!(s[0], 0x2000..=0x3fff);
    let special = matches!(
        s,
        [0x2001, 0x0000..=0x01ff, ..]   // protocol assignments: Teredo, benchmarking, ORCHID
            | [0x2001, 0x0db8, ..]      // documentation
            | [0x2620, 0x004f, 0x8000, ..] // AS112
            | [0x3fff, 0x0000..=0x0fff, ..] // documentation (RFC 9637)
    );
    global && !special
}

/// The IPv4 address inside: 6to4 (2002::/16) and NAT64 (64:ff9b::/96). Mapped and compatible ones
/// (::/80) are refused whatever they carry: no name has a reason to resolve to them.
fn carried_v4(s: [u16; 8]) -> Option<Ipv4Addr> {
    let join = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match s {
        [0x2002, high, low, ..] => Some(join(high, low)),
        [0x0064, 0xff9b, 0, 0, 0, 0, high, low] => Some(join(high, low)),
        _ => None,
    }
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
