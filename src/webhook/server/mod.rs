//! The server: connections, routes, reload, and an end without loss.
//!
//! ```text
//! accept ─► TLS ─► HTTP ─► body ─► review ─► gate ─► answer
//! bounded   bounded        bounded  parsed    deadline  always with the uid
//! ```

mod admit;
mod body;
mod connections;
mod judge;
mod record;
mod routes;
mod serve;
mod signals;
mod take;

use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::body::Budget;
use self::connections::Connections;
use self::serve::{Door, Room};
pub use self::signals::obey_signals;
use self::take::{Refused, Watch};
use super::log::{Log, LogLevel, Writing};
use super::metrics::{GateMetrics, Metrics};
use super::review::{Options, Table};
use super::tls::TlsFiles;
use super::{Error, Keychain};
use crate::gate::{self, Gate, Places};
use crate::image::Depth;
use crate::limits::Limits;

/// How to serve.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where API servers connect.
    pub listen: SocketAddr,
    /// Where probes and scrapes may connect without TLS.
    pub probe_listen: Option<SocketAddr>,
    /// Certificate, key, and whose clients may ask.
    pub tls: TlsFiles,
    /// The policy.
    pub policy: PathBuf,
    /// A table of the images of custom resources.
    pub resources: Option<PathBuf>,
    /// How deep images are recomputed; the policy may ask for more.
    pub depth: Depth,
    /// How reviews are answered.
    pub options: Options,
    /// How long to take for an answer where the request does not say.
    pub timeout: Duration,
    /// How often the files are looked at.
    pub reload_every: Duration,
    /// How long to go on as before after a signal to end, not ready any more,
    /// so that nobody is sent here who would find nothing.
    pub lame_duck: Duration,
    /// How long requests under way then have to finish.
    pub drain: Duration,
    /// Which decisions are logged.
    pub log: LogLevel,
    /// How long verdicts are remembered, and by which clock.
    pub gate: gate::Settings,
    /// All bounds.
    pub limits: Limits,
}

/// A server that listens, and answers once it runs.
pub struct Server {
    app: Arc<App>,
    door: TcpListener,
    probes: Option<TcpListener>,
    watch: Watch,
    writing: Writing,
}

/// Tells a running server what to do. Cheap to clone.
#[derive(Clone)]
pub struct Control(Arc<App>);

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Every request was answered.
    Finished,
    /// Some took longer than they had.
    CutShort,
}

/// Where in its life a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// It takes requests.
    Serving,
    /// It takes requests, and asks not to be sent any.
    LameDuck,
    /// It takes no connection any more and finishes what it began.
    Draining,
    /// It ends what is left.
    Over,
}

/// What all requests share.
struct App {
    gate: Gate,
    keychain: Option<Arc<dyn Keychain>>,
    settings: Settings,
    limits: Arc<Limits>,
    tls: watch::Sender<Arc<ServerConfig>>,
    table: RwLock<Arc<Table>>,
    refused: Refused,
    phase: watch::Sender<Phase>,
    look: Notify,
    budget: Budget,
    reviews: Semaphore,
    large: Semaphore,
    connections: Arc<Connections>,
    metrics: Arc<Metrics>,
    log: Log,
}

impl Server {
    /// Reads the files and listens. Connections wait until the server runs.
    ///
    /// # Errors
    /// [`Error`] where a file is not what it should be, or nobody could
    /// connect. Nothing is served then.
    pub async fn bind(
        settings: Settings,
        places: Arc<dyn Places>,
        keychain: Option<Arc<dyn Keychain>>,
        log: Box<dyn Write + Send>,
    ) -> Result<Self, Error> {
        let limits = Arc::new(settings.limits.clone());
        let metrics = Arc::new(Metrics::new());
        let (watch, first) = Watch::first(&settings)?;
        let door = listen(settings.listen).await?;
        let probes = match settings.probe_listen {
            Some(address) => Some(listen(address).await?),
            None => None,
        };
        let dropped = metrics.log_dropped.clone();
        let observer = Arc::new(GateMetrics(Arc::clone(&metrics)));
        let (log, writing) = Log::start(log, settings.log, limits.log_lines, dropped)?;
        let app = App {
            gate: Gate::with(first.engine, places, settings.gate.clone(), observer),
            keychain,
            tls: watch::Sender::new(Arc::clone(&first.identity.config)),
            table: RwLock::new(Arc::new(first.table)),
            refused: Refused::default(),
            phase: watch::Sender::new(Phase::Serving),
            look: Notify::new(),
            budget: Budget::new(&limits),
            reviews: Semaphore::new(limits.reviews),
            large: Semaphore::new(1),
            connections: Arc::new(Connections::new(limits.connections, Arc::clone(&metrics))),
            metrics,
            log,
            limits,
            settings,
        };
        app.tell_policy(&app.gate.engine());
        let until = app.tell_certificate(&first.identity);
        let address =
            door.local_addr().map_err(|source| Error::System { what: "address", source })?;
        app.log.event("serving", &format!("on {address}; the certificate: {until}"));
        Ok(Self { app: Arc::new(app), door, probes, watch, writing })
    }

