//! Bearer tokens: distribution, spec/auth/token (GET) and spec/auth/oauth
//! (POST, for identity tokens).

use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;

use super::access::{Grant, Right, basic, bearer};
use super::answer::Answer;
use super::challenge::Challenge;
use super::place::printable;
use super::retry::Failure;
use super::session::{Call, Payload, Session};
use crate::store::StoreError;
use crate::store::auth::{Credential, Secret};

/// Most that a token service may answer; tokens are a few KiB.
const ANSWER_BYTES: u64 = 256 << 10;

/// A token lives 60 seconds unless the answer says otherwise (spec/auth/token).
const LIFETIME: u64 = 60;

/// Tokens are renewed this long before they end, for clocks that differ.
const LEEWAY: u64 = 5;

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

/// Gets a token from the service that the challenge names.
pub(super) async fn fetch(
    session: &Session,
    right: Right,
    challenge: &Challenge,
    credential: Option<&Credential>,
) -> Result<Grant, Failure> {
    let realm = realm(session, challenge)?;
    let service = challenge.param("service");
    let scopes = scopes(session, right, challenge);
    let what = format!("a token of `{}`", realm.host_str().unwrap_or_default());
    let began = Instant::now();
    if let Some(Credential::IdentityToken(token)) = credential {
        let call = refresh(realm.clone(), service, &scopes, token, &what);
        let answer = ask(session, &call, None).await?;
        // Services that predate OAuth2 have no POST.
        if !matches!(answer.status().as_u16(), 404 | 405) {
            return read(session, &call, answer, began).await;
        }
    }
    let authorization = match credential {
        Some(Credential::Password { username, password }) => {
            Some(basic(&session.place, username, password)?)
        }
        Some(Credential::IdentityToken(token)) => Some(basic(&session.place, "<token>", token)?),
        Some(Credential::RegistryToken(_)) | None => None,
    };
    let call = Call::get(with_query(realm, service, &scopes), what)
        .header(ACCEPT, HeaderValue::from_static("application/json"));
    let answer = ask(session, &call, authorization).await?;
    read(session, &call, answer, began).await
}

/// The registry chooses whom our credentials go to; what we can insist on is
/// that they go there encrypted, unless the registry itself is not.
fn realm(session: &Session, challenge: &Challenge) -> Result<Url, StoreError> {
    let text = challenge.param("realm").unwrap_or_default();
    let bad = |why: &str| {
        let shown = printable(text, 200);
        session.place.protocol(format!("its token service `{shown}` {why}"))
    };
    let mut url = Url::parse(text).map_err(|_| bad("is no URL"))?;
    match url.scheme() {
        "https" => {}
        "http" if session.endpoint.is_plain() => {}
        "http" => return Err(bad("has no TLS though the registry has")),
        _ => return Err(bad("is not HTTP")),
    }
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_fragment(None);
    Ok(url)
}

/// What the registry asks for, and what we need where it asks for something
/// else: registries behind a path-rewriting proxy know themselves by another
/// name, others name no scope.
fn scopes(session: &Session, right: Right, challenge: &Challenge) -> Vec<String> {
    let actions = match right {
        Right::Pull => "pull",
        Right::Push => "pull,push",
    };
    let ours = format!("repository:{}:{actions}", session.repository.path());
    let theirs = challenge.param("scope").unwrap_or_default().split_ascii_whitespace();
    let mut all: Vec<String> = theirs.take(8).map(str::to_owned).collect();
    if !all.contains(&ours) {
        all.push(ours);
    }
    all
}

fn with_query(mut realm: Url, service: Option<&str>, scopes: &[String]) -> Url {
    let mut query = realm.query_pairs_mut();
    if let Some(service) = service {
        query.append_pair("service", service);
    }
    for scope in scopes {
        query.append_pair("scope", scope);
    }
    drop(query);
    realm
}

fn refresh(
    realm: Url,
    service: Option<&str>,
    scopes: &[String],
    token: &Secret,
    what: &str,
) -> Call {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "refresh_token")
        .append_pair("client_id", "ocisign")
        .append_pair("service", service.unwrap_or_default())
        .append_pair("scope", &scopes.join(" "))
        .append_pair("refresh_token", token.expose());
    let body = Payload::Bytes(Bytes::from(form.finish()));
    Call::new(Method::POST, realm, Right::Pull, what)
        .header(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))
        .body(body)
}

/// One request to the token service. The credential is for the service's own
/// origin; a redirect to another loses it.
async fn ask(
    session: &Session,
    call: &Call,
    authorization: Option<HeaderValue>,
) -> Result<Answer, Failure> {
    let answer = session.follow(call, authorization).await?;
    let status = answer.status();
    if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
        return Err(answer.busy().await);
    }
    Ok(answer)
}

async fn read(
    session: &Session,
    call: &Call,
    answer: Answer,
    began: Instant,
) -> Result<Grant, Failure> {
    match answer.status() {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND => {
            let reason = format!("{} cannot be had, it answers 404", call.what);
            return Err(session.place.unauthorized(reason).into());
        }
        _ => return Err(answer.refusal(call).await.into()),
    }
    let document = answer.document(ANSWER_BYTES, &call.what).await?;
    let bytes = zeroize::Zeroizing::new(document.bytes);
    let bad = || session.place.protocol(format!("{} is not the JSON that was expected", call.what));
    let answer: TokenAnswer = serde_json::from_slice(&bytes).map_err(|_| bad())?;
    let given = answer.token.filter(|token| !token.is_empty());
    let token = given.or(answer.access_token).filter(|token| !token.is_empty()).ok_or_else(bad)?;
    let lifetime = answer.expires_in.unwrap_or(LIFETIME).min(24 * 3600);
    // Counted from before the request, and not by the service's clock.
    let until = began + Duration::from_secs(lifetime.saturating_sub(LEEWAY).max(1));
    Ok(Grant { header: bearer(&session.place, &Secret::new(token))?, until: Some(until) })
}
