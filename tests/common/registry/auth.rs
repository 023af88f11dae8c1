//! Whom the registry lets in: distribution, spec/auth/token.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Shared;
use super::http::{Answer, Request, form};

/// Ways to be let in. User and password are always `me` and `secret`, the
/// identity token `identity`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// Everyone.
    Open,
    /// Who shows user and password (RFC 7617).
    Basic,
    /// Who shows a token of `/token`.
    Bearer {
        /// Whether the token service gives a token to pull to everyone.
        anonymous_pull: bool,
        /// Whether it takes an identity token by POST.
        oauth: bool,
        /// Its address where that is not this registry's own.
        realm: Option<String>,
    },
}

impl Auth {
    /// Anyone may pull, `me` may push.
    pub fn bearer() -> Self {
        Self::Bearer { anonymous_pull: true, oauth: false, realm: None }
    }

    /// Only `me`.
    pub fn private() -> Self {
        Self::Bearer { anonymous_pull: false, oauth: false, realm: None }
    }
}

/// Tokens that were handed out, with what they allow.
#[derive(Default)]
pub struct Tokens {
    made: usize,
    live: BTreeMap<String, Vec<String>>,
}

impl Tokens {
    pub fn expire(&mut self) {
        self.live.clear();
    }
}

fn basic_me() -> String {
    format!("Basic {}", STANDARD.encode("me:secret"))
}

/// A refusal, or `None` to go on.
pub fn check(shared: &Shared, request: &Request, repository: &str) -> Option<Answer> {
    let shown = request.header("authorization").unwrap_or_default();
    let reading = matches!(request.method.as_str(), "GET" | "HEAD");
    let action = if reading { "pull" } else { "push" };
    let challenge = match &shared.options.auth {
        Auth::Open => return None,
        Auth::Basic if shown == basic_me() => return None,
        Auth::Basic => "Basic realm=\"test, \\\"quoted\\\"\"".to_owned(),
        Auth::Bearer { realm, .. } => {
            let tokens = shared.tokens.lock().unwrap();
            let scopes = shown.strip_prefix("Bearer ").and_then(|token| tokens.live.get(token));
            let allows = |scope: &String| {
                let parts: Vec<&str> = scope.split(':').collect();
                parts.get(1) == Some(&repository)
                    && parts
                        .get(2)
                        .is_some_and(|actions| actions.split(',').any(|one| one == action))
            };
            if scopes.is_some_and(|scopes| scopes.iter().any(allows)) {
                return None;
            }
            let realm = realm.clone().unwrap_or_else(|| format!("{}/token", shared.url()));
            let actions = if reading { "pull" } else { "pull,push" };
            format!(
                "Bearer realm=\"{realm}\",service=\"test\",scope=\"repository:{repository}:{actions}\""
            )
        }
    };
    Some(Answer::error(401, "UNAUTHORIZED").with("WWW-Authenticate", challenge))
}

/// The token service.
pub fn token(shared: &Shared, request: &Request) -> Answer {
    let Auth::Bearer { anonymous_pull, oauth, .. } = &shared.options.auth else {
        return Answer::error(404, "UNSUPPORTED");
    };
    let refreshed = request.method == "POST";
    if refreshed && !oauth {
        return Answer::error(405, "UNSUPPORTED");
    }
    let known = match refreshed {
        true => form(&request.body, "refresh_token") == ["identity"],
        false => request.header("authorization") == Some(basic_me().as_str()),
    };
    if !known && (request.header("authorization").is_some() || refreshed) {
        return Answer::error(401, "UNAUTHORIZED");
    }
    let asked = match refreshed {
        true => form(&request.body, "scope").join(" ").split(' ').map(str::to_owned).collect(),
        false => request.queries("scope"),
    };
    // fewer scopes than asked is how a token service says no
    let scopes: Vec<String> = match (known, anonymous_pull) {
        (true, _) => asked,
        (false, true) => asked.iter().map(|scope| scope.replace("pull,push", "pull")).collect(),
        (false, false) => Vec::new(),
    };
    let mut tokens = shared.tokens.lock().unwrap();
    tokens.made += 1;
    let token = format!("token-{}", tokens.made);
    tokens.live.insert(token.clone(), scopes);
    let name = if refreshed { "access_token" } else { "token" };
    Answer::new(200)
        .with("Content-Type", "application/json")
        .body(serde_json::json!({name: token, "expires_in": 300}).to_string())
}
