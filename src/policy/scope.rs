//! Scopes: which repositories a rule is about.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::image::Repository;

/// A set of repositories: everything, a host's sub-domains, a host, a
/// subtree of a host, or one repository.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// `**`
    Everything,
    /// `*.HOST/**`: any depth of sub-domain, not HOST itself; any port
    /// unless one is written.
    SubDomains {
        /// The host below which it is, without its port.
        host: String,
        /// The port, where one is written.
        port: Option<u16>,
    },
    /// `HOST/**`: one registry, its port included.
    Host(String),
    /// `HOST/path/**`: strictly below a path.
    Below {
        /// The registry.
        host: String,
        /// The path below which it is.
        path: String,
    },
    /// One repository.
    Exactly(Repository),
}

/// Why a text is no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// Not one of the five forms.
    #[error(
        "`{0}` is no scope; write `**`, `*.HOST/**`, `HOST/**`, `HOST/path/**` or `HOST/path`, \
         without a tag"
    )]
    Form(String),
    /// HOST could be taken for a path.
    #[error("`{0}` has no registry host; begin with a domain name, a `host:port` or `localhost`")]
    Host(String),
    /// Another spelling of a name that is normalised differently.
    #[error("`{given}` is matched in its normal form; write `{normal}`")]
    Spelling {
        /// What stands in the policy.
        given: String,
        /// What would match.
        normal: String,
    },
}

impl Scope {
    /// Parses a scope, in normal form only.
    ///
    /// # Errors
    /// [`ScopeError`] says what to write instead.
    pub fn parse(text: &str) -> Result<Self, ScopeError> {
        if text == "**" {
            return Ok(Self::Everything);
        }
        let form = || ScopeError::Form(text.to_owned());
        let (body, below) = match text.strip_suffix("/**") {
            Some(body) => (body, true),
            None => (text, false),
        };
        if let Some(rest) = body.strip_prefix("*.") {
            return if below { sub_domains(text, rest) } else { Err(form()) };
        }
        if body.contains('*') {
            return Err(form());
        }
        match (body.split_once('/'), below) {
            (Some((host, _)), _) if !has_host(host) => Err(ScopeError::Host(text.to_owned())),
            (None, true) => {
                let repository = normal(body, "/x/x", "/**", text)?;
                Ok(Self::Host(repository.host().to_owned()))
            }
            (None, false) => Err(form()),
            (Some(_), true) => {
                let repository = normal(body, "/x", "/**", text)?;
                let path = repository.path();
                Ok(Self::Below {
                    host: repository.host().to_owned(),
                    path: path.strip_suffix("/x").unwrap_or(path).to_owned(),
                })
            }
            (Some(_), false) => Ok(Self::Exactly(normal(body, "", "", text)?)),
        }
    }

    /// Whether `repository` is in the scope.
    pub fn matches(&self, repository: &Repository) -> bool {
        self.contains(&Self::Exactly(repository.clone()))
    }

    /// Whether every repository of `other` is in this scope.
    pub fn contains(&self, other: &Self) -> bool {
        match self {
            Self::Everything => true,
            Self::SubDomains { host, port } => match other {
                Self::SubDomains { host: h, port: p } => {
                    (h == host || is_sub_domain(h, host)) && (port.is_none() || p == port)
                }
                Self::Everything => false,
                Self::Host(h) | Self::Below { host: h, .. } => in_domain(h, host, *port),
                Self::Exactly(r) => in_domain(r.host(), host, *port),
            },
            Self::Host(host) => match other {
                Self::Host(h) | Self::Below { host: h, .. } => h == host,
                Self::Exactly(r) => r.host() == host,
                Self::Everything | Self::SubDomains { .. } => false,
            },
            Self::Below { host, path } => match other {
                Self::Below { host: h, path: p } => h == host && (p == path || is_below(p, path)),
                Self::Exactly(r) => r.host() == host && is_below(r.path(), path),
                Self::Everything | Self::SubDomains { .. } | Self::Host(_) => false,
            },
            Self::Exactly(_) => self == other,
        }
    }

    /// Whether some repository is in both though neither contains the other.
    ///
    /// Only two wildcards can cross: `*.b.example/**` and
    /// `*.example:5000/**` share `a.b.example:5000`.
    pub fn crosses(&self, other: &Self) -> bool {
        let (Self::SubDomains { host: a, port: p }, Self::SubDomains { host: b, port: q }) =
            (self, other)
        else {
            return false;
        };
        let nested = a == b || is_sub_domain(a, b) || is_sub_domain(b, a);
        let ports = p.is_none() || q.is_none() || p == q;
        nested && ports && !self.contains(other) && !other.contains(self)
    }
}

