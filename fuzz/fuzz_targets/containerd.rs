#![no_main]
//! What the plugin reads: containerd's words and descriptor, its own
//! configuration, containerd's configuration and hosts.
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // the first lines are the words, the rest is stdin and every file
    let at = data.windows(2).position(|pair| pair == b"\n\n");
    let (head, rest) = at.map_or((&data[..0], data), |at| (&data[..at], &data[at + 2..]));
    let words: Vec<String> =
        String::from_utf8_lossy(head).lines().map(str::to_owned).collect();
    ocisign::containerd::fuzz(&words, rest);
});
