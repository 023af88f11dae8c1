//! Against an API server that answers what the test says. The real one is in
//! tests/kube.

use std::sync::Mutex;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Arc, Credentials, Keychain as _, Keyring, Limits, PodAccess, PullSecrets};
use crate::store::auth::{Anonymous, Credential, HostCredential, Secret};

/// What to answer to a path; `None` for nothing, ever.
type Answers = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

struct Server {
    asked: Arc<Mutex<Vec<String>>>,
    secrets: PullSecrets,
}

async fn server(limits: &Limits, answers: Answers) -> Server {
    with_fallback(limits, answers, Arc::new(Anonymous)).await
}

async fn with_fallback(
    limits: &Limits,
    answers: Answers,
    fallback: Arc<dyn Credentials>,
) -> Server {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (answers, heard) = (Arc::clone(&answers), Arc::clone(&heard));
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let length = stream.read(&mut request).await.unwrap();
                let request = String::from_utf8_lossy(&request[..length]).into_owned();
                let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
                heard.lock().unwrap().push(path.clone());
                match answers(&path) {
                    Some(answer) => drop(stream.write_all(answer.as_bytes()).await),
                    None => std::future::pending().await,
                }
            });
        }
    });
    let mut config = kube::Config::new(url.parse().unwrap());
    config.default_retry = false;
    let client = kube::Client::try_from(config).unwrap();
    Server { asked, secrets: PullSecrets::new(client, fallback, limits) }
}

fn http(status: &str, body: &str) -> Option<String> {
    let length = body.len();
    Some(format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    ))
}

