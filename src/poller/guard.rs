//! Which addresses may be asked. Pure: no name is resolved here; the HTTP edge asks for every answer of every hop.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use url::{Host, Url};

/// IPv4 networks that are not the public internet (IANA special-purpose registry; RFC 6890 and its updates). What the registry
/// calls globally reachable (192.31.196.0/24, 192.52.193.0/24, 192.175.48.0/24) is public.
const NOT_PUBLIC_V4: &[(Ipv4Net, &str)] = &[
    (v4([0, 0, 0, 0], 8), "this network"),
    (v4([10, 0, 0, 0], 8), "private network"),
    (v4([100, 64, 0, 0], 10), "shared address space"),
    (v4([127, 0, 0, 0], 8), "loopback"),
    // The one address that looks public and is not: each machine at Azure gets its own certificates and settings there.
    (v4([168, 63, 129, 16], 32), "Azure's own services"),
    (v4([169, 254, 0, 0], 16), "link-local"),
    (v4([172, 16, 0, 0], 12), "private network"),
    (v4([192, 0, 0, 0], 24), "protocol assignments"),
    (v4([192, 0, 2, 0], 24), "documentation"),
    (v4([192, 88, 99, 0], 24), "6to4 relay"),
    (v4([192, 168, 0, 0], 16), "private network"),
    (v4([198, 18, 0, 0], 15), "benchmarking"),
    (v4([198, 51, 100, 0], 24), "documentation"),
    (v4([203, 0, 113, 0], 24), "documentation"),
    (v4([224, 0, 0, 0], 4), "multicast"),
    (v4([240, 0, 0, 0], 4), "reserved"),
];

/// Within 2000::/3, the only public part of IPv6, what is not public or embeds an IPv4 address.
const NOT_PUBLIC_V6: &[(Ipv6Net, &str)] = &[
    (v6([0x2001, 0, 0, 0], 23), "protocol assignments"),
    (v6([0x2001, 0xdb8, 0, 0], 32), "documentation"),
    (v6([0x2002, 0, 0, 0], 16), "6to4"),
    (v6([0x3fff, 0, 0, 0], 20), "documentation"),
];

const PUBLIC_V6: Ipv6Net = v6([0x2000, 0, 0, 0], 3);
/// NAT64 (RFC 6052): the last 32 bits are an IPv4 address.
const NAT64: Ipv6Net = v6([0x64, 0xff9b, 0, 0], 96);

const fn v4(octets: [u8; 4], prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3]), prefix)
}

const fn v6(head: [u16; 4], prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(head[0], head[1], head[2], head[3], 0, 0, 0, 0), prefix)
}

/// What may be asked: the public internet, and what the configuration allows or denies besides.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    /// Networks that may be asked although they are not public.
    pub allow: Vec<IpNet>,
    /// Networks that are never asked.
    pub deny: Vec<IpNet>,
}

impl Guard {
    /// May this address be connected to? The error says why not.
    pub fn check_address(&self, address: IpAddr) -> Result<(), String> {
        let forms = [address, unwrapped(address)];
        if let Some(network) = self.deny.iter().find(|network| forms.iter().any(|form| network.contains(form))) {
            return Err(format!("{address} is in {network}, which fetch.deny forbids"));
        }
        check_address(address, &self.allow)
    }

    /// May this address be asked, as far as its text tells?
    pub fn check_url(&self, url: &Url) -> Result<(), String> {
        check_url(url, &self.allow)?;
        match url.host() {
            Some(Host::Ipv4(v4)) => self.check_address(IpAddr::V4(v4)),
            Some(Host::Ipv6(v6)) => self.check_address(IpAddr::V6(v6)),
            _ => Ok(()),
        }
    }
}

/// The IPv4 address that an IPv6 address stands for (mapped, NAT64); else the address itself.
fn unwrapped(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => IpAddr::V4(v4),
            None if NAT64.contains(&v6) => {
                let [.., a, b, c, d] = v6.octets();
                IpAddr::V4(Ipv4Addr::new(a, b, c, d))
            }
            None => address,
        },
        IpAddr::V4(_) => address,
    }
}

