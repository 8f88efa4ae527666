//! A base and a Location (two lines): whatever is accepted leads to a public address or to the resolver.
#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use newswatch::poller::guard::check_url;
use url::{Host, Url};

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let (base, location) = text.split_once('\n').unwrap_or(("http://example.org/a/b", &text));
    let Ok(base) = Url::parse(base) else { return };
    let Ok(url) = base.join(location) else { return };
    let answer = check_url(&url, &[]);
    // What is written down and read again is the same address with the same answer.
    let again = Url::parse(url.as_str()).expect("an address that was written by Url");
    assert_eq!((again.host(), check_url(&again, &[]).is_ok()), (url.host(), answer.is_ok()), "{url}");
    if answer.is_err() {
        return;
    }
    assert!(url.scheme() == "http" || url.scheme() == "https", "{url}");
    match url.host() {
        None => panic!("{url} has no host"),
        Some(Host::Ipv4(v4)) => assert!(is_public(v4.octets()), "{url}"),
        Some(Host::Ipv6(v6)) => match (v6.segments(), v6.octets()) {
            ([0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..], [.., a, b, c, d]) => {
                assert!(is_public([a, b, c, d]), "{url}");
            }
            ([0x2001, 0..0x200 | 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..0x1000, ..], _) => panic!("{url}"),
            ([_, _, _, _, 0 | 0x200, 0x5efe, ..], _) => panic!("{url}"),
            ([head, ..], _) => assert!((0x2000..0x4000).contains(&head), "{url}"),
        },
        // The client asks the resolver for all but literal addresses, by a parser of its own.
        Some(Host::Domain(name)) => {
            assert!(name.parse::<IpAddr>().is_err(), "{url}");
            assert!(name.trim_matches(['[', ']']).parse::<IpAddr>().is_err(), "{url}");
        }
    }
});

/// By the registry of IANA.
fn is_public(octets: [u8; 4]) -> bool {
    !matches!(
        octets,
        [0 | 10 | 127 | 224.., ..]
            | [100, 64..=127, ..]
            | [168, 63, 129, 16]
            | [169, 254, ..]
            | [172, 16..=31, ..]
            | [192, 0, 0 | 2, _]
            | [192, 88, 99, _]
            | [192, 168, ..]
            | [198, 18 | 19, ..]
            | [198, 51, 100, _]
            | [203, 0, 113, _]
    )
}
