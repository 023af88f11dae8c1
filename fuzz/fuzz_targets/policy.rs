#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let limits = ocisign::limits::Limits::default();
    match ocisign::policy::parse(data, &limits) {
        Ok(_) => {
            let text = ocisign::policy::fmt(data, &limits).expect("a valid policy formats");
            let again = ocisign::policy::fmt(text.as_bytes(), &limits).expect("and again");
            assert_eq!(text, again, "formatting twice changes nothing");
        }
        Err(problems) => {
            assert!(!problems.is_empty(), "a refusal says why");
            for problem in &problems {
                let _ = ocisign::policy::render(problem, data, "fuzz.json");
            }
        }
    }
});
