//! Credentials: who asks, who gets them, who does not.

use std::sync::Mutex;

use super::*;
use crate::common::registry::{Auth, Certificates, Lie, Options};
use async_trait::async_trait;
use ocisign::image::Repository;
use ocisign::store::auth::{AuthFiles, Credentials};

/// Counts how often it was asked.
#[derive(Debug)]
struct Asked(Option<Credential>, Mutex<usize>);

impl Asked {
    fn new(credential: Option<Credential>) -> Arc<Self> {
        Arc::new(Self(credential, Mutex::new(0)))
    }

    fn me() -> Arc<Self> {
        Self::new(Some(password("secret")))
    }

    fn times(&self) -> usize {
        *self.1.lock().unwrap()
    }
}

#[async_trait]
impl Credentials for Asked {
    async fn lookup(&self, _repository: &Repository) -> Result<Option<Credential>, StoreError> {
        *self.1.lock().unwrap() += 1;
        Ok(self.0.clone())
    }
}

fn password(password: &str) -> Credential {
    Credential::Password { username: "me".into(), password: Secret::new(password) }
}

fn start(auth: Auth) -> Registry {
    let registry = Registry::start(Options { auth, ..Options::default() });
    registry.put_manifest("app", Some("v1"), media_type::OCI_MANIFEST, b"{}");
    registry
}

fn as_user(registry: &Registry, credentials: Arc<dyn Credentials>) -> registry::Registry {
    open_with(registry, "app", RegistryOptions { credentials, ..options() })
}

#[tokio::test]
async fn an_open_registry_is_asked_without_credentials() {
    let (registry, asked) = (start(Auth::Open), Asked::me());
    pull_tag(&as_user(&registry, asked.clone()), "v1").await.unwrap();
    assert_eq!(asked.times(), 0, "no file is read and no helper runs");
    assert!(registry.requests()[0].header("authorization").is_none());
}

#[tokio::test]
async fn basic_is_shown_once_asked_for_and_then_kept() {
    let (registry, asked) = (start(Auth::Basic), Asked::me());
    let store = as_user(&registry, asked.clone());
    for _ in 0..3 {
        pull_tag(&store, "v1").await.unwrap();
    }
    assert_eq!((asked.times(), registry.requests().len()), (1, 4));
}

#[tokio::test]
async fn a_token_is_fetched_once_per_right() {
    let (registry, asked) = (start(Auth::private()), Asked::me());
    let store = as_user(&registry, asked);
    for _ in 0..3 {
        pull_tag(&store, "v1").await.unwrap();
    }
    assert_eq!(registry.count("GET /token*"), 1);
    let token = registry.requests().into_iter().find(|r| r.path() == "/token").unwrap();
    assert_eq!(token.queries("scope"), ["repository:app:pull"]);
    assert_eq!(token.query("service").as_deref(), Some("test"));

    let descriptor = Descriptor::of(media_type::OCI_MANIFEST, b"{ }");
    bounded(store.push_manifest(&descriptor, b"{ }", Some("v2"))).await.unwrap();
    assert_eq!(registry.count("GET /token*"), 2);
    pull_tag(&store, "v2").await.unwrap();
    assert_eq!(registry.count("GET /token*"), 2, "who may push may pull");
}

#[tokio::test]
async fn parallel_requests_fetch_one_token() {
    let registry = start(Auth::private());
    let store = as_user(&registry, Asked::me());
    let all = (0..8).map(|_| pull_tag(&store, "v1"));
    for result in futures_util::future::join_all(all).await {
        result.unwrap();
    }
    assert_eq!(registry.count("GET /token*"), 1);
}

#[tokio::test]
async fn repositories_of_one_client_share_nothing_but_connections() {
    let registry = start(Auth::private());
    registry.put_manifest("other", Some("v1"), media_type::OCI_MANIFEST, b"{}");
    let client =
        registry::RegistryClient::new(RegistryOptions { credentials: Asked::me(), ..options() });
    for path in ["app", "other", "app"] {
        let store = client.open(&registry.repository(path)).unwrap();
        pull_tag(&store, "v1").await.unwrap();
    }
    assert_eq!(registry.count("GET /token*"), 2, "one token for each repository");
}

