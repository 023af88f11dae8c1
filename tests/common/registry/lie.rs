//! The lies.

use std::time::Duration;

use super::http::Request;

/// One way of not telling the truth.
#[derive(Clone, Debug)]
pub enum Lie {
    /// A status with an error body of the specification's form.
    Status(u16),
    /// A status with these headers.
    StatusWith(u16, Vec<(&'static str, String)>),
    /// The true answer with another body.
    Body(Vec<u8>),
    /// The true head; the connection breaks after so many bytes of the body.
    Cut(usize),
    /// The true body, announced with another length, then the end.
    Length(u64),
    /// A true head and a body of zeros that never ends.
    Endless,
    /// The true answer, so many bytes at a time.
    Drip(usize, Duration),
    /// No answer for this long, then the connection ends.
    Silent(Duration),
    /// The connection ends at once.
    Hangup,
    /// These bytes in place of an HTTP answer.
    Raw(&'static [u8]),
    /// The true answer with a header replaced.
    Header(&'static str, String),
    /// The true answer without a header.
    NoHeader(&'static str),
    /// The true answer to a request without its Range.
    IgnoreRange,
    /// An empty page of referrers that links to a further one, without end.
    EndlessPages,
    /// A write is done and confirmed, then another writer's bytes stand there.
    Overwritten(Vec<u8>),
}

pub struct Planned {
    pub pattern: String,
    pub times: usize,
    pub lie: Lie,
}

/// The lies for a request; each that applies is used up by one.
pub fn take(plans: &mut [Planned], request: &Request) -> Vec<Lie> {
    let applies = |plan: &&mut Planned| plan.times > 0 && matches(&plan.pattern, request);
    plans
        .iter_mut()
        .filter(applies)
        .map(|plan| {
            plan.times -= 1;
            plan.lie.clone()
        })
        .collect()
}

/// `METHOD /path?query` with `*` for any run of characters.
pub fn matches(pattern: &str, request: &Request) -> bool {
    glob(pattern, &format!("{} {}", request.method, request.target))
}

fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, tail)) => text.strip_prefix(head).is_some_and(|rest| {
            (0..=rest.len())
                .filter(|at| rest.is_char_boundary(*at))
                .any(|at| glob(tail, &rest[at..]))
        }),
    }
}
