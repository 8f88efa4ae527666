//! The table of addresses against a second statement of it, written in another way: ranges from first to last address, as the
//! IANA registries list them. Every /16 and every border is tried, plain and in each form in which IPv6 holds an IPv4 address.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::Url;

use super::*;

/// IANA IPv4 special-purpose registry, multicast, and what Azure answers machines on.
const SPECIAL_V4: &[(&str, &str)] = &[
    ("0.0.0.0", "0.255.255.255"),
    ("10.0.0.0", "10.255.255.255"),
    ("100.64.0.0", "100.127.255.255"),
    ("127.0.0.0", "127.255.255.255"),
    ("168.63.129.16", "168.63.129.16"),
    ("169.254.0.0", "169.254.255.255"),
    ("172.16.0.0", "172.31.255.255"),
    ("192.0.0.0", "192.0.0.255"),
    ("192.0.2.0", "192.0.2.255"),
    ("192.88.99.0", "192.88.99.255"),
    ("192.168.0.0", "192.168.255.255"),
    ("198.18.0.0", "198.19.255.255"),
    ("198.51.100.0", "198.51.100.255"),
    ("203.0.113.0", "203.0.113.255"),
    ("224.0.0.0", "255.255.255.255"),
];

fn number(address: &str) -> u32 {
    address.parse::<Ipv4Addr>().unwrap().into()
}

fn special_v4() -> Vec<(u32, u32)> {
    SPECIAL_V4.iter().map(|(first, last)| (number(first), number(last))).collect()
}

/// What a connection to an address really asks for.
enum Asked {
    V4(u32),
    /// IPv6 that is public.
    Public,
    /// All other IPv6.
    Inner,
}

fn asked(address: Ipv6Addr) -> Asked {
    let [a, b, c, d, e, f, high, low] = address.segments();
    let last = u32::from(high) << 16 | u32::from(low);
    match [a, b, c, d, e, f] {
        // IPv4-mapped, and the well-known prefix of NAT64.
        [0, 0, 0, 0, 0, 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0] => Asked::V4(last),
        // Protocol assignments (Teredo, ORCHID ...), documentation, 6to4, ISATAP.
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..=0xfff, ..] => Asked::Inner,
        [.., 0 | 0x200, 0x5efe] => Asked::Inner,
        [0x2000..=0x3fff, ..] => Asked::Public,
        _ => Asked::Inner,
    }
}

/// All forms in which an IPv4 address goes into an IPv6 address.
fn embedded(v4: u32) -> [Ipv6Addr; 13] {
    let (high, low) = ((v4 >> 16) as u16, v4 as u16);
    [
        // Mapped, compatible, translated (SIIT).
        [0, 0, 0, 0, 0, 0xffff, high, low],
        [0, 0, 0, 0, 0, 0, high, low],
        [0, 0, 0, 0, 0xffff, 0, high, low],
        // NAT64: well-known, for local use (at /96 and as RFC 6052 writes it at /48), a neighbour of the well-known.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low],
        [0x64, 0xff9b, 1, 0, 0, 0, high, low],
        [0x64, 0xff9b, 1, high, low >> 8, low << 8, 0, 0],
        [0x64, 0xff9b, 0, 0, 0, 1, high, low],
        // 6to4, as router and as host.
        [0x2002, high, low, 0, 0, 0, 0, 0],
        [0x2002, high, low, 1, 0, 0, 0, 1],
        // Teredo: server in front, client inverted behind.
        [0x2001, 0, high, low, 0, 0xffff, !0x5db8, !0xd822],
        [0x2001, 0, 0x5db8, 0xd822, 0, 0xffff, !high, !low],
        // ISATAP on a public prefix.
        [0x2606, 0x4700, 0, 0, 0, 0x5efe, high, low],
        [0x2606, 0x4700, 0, 0, 0x200, 0x5efe, high, low],
    ]
    .map(|[a, b, c, d, e, f, g, h]| Ipv6Addr::new(a, b, c, d, e, f, g, h))
}

