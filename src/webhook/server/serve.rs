//! From the listening socket to requests, with TLS or without it.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::Phase;
use super::connections::{Connections, Slot};
use crate::limits::Limits;
use crate::webhook::metrics::Metrics;

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    /// It showed a certificate of a CA whose clients may ask.
    Known,
    /// It did not.
    Anyone,
}

/// A socket to accept on, and what its connections are made with.
pub(super) struct Door {
    pub(super) listener: TcpListener,
    pub(super) room: Room,
}

/// What every connection of a door shares.
#[derive(Clone)]
pub(super) struct Room {
    pub(super) router: Router,
    /// What TLS is made with at the moment; `None` for a door without TLS.
    pub(super) tls: Option<watch::Receiver<Arc<ServerConfig>>>,
    pub(super) connections: Arc<Connections>,
    pub(super) phase: watch::Receiver<Phase>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) limits: Arc<Limits>,
}

impl Door {
    /// Accepts until the server drains.
    pub(super) async fn accept(self) {
        let Self { listener, room } = self;
        let http = Arc::new(Http::new(&room.limits));
        let mut phase = room.phase.clone();
        let mut drained = pin!(reached(&mut phase, Phase::Draining));
        loop {
            // room is made when somebody comes, not before
            let next = async {
                let (stream, _) = listener.accept().await?;
                Ok((stream, room.connections.slot().await))
            };
            tokio::select! {
                () = &mut drained => return,
                accepted = next => match accepted {
                    Ok((stream, slot)) => {
                        tokio::spawn(room.clone().connection(stream, slot, Arc::clone(&http)));
                    }
                    Err(error) => not_accepted(&error, &room.metrics).await,
                },
            }
        }
    }
}

/// One client's mistake ends nothing; without descriptors, waiting helps.
async fn not_accepted(error: &io::Error, metrics: &Metrics) {
    metrics.cut("not-accepted");
    match error.kind() {
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset => {}
        _ => tokio::time::sleep(Duration::from_millis(50)).await,
    }
}

impl Room {
    async fn connection(self, stream: TcpStream, slot: Slot, http: Arc<Http>) {
        // answers are small and waited for
        let _ = stream.set_nodelay(true);
        let slot = Arc::new(slot);
        let (metrics, limits) = (Arc::clone(&self.metrics), Arc::clone(&self.limits));
        let (ended, mut phase) = (Arc::clone(&slot), self.phase.clone());
        tokio::select! {
            () = reached(&mut phase, Phase::Over) => {}
            () = self.speak(stream, slot, &http) => {}
            cut = ended.cut(&limits) => metrics.cut(cut.as_str()),
        }
    }

    async fn speak(self, stream: TcpStream, slot: Arc<Slot>, http: &Http) {
        let Some(tls) = self.tls.as_ref().map(|tls| Arc::clone(&tls.borrow())) else {
            let service = requests(self.router, Peer::Anyone, slot);
            return serve(&http.one, stream, service, self.phase).await;
        };
        let shaken = TlsAcceptor::from(tls).accept(stream);
        let Ok(Ok(stream)) = timeout(self.limits.handshake_timeout, shaken).await else {
            return self.metrics.cut("handshake");
        };
        let session = stream.get_ref().1;
        let peer = match session.peer_certificates() {
            Some(_) => Peer::Known,
            None => Peer::Anyone,
        };
        // chosen by ALPN, not guessed from what comes first
        let http = match session.alpn_protocol() {
            Some(b"h2") => &http.two,
            _ => &http.one,
        };
        serve(http, stream, requests(self.router, peer, slot), self.phase).await;
    }
}

/// The routes, told who asks, and telling the connection that it is in use.
fn requests(
    router: Router,
    peer: Peer,
    slot: Arc<Slot>,
) -> impl Service<
    http::Request<Incoming>,
    Response = Response,
    Error = std::convert::Infallible,
    Future: Send + 'static,
> {
    let router = TowerToHyperService::new(router);
    service_fn(move |request: http::Request<Incoming>| {
        let busy = slot.request();
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        let answer = router.call(request);
        async move {
            let answer = answer.await;
            drop(busy);
            answer
        }
    })
}

/// Speaks HTTP until the client ends it, or what is under way when the server
/// drains is done.
async fn serve<S>(
    http: &Builder<TokioExecutor>,
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    service: S,
    mut phase: watch::Receiver<Phase>,
) where
    S: Service<http::Request<Incoming>, Response = Response, Error = std::convert::Infallible>,
    S::Future: Send + 'static,
{
    let mut speaking = pin!(http.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        // what a client breaks off is its own matter
        _ = &mut speaking => return,
        () = reached(&mut phase, Phase::Draining) => speaking.as_mut().graceful_shutdown(),
    }
    let _ = speaking.await;
}

/// Waits until the server is so far.
async fn reached(phase: &mut watch::Receiver<Phase>, far: Phase) {
    // an end of the sender is an end of the server
    let _ = phase.wait_for(|phase| *phase >= far).await;
}

/// The two versions of HTTP, with their bounds.
struct Http {
    one: Builder<TokioExecutor>,
    two: Builder<TokioExecutor>,
}

impl Http {
    fn new(limits: &Limits) -> Self {
        /// Head of a request: what Go's clients send has a few hundred bytes.
        const HEAD: usize = 16 << 10;
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            // a slot ends what is silent or slow, in all versions alike
            .header_read_timeout(None)
            .max_headers(64)
            .max_buf_size(HEAD);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.connection_streams)
            // what a flood of clients can make the server hold for them
            .initial_stream_window_size(64 << 10)
            .initial_connection_window_size(128 << 10)
            .max_send_buf_size(32 << 10)
            .max_header_list_size(HEAD as u32)
            .keep_alive_interval(Some(Duration::from_secs(30)))
            .keep_alive_timeout(Duration::from_secs(10));
        Self { one: builder.clone().http1_only(), two: builder.http2_only() }
    }
}
