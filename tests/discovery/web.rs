//! A web server for example.com, and the proxy that leads to it.

use std::collections::BTreeMap;
use std::io::{BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::common::registry::Request;

/// It answers until the test ends.
pub(crate) struct Web {
    port: u16,
    ca: String,
    pages: Pages,
    asked: Arc<Mutex<Vec<String>>>,
}

type Pages = Arc<Mutex<BTreeMap<String, (u16, Vec<u8>)>>>;

impl Web {
    pub(crate) fn start() -> Self {
        let (ca, config) = certificates();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (pages, asked) = (Pages::default(), Arc::new(Mutex::new(Vec::new())));
        let (served, seen) = (pages.clone(), asked.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (config, pages, asked) = (config.clone(), served.clone(), seen.clone());
                std::thread::spawn(move || serve(stream, config, &pages, &asked));
            }
        });
        Self { port, ca, pages, asked }
    }

    /// What `HTTPS_PROXY` is set to.
    pub(crate) fn proxy(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The CA of its certificate, PEM.
    pub(crate) fn ca(&self) -> &str {
        &self.ca
    }

    /// Serves a path with its query.
    pub(crate) fn put(&self, path: &str, body: impl Into<Vec<u8>>) {
        self.pages.lock().unwrap().insert(path.to_owned(), (200, body.into()));
    }

    /// Answers a path with an error.
    pub(crate) fn fail(&self, path: &str, status: u16) {
        self.pages.lock().unwrap().insert(path.to_owned(), (status, Vec::new()));
    }

    /// Serves it no longer.
    pub(crate) fn take(&self, path: &str) {
        self.pages.lock().unwrap().remove(path);
    }

    /// What was asked for, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// A certificate for example.com, by a CA.
fn certificates() -> (String, Arc<ServerConfig>) {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["example.com".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &*ca).unwrap().der().clone();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key.serialize_der().try_into().unwrap())
        .unwrap();
    (ca.pem(), Arc::new(config))
}

/// A proxy's CONNECT, and then TLS on the same connection.
fn serve(
    mut stream: TcpStream,
    config: Arc<ServerConfig>,
    pages: &Pages,
    asked: &Mutex<Vec<String>>,
) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    if !head.starts_with(b"CONNECT example.com:443 ") {
        return stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").ok();
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok()?;
    let tls = StreamOwned::new(ServerConnection::new(config).ok()?, stream);
    let mut stream = BufReader::new(tls);
    while let Some(request) = Request::read(&mut stream).ok()? {
        asked.lock().unwrap().push(request.target.clone());
        let page = pages.lock().unwrap().get(&request.target).cloned();
        let (status, body) = page.unwrap_or((404, b"nothing here".to_vec()));
        let head = format!("HTTP/1.1 {status} As told\r\nContent-Length: {}\r\n\r\n", body.len());
        let out = stream.get_mut();
        out.write_all(head.as_bytes()).and_then(|()| out.write_all(&body)).ok()?;
        out.flush().ok()?;
    }
    Some(())
}
