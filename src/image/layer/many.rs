//! Many blobs at once: as many threads as cores, and two blobs to a thread
//! where the processor hashes two faster than one after the other.

use std::collections::VecDeque;
use std::io;
use std::sync::{Mutex, PoisonError};

use super::{CHUNK, LayerCheck, check_reader};
use crate::image::lanes::{BLOCK, INITIAL, Lanes};
use crate::image::want::{Read, Want};
use crate::image::{Algorithm, Digest, Limits};

/// A blob to be checked, and what gives its bytes.
#[derive(Debug)]
pub struct Job<R> {
    /// What it must be.
    pub want: Want,
    /// Its bytes.
    pub reader: R,
}

/// Checks all blobs on `threads` threads, each with one or two buffers of
/// 256 KiB, and gives the results in the order of the jobs.
///
/// `progress` is told of bytes as they are hashed, from any thread.
pub fn check_all<R: io::Read + Send>(
    jobs: Vec<Job<R>>,
    threads: usize,
    limits: &Limits,
    progress: &(dyn Fn(u64) + Sync),
) -> Vec<io::Result<LayerCheck>> {
    let count = jobs.len();
    let threads = threads.clamp(1, count.max(1));
    let mut queue: Vec<_> = jobs.into_iter().enumerate().collect();
    // The largest first, so that no thread begins one when all others end.
    queue.sort_by_key(|(at, job)| (std::cmp::Reverse(job.want.size), *at));
    let shared = Shared {
        queue: Mutex::new(Queue { jobs: queue.into(), idle: threads }),
        done: Mutex::new(Vec::with_capacity(count)),
        limits,
        progress,
        lanes: Lanes::detect(),
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(|| shared.work());
        }
        shared.work();
    });
    let mut done = shared.done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

struct Shared<'s, R> {
    queue: Mutex<Queue<R>>,
    done: Mutex<Vec<(usize, io::Result<LayerCheck>)>>,
    limits: &'s Limits,
    progress: &'s (dyn Fn(u64) + Sync),
    lanes: Option<Lanes>,
}

struct Queue<R> {
    jobs: VecDeque<(usize, Job<R>)>,
    /// Threads without a job.
    idle: usize,
}

impl<R: io::Read> Shared<'_, R> {
    fn work(&self) {
        while let Some((at, job)) = self.first() {
            match self.lanes.filter(|_| fits(&job.want)) {
                Some(lanes) => self.pair(lanes, Lane::new(at, job)),
                None => {
                    let reader = Counted { reader: job.reader, progress: self.progress };
                    self.finish(at, check_reader(&job.want, reader, self.limits));
                }
            }
            self.lock().idle += 1;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Queue<R>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A job for a thread that has none.
    fn first(&self) -> Option<(usize, Job<R>)> {
        let mut queue = self.lock();
        let job = queue.jobs.pop_front()?;
        queue.idle -= 1;
        Some(job)
    }

    /// A second job, if one is left when each idle thread has had its own.
    fn second(&self) -> Option<(usize, Job<R>)> {
        let mut queue = self.lock();
        let spare = queue.jobs.len() > queue.idle;
        if spare && queue.jobs.front().is_some_and(|(_, job)| fits(&job.want)) {
            return queue.jobs.pop_front();
        }
        None
    }

    fn finish(&self, at: usize, result: io::Result<LayerCheck>) {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).push((at, result));
    }

    /// Hashes a blob, with another beside it for as long as there is one.
    fn pair(&self, lanes: Lanes, first: Lane<R>) {
        let mut active = vec![first];
        while !active.is_empty() {
            if active.len() < 2
                && let Some((at, job)) = self.second()
            {
                active.push(Lane::new(at, job));
            }
            let mut at = 0;
            while let Some(lane) = active.get_mut(at) {
                match lane.fill(self.progress) {
                    Ok(true) => at += 1,
                    end => {
                        let lane = active.swap_remove(at);
                        self.finish(lane.at, end.map(|_| lane.check(lanes)));
                    }
                }
            }
            step(lanes, &mut active);
        }
    }
}