#[tokio::test]
async fn a_token_that_ended_is_renewed() {
    let registry = start(Auth::private());
    let store = as_user(&registry, Asked::me());
    pull_tag(&store, "v1").await.unwrap();
    registry.expire_tokens();
    pull_tag(&store, "v1").await.unwrap();
    assert_eq!(registry.count("GET /token*"), 2);
}

#[tokio::test]
async fn anonymous_tokens_do_for_public_images() {
    let (registry, nobody) = (start(Auth::bearer()), Asked::new(None));
    let store = as_user(&registry, nobody);
    pull_tag(&store, "v1").await.unwrap();
    let descriptor = Descriptor::of(media_type::OCI_MANIFEST, b"{ }");
    let error = bounded(store.push_manifest(&descriptor, b"{ }", Some("v2"))).await.unwrap_err();
    assert!(matches!(error, StoreError::Unauthorized { .. }), "{error:?}");
}

#[tokio::test]
async fn an_identity_token_is_exchanged_by_post() {
    let auth = Auth::Bearer { anonymous_pull: false, oauth: true, realm: None };
    let registry = start(auth);
    let identity = Asked::new(Some(Credential::IdentityToken(Secret::new("identity"))));
    pull_tag(&as_user(&registry, identity), "v1").await.unwrap();
    let token = registry.requests().into_iter().find(|r| r.path() == "/token").unwrap();
    assert_eq!(token.method, "POST");
    assert!(!token.target.contains("identity"), "a secret in a URL ends in logs");
}

#[tokio::test]
async fn a_service_without_post_gets_the_identity_token_by_get() {
    let registry = start(Auth::bearer());
    let identity = Asked::new(Some(Credential::IdentityToken(Secret::new("identity"))));
    let _ = pull_tag(&as_user(&registry, identity), "v1").await;
    let methods: Vec<_> = registry
        .requests()
        .into_iter()
        .filter(|r| r.path() == "/token")
        .map(|r| r.method)
        .collect();
    assert_eq!(methods, ["POST", "GET"]);
}

#[tokio::test]
async fn wrong_credentials_end_in_one_answer() {
    for auth in [Auth::Basic, Auth::private()] {
        let registry = start(auth);
        let store = as_user(&registry, Asked::new(Some(password("wrong"))));
        let error = pull_tag(&store, "v1").await.unwrap_err();
        assert!(matches!(error, StoreError::Unauthorized { .. }), "{error:?}");
        assert!(!format!("{error:?} {error}").contains("wrong"), "{error:?}");
        assert!(registry.requests().len() <= 2);
    }
}

#[tokio::test]
async fn a_registry_that_always_says_401_is_asked_twice() {
    for auth in [Auth::Basic, Auth::bearer()] {
        let registry = start(auth);
        let challenge = format!("Bearer realm=\"{}/token\"", registry.url());
        registry.lie("GET /v2/*", Lie::StatusWith(401, vec![("WWW-Authenticate", challenge)]));
        let error = pull_tag(&as_user(&registry, Asked::me()), "v1").await.unwrap_err();
        assert!(matches!(error, StoreError::Unauthorized { .. }), "{error:?}");
        assert!(registry.count("GET /v2/*") <= 2);
    }
}

#[tokio::test]
async fn no_credentials_and_no_known_scheme_say_what_to_do() {
    let registry = start(Auth::Basic);
    let error =
        pull_tag(&as_user(&registry, Asked::new(None)), "v1").await.unwrap_err().to_string();
    assert!(error.contains("--auth-file"), "{error}");
    let odd = vec![("WWW-Authenticate", "Negotiate".to_owned())];
    registry.lie("GET *", Lie::StatusWith(401, odd));
    assert!(matches!(
        pull_tag(&open(&registry, "app"), "v1").await,
        Err(StoreError::Unauthorized { .. })
    ));
}

