//! The parsers of what web servers and folders beside images say, for fuzz/
//! alone.

pub use super::discovery::fuzzing::page;
pub use super::lookaside::fuzzing::registries_d;
