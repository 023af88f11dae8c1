//! bzip2, any number of streams one after another, as `bzip2` and `pbzip2`
//! read them.

use bzip2::{Decompress, Status};

use crate::image::layer::Fault;
use crate::image::layer::tar::Rules;
use crate::image::layer::unpack::Sink;

/// Streams that may be had for nothing, and the bytes that each further one
/// must hold on average: each one makes the decoder anew, so that a million
/// of them that hold nothing would take hours.
const FREE_STREAMS: u64 = 1_000;
const STREAM_BYTES: u64 = 10_000;

pub(super) struct Bzip2 {
    decoder: Option<Decompress>,
    streams: u64,
}

impl Bzip2 {
    pub(super) fn new() -> Self {
        Self { decoder: None, streams: 0 }
    }

    pub(super) fn update<R: Rules>(
        &mut self,
        mut input: &[u8],
        out: &mut [u8],
        sink: &mut Sink<R>,
    ) -> Result<(), Fault> {
        loop {
            if self.decoder.is_none() && input.is_empty() {
                return Ok(());
            }
            self.allow_stream(sink.given())?;
            let decoder = self.decoder.get_or_insert_with(|| Decompress::new(false));
            let (taken, given) = (decoder.total_in(), decoder.total_out());
            let status = decoder.decompress(input, out).map_err(|_| match self.streams {
                0 => malformed("the stream is broken"),
                _ => malformed("the stream is broken, or bytes follow the last one"),
            })?;
            let taken = (decoder.total_in() - taken) as usize;
            let given = (decoder.total_out() - given) as usize;
            input = input.get(taken..).unwrap_or_default();
            sink.write(out.get(..given).unwrap_or_default())?;
            match status {
                Status::StreamEnd => {
                    self.decoder = None;
                    self.streams += 1;
                }
                Status::MemNeeded => {
                    return Err(Fault::Limit("no memory for the decompressor".to_owned()));
                }
                _ if input.is_empty() && given < out.len() => return Ok(()),
                _ if taken == 0 && given == 0 => {
                    return Err(malformed("the stream does not go on"));
                }
                _ => {}
            }
        }
    }

    fn allow_stream(&self, given: u64) -> Result<(), Fault> {
        let most = FREE_STREAMS.saturating_add(given / STREAM_BYTES);
        if self.decoder.is_none() && self.streams >= most {
            return Err(Fault::Limit(format!("bzip2: {most} streams for {given} bytes")));
        }
        Ok(())
    }

    /// Whether the input ended where a stream ended.
    pub(super) fn end(&self) -> Result<(), Fault> {
        match self.decoder {
            None if self.streams > 0 => Ok(()),
            _ => Err(malformed("the stream is cut short")),
        }
    }
}

fn malformed(why: &str) -> Fault {
    Fault::Malformed(format!("bzip2: {why}"))
}
