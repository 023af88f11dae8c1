//! From a document and evidence to a verdict. Pure: no IO, clock or network.

mod decide;
pub mod glob;
pub mod json;
mod model;
mod parse;
pub mod schema;
pub mod scope;
mod verdict;

pub use decide::{Matched, Selected, required_depth, simulate, wanted_subjects};
pub use model::*;
pub use parse::{Code, Problem, parse, render};
pub use verdict::*;