fn sub_domains(text: &str, rest: &str) -> Result<Scope, ScopeError> {
    if rest.contains('/') || rest.contains('*') {
        return Err(ScopeError::Form(text.to_owned()));
    }
    // `x.` makes it a host even where REST alone, as `localhost`, is one too
    let repository: Repository =
        format!("x.{rest}/x").parse().map_err(|_| ScopeError::Host(text.to_owned()))?;
    let normal = repository.host().strip_prefix("x.").unwrap_or_default();
    if normal != rest {
        let normal = format!("*.{normal}/**");
        return Err(ScopeError::Spelling { given: text.to_owned(), normal });
    }
    let (host, port) = split_port(rest);
    Ok(Scope::SubDomains { host: host.to_owned(), port })
}

/// Parses a repository and insists that it was written as it is matched.
///
/// `sample` makes a repository of a prefix; with it the name has two
/// segments, so that Docker Hub's `library/` is not put in.
fn normal(body: &str, sample: &str, suffix: &str, text: &str) -> Result<Repository, ScopeError> {
    let repository: Repository =
        format!("{body}{sample}").parse().map_err(|_| ScopeError::Form(text.to_owned()))?;
    let written = repository.to_string();
    let written = written.strip_suffix(sample).unwrap_or(&written);
    if written == body {
        return Ok(repository);
    }
    Err(ScopeError::Spelling { given: text.to_owned(), normal: format!("{written}{suffix}") })
}

fn has_host(host: &str) -> bool {
    host == "localhost" || host.contains(['.', ':'])
}

fn split_port(host: &str) -> (&str, Option<u16>) {
    match host.rsplit_once(':') {
        Some((name, port)) => (name, port.parse().ok()),
        None => (host, None),
    }
}

fn is_sub_domain(host: &str, of: &str) -> bool {
    host.strip_suffix(of).is_some_and(|rest| rest.ends_with('.'))
}

fn in_domain(host: &str, of: &str, port: Option<u16>) -> bool {
    let (name, own) = split_port(host);
    is_sub_domain(name, of) && (port.is_none() || port == own)
}

fn is_below(path: &str, of: &str) -> bool {
    path.strip_prefix(of).is_some_and(|rest| rest.starts_with('/'))
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("**"),
            Self::SubDomains { host, port: Some(port) } => write!(f, "*.{host}:{port}/**"),
            Self::SubDomains { host, port: None } => write!(f, "*.{host}/**"),
            Self::Host(host) => write!(f, "{host}/**"),
            Self::Below { host, path } => write!(f, "{host}/{path}/**"),
            Self::Exactly(repository) => write!(f, "{repository}"),
        }
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_match_at_boundaries_only() {
        for (scope, name, want) in [
            ("**", "a.b/c", true),
            ("*.b.example/**", "a.b.example/x", true),
            ("*.b.example/**", "z.a.b.example:5000/x", true),
            ("*.b.example/**", "b.example/x", false),
            ("*.b.example/**", "ab.example/x", false),
            ("*.b.example:5000/**", "a.b.example/x", false),
            ("b.example/**", "b.example/x/y", true),
            ("b.example/**", "b.example:5000/x", false),
            ("b.example/x/**", "b.example/x", false),
            ("b.example/x/**", "b.example/x/y", true),
            ("b.example/x/**", "b.example/xy", false),
            ("b.example/x", "b.example/x", true),
            ("docker.io/library/alpine", "alpine", true),
            ("docker.io/**", "alpine", true),
            ("docker.io/library/**", "alpine", true),
            ("docker.io/me/**", "me/app", true),
            ("docker.io/me/**", "docker.io/me/app/x", true),
        ] {
            let scope = Scope::parse(scope).unwrap();
            assert_eq!(scope.matches(&name.parse().unwrap()), want, "{scope} {name}");
            assert_eq!(Scope::parse(&scope.to_string()), Ok(scope));
        }
    }

    #[test]
    fn another_spelling_is_shown_the_right_one() {
        let normal = |text: &str| match Scope::parse(text) {
            Err(ScopeError::Spelling { normal, .. }) => normal,
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(normal("index.docker.io/me/app"), "docker.io/me/app");
        assert_eq!(normal("docker.io/alpine"), "docker.io/library/alpine");
        assert_eq!(normal("Ghcr.io/**"), "ghcr.io/**");
        assert_eq!(normal("registry-1.docker.io/**"), "docker.io/**");
        assert_eq!(normal("index.docker.io/me/**"), "docker.io/me/**");
        assert_eq!(normal("ghcr.io:443/me/**"), "ghcr.io/me/**");
        assert!(matches!(Scope::parse("me/app"), Err(ScopeError::Host(_))));
        assert!(matches!(Scope::parse("ghcr.io/*/app"), Err(ScopeError::Form(_))));
        assert!(matches!(Scope::parse("ghcr.io"), Err(ScopeError::Form(_))));
    }

    #[test]
    fn wildcards_with_and_without_port_can_cross() {
        let a = Scope::parse("*.b.example/**").unwrap();
        let b = Scope::parse("*.example:5000/**").unwrap();
        assert!(a.crosses(&b) && b.crosses(&a));
        assert!(!a.crosses(&Scope::parse("*.example/**").unwrap()));
    }
}
