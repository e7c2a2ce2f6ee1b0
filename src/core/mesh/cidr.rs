//! Address ranges, as far as overlap needs them.

use std::net::IpAddr;

/// An address range. Host bits are ignored, as Go's `net.ParseCIDR` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    v6: bool,
    first: u128,
    last: u128,
}

impl Cidr {
    /// Reads `10.128.0.0/14` or `fd00::/48`. `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, length) = text.trim().split_once('/')?;
        let length: u32 = length.parse().ok()?;
        let (v6, bits, width) = match address.parse().ok()? {
            IpAddr::V4(address) => (false, u128::from(u32::from(address)), 32),
            IpAddr::V6(address) => (true, u128::from(address), 128),
        };
        if length > width {
            return None;
        }
        let host = match width - length {
            128 => u128::MAX,
            free => (1_u128 << free) - 1,
        };
        Some(Self {
            v6,
            first: bits & !host,
            last: bits | host,
        })
    }

    /// Whether both ranges share an address. Families never overlap.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.v6 == other.v6 && self.first <= other.last && other.first <= self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_overlap_when_they_share_an_address() {
        for (a, b, expected) in [
            ("10.128.0.0/14", "10.132.0.0/14", false),
            ("10.128.0.0/14", "10.131.255.0/24", true),
            ("10.128.0.0/14", "10.128.0.0/14", true),
            ("0.0.0.0/0", "172.30.0.0/16", true),
            ("::/0", "fd00::/48", true),
            ("0.0.0.0/0", "::/0", false),
        ] {
            let (a, b) = (Cidr::parse(a).unwrap(), Cidr::parse(b).unwrap());
            assert_eq!(a.overlaps(b), expected);
            assert_eq!(b.overlaps(a), expected);
        }
    }

    #[test]
    fn other_text_is_no_range() {
        for text in [
            "",
            "10.0.0.0",
            "10.0.0.0/33",
            "10.0.0/8",
            "fd00::/129",
            "a/b",
        ] {
            assert_eq!(Cidr::parse(text), None, "{text}");
        }
    }
}
