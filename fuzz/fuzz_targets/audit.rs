#![no_main]
use std::io::Write as _;

use libfuzzer_sys::fuzz_target;
use ocisign::Limits;
use ocisign::audit::{Book, Log, Plan, read_list};

// A list of images, and a log to go on with: each may be any bytes.
fuzz_target!(|data: &[u8]| {
    let limits = Limits { audit_images: 50, audit_users: 100, ..Limits::default() };
    let mut plan = Plan::new(&limits);
    let listed = read_list(data, &mut plan, &limits).is_ok();
    let keys: Vec<String> = plan.keys().map(str::to_owned).collect();
    assert!(keys.len() <= limits.audit_images && (listed || !data.is_empty()));

    let Ok(mut file) = tempfile::tempfile() else { return };
    if file.write_all(data).is_err() {
        return;
    }
    let Ok(Some(log)) = Log::read(file, &limits) else { return };
    // what is taken can be shown, and is written as it was read
    let images: Vec<String> = log.images().map(str::to_owned).collect();
    let Ok(book) = Book::of(vec![log]) else { return };
    let mut written = Vec::new();
    let tally = book.write(&mut written).unwrap();
    assert_eq!(u64::try_from(images.len()), Ok(tally.totals().images));
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&written).unwrap();
    let again = Log::read(file, &limits).unwrap().unwrap();
    assert_eq!(again.images().collect::<Vec<_>>(), images);
    let mut sarif = Vec::new();
    ocisign::audit::sarif(&book, &tally, &mut sarif).unwrap();
    serde_json::from_slice::<serde_json::Value>(&sarif).unwrap();
});
