#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // a schema, and after a NUL what it judges
    let cut = data.iter().position(|b| *b == 0).unwrap_or(data.len());
    let (schema, instance) = data.split_at(cut);
    let Ok(schema) = ocisign::policy::schema::Schema::parse(schema) else { return };
    let instance = instance.get(1..).unwrap_or_default();
    if let Ok(value) = serde_json::from_slice(instance) {
        assert!(schema.violations(&value).len() <= 8);
    }
});