/// A secret with one user for one host.
fn secret(kind: &str, key: &str, text: &str) -> Option<String> {
    let data = STANDARD.encode(text);
    http("200 OK", &format!(r#"{{"kind":"Secret","type":"{kind}","data":{{"{key}":"{data}"}}}}"#))
}

fn pull_secret(host: &str, user: &str) -> Option<String> {
    let auth = STANDARD.encode(format!("{user}:p"));
    let text = format!(r#"{{"auths":{{"{host}":{{"auth":"{auth}"}}}}}}"#);
    secret("kubernetes.io/dockerconfigjson", ".dockerconfigjson", &text)
}

fn access(names: &[&str]) -> PodAccess {
    let pull_secrets = names.iter().map(|name| (*name).to_owned()).collect();
    PodAccess { pull_secrets, service_account: String::new() }
}

async fn user(keyring: &Keyring, repository: &str) -> Result<Option<String>, String> {
    let found = keyring.credentials().lookup(&repository.parse().unwrap()).await;
    match found.map_err(|error| error.to_string())? {
        None => Ok(None),
        Some(Credential::Password { username, .. }) => Ok(Some(username)),
        Some(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_pods_secrets_come_first_then_those_of_its_service_account_each_once() {
    let answers: Answers = Arc::new(|path| match path.rsplit('/').next().unwrap() {
        "default" => http(
            "200 OK",
            r#"{"kind":"ServiceAccount","imagePullSecrets":[{"name":"b"},{"name":"c"},{}]}"#,
        ),
        "a" => pull_secret("a.example", "of-a"),
        "b" => pull_secret("*.example", "of-b"),
        "c" => pull_secret("c.example", "of-c"),
        _ => http("404 Not Found", "{}"),
    });
    let server = server(&Limits::default(), answers).await;
    let keyring = server.secrets.keyring("space", &access(&["a", "b", "a"])).await.unwrap();
    let keyring = keyring.unwrap();
    assert_eq!(user(&keyring, "a.example/x").await.unwrap().as_deref(), Some("of-a"));
    assert_eq!(user(&keyring, "c.example/x").await.unwrap().as_deref(), Some("of-b"));
    assert_eq!(user(&keyring, "other.test/x").await, Ok(None));
    let mut asked = server.asked.lock().unwrap().clone();
    asked.sort();
    let base = "/api/v1/namespaces/space";
    let want = ["secrets/a", "secrets/b", "secrets/c", "serviceaccounts/default"];
    assert_eq!(asked, want.map(|path| format!("{base}/{path}")));

    let again = server.secrets.keyring("space", &access(&["a", "b"])).await.unwrap().unwrap();
    assert_eq!(again.id(), keyring.id());
    assert_eq!(server.asked.lock().unwrap().len(), 4, "kept");
    let fewer = server.secrets.keyring("space", &access(&["b"])).await.unwrap().unwrap();
    assert_ne!(fewer.id(), keyring.id());
    let elsewhere = server.secrets.keyring("other", &access(&["a", "b"])).await.unwrap().unwrap();
    assert_ne!(elsewhere.id(), keyring.id());
}

#[tokio::test]
async fn the_fallback_has_what_no_secret_has_and_no_more() {
    let answers: Answers = Arc::new(|path| match path.rsplit('/').next().unwrap() {
        "regcred" => pull_secret("a.example", "of-the-pod"),
        _ => http("404 Not Found", "{}"),
    });
    for host in ["a.example", "b.example"] {
        let credential =
            Credential::Password { username: "fallback".to_owned(), password: Secret::new("p") };
        let fallback = HostCredential { host: host.to_owned(), credential };
        let limits = Limits::default();
        let server = with_fallback(&limits, Arc::clone(&answers), Arc::new(fallback)).await;
        let access = access(&["regcred", "missing"]);
        let keyring = server.secrets.keyring("space", &access).await.unwrap().unwrap();
        assert_eq!(user(&keyring, "a.example/x").await.unwrap().as_deref(), Some("of-the-pod"));
        let other = user(&keyring, "b.example/x").await;
        match host {
            "b.example" => assert_eq!(other.unwrap().as_deref(), Some("fallback")),
            _ => assert!(other.unwrap_err().contains("`space/missing`")),
        }
    }
}

#[tokio::test]
async fn a_pod_without_secrets_has_no_keyring() {
    let server = server(&Limits::default(), Arc::new(|_| http("404 Not Found", "{}"))).await;
    assert!(server.secrets.keyring("space", &PodAccess::default()).await.unwrap().is_none());
}

#[tokio::test]
async fn what_the_kubelet_passes_over_is_told_where_it_would_have_helped() {
    let answers: Answers = Arc::new(|path| match path.rsplit('/').next().unwrap() {
        "opaque" => secret("Opaque", ".dockerconfigjson", "{}"),
        "empty" => secret("kubernetes.io/dockercfg", ".dockercfg", ""),
        "good" => pull_secret("a.example", "me"),
        _ => http("404 Not Found", "{}"),
    });
    let server = server(&Limits::default(), answers).await;
    for (name, says) in [("none", "does not exist"), ("opaque", "its type"), ("empty", "it has no")]
    {
        let keyring = server.secrets.keyring("space", &access(&[name, "good"])).await.unwrap();
        let keyring = keyring.unwrap();
        assert_eq!(user(&keyring, "a.example/x").await.unwrap().as_deref(), Some("me"));
        let error = user(&keyring, "b.example/x").await.unwrap_err();
        assert!(error.contains(&format!("`space/{name}`")) && error.contains(says), "{error}");
    }
}

#[tokio::test]
async fn names_that_are_none_are_not_asked_for() {
    let server = server(&Limits::default(), Arc::new(|_| http("404 Not Found", "{}"))).await;
    let names = ["../../../secrets/x", "a/b", "A", "x?watch=true", ".."];
    let access = PodAccess { service_account: "../../x".to_owned(), ..access(&names) };
    let keyring = server.secrets.keyring("space", &access).await.unwrap().unwrap();
    assert!(user(&keyring, "a.example/x").await.unwrap_err().contains("does not exist"));
    server.secrets.keyring("../kube-system", &PodAccess::default()).await.unwrap();
    assert_eq!(server.asked.lock().unwrap().as_slice(), [""; 0]);
}

#[tokio::test]
async fn what_cannot_be_read_is_no_keyring_and_is_asked_for_again() {
    let limits = Limits {
        cluster_timeout: Duration::from_millis(300),
        secret_bytes: 1000,
        pull_secrets: 3,
        ..Limits::default()
    };
    let answers: Answers = Arc::new(|path| match path.rsplit('/').next().unwrap() {
        "default" => http("404 Not Found", "{}"),
        "unknown" => http("401 Unauthorized", "{}"),
        "failing" => http("500 Internal Server Error", "hunter2"),
        "moved" => Some("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n".to_owned()),
        "silent" => None,
        "cut" => Some("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{".to_owned()),
        "huge" => http("200 OK", &"hunter2 ".repeat(1000)),
        "broken" => http("200 OK", r#"{"kind":"Secret","type":["hunter2"]}"#),
        "other" => http("200 OK", r#"{"kind":"Pod","metadata":{}}"#),
        "text" => secret("kubernetes.io/dockercfg", ".dockercfg", "hunter2"),
        _ => http("404 Not Found", "{}"),
    });
    let server = server(&limits, answers).await;
    for (name, says) in [
        ("unknown", "401"),
        ("failing", "500"),
        ("moved", "302"),
        ("silent", "no answer within 300 ms"),
        ("cut", "broke off"),
        ("huge", "larger than the limit of 1000"),
        ("broken", "line 1"),
        ("other", "line 1"),
        ("text", "no docker configuration"),
    ] {
        for _ in 0..2 {
            let error = server.secrets.keyring("space", &access(&[name])).await.unwrap_err();
            let error = error.to_string();
            assert!(error.contains(says) && error.contains(&format!("`space/{name}`")), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        let asked = server.asked.lock().unwrap();
        let count = asked.iter().filter(|path| path.ends_with(name)).count();
        assert_eq!(count, 2, "{name}: a failure is not kept");
    }
    let many = server.secrets.keyring("space", &access(&["a", "b", "c", "d"])).await;
    assert!(many.unwrap_err().to_string().contains("larger than the limit of 3"));
}

#[tokio::test]
async fn what_is_forbidden_is_missed_only_where_a_registry_wants_credentials() {
    let answers: Answers = Arc::new(|path| match path.rsplit('/').next().unwrap() {
        "good" => pull_secret("a.example", "me"),
        _ => http("403 Forbidden", "{}"),
    });
    let server = server(&Limits::default(), answers).await;
    let keyring = server.secrets.keyring("space", &access(&["good"])).await.unwrap().unwrap();
    assert_eq!(user(&keyring, "a.example/x").await.unwrap().as_deref(), Some("me"));
    let error = user(&keyring, "b.example/x").await.unwrap_err();
    assert!(error.contains("service account `space/default`") && error.contains("403"), "{error}");
    let keyring = server.secrets.keyring("space", &access(&["secret"])).await.unwrap().unwrap();
    let error = user(&keyring, "b.example/x").await.unwrap_err();
    assert!(error.contains("403"), "{error}");
}
