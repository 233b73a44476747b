//! In an ingest worker: which network interface leads to a camera. A multicast group is joined there, and not on the default
//! route, which on a machine with a network for cameras is the other one.

use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs};

/// `None` where it is not known; the system then takes the default route.
pub(super) fn interface_to(host: &str) -> Option<String> {
    let address = (host, 0)
        .to_socket_addrs()
        .ok()?
        .find_map(|a| match a.ip() {
            IpAddr::V4(ip) => Some(ip),
            IpAddr::V6(_) => None,
        })?;
    if address.is_loopback() {
        return Some("lo".into());
    }
    let table = std::fs::read_to_string("/proc/net/route").ok()?;
    longest_match(&table, address).map(str::to_owned)
}

/// `/proc/net/route`: interface, destination, gateway, flags, three counters, mask; numbers in hex, in the byte order of the
/// machine.
fn longest_match(table: &str, address: Ipv4Addr) -> Option<&str> {
    let routes = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let hex = |n: usize| u32::from_str_radix(fields.get(n)?, 16).ok();
        let (destination, mask) = (hex(1)?, hex(7)?);
        let mine = u32::from_ne_bytes(address.octets());
        (mine & mask == destination).then_some((mask.count_ones(), *fields.first()?))
    });
    // The first of equals stands for the lower metric.
    routes
        .reduce(|best, next| if next.0 > best.0 { next } else { best })
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_match_leads_to_the_camera() {
        let hex = |a: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(a));
        let line = |name: &str, to: [u8; 4], mask: [u8; 4]| {
            format!(
                "{name}\t{}\t00000000\t0003\t0\t0\t0\t{}\t0\t0\t0\n",
                hex(to),
                hex(mask)
            )
        };
        let table = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n"
            .to_owned()
            + &line("eth0", [0; 4], [0; 4])
            + &line("eth0", [192, 0, 2, 0], [255, 255, 255, 0])
            + &line("cams", [198, 51, 100, 0], [255, 255, 255, 0]);
        let to = |a| longest_match(&table, a);
        assert_eq!(to(Ipv4Addr::new(198, 51, 100, 7)), Some("cams"));
        assert_eq!(to(Ipv4Addr::new(203, 0, 113, 9)), Some("eth0"));
        assert_eq!(longest_match("garbage\nx y", Ipv4Addr::LOCALHOST), None);
        assert_eq!(interface_to("127.0.0.1").as_deref(), Some("lo"));
    }
}
