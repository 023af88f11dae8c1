//! What an image is: names, digests, descriptors, manifests and the tree
//! that they span. Pure: bytes in, facts out.

pub mod aci;
mod ancestry;
mod config;
mod descriptor;
mod digest;
pub mod docker_v1;
pub mod json;
mod lanes;
mod layer;
mod link;
mod manifest;
pub mod media_type;
mod reference;
pub mod schema1;
mod shape;
mod source;
mod tree;
mod want;

use crate::limits::Limits;

pub use ancestry::{Addressed, Generation, needs};
pub use config::ImageConfig;
pub use descriptor::{Descriptor, Platform};
pub use digest::{Algorithm, Digest, DigestError, Hasher};
pub use layer::{Job, LayerCheck, LayerHasher, check_all, check_reader};
pub use link::{Link, StatedDigest};
pub use manifest::{Document, DocumentError, Index, Manifest};
pub use reference::{Reference, ReferenceError, Repository};
pub use schema1::{Schema1, manifest_digest};
pub use shape::{Depth, Node, NodeKind, NodeState, Shape};
pub use source::{Source, SourceError};
pub use tree::{FileCheck, FileHasher, ImageTree, Root, TreeBuilder};
pub use want::{Compression, Read, Want};
