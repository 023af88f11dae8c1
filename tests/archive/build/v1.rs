//! Archives of Docker v1.

use super::{Tar, layers};

/// An id: any 64 hexadecimal digits.
pub(crate) fn id(digit: char) -> String {
    digit.to_string().repeat(64)
}

/// The document of an image.
pub(crate) fn json(id: &str, parent: Option<&str>) -> String {
    let parent = parent.map_or(String::new(), |parent| format!(r#","parent":"{parent}""#));
    format!(
        r#"{{"id":"{id}"{parent},"created":"2015-06-01T00:00:00Z","architecture":"amd64","os":"linux","container_config":{{"Cmd":["/bin/sh","-c","true"]}},"config":{{"Cmd":["sh"]}},"Size":5}}"#
    )
}

/// The three files of an image.
pub(crate) fn image(tar: &mut Tar, id: &str, json: &str, layer: &[u8]) {
    tar.file(&format!("{id}/VERSION"), b"1.0")
        .file(&format!("{id}/json"), json.as_bytes())
        .file(&format!("{id}/layer.tar"), layer);
}

/// A base `a` and an image `b` on it.
pub(crate) fn images() -> Tar {
    let (mut tar, layers) = (Tar::default(), layers());
    image(&mut tar, &id('b'), &json(&id('b'), Some(&id('a'))), &layers[1]);
    image(&mut tar, &id('a'), &json(&id('a'), None), &layers[0]);
    tar
}

/// The same, and the name of the second.
pub(crate) fn named() -> Tar {
    let mut tar = images();
    let names = format!(r#"{{"app":{{"v1":"{}"}}}}"#, id('b'));
    tar.file("repositories", names.as_bytes());
    tar
}
