//! Real registries, with images that other tools pushed.

use super::common::peers;
use super::common::real::{ALL, Real};
use super::{answers, sandbox};

#[test]
fn signed_unsigned_and_tampered_images_of_real_registries() {
    for registry in ALL {
        if !peers(&["crane", registry]) {
            continue;
        }
        let real = Real::start(registry).unwrap();
        let s = sandbox(&real.host);
        let mut digests = Vec::new();
        for image in ["signed/good:v1", "signed/naked:v1", "signed/spoilt:v1", "open/base:v1"] {
            let name = format!("{}/{image}", real.host);
            s.write("hello", image);
            let mut tar = tar::Builder::new(Vec::new());
            tar.append_path_with_name(s.path("hello"), "hello").unwrap();
            s.write("layer.tar", tar.into_inner().unwrap());
            s.peer("crane", &format!("append -f layer.tar -t {name}")).exits(0);
            digests
                .push(s.peer("crane", &format!("digest {name}")).exits(0).stdout.trim().to_owned());
        }
        for image in ["signed/good:v1", "signed/spoilt:v1"] {
            s.ocisign(&format!("sign --key me.key {}/{image}", real.host)).exits(0);
        }
        let mut list: Vec<String> =
            ["signed/good:v1", "signed/naked:v1", "open/base:v1", "signed/none:v1"]
                .iter()
                .map(|image| format!("{}/{image}", real.host))
                .collect();
        // the registry that keeps everything in memory cannot be tampered with
        let spoilt = format!("{}/signed/spoilt:v1", real.host);
        let file = real.blob_file(&digests[2]);
        let tampered = file.is_file();
        if tampered {
            let mut bytes = std::fs::read(&file).unwrap();
            let at = bytes.len() / 2;
            bytes[at] ^= 1;
            std::fs::write(&file, bytes).unwrap();
        }
        list.push(spoilt.clone());
        s.write("images.txt", list.join("\n"));
        let ran =
            s.ocisign("audit --policy policy.json --images images.txt --output json").exits(2);
        let found = answers(&ran.stdout);
        let answer = |image: &str| {
            let line = &found[&format!("{}/{image}", real.host)];
            (line["decision"].as_str().unwrap().to_owned(), line["causes"][0]["class"].clone())
        };
        assert_eq!(answer("signed/good:v1").0, "allow", "{ran}");
        assert_eq!(answer("open/base:v1").0, "allow", "{ran}");
        assert_eq!(answer("signed/naked:v1"), ("deny".into(), "unsigned".into()), "{ran}");
        assert_eq!(answer("signed/none:v1"), ("undecided".into(), "absent".into()), "{ran}");
        match tampered {
            true => assert_ne!(answer("signed/spoilt:v1").0, "allow", "{ran}"),
            false => assert_eq!(answer("signed/spoilt:v1").0, "allow", "{ran}"),
        }
    }
}
