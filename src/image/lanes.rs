//! SHA-256 of two independent messages in step on one core.
//!
//! The SHA instructions of a core have a latency that one message cannot
//! hide: each round waits for the one before. A second message fills the
//! gaps (docs/decisions/0003-hash-lanes.md has the numbers). Everything else
//! hashes with `sha2`; this module is compared with it in tests.
//!
//! This is the only module with `unsafe`: the instructions exist only on
//! processors that say so at run time.
#![allow(unsafe_code)]

/// Bytes that one step of SHA-256 takes.
pub(super) const BLOCK: usize = 64;

/// The state before the first block (FIPS 180-4, section 5.3.3).
pub(super) const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// Proof that this processor has the instructions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lanes(());

impl Lanes {
    /// Asks the processor.
    pub(super) fn detect() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("sha")
            && is_x86_feature_detected!("ssse3")
            && is_x86_feature_detected!("sse4.1")
        {
            return Some(Self(()));
        }
        None
    }

    /// Takes the whole blocks of `bytes`; a rest under 64 bytes is ignored.
    pub(super) fn compress(self, state: &mut [u32; 8], bytes: &[u8]) {
        let mut states = [*state];
        self.run(&mut states, [bytes]);
        [*state] = states;
    }

    /// Takes as many whole blocks of two messages as both have.
    pub(super) fn compress2(
        self,
        a: &mut [u32; 8],
        a_bytes: &[u8],
        b: &mut [u32; 8],
        b_bytes: &[u8],
    ) {
        let mut states = [*a, *b];
        self.run(&mut states, [a_bytes, b_bytes]);
        [*a, *b] = states;
    }

    #[cfg(target_arch = "x86_64")]
    fn run<const N: usize>(self, states: &mut [[u32; 8]; N], bytes: [&[u8]; N]) {
        // SAFETY: `compress` needs the features that `detect` asked for, and
        // only `detect` makes a `Lanes`.
        unsafe { x86::compress(states, bytes) }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn run<const N: usize>(self, _: &mut [[u32; 8]; N], _: [&[u8]; N]) {
        // Never reached: `detect` gives nothing here.
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::BLOCK;

    /// FIPS 180-4, section 4.2.2, four to a row.
    #[rustfmt::skip]
    const K: [[u32; 4]; 16] = [
        [0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5],
        [0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5],
        [0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3],
        [0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174],
        [0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc],
        [0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da],
        [0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7],
        [0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967],
        [0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13],
        [0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85],
        [0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3],
        [0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070],
        [0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5],
        [0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3],
        [0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208],
        [0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2],
    ];

    /// One message: the state as the instructions want it, A B E F and
    /// C D G H, and the last sixteen words of the schedule.
    #[derive(Clone, Copy)]
    struct Lane {
        abef: __m128i,
        cdgh: __m128i,
        words: [__m128i; 4],
    }

    /// Takes as many whole blocks as all messages have.
    #[target_feature(enable = "sha,ssse3,sse4.1")]
    pub(super) fn compress<const N: usize>(states: &mut [[u32; 8]; N], bytes: [&[u8]; N]) {
        let mut blocks = bytes.map(|bytes| bytes.chunks_exact(BLOCK));
        let count = bytes.map(|bytes| bytes.len() / BLOCK).into_iter().min().unwrap_or(0);
        let mut lanes = states.map(|state| Lane::new(state));
        for _ in 0..count {
            let before = lanes;
            for (lane, blocks) in lanes.iter_mut().zip(&mut blocks) {
                if let Some(block) = blocks.next() {
                    lane.load(block);
                }
            }
            // Sixteen times four rounds, the lanes in turn: that is the
            // whole trick.
            macro_rules! quads {
                ($($quad:literal)*) => { $( for lane in &mut lanes { lane.rounds::<$quad>(); } )* };
            }
            quads!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
            for (lane, before) in lanes.iter_mut().zip(before) {
                lane.abef = _mm_add_epi32(lane.abef, before.abef);
                lane.cdgh = _mm_add_epi32(lane.cdgh, before.cdgh);
            }
        }
        for (state, lane) in states.iter_mut().zip(lanes) {
            *state = lane.state();
        }
    }

    impl Lane {
        #[inline]
        #[target_feature(enable = "sha,ssse3,sse4.1")]
        fn new(state: [u32; 8]) -> Self {
            let [a, b, c, d, e, f, g, h] = state.map(u32::cast_signed);
            Self {
                abef: _mm_set_epi32(a, b, e, f),
                cdgh: _mm_set_epi32(c, d, g, h),
                words: [_mm_setzero_si128(); 4],
            }
        }

        #[inline]
        #[target_feature(enable = "sha,ssse3,sse4.1")]
        fn state(&self) -> [u32; 8] {
            [
                _mm_extract_epi32::<3>(self.abef),
                _mm_extract_epi32::<2>(self.abef),
                _mm_extract_epi32::<3>(self.cdgh),
                _mm_extract_epi32::<2>(self.cdgh),
                _mm_extract_epi32::<1>(self.abef),
                _mm_extract_epi32::<0>(self.abef),
                _mm_extract_epi32::<1>(self.cdgh),
                _mm_extract_epi32::<0>(self.cdgh),
            ]
            .map(i32::cast_unsigned)
        }

        /// Loads a block, its words from big-endian.
        #[inline]
        #[target_feature(enable = "sha,ssse3,sse4.1")]
        fn load(&mut self, block: &[u8]) {
            let swap = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
            let (quads, _) = block.as_chunks::<16>();
            for (words, quad) in self.words.iter_mut().zip(quads) {
                // SAFETY: reads the 16 bytes of `quad`; the load is unaligned.
                let raw = unsafe { _mm_loadu_si128(quad.as_ptr().cast()) };
                *words = _mm_shuffle_epi8(raw, swap);
            }
        }

        /// Four rounds, and the four words that the schedule needs sixteen
        /// rounds later.
        #[inline]
        #[target_feature(enable = "sha,ssse3,sse4.1")]
        #[expect(clippy::indexing_slicing, reason = "checked when compiled: QUAD is a constant")]
        fn rounds<const QUAD: usize>(&mut self) {
            let [a, b, c, d] = const { K[QUAD] }.map(u32::cast_signed);
            let [w0, w1, w2, w3] = self.words;
            let message = _mm_add_epi32(w0, _mm_set_epi32(d, c, b, a));
            self.cdgh = _mm_sha256rnds2_epu32(self.cdgh, self.abef, message);
            let message = _mm_shuffle_epi32::<0x0e>(message);
            self.abef = _mm_sha256rnds2_epu32(self.abef, self.cdgh, message);
            let next = if QUAD < 12 {
                let sum = _mm_add_epi32(_mm_sha256msg1_epu32(w0, w1), _mm_alignr_epi8::<4>(w3, w2));
                _mm_sha256msg2_epu32(sum, w3)
            } else {
                w0
            };
            self.words = [w1, w2, w3, next];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sha2::{Digest as _, Sha256};

    /// What `sha2` says of the state after whole blocks: the digest of the
    /// message is that state once the padding block went in.
    fn digest(lanes: Lanes, mut state: [u32; 8], length: usize) -> Vec<u8> {
        let mut padding = [0; BLOCK];
        padding[0] = 0x80;
        padding[56..].copy_from_slice(&(length as u64 * 8).to_be_bytes());
        lanes.compress(&mut state, &padding);
        state.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    proptest! {
        #[test]
        fn two_lanes_are_two_hashes(
            a in prop::collection::vec(any::<u8>(), 0..1024),
            b in prop::collection::vec(any::<u8>(), 0..1024),
            cut in 0_usize..16,
        ) {
            let Some(lanes) = Lanes::detect() else { return Ok(()) };
            let whole = a.len().min(b.len()) / BLOCK * BLOCK;
            let cut = (cut * BLOCK).min(whole);
            let (mut x, mut y) = (INITIAL, INITIAL);
            lanes.compress2(&mut x, &a[..cut], &mut y, &b[..cut]);
            lanes.compress2(&mut x, &a[cut..], &mut y, &b[cut..whole]);
            prop_assert_eq!(digest(lanes, x, whole), Sha256::digest(&a[..whole]).to_vec());
            prop_assert_eq!(digest(lanes, y, whole), Sha256::digest(&b[..whole]).to_vec());
            let mut one = INITIAL;
            lanes.compress(&mut one, &a[..whole]);
            prop_assert_eq!(one, x);
        }
    }
}