    /// Where API servers connect: with the port that the system chose, where
    /// the settings left it to it.
    ///
    /// # Errors
    /// What the system says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.door.local_addr()
    }

    /// Where probes connect, where there is such a place.
    ///
    /// # Errors
    /// What the system says.
    pub fn probe_address(&self) -> io::Result<Option<SocketAddr>> {
        self.probes.as_ref().map(TcpListener::local_addr).transpose()
    }

    /// What tells the server what to do once it runs.
    pub fn control(&self) -> Control {
        Control(Arc::clone(&self.app))
    }

    /// Serves until it is told to end and did so.
    pub async fn run(self) -> Ended {
        let Self { app, door, probes, watch, writing } = self;
        let mut tasks = JoinSet::new();
        tasks.spawn(app.door(door).accept());
        if let Some(listener) = probes {
            tasks.spawn(app.probe_door(listener).accept());
        }
        tasks.spawn(watch.run(Arc::clone(&app)));
        let ended = app.end().await;
        tasks.shutdown().await;
        app.log.event("ended", ended.as_str());
        drop(app);
        let _ = tokio::task::spawn_blocking(|| writing.finish()).await;
        ended
    }
}

impl Ended {
    fn as_str(self) -> &'static str {
        match self {
            Self::Finished => "every request was answered",
            Self::CutShort => "some requests took longer than they had",
        }
    }
}

impl Control {
    /// Reads all files again, whether or not they changed.
    pub fn reload(&self) {
        self.0.look.notify_one();
    }

    /// Begins to end: not ready at once, no more connections after the lame
    /// duck's time. Told a second time, it waits no longer.
    pub fn end(&self) {
        self.0.phase.send_modify(|phase| {
            *phase = match phase {
                Phase::Serving => Phase::LameDuck,
                Phase::LameDuck | Phase::Draining => Phase::Draining,
                Phase::Over => Phase::Over,
            };
        });
    }
}

impl App {
    fn door(self: &Arc<Self>, listener: TcpListener) -> Door {
        Door {
            listener,
            room: Room {
                router: routes::all(Arc::clone(self)),
                tls: Some(self.tls.subscribe()),
                connections: Arc::clone(&self.connections),
                phase: self.phase.subscribe(),
                metrics: Arc::clone(&self.metrics),
                limits: Arc::clone(&self.limits),
            },
        }
    }

    /// Its connections are few and of their own: reviews cannot take them.
    fn probe_door(self: &Arc<Self>, listener: TcpListener) -> Door {
        const PROBES: usize = 32;
        let mut door = self.door(listener);
        door.room.router = routes::probes(Arc::clone(self));
        door.room.tls = None;
        door.room.connections = Arc::new(Connections::new(PROBES, Arc::new(Metrics::new())));
        door
    }

    /// Waits to be told to end, and for what is under way.
    async fn end(&self) -> Ended {
        let mut phase = self.phase.subscribe();
        // the sender is in `self`, so this waits for the phase alone
        let _ = phase.wait_for(|phase| *phase >= Phase::LameDuck).await;
        self.log.event("ending", "not ready any more; requests are still answered");
        let told_again = phase.wait_for(|phase| *phase >= Phase::Draining);
        let _ = timeout(self.settings.lame_duck, told_again).await;
        self.phase.send_replace(Phase::Draining);
        match timeout(self.settings.drain, self.connections.all_ended()).await {
            Ok(()) => Ended::Finished,
            Err(_) => {
                self.phase.send_replace(Phase::Over);
                Ended::CutShort
            }
        }
    }

    /// Why files are not taken, where they are not.
    fn refused(&self) -> Vec<String> {
        self.refused.all()
    }

    /// The table that reviews are read with from now on.
    fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("settings", &self.app.settings).finish_non_exhaustive()
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("phase", &*self.0.phase.borrow()).finish()
    }
}
