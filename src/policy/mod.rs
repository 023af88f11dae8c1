//! From a document and evidence to a verdict. Pure: no IO, clock or network.

pub mod glob;
mod model;
pub mod schema;
pub mod scope;
mod verdict;

pub use model::*;
pub use verdict::*;
