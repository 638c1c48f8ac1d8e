//! Addresses that may be spoken to: our tokens leave this host encrypted or not at all.

use url::{Host, Url};

/// The address, when it is encrypted or stays on this host.
pub(super) fn safe_url(url: &str, secure: &str, plain: &str) -> Result<Url, String> {
    let parsed = Url::parse(url).map_err(|error| format!("`{url}` is not an address: {error}"))?;
    let loopback = match parsed.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    if parsed.scheme() == secure || (parsed.scheme() == plain && loopback) {
        return Ok(parsed);
    }
    let host = parsed.host_str().unwrap_or("no host");
    Err(format!(
        "`{}://{host}` is not encrypted: use {secure}://",
        parsed.scheme()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_addresses_are_for_this_host_only() {
        let rows = [
            ("encrypted", "https://slack.com/api", true),
            ("loopback", "http://127.0.0.1:9/api", true),
            ("loopback, version 6", "http://[::1]:9/api", true),
            ("by name", "http://localhost:9/api", true),
            ("plain", "http://slack.com/api", false),
            (
                "a name that begins alike",
                "http://localhost.evil.test",
                false,
            ),
            ("another scheme", "ftp://127.0.0.1/", false),
            ("nonsense", "slack", false),
        ];
        for (name, url, fine) in rows {
            assert_eq!(safe_url(url, "https", "http").is_ok(), fine, "{name}");
        }
    }
}
