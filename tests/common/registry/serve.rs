//! Connections, and the true answer to each request.

use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ocisign::image::{Algorithm, Digest, media_type};
use serde_json::{Value, json};

use super::http::{Answer, Request};
use super::lie::{Lie, take};
use super::{Shared, auth};

trait Duplex: Read + Write {}
impl<T: Read + Write> Duplex for T {}

/// What distribution, too, takes at most.
const MANIFEST_BYTES: usize = 4 << 20;

pub fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.stopped() {
            return;
        }
        let shared = Arc::clone(shared);
        if let Ok(stream) = stream {
            std::thread::spawn(move || connection(stream, &shared));
        }
    }
}

/// A connection may end at any moment: that is the client's right.
fn connection(stream: TcpStream, shared: &Shared) {
    let _ = stream.set_nodelay(true);
    let _ = stream.set_read_timeout(Some(Duration::from_secs(30)));
    let _ = stream.set_write_timeout(Some(Duration::from_secs(30)));
    let Ok(raw) = stream.try_clone() else { return };
    let duplex: Box<dyn Duplex> = match &shared.options.tls {
        None => Box::new(stream),
        Some(certificates) => {
            let config = certificates.server(shared.options.client_certificates);
            let Ok(connection) = rustls::ServerConnection::new(config) else { return };
            Box::new(rustls::StreamOwned::new(connection, stream))
        }
    };
    let _ = requests(BufReader::new(duplex), shared);
    let _ = raw.shutdown(Shutdown::Both);
}

fn requests(mut stream: BufReader<Box<dyn Duplex>>, shared: &Shared) -> io::Result<()> {
    loop {
        let request = match Request::read(&mut stream) {
            Ok(Some(request)) => request,
            Ok(None) => return Ok(()),
            // a ClientHello, say: Go's servers answer the same
            Err(_) => return stream.get_mut().write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        };
        if shared.stopped() {
            return Ok(());
        }
        shared.requests.lock().unwrap().push(request.clone());
        let lies = take(&mut shared.lies.lock().unwrap(), &request);
        if !tell(stream.get_mut(), shared, &request, &lies)? {
            return Ok(());
        }
    }
}

/// Answers; whether the connection goes on.
fn tell(
    stream: &mut dyn Write,
    shared: &Shared,
    request: &Request,
    lies: &[Lie],
) -> io::Result<bool> {
    let mut request = request.clone();
    if lies.iter().any(|lie| matches!(lie, Lie::IgnoreRange)) {
        request.headers.remove("range");
    }
    let mut answer = None;
    for lie in lies {
        match lie {
            Lie::Hangup => return Ok(false),
            Lie::Silent(long) => {
                pause(shared, *long);
                return Ok(false);
            }
            Lie::Raw(bytes) => {
                stream.write_all(bytes)?;
                return Ok(false);
            }
            Lie::Status(status) => answer = Some(Answer::error(*status, "AS_TOLD")),
            Lie::StatusWith(status, headers) => {
                let plain = Answer::error(*status, "AS_TOLD");
                answer = Some(headers.iter().fold(plain, |a, (name, value)| a.with(name, value)));
            }
            Lie::EndlessPages => answer = Some(endless_page(&request)),
            _ => {}
        }
    }
    let mut answer = answer.unwrap_or_else(|| truth(shared, &request));
    answer.head = request.method == "HEAD";
    for lie in lies {
        match lie {
            Lie::Header(name, value) => answer = answer.with(name, value),
            Lie::NoHeader(name) => answer = answer.without(name),
            Lie::Body(bytes) => answer = answer.body(bytes.clone()),
            Lie::Overwritten(bytes) => overwrite(shared, &request, bytes),
            _ => {}
        }
    }
    let body_lie = lies
        .iter()
        .find(|lie| matches!(lie, Lie::Cut(_) | Lie::Length(_) | Lie::Endless | Lie::Drip(..)));
    send(stream, shared, &answer, body_lie)
}

