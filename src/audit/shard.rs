//! Parts of an audit that run by themselves: which image is whose.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::image::Digest;

/// One part of several, `INDEX/COUNT`, counted from zero as
/// `JOB_COMPLETION_INDEX` is.
///
/// An image belongs to one part by a hash of its normalised name alone, so
/// the parts need not know each other, or of the same list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard {
    index: u32,
    count: u32,
}

/// Why a text is no shard.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no shard; write INDEX/COUNT, counted from zero: `0/4` is the first of four")]
pub struct ShardError(String);

impl Shard {
    /// Most parts: an Indexed Job of Kubernetes has no more than a pod for
    /// each, and thousands of images need no thousands of them.
    const MOST: u32 = 10_000;

    /// Which part it is.
    pub fn index(self) -> u32 {
        self.index
    }

    /// How many there are.
    pub fn count(self) -> u32 {
        self.count
    }

    /// Whether the image of this normalised name is its part's.
    pub fn owns(self, image: &str) -> bool {
        let hash = Digest::sha256(image.as_bytes());
        let head = hash.hex().get(..16).and_then(|hex| u64::from_str_radix(hex, 16).ok());
        head.unwrap_or(0) % u64::from(self.count) == u64::from(self.index)
    }
}

impl FromStr for Shard {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Self, ShardError> {
        let number = |text: &str| -> Option<u32> {
            let digits = text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse().ok()).flatten()
        };
        text.split_once('/')
            .and_then(|(index, count)| Some(Self { index: number(index)?, count: number(count)? }))
            .filter(|shard| shard.index < shard.count && shard.count <= Self::MOST)
            .ok_or_else(|| ShardError(text.chars().take(40).collect()))
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl Serialize for Shard {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Shard {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_part_is_refused() {
        for bad in ["", "1", "4/4", "5/4", "-1/4", "0/0", "+0/4", "0/10001", "0/4/8", "0 /4"] {
            let said = bad.parse::<Shard>().unwrap_err().to_string();
            assert!(said.contains("0/4"), "{said}");
        }
    }

    #[test]
    fn an_image_never_moves_to_another_part() {
        // written down: shards of one audit may run different builds
        let owner = |image: &str, count: u32| {
            (0..count).find(|index| Shard { index: *index, count }.owns(image)).unwrap()
        };
        assert_eq!(owner("docker.io/library/alpine:3", 4), OWNER_OF_ALPINE);
    }

    /// The first 8 bytes of the name's SHA-256, modulo 4.
    const OWNER_OF_ALPINE: u32 = 0;

    proptest! {
        #[test]
        fn the_parts_are_disjoint_and_together_the_whole(image: String, count in 1u32..50) {
            let owners = (0..count).filter(|index| Shard { index: *index, count }.owns(&image));
            prop_assert_eq!(owners.count(), 1);
        }

        #[test]
        fn a_shard_is_read_as_it_is_written(index in 0u32..100, more in 1u32..100) {
            let shard = Shard { index, count: index + more };
            prop_assert_eq!(shard.to_string().parse::<Shard>(), Ok(shard));
        }
    }
}
