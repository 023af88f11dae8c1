//! An admission review, from its bytes to the bytes that answer it. Pure:
//! no IO, no clock; who judges the images stands between plan and answer.
//!
//! ```text
//! bytes ─► Review ─► Plan ────────────► Judged ─► Response
//!          strict    which images,      by the    allow or deny,
//!                    at which places,   gate      patch, warnings,
//!                    what changed                 annotations
//! ```

mod custom;
mod kinds;
mod object;
mod parse;
mod plan;
mod pod;
mod respond;
mod table;
mod tell;
mod told;

use std::fmt;
use std::sync::Arc;

pub use custom::BadTable;
pub use kinds::{DryRun, GroupVersionKind, GroupVersionResource, Operation};
pub use parse::{BadReview, Review};
pub use plan::{Inquiry, Nothing, Plan};
pub use pod::{IMAGE_FIELDS, ImageField};
pub use respond::{Judged, Options, Outcome, Refusal, Response, mutate, refuse, validate};
pub use table::{Place, Table, images_of};
pub use told::Told;

use super::PodAccess;
use crate::image::Reference;

/// One image that an object would run, at one place in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// Where its text stands in the object (JSON pointer, RFC 6901).
    pub pointer: String,
    /// What it is for.
    pub role: Role,
    /// Name of the container or volume; empty where it has none.
    pub name: String,
    /// The text, as written; empty where there is none.
    pub text: String,
    /// The image that the text names, normalised, or why it names none.
    pub reference: Result<Reference, String>,
    /// Whether the old object had the same text at the same place.
    pub change: Change,
    /// The credentials that its pod spec names.
    pub access: Arc<PodAccess>,
    /// The list that it stands in; empty where it stands in none.
    list: String,
}

/// What an image is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// One of `containers`.
    Container,
    /// One of `initContainers`, a sidecar too.
    InitContainer,
    /// One of `ephemeralContainers`.
    EphemeralContainer,
    /// An image volume.
    ImageVolume,
    /// A place that the table of custom resources names.
    Custom,
}

/// How an image stands to the old object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// Created or changed, or there is nothing to compare it with.
    New,
    /// The old object had the same text at the same place.
    Unchanged,
}

/// Why the images of an object cannot be told. Deny.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Unreadable {
    /// Which rule is broken, where, and what to do.
    pub reason: String,
}

impl Unreadable {
    fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

impl Role {
    /// The word for it in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::InitContainer => "init container",
            Self::EphemeralContainer => "ephemeral container",
            Self::ImageVolume => "image volume",
            Self::Custom => "image",
        }
    }
}

impl Use {
    /// The place for people: "container `app`".
    pub fn place(&self) -> Shown<'_> {
        Shown(self)
    }
}

/// Shows where an image stands.
#[derive(Debug)]
pub struct Shown<'a>(&'a Use);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Use { role, name, pointer, .. } = self.0;
        let name = if name.is_empty() { pointer } else { name };
        write!(f, "{} `{}`", role.as_str(), crate::report::escaped(name))
    }
}