fn send(
    stream: &mut dyn Write,
    shared: &Shared,
    answer: &Answer,
    lie: Option<&Lie>,
) -> io::Result<bool> {
    let length = answer.body.len() as u64;
    let body = |stream: &mut dyn Write, bytes: &[u8]| {
        stream.write_all(bytes)?;
        shared.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        stream.flush()
    };
    match lie {
        _ if answer.head => answer.write_head(stream, Some(length))?,
        Some(Lie::Cut(after)) => {
            answer.write_head(stream, Some(length))?;
            body(stream, &answer.body[..answer.body.len().min(*after)])?;
            return Ok(false);
        }
        Some(Lie::Length(announced)) => {
            answer.write_head(stream, Some(*announced))?;
            body(stream, &answer.body)?;
            return Ok(false);
        }
        Some(Lie::Endless) => {
            answer.clone().with("Connection", "close").write_head(stream, None)?;
            while !shared.stopped() {
                body(stream, &[0; 16 << 10])?;
            }
            return Ok(false);
        }
        Some(Lie::Drip(bytes, gap)) => {
            answer.write_head(stream, Some(length))?;
            for chunk in answer.body.chunks(*bytes) {
                body(stream, chunk)?;
                pause(shared, *gap);
            }
        }
        _ => {
            answer.write_head(stream, Some(length))?;
            body(stream, &answer.body)?;
        }
    }
    stream.flush()?;
    Ok(true)
}

/// Sleeps, but not beyond the registry's end.
fn pause(shared: &Shared, long: Duration) {
    let step = Duration::from_millis(20);
    let mut left = long;
    while !left.is_zero() && !shared.stopped() {
        std::thread::sleep(left.min(step));
        left = left.saturating_sub(step);
    }
}

fn endless_page(request: &Request) -> Answer {
    let page: u64 = request.query("page").and_then(|text| text.parse().ok()).unwrap_or(0);
    index(&[]).with("Link", format!("<{}?page={}>; rel=\"next\"", request.path(), page + 1))
}

fn overwrite(shared: &Shared, request: &Request, bytes: &[u8]) {
    if let Some((repository, "manifests", reference)) = parts(request.path()) {
        shared.content().put_manifest(
            &repository,
            reference,
            media_type::OCI_INDEX,
            bytes.to_vec(),
        );
    }
}

/// `/v2/NAME/KIND/REST`.
fn parts(path: &str) -> Option<(String, &str, &str)> {
    let rest = path.strip_prefix("/v2/")?;
    ["manifests", "blobs", "referrers", "tags"].iter().find_map(|kind| {
        let (name, rest) = rest.split_once(&format!("/{kind}/"))?;
        Some((name.to_owned(), *kind, rest))
    })
}

fn truth(shared: &Shared, request: &Request) -> Answer {
    if request.path() == "/token" {
        return auth::token(shared, request);
    }
    if request.path() == "/v2/" {
        return auth::check(shared, request, "").unwrap_or_else(|| Answer::new(200));
    }
    let Some((name, kind, rest)) = parts(request.path()) else {
        return Answer::error(404, "NAME_UNKNOWN");
    };
    if let Some(refusal) = auth::check(shared, request, &name) {
        return refusal;
    }
    match (kind, request.method.as_str()) {
        ("manifests", "GET" | "HEAD") => pull(shared, &name, rest),
        ("manifests", "PUT") => push(shared, request, &name, rest),
        ("blobs", "POST") if rest == "uploads/" => start(shared, &name),
        ("blobs", "PATCH" | "PUT") => upload(shared, request, &name, rest),
        ("blobs", "GET" | "HEAD") => blob(shared, request, &name, rest),
        ("referrers", "GET") => referrers(shared, request, &name, rest),
        ("tags", "GET") => tags(shared, &name),
        _ => Answer::error(405, "UNSUPPORTED"),
    }
}

fn pull(shared: &Shared, name: &str, reference: &str) -> Answer {
    match shared.content().manifest(name, reference) {
        None => Answer::error(404, "MANIFEST_UNKNOWN"),
        Some(stored) => Answer::new(200)
            .with("Content-Type", stored.media_type)
            .with("Docker-Content-Digest", Digest::sha256(&stored.bytes).to_string())
            .body(stored.bytes),
    }
}