/// Hashes what all lanes have.
fn step<R>(lanes: Lanes, active: &mut [Lane<R>]) {
    match active {
        [a, b] => {
            let bytes = a.ready().len().min(b.ready().len());
            let (mut x, mut y) = (a.state, b.state);
            lanes.compress2(&mut x, a.ready(), &mut y, b.ready());
            a.advance(x, bytes);
            b.advance(y, bytes);
        }
        [a] => {
            let mut state = a.state;
            lanes.compress(&mut state, a.ready());
            a.advance(state, a.ready().len());
        }
        _ => {}
    }
}

/// Whether two of these can be hashed in step.
fn fits(want: &Want) -> bool {
    want.read == Read::Blob && want.digest.algorithm() == Algorithm::Sha256
}

/// A SHA-256 that is under way.
struct Lane<R> {
    at: usize,
    want: Want,
    reader: R,
    state: [u32; 8],
    buffer: Vec<u8>,
    /// The bytes of the buffer that were read and are not hashed yet.
    begin: usize,
    end: usize,
    taken: u64,
}

impl<R> Lane<R> {
    fn new(at: usize, job: Job<R>) -> Self {
        let Job { want, reader } = job;
        let buffer = vec![0; CHUNK];
        Self { at, want, reader, state: INITIAL, buffer, begin: 0, end: 0, taken: 0 }
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.begin..self.end).unwrap_or_default()
    }

    /// The whole blocks that wait to be hashed.
    fn ready(&self) -> &[u8] {
        let rest = self.rest();
        rest.get(..rest.len() / BLOCK * BLOCK).unwrap_or_default()
    }

    fn advance(&mut self, state: [u32; 8], bytes: usize) {
        self.state = state;
        self.begin += bytes;
    }

    /// What hashing showed.
    fn check(&self, lanes: Lanes) -> LayerCheck {
        if self.taken > self.want.size {
            LayerCheck::long(&self.want)
        } else if self.want.exact && self.taken < self.want.size {
            LayerCheck::short(&self.want, self.taken)
        } else {
            LayerCheck::hashed(&self.want, self.taken, self.digest(lanes))
        }
    }

    /// FIPS 180-4, section 5.1.1: a one bit, zeros, the length in bits.
    fn digest(&self, lanes: Lanes) -> Digest {
        let mut last = self.rest().to_vec();
        last.push(0x80);
        let length = (last.len() + 8).next_multiple_of(BLOCK) - 8;
        last.resize(length, 0);
        last.extend(self.taken.wrapping_mul(8).to_be_bytes());
        let mut state = self.state;
        lanes.compress(&mut state, &last);
        let mut raw = [0; 32];
        for (to, word) in raw.as_chunks_mut::<4>().0.iter_mut().zip(state) {
            *to = word.to_be_bytes();
        }
        Digest::from_sha256(raw)
    }
}

impl<R: io::Read> Lane<R> {
    /// Reads until there is a block to hash; false at the end, or where
    /// there are more bytes than the size allows.
    fn fill(&mut self, progress: &(dyn Fn(u64) + Sync)) -> io::Result<bool> {
        while self.ready().is_empty() {
            self.buffer.copy_within(self.begin..self.end, 0);
            (self.begin, self.end) = (0, self.end - self.begin);
            let space = self.buffer.get_mut(self.end..).unwrap_or_default();
            match self.reader.read(space) {
                Ok(0) => return Ok(false),
                Ok(read) => {
                    let read = read.min(space.len());
                    self.end += read;
                    self.taken += read as u64;
                    progress(read as u64);
                    if self.taken > self.want.size {
                        return Ok(false);
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(true)
    }
}

/// A reader that tells what was read.
struct Counted<'p, R> {
    reader: R,
    progress: &'p (dyn Fn(u64) + Sync),
}

impl<R: io::Read> io::Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        (self.progress)(read as u64);
        Ok(read)
    }
}
