//! From bytes to a [`Document`]: strict, all or nothing, without a clock.

mod document;
mod exceptions;
pub(in crate::policy) mod grammar;
mod image;
mod problem;
pub(in crate::policy) mod reader;
mod rules;
mod scopes;
mod unsigned;

pub(in crate::policy) use problem::Problems;
pub use problem::{Code, Problem, render};
pub(in crate::policy) use reader::Reader;

use super::json;
use super::model::Document;
use crate::image::Digest;
use crate::limits::Limits;

/// Parses a policy and checks all that can be checked without its keys.
///
/// # Errors
/// Every problem that was found, at most 50, in the order of the text. A
/// field that this version cannot honour is one of them: nothing is ignored.
pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Document, Vec<Problem>> {
    let root = json::read(bytes, limits)?;
    let mut reader = Reader::default();
    let document = document::document(&mut reader, &root, Digest::sha256(bytes));
    match document {
        Some(document) if reader.problems.is_empty() => Ok(document),
        _ => Err(reader.problems.finish(Some(&root))),
    }
}
