//! From a repository's host to the address of its API.

use std::net::Ipv4Addr;

use reqwest::Url;

use super::RegistryOptions;
use crate::image::{Digest, Repository};

/// Where a repository is served: `https://host/v2/path/`.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    base: Url,
}

impl Endpoint {
    /// `None` where the host makes no URL.
    pub(super) fn new(repository: &Repository, options: &RegistryOptions) -> Option<Self> {
        let host = api_host(repository.host());
        let scheme = if plain(host, options) { "http" } else { "https" };
        let base = Url::parse(&format!("{scheme}://{host}/v2/{}/", repository.path())).ok()?;
        Some(Self { base })
    }

    /// Whether two requests go to the same server in the same way.
    pub(super) fn is_own(&self, url: &Url) -> bool {
        same_origin(&self.base, url)
    }

    /// Whether the registry itself is spoken to without TLS.
    pub(super) fn is_plain(&self) -> bool {
        self.base.scheme() == "http"
    }

    /// A manifest, by tag or digest. Whoever calls has checked the grammar,
    /// which leaves no `/`, `?` or `..`.
    pub(super) fn manifest(&self, reference: &str) -> Url {
        self.below("manifests/", reference)
    }

    pub(super) fn blob(&self, digest: &Digest) -> Url {
        self.below("blobs/", &digest.to_string())
    }

    pub(super) fn uploads(&self) -> Url {
        self.below("blobs/uploads/", "")
    }

    pub(super) fn referrers(&self, subject: &Digest) -> Url {
        self.below("referrers/", &subject.to_string())
    }

    /// The base of the API, which says what a registry can do.
    pub(super) fn root(&self) -> Url {
        let mut url = self.base.clone();
        url.set_path("/v2/");
        url
    }

    /// The signatures of an image in the registry's own extension (OpenShift).
    pub(super) fn signatures(&self, repository: &Repository, subject: &Digest) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("/extensions/v2/{}/signatures/{subject}", repository.path()));
        url
    }

    fn below(&self, folder: &str, name: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{folder}{name}", self.base.path()));
        url
    }
}

/// RFC 6454: scheme, host and port.
pub(super) fn same_origin(a: &Url, b: &Url) -> bool {
    a.scheme() == b.scheme()
        && a.host() == b.host()
        && a.port_or_known_default() == b.port_or_known_default()
}

/// Docker Hub's images are named after a host that serves no API.
fn api_host(host: &str) -> &str {
    match host {
        "docker.io" => "registry-1.docker.io",
        other => other,
    }
}

/// Loopback is plain because what could listen there could read our memory;
/// a CA or a client certificate on the command line says that TLS is meant.
fn plain(host: &str, options: &RegistryOptions) -> bool {
    let tls_meant =
        options.loopback_tls || !options.ca.is_empty() || options.client_identity.is_some();
    options.plain_http || (is_loopback(host) && !tls_meant)
}

/// localhost, 127.0.0.0/8 or `[::1]`, with or without a port.
pub(super) fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    name == "localhost"
        || name == "[::1]"
        || name.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(name: &str, options: &RegistryOptions) -> String {
        Endpoint::new(&name.parse().unwrap(), options).unwrap().base.to_string()
    }

    #[test]
    fn only_loopback_is_plain_unless_asked() {
        let mut options = RegistryOptions::default();
        for (name, want) in [
            ("alpine", "https://registry-1.docker.io/v2/library/alpine/"),
            ("ghcr.io/me/app", "https://ghcr.io/v2/me/app/"),
            ("localhost:5000/a", "http://localhost:5000/v2/a/"),
            ("127.9.9.9:5000/a", "http://127.9.9.9:5000/v2/a/"),
            ("[::1]:5000/a", "http://[::1]:5000/v2/a/"),
            ("128.0.0.1:5000/a", "https://128.0.0.1:5000/v2/a/"),
            ("localhost.evil.example/a", "https://localhost.evil.example/v2/a/"),
            ("127.0.0.1.evil.example/a", "https://127.0.0.1.evil.example/v2/a/"),
        ] {
            assert_eq!(base(name, &options), want);
        }
        options.plain_http = true;
        assert_eq!(base("ghcr.io/me/app", &options), "http://ghcr.io/v2/me/app/");
        options.plain_http = false;
        options.ca = vec![Vec::new()];
        assert_eq!(base("localhost:5000/a", &options), "https://localhost:5000/v2/a/");
        options.ca.clear();
        options.loopback_tls = true;
        assert_eq!(base("localhost:5000/a", &options), "https://localhost:5000/v2/a/");
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let same = |a: &str, b: &str| same_origin(&a.parse().unwrap(), &b.parse().unwrap());
        assert!(same("https://a.example/x", "https://A.example:443/y"));
        assert!(!same("https://a.example/", "http://a.example/"));
        assert!(!same("https://a.example/", "https://a.example:8443/"));
        assert!(!same("https://a.example/", "https://b.example/"));
    }
}
