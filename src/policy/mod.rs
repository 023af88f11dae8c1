//! From a document and evidence to a verdict. Pure: no IO, clock or network.

mod decide;
pub mod export;
mod fmt;
pub mod glob;
mod init;
pub mod json;
mod link;
mod lint;
mod model;
mod parse;
pub mod schema;
pub mod scope;
pub mod test;
mod verdict;

pub use decide::{Matched, Selected, decide, required_depth, simulate, wanted_subjects};
pub use fmt::fmt;
pub use init::{Starter, init};
pub use lint::{Lint, lint};
pub use model::*;
pub use parse::{Code, Problem, parse, render};
pub use verdict::*;
