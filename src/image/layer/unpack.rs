//! Decompression in steps, bounded, into a hash and a walk over the tar.

use std::fmt;

use zstd::stream::raw::{DParameter, Decoder, Operation};

use super::gzip::Gzip;
use super::rules::LayerRules;
use super::tar::{Rules, TarWalk};
use crate::image::want::Compression;
use crate::image::{Algorithm, Digest, Hasher, Limits};

/// Bytes that a decompressor gives at once.
pub(in crate::image) const OUT: usize = 64 << 10;

/// What decompressing a layer showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::image) enum Contents {
    /// It decompressed to its end.
    Read {
        /// Digest of the decompressed bytes.
        diff_id: Digest,
        /// What is wrong with the tar in them, if anything.
        tar: Option<Fault>,
    },
    /// It did not.
    Failed(Fault),
}

/// Why contents cannot be relied on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::image) enum Fault {
    /// The format's rules are broken.
    Malformed(String),
    /// A bound was reached.
    Limit(String),
}

/// A decompressor and what becomes of its output.
#[derive(Debug)]
pub(super) struct Unpack {
    decoder: Step,
    sink: Sink<LayerRules>,
    buffer: Vec<u8>,
    fault: Option<Fault>,
}

enum Step {
    Tar,
    Gzip(Gzip),
    Zstd(Zstd),
    /// The decompressor could not be made.
    Broken,
}

impl Unpack {
    pub(super) fn new(compression: Compression, algorithm: Algorithm, limits: &Limits) -> Self {
        let decoder = match compression {
            Compression::Tar => Step::Tar,
            Compression::Gzip => Step::Gzip(Gzip::new()),
            Compression::Zstd => Zstd::new(limits.zstd_window_log).map_or(Step::Broken, Step::Zstd),
        };
        let sink = Sink::new(algorithm, LayerRules::new(limits.tar_entries), limits);
        let buffer = if matches!(decoder, Step::Tar) { Vec::new() } else { vec![0; OUT] };
        Self { decoder, sink, buffer, fault: None }
    }

    /// Takes the next compressed bytes; none after the first fault.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        if self.fault.is_some() {
            return;
        }
        self.sink.take(bytes.len());
        let step = match &mut self.decoder {
            Step::Tar => self.sink.write(bytes),
            Step::Gzip(gzip) => gzip.update(bytes, &mut self.buffer, &mut self.sink),
            Step::Zstd(zstd) => zstd.update(bytes, &mut self.buffer, &mut self.sink),
            Step::Broken => Err(Fault::Limit("no memory for the decompressor".to_owned())),
        };
        self.fault = step.err();
    }

    pub(super) fn finish(self) -> Contents {
        let end = match (self.fault, &self.decoder) {
            (Some(fault), _) => Err(fault),
            (None, Step::Tar) => Ok(()),
            (None, Step::Gzip(gzip)) => gzip.end(),
            (None, Step::Zstd(zstd)) => zstd.end(),
            (None, Step::Broken) => Err(Fault::Limit("no memory for the decompressor".to_owned())),
        };
        match end {
            Ok(()) => {
                let (diff_id, _, _, tar) = self.sink.finish();
                Contents::Read { diff_id, tar }
            }
            Err(fault) => Contents::Failed(fault),
        }
    }
}

/// Where decompressed bytes go: into a hash and a walk, within bounds.
#[derive(Debug)]
pub(in crate::image) struct Sink<R> {
    hasher: Hasher,
    tar: TarWalk<R>,
    /// Compressed bytes so far.
    taken: u64,
    given: u64,
    max: u64,
    ratio: u64,
    floor: u64,
}

impl<R: Rules> Sink<R> {
    pub(in crate::image) fn new(algorithm: Algorithm, rules: R, limits: &Limits) -> Self {
        Self {
            hasher: Hasher::new(algorithm),
            tar: TarWalk::new(rules),
            taken: 0,
            given: 0,
            max: limits.layer_contents_bytes,
            ratio: limits.expansion_ratio,
            floor: limits.expansion_floor_bytes,
        }
    }

    /// Counts compressed bytes that are about to be decompressed.
    pub(in crate::image) fn take(&mut self, bytes: usize) {
        self.taken = self.taken.saturating_add(bytes as u64);
    }

    /// Decompressed bytes so far.
    pub(in crate::image) fn given(&self) -> u64 {
        self.given
    }

    pub(in crate::image) fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.given = self.given.saturating_add(bytes.len() as u64);
        if self.given > self.max {
            return Err(Fault::Limit(format!("decompresses to more than {} bytes", self.max)));
        }
        if self.given > self.floor && self.given > self.taken.saturating_mul(self.ratio) {
            let ratio = self.ratio;
            return Err(Fault::Limit(format!("decompresses to more than {ratio} times its size")));
        }
        self.hasher.update(bytes);
        self.tar.update(bytes);
        Ok(())
    }

    /// The digest of all that was written, how much that was, the rules with
    /// what they saw, and what is wrong with the tar.
    pub(in crate::image) fn finish(self) -> (Digest, u64, R, Option<Fault>) {
        let (rules, fault) = self.tar.finish();
        (self.hasher.finish(), self.given, rules, fault)
    }
}

/// zstd, any number of frames; libzstd skips skippable ones.
struct Zstd {
    decoder: Decoder<'static>,
    /// Whether the bytes so far end with a frame.
    whole: bool,
}

impl Zstd {
    fn new(window_log: u32) -> Option<Self> {
        let mut decoder = Decoder::new().ok()?;
        decoder.set_parameter(DParameter::WindowLogMax(window_log)).ok()?;
        Some(Self { decoder, whole: false })
    }

    fn update(
        &mut self,
        mut input: &[u8],
        out: &mut [u8],
        sink: &mut Sink<LayerRules>,
    ) -> Result<(), Fault> {
        loop {
            let step = self.decoder.run_on_buffers(input, out).map_err(|e| zstd_fault(&e))?;
            if step.bytes_read > 0 || step.bytes_written > 0 {
                self.whole = step.remaining == 0;
            }
            input = input.get(step.bytes_read..).unwrap_or_default();
            sink.write(out.get(..step.bytes_written).unwrap_or_default())?;
            if input.is_empty() && step.bytes_written < out.len() {
                return Ok(());
            }
            if step.bytes_read == 0 && step.bytes_written == 0 {
                return Err(Fault::Malformed("the zstd stream does not go on".to_owned()));
            }
        }
    }

    fn end(&self) -> Result<(), Fault> {
        if self.whole {
            return Ok(());
        }
        Err(Fault::Malformed("the zstd stream is cut short".to_owned()))
    }
}

/// libzstd's binding gives texts, not codes; a test holds this one.
fn zstd_fault(error: &std::io::Error) -> Fault {
    let text = error.to_string();
    if text.contains("too much memory") {
        return Fault::Limit("the zstd window is larger than the limit".to_owned());
    }
    Fault::Malformed(format!("no zstd stream: {text}"))
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tar => "Tar",
            Self::Gzip(_) => "Gzip",
            Self::Zstd(_) => "Zstd",
            Self::Broken => "Broken",
        })
    }
}