/// First and last address of every /16, and three addresses at each end of what the statement or the table names.
fn places_v4() -> BTreeSet<u32> {
    let mut places: BTreeSet<u32> = (0..=0xffffu32).flat_map(|head| [head << 16, head << 16 | 0xffff]).collect();
    let table = NOT_PUBLIC_V4.iter().map(|(network, _)| (network.network().into(), network.broadcast().into()));
    for (first, last) in table.chain(special_v4()) {
        for edge in [first, last] {
            places.extend([edge.wrapping_sub(1), edge, edge.wrapping_add(1)]);
        }
    }
    places
}

/// The same of IPv6, with borders below /16 that the registry names.
fn places_v6() -> BTreeSet<u128> {
    const BORDERS: &[&str] = &[
        "::1",
        "::ffff:0:0",
        "64:ff9b::",
        "64:ff9b::1:0:0",
        "64:ff9b:1::",
        "100::",
        "100:0:0:1::",
        "2001::",
        "2001:1::1",
        "2001:2::",
        "2001:20::",
        "2001:200::",
        "2001:db8::",
        "2001:db9::",
        "2620:4f:8000::",
        "3fff::",
        "3fff:1000::",
        "5f00::",
        "fc00::",
        "fd00:1::",
        "fd00:2::",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::",
        "ff02::1",
    ];
    let mut places: BTreeSet<u128> =
        (0..=0xffffu128).flat_map(|head| [head << 112, head << 112 | u128::MAX >> 16]).collect();
    let table = NOT_PUBLIC_V6.iter().map(|(network, _)| network).chain([&PUBLIC_V6, &NAT64]);
    let table = table.map(|network| (network.network().into(), network.broadcast().into()));
    let borders =
        BORDERS.iter().map(|border| border.parse::<Ipv6Addr>().unwrap().into()).map(|border: u128| (border, border));
    for (first, last) in table.chain(borders) {
        for edge in [first, last] {
            places.extend([edge.wrapping_sub(1), edge, edge.wrapping_add(1)]);
        }
    }
    places
}

/// Asks the table about these places and compares. `allowed` states what an allow list adds, in its own words.
fn compare(places: impl IntoIterator<Item = u32>, allow: &[&str], allowed_v4: (&str, &str), allowed_v6: (&str, &str)) {
    let allow: Vec<IpNet> = allow.iter().map(|network| network.parse().unwrap()).collect();
    let special = special_v4();
    let (v4_first, v4_last) = (number(allowed_v4.0), number(allowed_v4.1));
    let [v6_first, v6_last] = [allowed_v6.0, allowed_v6.1].map(|edge| edge.parse::<Ipv6Addr>().unwrap());
    let is_allowed = |v4: u32| !allow.is_empty() && (v4_first..=v4_last).contains(&v4);
    let is_public = |v4: u32| !special.iter().any(|(first, last)| (*first..=*last).contains(&v4));
    let check = |address: IpAddr, expected: bool| {
        let answer = check_address(address, &allow);
        assert_eq!(answer.is_ok(), expected, "{address} with {allow:?}: {answer:?}");
    };
    let check_v6 = |address: Ipv6Addr| {
        let listed = !allow.is_empty() && (v6_first..=v6_last).contains(&address);
        let expected = match asked(address) {
            Asked::V4(v4) => is_public(v4) || is_allowed(v4),
            Asked::Public => true,
            Asked::Inner => listed,
        };
        check(IpAddr::V6(address), expected);
    };
    for place in places {
        check(IpAddr::V4(place.into()), is_public(place) || is_allowed(place));
        embedded(place).into_iter().for_each(check_v6);
    }
    places_v6().into_iter().for_each(|place| check_v6(place.into()));
}

