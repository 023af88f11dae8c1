//! Clients that are slow, many, huge or rude: bounded, and in nobody's way.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ocisign::Limits;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::served::*;

/// Bounds that a test reaches.
fn tight() -> Limits {
    Limits {
        connections: 8,
        handshake_timeout: Duration::from_millis(300),
        body_timeout: Duration::from_millis(300),
        connection_idle: Duration::from_secs(1),
        ..Limits::admission()
    }
}

async fn raw(served: &Served) -> TcpStream {
    TcpStream::connect(("127.0.0.1", served.port)).await.unwrap()
}

async fn tls(served: &Served) -> TlsStream<TcpStream> {
    let mut config = client_tls(&served.certificates);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    connector.connect("127.0.0.1".try_into().unwrap(), raw(served).await).await.unwrap()
}

/// Everything until the server ends the connection, and how long that took.
async fn rest(mut stream: impl tokio::io::AsyncRead + Unpin) -> (String, Duration) {
    let (began, mut bytes) = (Instant::now(), Vec::new());
    // an end without a goodbye is an end too
    let read = stream.read_to_end(&mut bytes);
    let _ = tokio::time::timeout(BOUND, read).await.expect("the connection stays open");
    (String::from_utf8_lossy(&bytes).into_owned(), began.elapsed())
}

#[tokio::test]
async fn who_says_nothing_is_cut() {
    let served = Setup::with_limits(tight()).start().await;
    let (said, after) = rest(raw(&served).await).await;
    assert!(said.is_empty() && after < Duration::from_secs(5), "{said:?} {after:?}");
    let (said, after) = rest(tls(&served).await).await;
    assert!(said.is_empty() && after < Duration::from_secs(5), "{said:?} {after:?}");
    assert!(served.metric("ocisign_connections_cut_total{reason=\"handshake\"}").await >= 1.0);
    assert!(served.metric("ocisign_connections_cut_total{reason=\"silent\"}").await >= 1.0);
}

#[tokio::test]
async fn a_head_or_body_that_drips_is_cut() {
    let served = Setup::with_limits(tight()).start().await;
    let mut stream = tls(&served).await;
    let dripped = tokio::spawn(async move {
        for byte in
            b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-Long: ".iter().chain([b'x'; 10_000].iter())
        {
            if stream.write_all(&[*byte]).await.and(stream.flush().await).is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    tokio::time::timeout(BOUND, dripped).await.expect("the head is waited for").unwrap();

    let mut stream = tls(&served).await;
    let head = b"POST /validate HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\n{";
    stream.write_all(head).await.unwrap();
    let (said, after) = rest(stream).await;
    assert!(said.starts_with("HTTP/1.1 408 "), "{said}");
    assert!(after < Duration::from_secs(5), "{after:?}");
    assert!(served.metric("ocisign_http_refusals_total{reason=\"slow\"}").await >= 1.0);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_not_read() {
    let served = Setup::new().start().await;
    let mut stream = tls(&served).await;
    let head = b"POST /validate HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 413");

    // not announced: found out while it streams
    let endless =
        futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 64 << 10]));
    let sent =
        served.client.post(served.url("/validate")).body(reqwest::Body::wrap_stream(endless));
    let answer = tokio::time::timeout(BOUND, sent.send()).await.expect("it is read for ever");
    // the answer may be overtaken by the end of the connection
    if let Ok(answer) = answer {
        assert_eq!(answer.status(), 413);
    }
    assert!(served.metric("ocisign_http_refusals_total{reason=\"too-large\"}").await >= 2.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_idle_connections_is_bounded_and_keeps_nobody_out() {
    let limits = Limits { handshake_timeout: Duration::from_secs(20), ..tight() };
    let served = Arc::new(Setup::with_limits(limits).start().await);
    let mut open = Vec::new();
    for at in 0..200 {
        open.push(raw(&served).await);
        if at % 20 == 19 {
            // on a connection of its own each time, as a restarted API server is
            let answer = client(&served.certificates).get(served.url("/metrics")).send();
            let answer = tokio::time::timeout(BOUND, answer).await.expect("kept out").unwrap();
            let text = answer.text().await.unwrap();
            assert!(metric_of(&text, "ocisign_connections") <= 8.0, "{text}");
        }
    }
    assert!(served.metric("ocisign_connections_cut_total{reason=\"room\"}").await >= 150.0);
}

#[tokio::test]
async fn noise_in_place_of_tls_or_http_ends_nothing() {
    let served = Setup::new().start().await;
    for noise in
        [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\0\0\0\0", &[0xff; 5000], b"\x16\x03\x01\xff\xff"]
    {
        let mut stream = raw(&served).await;
        let _ = stream.write_all(noise).await;
        let _ = stream.shutdown().await;
        rest(stream).await;
    }
    for noise in [&b"NOISE\r\n\r\n"[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[b'A'; 100_000]] {
        let mut stream = tls(&served).await;
        let _ = stream.write_all(noise).await;
        let _ = stream.shutdown().await;
        rest(stream).await;
    }
    assert_eq!(served.get("/healthz").await.0, 200);
}

#[tokio::test]
async fn what_is_no_review_is_a_bad_request_with_its_reason() {
    let served = Setup::new().start().await;
    let deep = "[".repeat(100_000);
    let huge_uid = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {"uid": "x".repeat(100_000)}});
    for body in ["", "null", "[]", "{", "{}", "\u{0}", deep.as_str(), &huge_uid.to_string()] {
        let (status, said) = served.post("/validate", body.to_owned()).await;
        assert_eq!(status, 400, "{said}");
        assert!(!said.is_empty() && said.len() < 1000, "{said}");
    }
    for (method, path, status) in [
        ("GET", "/validate", 405),
        ("POST", "/healthz", 405),
        ("POST", "/", 404),
        ("GET", "/x", 404),
    ] {
        let method = method.parse().unwrap();
        let answer = served.client.request(method, served.url(path)).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{path}");
    }
    for query in ["timeout=soon", "timeout=-1s", "timeout=1s&timeout=2s"] {
        let (status, said) = served.post(&format!("/validate?{query}"), "{}").await;
        assert_eq!(status, 400);
        assert!(said.contains("timeout"), "{said}");
    }
}

/// HTTP/2, as clients speak it that choose it by ALPN.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_requests_on_one_connection_are_all_answered() {
    use axum::body::{Body, to_bytes};
    use hyper_util::rt::{TokioExecutor, TokioIo};
    let served = Setup::new().start().await;
    let mut config = client_tls(&served.certificates);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream =
        connector.connect("127.0.0.1".try_into().unwrap(), raw(&served).await).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let mut asking = tokio::task::JoinSet::new();
    for at in 0..500 {
        let mut sender = sender.clone();
        let review = pod(&at.to_string(), &[]).to_string();
        let request = http::Request::post("https://127.0.0.1/validate?timeout=20s");
        let request = request.body(Body::from(review)).unwrap();
        asking.spawn(async move {
            let answer = sender.send_request(request).await.unwrap();
            let body = to_bytes(Body::new(answer.into_body()), 1 << 20).await.unwrap();
            let answer: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(answer["response"]["uid"], at.to_string());
        });
    }
    assert_eq!(asking.join_all().await.len(), 500);
}
