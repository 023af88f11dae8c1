//! xz, any number of streams with padding between them (xz-file-format,
//! section 2).

use liblzma::stream::{Action, CONCATENATED, Error, Status, Stream};

use crate::image::layer::Fault;
use crate::image::layer::tar::Rules;
use crate::image::layer::unpack::Sink;

/// What the decoder needs beside the dictionary.
const OVERHEAD: u64 = 1 << 20;

pub(super) struct Xz {
    stream: Stream,
    ended: bool,
    dictionary: u64,
}

impl Xz {
    /// `dictionary` is the largest one, in bytes.
    pub(super) fn new(dictionary: u64) -> Result<Self, Fault> {
        let stream = Stream::new_stream_decoder(dictionary + OVERHEAD, CONCATENATED)
            .map_err(|_| Fault::Limit("no memory for the decompressor".to_owned()))?;
        Ok(Self { stream, ended: false, dictionary })
    }

    pub(super) fn update<R: Rules>(
        &mut self,
        mut input: &[u8],
        out: &mut [u8],
        sink: &mut Sink<R>,
    ) -> Result<(), Fault> {
        loop {
            let (taken, given) = self.step(input, Action::Run, out, sink)?;
            input = input.get(taken..).unwrap_or_default();
            if input.is_empty() && given < out.len() {
                return Ok(());
            }
            if taken == 0 && given == 0 {
                return Err(malformed("the stream does not go on"));
            }
        }
    }

    /// Decodes what is left, and says whether the input ended where a stream
    /// ended.
    pub(super) fn end<R: Rules>(
        &mut self,
        out: &mut [u8],
        sink: &mut Sink<R>,
    ) -> Result<(), Fault> {
        while !self.ended {
            let (_, given) = self.step(&[], Action::Finish, out, sink)?;
            if given == 0 && !self.ended {
                return Err(malformed("the stream is cut short"));
            }
        }
        Ok(())
    }

    fn step<R: Rules>(
        &mut self,
        input: &[u8],
        action: Action,
        out: &mut [u8],
        sink: &mut Sink<R>,
    ) -> Result<(usize, usize), Fault> {
        let (taken, given) = (self.stream.total_in(), self.stream.total_out());
        match self.stream.process(input, out, action) {
            Ok(Status::StreamEnd) => self.ended = true,
            Ok(_) => {}
            Err(Error::MemLimit) => {
                let most = self.dictionary;
                return Err(Fault::Limit(format!("the xz dictionary is over {most} bytes")));
            }
            Err(Error::Mem) => {
                return Err(Fault::Limit("no memory for the decompressor".to_owned()));
            }
            Err(_) => return Err(malformed("the stream is broken, or bytes follow the last one")),
        }
        let taken = (self.stream.total_in() - taken) as usize;
        let given = (self.stream.total_out() - given) as usize;
        sink.write(out.get(..given).unwrap_or_default())?;
        Ok((taken, given))
    }
}

fn malformed(why: &str) -> Fault {
    Fault::Malformed(format!("xz: {why}"))
}
