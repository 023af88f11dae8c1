//! The scopes of policy.json, and the names that each of them decides.
//!
//! containers/image looks a name up as `host/ns/name`, `host/ns`, `host`,
//! `*.parent` and "", and the first hit is all that counts. So each of its
//! scopes decides what no narrower one does. The policy may have several
//! answers for these names; one name of each kind tells them all.

use std::collections::BTreeSet;

use crate::image::Repository;
use crate::policy::Document;
use crate::policy::scope::Scope;

/// Docker Hub, which ocisign knows by its other names too.
pub(super) const HUB: &str = "docker.io";

/// A scope of policy.json, transport `docker`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// "": every name.
    Everything,
    /// `*.host`: every sub-domain, on any port.
    Wildcard(String),
    /// A host; or a repository *and* all that is below it.
    Path(String),
}

impl Place {
    /// The place that a scope of the policy has a part of, or all.
    pub(super) fn of(scope: &Scope) -> Self {
        match scope {
            Scope::Everything => Self::Everything,
            Scope::SubDomains { host, .. } => Self::Wildcard(host.clone()),
            Scope::Host(host) => Self::Path(host.clone()),
            Scope::Below { host, path } => Self::Path(format!("{host}/{path}")),
            Scope::Exactly(repository) => Self::Path(repository.to_string()),
        }
    }

    /// As policy.json writes it.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Everything => String::new(),
            Self::Wildcard(host) => format!("*.{host}"),
            Self::Path(path) => path.clone(),
        }
    }

    /// As a policy writes it.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Everything => "**".to_owned(),
            Self::Wildcard(host) => format!("*.{host}/**"),
            Self::Path(path) => path.clone(),
        }
    }

    /// The place, of those in `places`, that decides where this one is left
    /// out.
    pub(super) fn next_wider<'a>(&self, places: &'a BTreeSet<Self>) -> Option<&'a Self> {
        self.wider().iter().find_map(|wider| places.get(wider))
    }

    /// The places to which a name of this one can fall by its spelling.
    ///
    /// Letter case, `:443` and the aliases of Docker Hub are one name to
    /// ocisign and others to containers/image. Hosts are spelled in full
    /// everywhere but there.
    pub(super) fn caught_by(&self) -> Vec<Self> {
        let open = |place: &Self| match place {
            Self::Everything | Self::Wildcard(_) => true,
            Self::Path(_) => false,
        };
        // `registry-1.docker.io` lies in `*.docker.io`
        let hub = self.is_hub().then(|| Self::Wildcard(HUB.to_owned()));
        self.wider().into_iter().filter(open).chain(hub).collect()
    }

    /// Every place that this one lies in, the narrowest first.
    fn wider(&self) -> Vec<Self> {
        let mut wider = Vec::new();
        let mut domain = match self {
            Self::Everything => return wider,
            Self::Wildcard(host) => host.as_str(),
            Self::Path(path) => {
                let mut path = path.as_str();
                while let Some((parent, _)) = path.rsplit_once('/') {
                    wider.push(Self::Path(parent.to_owned()));
                    path = parent;
                }
                path.split(':').next().unwrap_or_default()
            }
        };
        while let Some((_, parent)) = domain.split_once('.') {
            wider.push(Self::Wildcard(parent.to_owned()));
            domain = parent;
        }
        wider.push(Self::Everything);
        wider
    }

    fn is_hub(&self) -> bool {
        match self {
            Self::Path(path) => path.split('/').next() == Some(HUB),
            Self::Everything | Self::Wildcard(_) => false,
        }
    }
}

/// The places of a policy: where its scopes and its mirrors begin.
pub(super) fn places(document: &Document) -> BTreeSet<Place> {
    let mirrors = document.mirrors.keys().map(|prefix| Place::Path(prefix.clone()));
    scopes(document).map(Place::of).chain(mirrors).collect()
}

fn scopes(document: &Document) -> impl Iterator<Item = &Scope> {
    document.baseline.iter().chain(&document.rules).flat_map(|rule| &rule.scope)
}

/// Names that nothing in the policy mentions, to ask about in place of all
/// the others.
pub(super) struct Samples {
    word: String,
    ports: BTreeSet<u16>,
}

impl Samples {
    pub(super) fn new(document: &Document) -> Self {
        let mut texts: Vec<String> = scopes(document).map(ToString::to_string).collect();
        texts.extend(document.mirrors.keys().cloned());
        let free = |word: &String| !texts.iter().any(|text| text.contains(word));
        let word = (0u64..).map(|n| format!("other{n}")).find(free).unwrap_or_default();
        let port = |scope: &Scope| match scope {
            Scope::SubDomains { port, .. } => *port,
            Scope::Everything | Scope::Host(_) | Scope::Below { .. } | Scope::Exactly(_) => None,
        };
        Self { word, ports: scopes(document).filter_map(port).collect() }
    }

    /// One name of each kind that the policy can tell apart, of those that
    /// `place` decides.
    ///
    /// Scopes narrower than the place are places themselves, and wider ones
    /// take all of it or nothing. What is left to tell apart: a repository
    /// and what is below it, and the ports of a wildcard.
    pub(super) fn of(&self, place: &Place) -> Vec<Repository> {
        let word = &self.word;
        let texts = match place {
            Place::Everything => vec![format!("{word}.{word}/{word}")],
            Place::Wildcard(host) => {
                let ports = self.ports.iter().map(|port| format!("{word}.{host}:{port}/{word}"));
                let hub = (host == HUB).then(|| format!("{HUB}/{word}/{word}"));
                ports.chain([format!("{word}.{host}/{word}")]).chain(hub).collect()
            }
            Place::Path(path) if path.contains('/') => {
                vec![path.clone(), format!("{path}/{word}")]
            }
            Place::Path(host) => vec![format!("{host}/{word}/{word}")],
        };
        // `docker.io/me` is not the name of a repository
        let as_written =
            |text: String| text.parse().ok().filter(|name: &Repository| name.to_string() == text);
        texts.into_iter().filter_map(as_written).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Place {
        Place::Path(text.to_owned())
    }

    fn wildcard(host: &str) -> Place {
        Place::Wildcard(host.to_owned())
    }

    /// containers/image, docker/policyconfiguration/naming_test.go, says the
    /// same of its names.
    #[test]
    fn names_are_looked_up_from_narrow_to_wide() {
        let texts = |place: &Place| place.wider().iter().map(Place::text).collect::<Vec<_>>();
        assert_eq!(
            texts(&path("docker.io/library/busybox")),
            ["docker.io/library", "docker.io", "*.io", ""]
        );
        assert_eq!(
            texts(&path("a.example.com:5000/ns/repo")),
            ["a.example.com:5000/ns", "a.example.com:5000", "*.example.com", "*.com", ""]
        );
        assert_eq!(texts(&path("localhost/app")), ["localhost", ""]);
        assert_eq!(texts(&wildcard("b.c")), ["*.c", ""]);
    }

    #[test]
    fn a_name_in_another_spelling_falls_to_where_no_host_is_spelled() {
        let texts = |place: Place| place.caught_by().iter().map(Place::text).collect::<Vec<_>>();
        assert_eq!(texts(path("a.b.c/d/e")), ["*.b.c", "*.c", ""]);
        assert_eq!(texts(wildcard("b.c")), ["*.c", ""]);
        assert_eq!(texts(path("docker.io/me")), ["*.io", "", "*.docker.io"]);
        assert!(texts(Place::Everything).is_empty());
    }
}
