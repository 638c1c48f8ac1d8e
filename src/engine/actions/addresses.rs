//! Where an `http` action may connect to: the allow-list, and the addresses that no name may lead to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::Url;

use crate::planted;

/// Checks a URL against the allow-list (`host:port`, lower case).
pub(super) fn check(url: &Url, allowed: &[String]) -> Result<(), String> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("`{}:` is not http or https", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the URL holds a name or password before `@`; use a header".to_owned());
    }
    let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
        return Err("the URL has no host".to_owned());
    };
    let place = format!("{host}:{port}");
    if !allowed.contains(&place) {
        let listed = if allowed.is_empty() {
            "none is".to_owned()
        } else {
            format!("allowed: {}", allowed.join(", "))
        };
        return Err(format!(
            "host `{place}` is not allowed ({listed}); list it under `hosts` of the step"
        ));
    }
    // A name is looked up later, by `SafeResolver`. An address was listed literally: `url` knows one spelling of each.
    Ok(())
}

/// Whether no name may lead to this address: it serves a machine's own metadata and credentials, or is no address of a
/// single machine.
fn never_by_name(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => never_by_name_v4(v4),
        IpAddr::V6(v6) => match embedded_v4(v6) {
            Some(v4) => never_by_name_v4(v4),
            None => never_by_name_v6(v6),
        },
    }
}

fn never_by_name_v6(v6: Ipv6Addr) -> bool {
    /// Metadata services: Google, Oracle, Alibaba, Linode, Scaleway.
    const METADATA: [Ipv6Addr; 5] = [
        Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
        Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe),
        Ipv6Addr::new(0xfd00, 0x100, 0, 0, 0, 0, 0x100, 0x200),
        Ipv6Addr::new(0xfd00, 0xa9fe, 0xa9fe, 0, 0, 0, 0, 1),
        Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),
    ];
    v6.is_unicast_link_local()
        || v6.is_unspecified()
        || v6.is_multicast()
        // Amazon's services for its machines: metadata, identity of pods, names, time.
        || v6.segments()[..2] == [0xfd00, 0xec2]
        || METADATA.contains(&v6)
}

fn never_by_name_v4(v4: Ipv4Addr) -> bool {
    /// Metadata services outside of the link-local range: Alibaba, Azure, Oracle.
    const METADATA: [Ipv4Addr; 3] = [
        Ipv4Addr::new(100, 100, 100, 200),
        Ipv4Addr::new(168, 63, 129, 16),
        Ipv4Addr::new(192, 0, 0, 192),
    ];
    v4.is_link_local()
        || v4.octets()[0] == 0
        || v4.is_multicast()
        || v4.is_broadcast()
        || METADATA.contains(&v4)
}

/// The IPv4 address inside an IPv6 one: mapped, compatible, NAT64 (RFC 6052, RFC 8215) or 6to4 (RFC 3056).
fn embedded_v4(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let from = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Some(Ipv4Addr::new(a, b, c, d))
    };
    match v6.segments() {
        _ if planted::is("mapped-address-unseen") => None,
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0 | 1, _, _, _, high, low]
        | [0x2002, high, low, ..] => from(high, low),
        _ => None,
    }
}

/// Looks names up with the system, and refuses a name of which one address is forbidden. The connection goes to what was
/// checked.
pub(super) struct SafeResolver;

impl Resolve for SafeResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let name = name.as_str();
            let mut found: Vec<SocketAddr> = tokio::net::lookup_host((name, 0)).await?.collect();
            let refused = found.iter().find(|address| never_by_name(address.ip()));
            if let Some(refused) = refused {
                let why = format!("`{name}` leads to {}, which no name may", refused.ip());
                return Err(why.into());
            }
            if planted::is("looked-up-twice") {
                found = tokio::net::lookup_host((name, 0)).await?.collect();
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_hosts_are_reached_however_they_are_spelled() {
        let allowed = [
            "shop:80",
            "shop:8443",
            "[::1]:80",
            "127.0.0.1:80",
            "169.254.1.1:80",
        ]
        .map(str::to_owned);
        for (url, fits) in [
            ("http://shop/", true),
            ("HTTP://SHOP:80/a", true),
            ("https://shop:8443/", true),
            ("http://[::1]/", true),
            ("http://[0:0:0:0:0:0:0:1]/", true),
            ("http://127.1/", true),
            ("http://2130706433/", true),
            ("http://169.254.1.1/", true),
            ("https://shop/", false),
            ("http://shop:81/", false),
            ("http://shop./", false),
            ("http://shop.evil/", false),
            ("http://shop@evil/", false),
            ("http://ana@shop/", false),
            ("http://:secret@shop/", false),
            ("http://evil#@shop/", false),
            ("http://evil\\@shop/", false),
            ("ftp://shop/", false),
            ("file:///etc/passwd", false),
            ("data:text/plain,x", false),
            ("http://169.254.169.254/", false),
            ("http://2852039166/", false),
            ("http://0xa9fea9fe/", false),
            ("http://0251.0376.0251.0376/", false),
            ("http://[::ffff:169.254.169.254]/", false),
            ("http://[::ffff:7f00:1]/", false),
        ] {
            let parsed = Url::parse(url).unwrap();
            assert_eq!(check(&parsed, &allowed).is_ok(), fits, "{url}");
        }
    }

    #[test]
    fn no_name_leads_to_metadata() {
        for (address, never) in [
            ("169.254.169.254", true),
            ("169.254.0.1", true),
            ("100.100.100.200", true),
            ("0.0.0.0", true),
            ("0.1.2.3", true),
            ("255.255.255.255", true),
            ("224.0.0.1", true),
            ("fe80::1", true),
            ("febf::1", true),
            ("::", true),
            ("fd00:ec2::254", true),
            ("fd00:ec2::23", true),
            ("fd20:ce::254", true),
            ("64:ff9b:1::169.254.169.254", true),
            ("::ffff:169.254.169.254", true),
            ("::169.254.169.254", true),
            ("64:ff9b::169.254.169.254", true),
            ("2002:a9fe:a9fe::1", true),
            ("127.0.0.1", false),
            ("10.0.0.1", false),
            ("192.168.1.1", false),
            ("::1", false),
            ("fd00::1", false),
            ("::ffff:10.0.0.1", false),
            ("93.184.216.34", false),
            ("2606:2800::1", false),
        ] {
            assert_eq!(never_by_name(address.parse().unwrap()), never, "{address}");
        }
    }
}
