//! `[metrics]`: where others may look inside.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::section::Section;

/// Where `/metrics`, `/healthz` and `/readyz` are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricsConfig {
    /// The address.
    pub listen: Listen,
    /// Others than this machine may ask.
    pub allow_remote: bool,
}

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// An address of this machine and a port.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl std::fmt::Display for Listen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Listen::Tcp(address) => address.fmt(f),
            Listen::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Reads `[metrics]`.
pub(super) fn read(mut section: Section<'_>) -> Option<MetricsConfig> {
    let allow_remote = section.boolean("allow_remote").unwrap_or(false);
    let text = section.required_text("listen");
    let listen = text.and_then(|text| match text.strip_prefix("unix:") {
        Some(path) if path.starts_with('/') => Some(Listen::Unix(PathBuf::from(path))),
        Some(_) => {
            section.problem("listen", "`listen`: the path of a Unix socket is absolute, such as \"unix:/run/newswatch/metrics.sock\"");
            None
        }
        None => match text.parse::<SocketAddr>() {
            Ok(address) if !address.ip().is_loopback() && !allow_remote => {
                let advice = "listen on 127.0.0.1 or a Unix socket, or say `allow_remote = true`";
                section.problem("listen", format!("`listen`: {address} can be reached by others, who would see the names of your sources and profiles; {advice}"));
                None
            }
            Ok(address) => Some(Listen::Tcp(address)),
            Err(_) => {
                section.problem(
                    "listen",
                    format!("`listen`: {text:?} is neither an address with a port, such as \"127.0.0.1:9277\", nor \"unix:\" and a path"),
                );
                None
            }
        },
    });
    section.finish();
    Some(MetricsConfig { listen: listen?, allow_remote })
}
