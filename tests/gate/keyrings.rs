//! Credentials of one asker: to their registry, and for nobody else.

use std::sync::Arc;

use ocisign::gate::{Gate, Keyring, Origin, Question, RegistryPlaces, Settings, Unobserved};
use ocisign::image::Digest;
use ocisign::store::auth::{Anonymous, Credential, HostCredential, Secret};
use ocisign::{Decision, Reference};

use crate::common::registry::Request;
use crate::common::registry::{Auth, Options, Registry};
use crate::scene::*;

fn me(registry: &Registry) -> Keyring {
    let password = Secret::new("secret");
    let credential = Credential::Password { username: "me".to_owned(), password };
    let host = registry.host();
    let id = Digest::sha256(format!("me at {host}").as_bytes());
    Keyring::new(id, Arc::new(HostCredential { host, credential }))
}

fn nobody() -> Keyring {
    Keyring::new(Digest::sha256(b"nobody"), Arc::new(Anonymous))
}

fn private() -> Registry {
    let registry = Registry::start(Options { auth: Auth::private(), ..Options::default() });
    let image = push(&registry, REPOSITORY, "v1", "one");
    sign(&registry, REPOSITORY, &image, "ana", None);
    registry
}

fn asked(reference: &Reference, keyring: Option<&Keyring>) -> Question {
    Question { keyring: keyring.cloned(), ..question(reference) }
}

/// Whether the request shows something that its registry did not give: what
/// is shown to a token service, or a user and password.
fn shows_a_credential(request: &Request) -> bool {
    request
        .header("authorization")
        .is_some_and(|shown| request.path() == "/token" || !shown.starts_with("Bearer "))
}

/// What one keyring opened is open to no other: neither the registry nor the
/// verdict, and not while it is under way either.
#[tokio::test]
async fn what_one_keyring_may_read_is_not_anothers() {
    let registry = private();
    let gate = gate();
    let tagged = name(&registry, REPOSITORY, ":v1");
    let digest = gate.resolve(&asked(&tagged, Some(&me(&registry)))).await.unwrap();
    let pinned = name(&registry, REPOSITORY, &format!("@{digest}"));
    for name in [&tagged, &pinned] {
        let (mine, others, none) =
            (asked(name, Some(&me(&registry))), asked(name, Some(&nobody())), asked(name, None));
        let (mine, others, none) =
            tokio::join!(gate.judge(&mine), gate.judge(&others), gate.judge(&none));
        assert_eq!(told(mine), ALLOWED, "{name}");
        assert!(others.unwrap_err().to_string().contains("refuses access"));
        assert!(none.unwrap_err().to_string().contains("refuses access"));
        // and after it is remembered
        let mine = gate.judge(&asked(name, Some(&me(&registry)))).await;
        assert_eq!(told(mine), STILL_ALLOWED);
        assert!(gate.judge(&asked(name, Some(&nobody()))).await.is_err());
        assert!(gate.judge(&asked(name, None)).await.is_err());
    }
}

/// A keyring that has no credential for a registry shows it none, and the
/// tokens of another keyring are not used either.
#[tokio::test]
async fn a_credential_goes_to_its_own_registry_alone() {
    let (mine, other) = (private(), private());
    let gate = gate();
    let keyring = me(&mine);
    let opened = gate.judge(&asked(&name(&mine, REPOSITORY, ":v1"), Some(&keyring))).await;
    assert_eq!(told(opened), ALLOWED);
    assert!(mine.requests().iter().any(shows_a_credential));
    let refused = gate.judge(&asked(&name(&other, REPOSITORY, ":v1"), Some(&keyring))).await;
    assert!(refused.is_err());
    assert!(other.count("GET *") > 0);
    assert!(!other.requests().iter().any(shows_a_credential));
    // nor a token of the first: what it shows it was given there
    assert_eq!(other.requests()[0].header("authorization"), None);
}

/// Two pods with the same secret share its token, and the questions that it
/// answers.
#[tokio::test]
async fn keyrings_with_one_id_share_what_they_open() {
    let registry = private();
    let gate = gate();
    let tagged = name(&registry, REPOSITORY, ":v1");
    for origin in [Origin::Verified, Origin::Remembered, Origin::Remembered] {
        let answer = gate.judge(&asked(&tagged, Some(&me(&registry)))).await;
        assert_eq!(told(answer), (Decision::Allow, origin));
    }
    assert_eq!(registry.count("GET /token*"), 1);
}

/// Tokens of more keyrings than are kept are got again, and nothing else is.
#[tokio::test]
async fn keyrings_are_kept_up_to_a_number() {
    let registry = private();
    let mut options = options();
    options.limits.keyrings = 2;
    let places = Arc::new(RegistryPlaces::new(options));
    let engine = engine(&signed_by("ana"));
    let gate = Gate::with(engine, places, Settings::default(), Arc::new(Unobserved));
    let tagged = name(&registry, REPOSITORY, ":v1");
    for number in 0..50 {
        let id = Digest::sha256(format!("{number}").as_bytes());
        let keyring = Keyring::new(id, me(&registry).credentials().clone());
        assert_eq!(told(gate.judge(&asked(&tagged, Some(&keyring))).await), ALLOWED);
    }
}
