#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let shown = ocisign::report::escaped(&text);
    assert!(!shown.chars().any(char::is_control));
    assert!(shown.chars().count() <= 401 * 10, "one line of a bounded length");
    assert!(!shown.contains('\n'));
});
