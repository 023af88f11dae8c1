//! Sign container images, and decide by policy whether an image may run.
//!
//! ```text
//! reference ─► store ──► image tree ─► discover ─► envelope ─► verify ─► EVIDENCE ─► policy ─► VERDICT ─► report
//!  "repo:tag"  (IO)     every digest   candidates  untrusted   + trust    (waist)    decide     allow/deny   text, JSON
//!                       recomputed                 claims                            + now      + reasons
//! ```
//!
//! Left of the evidence nothing knows policy; right of it nothing knows
//! cryptography, formats or the network. A value is the proof: an
//! [`ImageTree`] was recomputed, an [`Evidence`] was verified, an
//! [`Admitted`] was allowed, and nothing else can make one.
//!
//! A runtime gates a pull so:
//!
//! ```no_run
//! # #[cfg(feature = "registry")]
//! # fn gate() -> Result<(), Box<dyn std::error::Error>> {
//! use ocisign::{Access, Ask, Engine, Image, Limits, Source};
//!
//! let limits = Limits::default();
//! let engine = Engine::load("policy.json".as_ref(), &limits)?;
//! let source = Source::parse("registry.example/app:v1")?;
//! let image = Image::open(&source, None, &Access::default(), &limits)?;
//! let verdict = ocisign::block_on(engine.check(&image, &Ask::default(), jiff::Timestamp::now()))?;
//! let admitted = verdict.admit().map_err(|verdict| verdict.summary)?;
//! println!("pull {}", admitted.reference()); // by digest, never by tag
//! # Ok(())
//! # }
//! ```
//!
//! [`Engine::check`](engine::Engine::check) is `async`, for callers that have
//! an event loop; a [`Gate`](gate::Gate) answers many questions, and shares
//! and remembers what may be. Without default features what is left is the pure core,
//! with no tokio and no network, for callers that bring their own bytes:
//! [`TreeBuilder`] asks and is fed, [`verify::verify`] and [`policy::decide`]
//! are functions.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

#[cfg(feature = "webhook")]
pub mod audit;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "gate")]
pub mod containerd;
pub mod crypto;
#[cfg(feature = "registry")]
pub mod engine;
pub mod envelope;
pub mod evidence;
#[cfg(feature = "gate")]
pub mod gate;
pub mod image;
pub mod limits;
pub mod policy;
pub mod report;
#[cfg(feature = "registry")]
pub mod store;
pub mod trust;
pub mod verify;
#[cfg(feature = "webhook")]
pub mod webhook;

#[cfg(feature = "registry")]
pub use engine::{Access, Ask, Engine, Image, block_on};
pub use evidence::Evidence;
pub use image::{Digest, ImageTree, Reference, Source, TreeBuilder};
pub use limits::Limits;
pub use policy::{Admitted, Decision, Verdict};