fn push(shared: &Shared, request: &Request, name: &str, reference: &str) -> Answer {
    if request.body.len() > MANIFEST_BYTES {
        return Answer::error(413, "SIZE_INVALID");
    }
    let declared = request.header("content-type").unwrap_or_default();
    let Ok(manifest) = serde_json::from_slice::<Value>(&request.body) else {
        return Answer::error(400, "MANIFEST_INVALID");
    };
    if manifest.get("mediaType").is_some_and(|inner| inner != declared) {
        return Answer::error(400, "MANIFEST_INVALID");
    }
    let digest = match reference.parse::<Digest>() {
        Ok(digest) if !digest.matches(&request.body) => {
            return Answer::error(400, "DIGEST_INVALID");
        }
        Ok(digest) => digest,
        Err(_) if reference.contains(':') || reference.len() > 128 => {
            return Answer::error(400, "TAG_INVALID");
        }
        Err(_) => Digest::of(Algorithm::Sha256, &request.body),
    };
    let mut content = shared.content();
    content.put_manifest(name, &digest.to_string(), declared, request.body.clone());
    content.put_manifest(name, reference, declared, request.body.clone());
    let answer = Answer::new(201).with("Location", format!("/v2/{name}/manifests/{digest}"));
    match manifest.pointer("/subject/digest").and_then(Value::as_str) {
        Some(subject) if shared.options.oci_subject => answer.with("OCI-Subject", subject),
        _ => answer,
    }
}

fn start(shared: &Shared, name: &str) -> Answer {
    let upload = shared.content().start_upload();
    let base = if shared.options.absolute_locations { shared.url() } else { String::new() };
    Answer::new(202)
        .with("Location", format!("{base}/v2/{name}/blobs/uploads/{upload}?_state=a%2Bb"))
}

fn upload(shared: &Shared, request: &Request, name: &str, rest: &str) -> Answer {
    let id = rest.strip_prefix("uploads/").and_then(|id| id.parse().ok()).unwrap_or(0);
    // the Location's query must come back as it was given
    if request.query("_state").as_deref() != Some("a+b") {
        return Answer::error(404, "BLOB_UPLOAD_UNKNOWN");
    }
    let mut content = shared.content();
    let Some(length) = content.append(id, &request.body) else {
        return Answer::error(404, "BLOB_UPLOAD_UNKNOWN");
    };
    if request.method == "PATCH" {
        return Answer::new(202)
            .with("Location", request.target.clone())
            .with("Range", format!("0-{}", length.saturating_sub(1)));
    }
    let bytes = content.finish_upload(id).unwrap_or_default();
    match request.query("digest").and_then(|text| text.parse::<Digest>().ok()) {
        Some(digest) if digest.matches(&bytes) => {
            let location = format!("/v2/{name}/blobs/{digest}");
            content.put_blob(name, digest, bytes);
            Answer::new(201).with("Location", location)
        }
        _ => Answer::error(400, "DIGEST_INVALID"),
    }
}

fn blob(shared: &Shared, request: &Request, name: &str, digest: &str) -> Answer {
    let Some(bytes) = shared.content().blob(name, digest) else {
        return Answer::error(404, "BLOB_UNKNOWN");
    };
    let answer = Answer::new(200).with("Content-Type", "application/octet-stream");
    let from = request
        .header("range")
        .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    match from {
        None => answer.body(bytes),
        Some(from) if from < bytes.len() => {
            let range = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
            let partial = Answer { status: 206, ..answer };
            partial.with("Content-Range", range).body(&bytes[from..])
        }
        Some(_) => Answer::error(416, "RANGE_INVALID"),
    }
}

fn index(manifests: &[Value]) -> Answer {
    let body =
        json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": manifests});
    Answer::new(200).with("Content-Type", media_type::OCI_INDEX).body(body.to_string())
}

fn referrers(shared: &Shared, request: &Request, name: &str, subject: &str) -> Answer {
    if !shared.options.referrers {
        return Answer::error(404, "UNSUPPORTED");
    }
    if subject.parse::<Digest>().is_err() {
        return Answer::error(400, "DIGEST_INVALID");
    }
    let mut all = shared.content().referrers(name, subject);
    let filter = request.query("artifactType");
    if let Some(wanted) = &filter {
        all.retain(|entry| entry["artifactType"] == *wanted.as_str());
    }
    let from: usize = request.query("from").and_then(|text| text.parse().ok()).unwrap_or(0);
    let until = all.len().min(from + shared.options.page);
    let mut answer = index(all.get(from..until).unwrap_or_default());
    if until < all.len() {
        answer = answer.with("Link", format!("<{}?from={until}>; rel=\"next\"", request.path()));
    }
    match filter {
        Some(_) => answer.with("OCI-Filters-Applied", "artifactType"),
        None => answer,
    }
}

fn tags(shared: &Shared, name: &str) -> Answer {
    let body = json!({"name": name, "tags": shared.content().tags(name)});
    Answer::new(200).with("Content-Type", "application/json").body(body.to_string())
}
