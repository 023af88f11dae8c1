//! Asking the gate about every image, a few at a time.

use std::num::NonZeroUsize;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use jiff::Timestamp;

use super::record::When;
use super::{Item, Name, Record};
use crate::gate::{Gate, Question};
use crate::image::Depth;

/// How the images are asked about.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How deep to recompute each; the policy may ask for more.
    pub depth: Depth,
    /// How many at a time.
    pub concurrency: NonZeroUsize,
    /// How long each may take.
    pub patience: Duration,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Every image was asked about.
    Finished,
    /// It was told to stop; what was answered until then is kept.
    Stopped,
}

/// Asks about every item and gives each answer to `keep` as it comes. Memory
/// is for the questions under way. `stop` ends it early.
///
/// # Errors
/// Those of `keep`: an answer that is not kept is no answer.
pub async fn run<E>(
    gate: &Gate,
    items: impl IntoIterator<Item = Item>,
    options: Options,
    mut keep: impl FnMut(Record) -> Result<(), E>,
    stop: impl Future<Output = ()>,
) -> Result<End, E> {
    let asked = futures_util::stream::iter(items).map(|item| ask(gate, item, options));
    let mut answers = pin!(asked.buffer_unordered(options.concurrency.get()));
    let mut stop = pin!(stop);
    loop {
        let record = tokio::select! {
            biased;
            () = &mut stop => return Ok(End::Stopped),
            record = answers.next() => record,
        };
        match record {
            Some(record) => keep(record)?,
            None => return Ok(End::Finished),
        }
    }
}

async fn ask(gate: &Gate, item: Item, options: Options) -> Record {
    let at = Timestamp::now();
    let Name::Image(reference) = &item.name else { return Record::of_invalid(item, at) };
    let question = Question {
        reference: reference.clone(),
        depth: options.depth,
        keyring: None,
        patience: options.patience,
    };
    let began = Instant::now();
    let said = gate.judge(&question).await;
    let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let engine = gate.engine();
    Record::new(item, &said, engine.policy(), When { at, milliseconds })
}
