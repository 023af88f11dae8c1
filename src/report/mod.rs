//! A verdict for people and for machines. Pure: text out, nothing printed.
//!
//! Names, annotations and reasons come from registries and from whoever wrote
//! an envelope. None of them reaches a terminal with a control character in
//! it, and none without a bound.

mod escape;
mod explain;
mod json;
mod text;
mod tree;

pub use escape::{escaped, visible};
pub use explain::explain;
pub use json::{json, printable};
#[cfg(feature = "webhook")]
pub(crate) use text::Ink;
pub use text::{Style, text};
pub use tree::{tree_drawing, tree_json, tree_text};