#[test]
fn the_table_says_what_the_registries_say() {
    compare(places_v4(), &[], ("0.0.0.0", "0.0.0.0"), ("::", "::"));
}

#[test]
fn an_allow_list_adds_what_it_names_and_nothing_else() {
    let firsts = places_v4().into_iter().filter(|place| place & 0xffff != 0xffff);
    compare(
        firsts.chain([number("10.1.127.255"), number("10.1.128.0"), number("10.1.255.255")]),
        &["10.1.128.0/17", "fd00:1::/32"],
        ("10.1.128.0", "10.1.255.255"),
        ("fd00:1::", "fd00:1:ffff:ffff:ffff:ffff:ffff:ffff"),
    );
}

/// Spellings of addresses that nobody outside may ask for, as a Location or a link can hold them.
const INNER: &[&str] = &[
    // Loopback in numbers of every base and every number of parts.
    "http://127.0.0.1/",
    "http://127.1/",
    "http://127.0.1/",
    "http://127.255.255.254:8080/",
    "http://2130706433/",
    "http://017700000001/",
    "http://0x7f000001/",
    "http://0x7F.0X0.0x0.0x1/",
    "http://0x7f.1/",
    "http://0x7f.0.1/",
    "http://0177.0.0.1/",
    "http://0177.0.0.01/",
    "http://00000177.1/",
    "http://127.0x0.000.1/",
    "http://127.00000.000.0001/",
    "http://0/",
    "http://00/",
    "http://0x/",
    "http://0x0/",
    "http://0.0/",
    "http://127.0.0.0x/",
    "http://0.0.0.0:80/",
    "http://127.0.0.1./",
    "http://127.1./",
    // Characters that become digits and dots.
    "http://１２７.0.0.1/",
    "http://１２７．０．０．１/",
    "http://127。0。0。1/",
    "http://127｡0｡0｡1/",
    "http://①②⑦.⓪.⓪.①/",
    "http://𝟏𝟐𝟕.𝟎.𝟎.𝟏/",
    "http://¹²⁷.0.0.1/",
    "http://127.0.\u{ad}0.1/",
    "http://%31%32%37.0.0.1/",
    "http://127%2e0%2e0%2e1/",
    "http://0%78%37f.1/",
    "http://%ef%bc%91%32%37.0.0.1/",
    // What people and programs write around a host.
    "http://user@127.0.0.1/",
    "http://user:word@127.0.0.1:22/",
    "http://example.org@127.0.0.1/",
    "http://example.org%40127.0.0.1@127.0.0.1/",
    "http://example.org:80@127.0.0.1/",
    "http://a@b@127.0.0.1/",
    "http://@127.0.0.1/",
    "HTTP://127.0.0.1/",
    "hTTpS://127.0.0.1:443/",
    " http://127.0.0.1/ ",
    "\u{1}http://127.0.0.1/",
    "ht\ttp://127.0\n.0.1/",
    "http:\r\n//127.0.0.1/",
    "http:\\\\127.0.0.1\\",
    "http:/\\127.0.0.1/",
    "http:////127.0.0.1/",
    "http://127.0.0.1?x",
    "http://127.0.0.1#@example.org/",
    "http://127.0.0.1\\@example.org/",
    "http://127.0.0.1:/",
    // Without a scheme of its own.
    "//127.0.0.1/",
    "\\\\127.0.0.1\\",
    "/\\127.0.0.1/",
    "\t//127.0.0.1",
    "//0x7f.1",
    // IPv6, and IPv4 inside it.
    "http://[::1]/",
    "http://[::]/",
    "http://[0:0:0:0:0:0:0:1]/",
    "http://[0000:0000:0000:0000:0000:0000:0000:0001]:80/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::FFFF:7F00:1]/",
    "http://[0:0:0:0:0:ffff:127.0.0.1]/",
    "http://[::127.0.0.1]/",
    "http://[::ffff:0:127.0.0.1]/",
    "http://[64:ff9b::127.0.0.1]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[64:ff9b:1::7f00:1]/",
    "http://[2002:7f00:1::]/",
    "http://[2001:0:7f00:1::]/",
    "http://[2606:4700::5efe:127.0.0.1]/",
    "http://[fe80::1]/",
    "http://[fec0::1]/",
    "http://[fd00:ec2::254]/",
    "http://[ff02::1]/",
    "http://user@[::1]/",
    "//[::1]/",
    // Other inner networks, and where clouds tell machines their secrets.
    "http://10.0.0.1/",
    "http://012.1/",
    "http://172.16.0.1/",
    "http://172.31.255.255/",
    "http://192.168.1.1/",
    "http://0xc0a80101/",
    "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/",
    "http://0xa9.254.0251.254/",
    "http://[::ffff:169.254.169.254]/",
    "http://100.100.100.200/",
    "http://192.0.0.192/",
    "http://168.63.129.16/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    "http://4294967295/",
    // Other ways to read than over HTTP.
    "ftp://example.org/",
    "file:///etc/passwd",
    "file://127.0.0.1/etc/passwd",
    "gopher://127.0.0.1:6379/_INFO",
    "data:text/xml,<rss/>",
    "javascript:alert(1)",
    "ws://127.0.0.1/",
    "blob:http://127.0.0.1/x",
    "view-source:http://127.0.0.1/",
    "feed:http://127.0.0.1/",
    "feed://127.0.0.1/",
];

