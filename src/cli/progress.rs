//! The progress bar: bytes, rate and time left, on a terminal only.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output::Output;
use crate::engine::Progress;

/// A bar, or nothing where nobody would see it.
#[derive(Debug)]
pub(super) struct Bar(Option<ProgressBar>);

impl Bar {
    /// A bar on stderr, if that is a terminal and `-q` is not given.
    pub(super) fn new(out: &Output) -> Self {
        if !out.progress() {
            return Self(None);
        }
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        let template = "{bar:32} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self(Some(bar))
    }
}

impl Progress for Bar {
    fn expect(&self, bytes: u64) {
        if let Some(bar) = &self.0 {
            bar.inc_length(bytes);
        }
    }

    fn advance(&self, bytes: u64) {
        if let Some(bar) = &self.0 {
            bar.inc(bytes);
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.finish();
    }
}

/// A bar that counts images, or nothing where nobody would see it.
#[cfg(feature = "webhook")]
#[derive(Debug)]
pub(super) struct Counter(Option<ProgressBar>);

#[cfg(feature = "webhook")]
impl Counter {
    /// A bar over `total`, if stderr is a terminal and `-q` is not given.
    pub(super) fn new(out: &Output, total: usize, done: usize) -> Self {
        if !out.progress() {
            return Self(None);
        }
        let length = u64::try_from(total).unwrap_or(u64::MAX);
        let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
        if let Ok(style) =
            ProgressStyle::with_template("{bar:32} {pos}/{len} images  {msg}  {eta} left")
        {
            bar.set_style(style);
        }
        bar.inc(u64::try_from(done).unwrap_or(u64::MAX));
        bar.reset_eta();
        Self(Some(bar))
    }

    /// Shows one more, with a remark on all.
    pub(super) fn advance(&self, remark: impl FnOnce() -> String) {
        if let Some(bar) = &self.0 {
            bar.set_message(remark());
            bar.inc(1);
        }
    }
}

#[cfg(feature = "webhook")]
impl Drop for Counter {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
