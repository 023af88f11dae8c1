//! What an image is: names, digests, descriptors, manifests and the tree
//! that they span. Pure: bytes in, facts out.

mod descriptor;
mod digest;
pub mod json;
pub mod media_type;
mod reference;
mod shape;

pub use descriptor::{Descriptor, Platform};
pub use digest::{Algorithm, Digest, DigestError, Hasher};
pub use reference::{Reference, ReferenceError, Repository};
pub use shape::{Depth, Node, NodeKind, NodeState, Shape};
