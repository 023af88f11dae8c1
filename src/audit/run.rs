//! Asking the gate about every image, a few at a time.

use std::num::NonZeroUsize;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use jiff::Timestamp;

use super::record::When;
use super::{Item, Name, Record};
use crate::engine;
use crate::gate::{Gate, Keyring, Question, Undecided};
use crate::image::Depth;
use crate::webhook::Keychain;

/// How the images are asked about.
#[derive(Clone, Copy)]
pub struct Options<'k> {
    /// How deep to recompute each; the policy may ask for more.
    pub depth: Depth,
    /// How many at a time.
    pub concurrency: NonZeroUsize,
    /// How long each may take.
    pub patience: Duration,
    /// Finds the credentials that pods name; without it only those of the
    /// gate are used.
    pub keychain: Option<&'k dyn Keychain>,
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
    options: Options<'_>,
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

async fn ask(gate: &Gate, item: Item, options: Options<'_>) -> Record {
    let at = Timestamp::now();
    let Name::Image(reference) = &item.name else { return Record::of_invalid(item, at) };
    let began = Instant::now();
    let said = match keyring(&item, options).await {
        Ok(keyring) => {
            let (depth, patience) = (options.depth, options.patience);
            gate.judge(&Question { reference: reference.clone(), depth, keyring, patience }).await
        }
        Err(undecided) => Err(undecided),
    };
    let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let engine = gate.engine();
    Record::new(item, &said, engine.policy(), When { at, milliseconds })
}

/// The credentials of one of the image's users, where it has users.
async fn keyring(item: &Item, options: Options<'_>) -> Result<Option<Keyring>, Undecided> {
    let (Some(keychain), Some(access)) = (options.keychain, &item.access) else { return Ok(None) };
    let found = keychain.keyring(&access.namespace, &access.of);
    match tokio::time::timeout(options.patience, found).await {
        Ok(found) => Ok(found.map_err(engine::Error::from)?),
        Err(_) => Err(Undecided::Deadline(options.patience)),
    }
}
