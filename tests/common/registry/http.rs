//! HTTP/1.1 as far as a registry needs it, by hand: a library would not let
//! it lie.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read, Write};

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Header names in lower case; of repeated ones all, comma-separated.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// A parameter of the query, decoded.
    pub fn query(&self, name: &str) -> Option<String> {
        self.queries(name).into_iter().next()
    }

    pub fn queries(&self, name: &str) -> Vec<String> {
        let (_, query) = self.target.split_once('?').unwrap_or_default();
        form(query.as_bytes(), name)
    }

    /// `None` at the end of the connection.
    pub fn read(stream: &mut impl BufRead) -> io::Result<Option<Self>> {
        let Some(line) = line(stream)? else { return Ok(None) };
        let mut words = line.split(' ').map(str::to_owned);
        let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(None) };
        let mut headers: BTreeMap<String, String> = BTreeMap::new();
        while let Some(line) = line_of_head(stream)? {
            let (name, value) = line.split_once(':').unwrap_or((&line, ""));
            let entry = headers.entry(name.to_ascii_lowercase()).or_default();
            if !entry.is_empty() {
                entry.push_str(", ");
            }
            entry.push_str(value.trim());
        }
        let body = body(stream, &headers)?;
        Ok(Some(Self { method, target, headers, body }))
    }
}

/// The values of one name in a query or form.
pub fn form(text: &[u8], name: &str) -> Vec<String> {
    url::form_urlencoded::parse(text)
        .filter(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
        .collect()
}

fn line(stream: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    let read = stream.take(64 << 10).read_line(&mut line)?;
    Ok((read > 0).then(|| line.trim_end().to_owned()))
}

fn line_of_head(stream: &mut impl BufRead) -> io::Result<Option<String>> {
    Ok(line(stream)?.filter(|line| !line.is_empty()))
}

fn body(stream: &mut impl BufRead, headers: &BTreeMap<String, String>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if headers.get("transfer-encoding").is_some_and(|coding| coding == "chunked") {
        loop {
            let size = line(stream)?.unwrap_or_default();
            let size = u64::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
            stream.take(size).read_to_end(&mut body)?;
            line(stream)?;
            if size == 0 {
                return Ok(body);
            }
        }
    }
    let length = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    stream.take(length).read_to_end(&mut body)?;
    Ok(body)
}

/// An answer to send.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Whether the body only counts (HEAD).
    pub head: bool,
}

impl Answer {
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), head: false }
    }

    /// An error in the specification's form.
    pub fn error(status: u16, code: &str) -> Self {
        let body = serde_json::json!({"errors": [{"code": code, "message": "as told"}]});
        Self::new(status).with("Content-Type", "application/json").body(body.to_string())
    }

    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Status line and headers; `length` is what Content-Length says.
    pub fn write_head(&self, stream: &mut dyn Write, length: Option<u64>) -> io::Result<()> {
        let mut head = format!("HTTP/1.1 {} As Told\r\n", self.status);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(length) = length {
            head.push_str(&format!("Content-Length: {length}\r\n"));
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes())
    }
}