#[tokio::test]
async fn a_realm_without_tls_gets_nothing_from_a_registry_with_it() {
    let thief = Registry::start(Options { auth: Auth::bearer(), ..Options::default() });
    let certificates = Certificates::generate();
    let ca = vec![certificates.ca.clone().into_bytes()];
    for realm in [format!("{}/token", thief.url()), "ftp://127.0.0.1/".to_owned(), String::new()] {
        let auth = Auth::Bearer { anonymous_pull: true, oauth: false, realm: Some(realm) };
        let tls = Some(certificates.clone());
        let registry = Registry::start(Options { auth, tls, ..Options::default() });
        let credentials = Asked::me();
        let store = open_with(
            &registry,
            "app",
            RegistryOptions { ca: ca.clone(), credentials, ..options() },
        );
        let error = pull_tag(&store, "v1").await.unwrap_err();
        assert!(matches!(error, StoreError::Protocol { .. }), "{error:?}");
    }
    assert_eq!(thief.requests().len(), 0);
}

#[tokio::test]
async fn a_token_service_that_redirects_does_not_pass_the_password_on() {
    let thief = Registry::start(Options::default());
    let registry = start(Auth::private());
    let there = vec![("Location", format!("{}/token", thief.url()))];
    registry.lie("GET /token*", Lie::StatusWith(307, there));
    assert!(pull_tag(&as_user(&registry, Asked::me()), "v1").await.is_err());
    assert!(thief.requests().iter().all(|request| request.header("authorization").is_none()));
}

#[tokio::test]
async fn a_hostile_token_service_is_bounded() {
    for (lie, is) in [
        (Lie::Endless, "TooLarge"),
        (Lie::Body(b"{}".to_vec()), "Protocol"),
        (Lie::Body(br#"{"token":"a\nb"}"#.to_vec()), "Unauthorized"),
        (Lie::Body(br#"{"token":"","access_token":""}"#.to_vec()), "Protocol"),
        (Lie::Body(b"<html>".to_vec()), "Protocol"),
        (Lie::Status(404), "Unauthorized"),
        (Lie::Status(403), "Unauthorized"),
        (Lie::Status(503), "Unreachable"),
        (Lie::Silent(BOUND * 2), "Unreachable"),
    ] {
        let registry = start(Auth::private());
        registry.lie("GET /token*", lie.clone());
        let options = RegistryOptions { credentials: Asked::me(), ..impatient() };
        let error = pull_tag(&open_with(&registry, "app", options), "v1").await.unwrap_err();
        assert!(format!("{error:?}").starts_with(is), "{lie:?}: {error:?}");
    }
}

#[tokio::test]
async fn a_token_that_never_ends_is_no_overflow() {
    let registry = start(Auth::private());
    let body = br#"{"token":"x","expires_in":18446744073709551615}"#.to_vec();
    registry.lie("GET /token*", Lie::Body(body));
    let error = pull_tag(&as_user(&registry, Asked::me()), "v1").await.unwrap_err();
    assert!(matches!(error, StoreError::Unauthorized { .. }), "{error:?}");
}

#[tokio::test]
async fn a_credentials_file_opens_its_own_registry_and_no_other() {
    let (registry, other) = (start(Auth::Basic), start(Auth::Basic));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("auth.json");
    let auths = serde_json::json!({"auths": {registry.host(): {"auth": "bWU6c2VjcmV0"}}});
    std::fs::write(&file, auths.to_string()).unwrap();
    let credentials = || Arc::new(AuthFiles::explicit(&file));
    pull_tag(&as_user(&registry, credentials()), "v1").await.unwrap();
    let error = pull_tag(&as_user(&other, credentials()), "v1").await.unwrap_err();
    assert!(matches!(error, StoreError::Unauthorized { .. }), "{error:?}");
    assert!(other.requests().iter().all(|request| request.header("authorization").is_none()));
}