/// May this address be connected to? The error says why not and how to allow it.
pub fn check_address(address: IpAddr, allow: &[IpNet]) -> Result<(), String> {
    let plain = unwrapped(address);
    if allow.iter().any(|network| network.contains(&plain)) {
        return Ok(());
    }
    let reason = match plain {
        IpAddr::V4(v4) => NOT_PUBLIC_V4.iter().find(|(network, _)| network.contains(&v4)).map(|(_, reason)| *reason),
        IpAddr::V6(v6) if !PUBLIC_V6.contains(&v6) => Some("not a public network"),
        IpAddr::V6(v6) if is_isatap(v6) => Some("tunnel within a site"),
        IpAddr::V6(v6) => NOT_PUBLIC_V6.iter().find(|(network, _)| network.contains(&v6)).map(|(_, reason)| *reason),
    };
    match reason {
        None => Ok(()),
        Some(reason) => Err(format!(
            "{address} is not a public address ({reason}); fetch.allow can name networks that may be asked"
        )),
    }
}

/// An address of ISATAP (RFC 5214 section 6.1), which may have any prefix: a system with such a tunnel sends it to the IPv4 address
/// in its last 32 bits.
fn is_isatap(address: Ipv6Addr) -> bool {
    matches!(address.segments(), [_, _, _, _, 0 | 0x200, 0x5efe, _, _])
}

/// May this address be asked, as far as its text tells? A host that is a literal address never reaches the resolver, so it
/// is checked here.
pub fn check_url(url: &Url, allow: &[IpNet]) -> Result<(), String> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("{}: addresses are not fetched, only http and https", url.scheme()));
    }
    match url.host() {
        Some(Host::Ipv4(v4)) => check_address(IpAddr::V4(v4), allow),
        Some(Host::Ipv6(v6)) => check_address(IpAddr::V6(v6), allow),
        Some(Host::Domain(_)) => Ok(()),
        None => Err("the address has no host".to_string()),
    }
}

#[cfg(test)]
mod every_address;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_addresses_are_refused_in_every_spelling() {
        let refused = [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://0/",
            "http://127.0.0.1./",
            "http://１２７.0.0.1/",
            "http://[::1]/",
            "http://[::]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::127.0.0.1]/",
            "http://[64:ff9b::7f00:1]/",
            "http://[2002:7f00:1::]/",
            "http://[fe80::1]/",
            "http://[fc00::1]/",
            "http://10.0.0.1/",
            "http://172.31.255.255/",
            "http://192.168.1.1/",
            "http://169.254.169.254/",
            "http://100.64.0.1/",
            "http://[2001:0:7f00:1::]/",
            "ftp://example.org/",
            "file:///etc/passwd",
        ];
        for text in refused {
            assert!(check_url(&Url::parse(text).unwrap(), &[]).is_err(), "{text}");
        }
        for text in [
            "http://example.org/",
            "https://93.184.216.34/",
            "http://[2606:4700::1111]/",
            "http://[64:ff9b::5db8:d822]/",
            "http://172.32.0.1/",
        ] {
            assert_eq!(check_url(&Url::parse(text).unwrap(), &[]), Ok(()), "{text}");
        }
    }

    #[test]
    fn a_denied_network_is_never_asked() {
        let guard = Guard {
            allow: vec!["10.0.0.0/8".parse().unwrap()],
            deny: vec!["10.1.0.0/16".parse().unwrap(), "93.184.216.0/24".parse().unwrap()],
        };
        for (text, allowed) in [
            ("http://10.2.0.1/", true),
            ("http://10.1.0.1/", false),
            ("http://93.184.216.34/", false),
            ("http://[::ffff:10.1.0.1]/", false),
            ("http://[64:ff9b::5db8:d822]/", false),
        ] {
            assert_eq!(guard.check_url(&Url::parse(text).unwrap()).is_ok(), allowed, "{text}");
        }
    }

    #[test]
    fn an_allowed_network_is_no_wider_than_it_is_written() {
        let allow = ["127.0.1.0/24".parse().unwrap()];
        assert!(check_address("127.0.1.7".parse().unwrap(), &allow).is_ok());
        assert!(check_address("::ffff:127.0.1.7".parse().unwrap(), &allow).is_ok());
        assert!(check_address("127.0.2.7".parse().unwrap(), &allow).is_err());
        assert!(check_address("127.0.0.1".parse().unwrap(), &allow).is_err());
    }
}
