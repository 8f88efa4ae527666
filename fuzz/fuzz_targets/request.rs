//! An ETag, a Last-Modified and a header from the configuration: they go back byte for byte or not at all, to their own address
//! only, and nothing else is ever sent.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use newswatch::poller::fetch::{Access, Request, Validators};
use newswatch::poller::http::headers;

fuzz_target!(|data: &[u8]| {
    let mut parts = data.splitn(3, |byte| *byte == b'|').map(<[u8]>::to_vec);
    let (etag, last_modified, secret) = (parts.next(), parts.next(), parts.next().unwrap_or_default());
    let url = newswatch_fuzz::address();
    let other = url.join("https://other.example/").expect("an address");
    let value = String::from_utf8_lossy(&secret).into_owned();
    let access = Access { headers: vec![("authorization".into(), value)], proxy: None, site: Some(url.clone()) };
    let mut request = Request::get(url.clone(), "text/html");
    request.validators = Some(Validators { url, etag: etag.clone(), last_modified: last_modified.clone() });
    request.access = Some(Arc::new(access));
    let sent = headers(&request);
    for (name, value) in &sent {
        let expected = match name.as_str() {
            "accept" => b"text/html".to_vec(),
            "if-none-match" => etag.clone().unwrap_or_default(),
            "if-modified-since" => last_modified.clone().unwrap_or_default(),
            "authorization" => String::from_utf8_lossy(&secret).into_owned().into_bytes(),
            name => panic!("{name} is sent"),
        };
        assert_eq!(value.as_bytes(), expected, "{name}");
        assert!(!value.as_bytes().contains(&b'\n') && !value.as_bytes().contains(&b'\r'), "{name}");
    }
    request.url = other;
    assert_eq!(headers(&request).len(), 1, "only what is wanted goes to another site");
});
