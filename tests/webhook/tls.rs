//! Certificates: replaced without a restart and without a failed request,
//! and never by something that does not work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use crate::common::registry::Certificates;
use crate::served::*;

/// The certificate that the server shows to a new connection.
async fn shown(served: &Served, trusted: &Certificates) -> CertificateDer<'static> {
    let config = Arc::new(client_tls(trusted));
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", served.port)).await.unwrap();
    let name = "127.0.0.1".try_into().unwrap();
    let stream = tokio_rustls::TlsConnector::from(config).connect(name, stream).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_pair_is_shown_without_a_failed_request() {
    let served = Arc::new(Setup::new().start().await);
    let first = served.certificates.clone();
    assert_eq!(shown(&served, &first).await, der(&first.server_pem[0]));

    let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    // every request on a connection of its own, by whichever CA it was made
    let next = first.renewed();
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (served, stop, asked) =
                (Arc::clone(&served), Arc::clone(&stop), Arc::clone(&asked));
            let certificates = first.clone();
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let answer = client(&certificates).get(served.url("/healthz")).send().await;
                    assert_eq!(answer.unwrap().status(), 200);
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for pair in [&next, &first, &next] {
        let before = asked.load(Ordering::Relaxed);
        write_pair(served.folder.path(), pair);
        let wanted = der(&pair.server_pem[0]);
        served.until("the pair is shown", async |s| shown(s, &first).await == wanted).await;
        served.until("more is asked", async |_| asked.load(Ordering::Relaxed) > before + 20).await;
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    assert!(served.metric("ocisign_certificate_reloads_total{result=\"taken\"}").await >= 3.0);
}

#[tokio::test]
async fn a_pair_that_does_not_work_is_refused_and_the_old_one_stays() {
    let served = Setup::new().start().await;
    let first = served.certificates.clone();
    let other = Certificates::generate();
    let [certificate, key] = &first.server_pem;
    let broken = [
        (other.server_pem[0].as_str(), key.as_str()),
        (certificate, other.server_pem[1].as_str()),
        (certificate, ""),
        ("", key),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", key),
    ];
    for (at, (certificate, key)) in broken.into_iter().enumerate() {
        served.replace("tls.crt", certificate);
        served.replace("tls.key", key);
        // both files at once is what a Secret's mount does, and not this test
        served
            .until("it is refused", async |s| {
                s.get("/readyz").await.1.contains("not taken: certificate")
            })
            .await;
        let refused = "ocisign_certificate_reloads_total{result=\"refused\"}";
        assert!(served.metric(refused).await > at as f64);
        assert_eq!(shown(&served, &first).await, der(&first.server_pem[0]));
        assert_eq!(served.get("/readyz").await.0, 200);
        write_pair(served.folder.path(), &first);
        served
            .until("it is taken again", async |s| !s.get("/readyz").await.1.contains("not taken"))
            .await;
    }
    let logged = served.logged("certificate-refused");
    assert!(logged.len() >= broken.len(), "{logged:?}");
    assert!(logged.iter().all(|line| line["message"].as_str().unwrap().contains("stays in place")));
}

#[tokio::test]
async fn a_server_does_not_start_with_what_it_would_refuse() {
    for file in ["tls.crt", "tls.key", "policy.json", "demo.pub"] {
        for content in ["", "{}", "-----BEGIN X-----\n"] {
            let setup = Setup::new();
            std::fs::write(setup.folder.path().join(file), content).unwrap();
            let sink = Box::new(std::io::sink());
            let started =
                ocisign::webhook::Server::bind(setup.settings, setup.places, None, sink).await;
            let error = started.err().unwrap().to_string();
            assert!(error.contains(file), "{error}");
        }
    }
}
