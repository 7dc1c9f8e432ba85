use std::error::Error;
use std::io::ErrorKind;

use crate::cause::Cause;
use crate::chain::{io_kind, texts};

/// Why the connector got no answer. `detail` is text that is safe to show.
pub(crate) fn cause_of(error: &(dyn Error + 'static)) -> (Cause, Option<&'static str>) {
    let texts = texts(error);
    // The connector's own words. None has a public type.
    const KNOWN: [(&str, Cause, Option<&str>); 14] = [
        ("UnknownIssuer", Cause::UnknownCa, None),
        // A root certificate of the same name has another key.
        ("BadSignature", Cause::UnknownCa, None),
        ("CaUsedAsEndEntity", Cause::UnknownCa, None),
        ("certificate expired", Cause::Tls, Some("the endpoint's certificate has expired")),
        (
            "certificate not valid yet",
            Cause::Tls,
            Some("the endpoint's certificate is not valid yet"),
        ),
        ("not valid for name", Cause::Tls, Some("the endpoint's certificate is for another host")),
        ("invalid peer certificate", Cause::Tls, Some("the endpoint's certificate is not valid")),
        ("TLS handshake failed", Cause::Tls, None),
        ("dns error", Cause::Dns, None),
        ("failed to lookup address", Cause::Dns, None),
        ("Missing Region", Cause::Configuration, Some("no Region is set")),
        ("Region is missing", Cause::Configuration, Some("no Region is set")),
        ("failed to apply endpoint", Cause::Configuration, Some("the endpoint URL is not valid")),
        ("auth scheme", Cause::Credentials(crate::CredentialsProblem::NotFound), None),
    ];
    let known = KNOWN.iter().find(|(text, ..)| texts.contains(text));
    known.map_or_else(|| by_kind(error), |(_, cause, detail)| (*cause, *detail))
}

fn by_kind(error: &(dyn Error + 'static)) -> (Cause, Option<&'static str>) {
    match io_kind(error) {
        Some(ErrorKind::ConnectionRefused) => (Cause::Refused, None),
        Some(ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe) => {
            (Cause::Connection, Some("connection reset"))
        }
        Some(ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable) => {
            (Cause::Connection, Some("the network is unreachable"))
        }
        Some(ErrorKind::TimedOut) => (Cause::Timeout, None),
        _ => (Cause::Connection, None),
    }
}
