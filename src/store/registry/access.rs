//! The right to pull from or push to one repository, renewed when a registry
//! answers 401 (distribution, spec/auth/token).

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderValue;
use zeroize::Zeroizing;

use super::answer::Answer;
use super::challenge::{self, Challenge};
use super::place::Place;
use super::retry::Failure;
use super::session::Session;
use super::token;
use crate::store::StoreError;
use crate::store::auth::{Credential, Secret};

/// What a request needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Right {
    Pull,
    Push,
}

/// A header that opened the repository, and until when it does.
pub(super) struct Grant {
    pub(super) header: HeaderValue,
    pub(super) until: Option<Instant>,
}

/// The grants of one repository.
#[derive(Default)]
pub(super) struct Access {
    grants: Mutex<Grants>,
    /// Held while a grant is renewed, so that parallel downloads that all
    /// get 401 ask for one token.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Grants {
    pull: Option<Grant>,
    push: Option<Grant>,
}

impl Access {
    /// What to send for the right, where something is known. Whoever may push
    /// may pull.
    pub(super) fn header(&self, right: Right) -> Option<HeaderValue> {
        let grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        let live = |grant: &Option<Grant>| {
            let grant = grant.as_ref()?;
            let fresh = grant.until.is_none_or(|until| Instant::now() < until);
            fresh.then(|| grant.header.clone())
        };
        match right {
            Right::Push => live(&grants.push),
            Right::Pull => live(&grants.push).or_else(|| live(&grants.pull)),
        }
    }

    /// Answers a 401 that came to a request which carried `sent`.
    pub(super) async fn renew(
        &self,
        session: &Session,
        right: Right,
        answer: &Answer,
        sent: Option<&HeaderValue>,
    ) -> Result<(), Failure> {
        let _turn = self.turn.lock().await;
        let known = self.header(right);
        if known.is_some() && known.as_ref() != sent {
            return Ok(()); // another request renewed it while this one waited
        }
        self.forget(sent);
        let challenges = challenge::parse(answer.headers("www-authenticate"));
        let credential = session.shared.options.credentials.lookup(&session.repository).await?;
        let grant = grant(session, right, &challenges, credential).await?;
        let mut grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        match right {
            Right::Pull => grants.pull = Some(grant),
            Right::Push => grants.push = Some(grant),
        }
        Ok(())
    }

    fn forget(&self, refused: Option<&HeaderValue>) {
        let mut grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        let is_refused = |grant: &mut Grant| Some(&grant.header) == refused;
        grants.pull.take_if(is_refused);
        grants.push.take_if(is_refused);
    }
}

async fn grant(
    session: &Session,
    right: Right,
    challenges: &[Challenge],
    credential: Option<Credential>,
) -> Result<Grant, Failure> {
    let of = |scheme: &str| challenges.iter().find(|c| c.scheme == scheme);
    match (of("bearer"), of("basic"), credential) {
        (Some(_), _, Some(Credential::RegistryToken(token))) => {
            Ok(Grant { header: bearer(&session.place, &token)?, until: None })
        }
        (Some(challenge), _, credential) => {
            token::fetch(session, right, challenge, credential.as_ref()).await
        }
        (None, Some(_), Some(Credential::Password { username, password })) => {
            Ok(Grant { header: basic(&session.place, &username, &password)?, until: None })
        }
        (None, Some(_), _) => {
            let host = session.repository.host();
            let reason = format!(
                "it wants a user name and password; log in to `{host}` or give --auth-file"
            );
            Err(session.place.unauthorized(reason).into())
        }
        (None, None, _) => {
            let reason = "it answers 401 and names no way to authenticate that ocisign knows; \
                          check the address";
            Err(session.place.unauthorized(reason).into())
        }
    }
}

/// RFC 6750, section 2.1.
pub(super) fn bearer(place: &Place, token: &Secret) -> Result<HeaderValue, StoreError> {
    sensitive(place, Zeroizing::new(format!("Bearer {}", token.expose())))
}

/// RFC 7617.
pub(super) fn basic(
    place: &Place,
    username: &str,
    password: &Secret,
) -> Result<HeaderValue, StoreError> {
    let pair = Zeroizing::new(format!("{username}:{}", password.expose()));
    sensitive(place, Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes()))))
}

fn sensitive(place: &Place, text: Zeroizing<String>) -> Result<HeaderValue, StoreError> {
    let mut value = HeaderValue::from_str(&text).map_err(|_| {
        place.unauthorized("the token has characters that no header can carry; log in again")
    })?;
    value.set_sensitive(true);
    Ok(value)
}
