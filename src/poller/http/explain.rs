//! Network errors in words that an operator can act on, each by its name.

use std::error::Error as _;

use super::client::ResolveError;
use crate::config::FetchSettings;
use crate::config::section::show_duration;
use crate::fault::Fault;
use crate::plain;
use crate::poller::fetch::FetchError;

pub(super) fn explain(error: &reqwest::Error, settings: &FetchSettings) -> FetchError {
    let mut causes = Vec::new();
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(resolve) = cause.downcast_ref::<ResolveError>() {
            return match resolve {
                ResolveError::Unknown(host) => FetchError::new(
                    Fault::UnknownHost,
                    format!("unknown host {host}: check the address, or the machine's DNS"),
                ),
                ResolveError::Refused(reason) => FetchError::new(Fault::Refused, format!("refused: {reason}")),
            };
        }
        causes.push(cause.to_string());
        source = cause.source();
    }
    if error.is_timeout() && error.is_connect() {
        let limit = show_duration(settings.connect_timeout);
        let text = format!("no connection within {limit}: the name server or the host does not answer");
        return FetchError::new(Fault::NoConnection, text);
    }
    if error.is_timeout() {
        let (whole, silence) = (show_duration(settings.timeout), show_duration(settings.read_timeout));
        return FetchError::new(Fault::Slow, format!("no complete answer within {whole}, or nothing for {silence}"));
    }
    let cause = plain::line(causes.last().map_or("the connection failed", String::as_str), 300);
    let all = causes.join(": ");
    if all.contains("certificate") {
        let advice = "verification is never switched off, but fetch.ca_file can add an authority";
        return FetchError::new(
            Fault::Certificate,
            format!("the server's certificate is not valid: {cause}; {advice}"),
        );
    }
    if error.is_connect() {
        return FetchError::new(Fault::NoConnection, format!("cannot connect: {cause}"));
    }
    FetchError::new(Fault::BrokenConnection, format!("the connection broke: {cause}"))
}