/// No address at all.
const BROKEN: &[&str] = &[
    "http://256.0.0.1/",
    "http://127.0.0.256/",
    "http://1.2.3.4.5/",
    "http://4294967296/",
    "http://0x100000000/",
    "http://127.0.0.08/",
    "http://[::1",
    "http://[::1%25eth0]/",
    "http://[fe80::1%eth0]/",
    "http://[::ffff:127.1]/",
    "http://[127.0.0.1]/",
    "http://127.0.0.1:99999/",
    "http://127.0.0.1%00/",
    "http://exa mple.org/",
    "http://",
    "//",
    "///127.0.0.1/",
];

#[test]
fn no_spelling_leads_inwards() {
    for base in ["http://feeds.example.org/news/rss.xml", "https://feeds.example.org/"] {
        let base = Url::parse(base).unwrap();
        for spelling in INNER {
            let url = base.join(spelling).unwrap_or_else(|error| panic!("{spelling:?}: {error}"));
            assert!(check_url(&url, &[]).is_err(), "{spelling:?} from {base} is {url}");
            // The configuration is read without a base.
            if let Ok(url) = Url::parse(spelling) {
                assert!(check_url(&url, &[]).is_err(), "{spelling:?} is {url}");
            }
        }
        for spelling in BROKEN {
            assert!(base.join(spelling).is_err(), "{spelling:?} is {:?}", base.join(spelling));
        }
    }
}

/// With one slash or none behind the scheme, a link stands on its page if that has the same scheme, else it is an address.
#[test]
fn what_looks_like_an_address_may_be_a_path() {
    let base = Url::parse("http://feeds.example.org/news/rss.xml").unwrap();
    let other = Url::parse("https://feeds.example.org/news/rss.xml").unwrap();
    for (spelling, expected) in [
        ("http:127.0.0.1/x", "http://feeds.example.org/news/127.0.0.1/x"),
        ("http:/127.0.0.1/x", "http://feeds.example.org/127.0.0.1/x"),
        ("127.0.0.1", "http://feeds.example.org/news/127.0.0.1"),
    ] {
        let url = base.join(spelling).unwrap();
        assert_eq!((url.as_str(), check_url(&url, &[])), (expected, Ok(())));
        let url = other.join(spelling).unwrap();
        assert_eq!(check_url(&url, &[]).is_ok(), url.host() == other.host(), "{url}");
    }
}
