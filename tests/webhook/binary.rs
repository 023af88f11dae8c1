//! The program itself: options, signals, log on stdout, memory.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ocisign::webhook::Settings;

use crate::common::free_port;
use crate::served::*;

/// A running `ocisign serve`, killed when this is dropped.
struct Program {
    child: Child,
    port: u16,
    client: reqwest::Client,
    _folder: tempfile::TempDir,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Program {
    async fn start(options: &[&str]) -> Self {
        let Setup { folder, certificates, settings, .. } = Setup::new();
        let port = free_port();
        let child = command(&settings, port).args(options).spawn().unwrap();
        let client = client(&certificates);
        let program = Self { child, port, client, _folder: folder };
        let began = std::time::Instant::now();
        while program.client.get(program.url("/readyz")).send().await.is_err() {
            assert!(began.elapsed() < BOUND, "it does not listen");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        program
    }

    fn url(&self, path: &str) -> String {
        format!("https://127.0.0.1:{}{path}", self.port)
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap();
        assert!(sent.success());
    }

    async fn ready(&self) -> (u16, String) {
        let answer = self.client.get(self.url("/readyz")).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Its exit code and what it said.
    fn ended(mut self) -> (Option<i32>, String) {
        let began = std::time::Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                let mut said = String::new();
                self.child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
                return (status.code(), said);
            }
            assert!(began.elapsed() < BOUND, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn command(settings: &Settings, port: u16) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ocisign"));
    command.arg("serve").arg("--listen").arg(format!("127.0.0.1:{port}"));
    command.arg("--policy").arg(&settings.policy);
    command.arg("--tls-cert").arg(&settings.tls.certificate);
    command.arg("--tls-key").arg(&settings.tls.key);
    command.args(["--pull-secrets", "off", "--lame-duck", "2s"]);
    command.env_remove("DOCKER_CONFIG").stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

#[tokio::test]
async fn signals_make_it_look_at_its_files_and_end() {
    let program = Program::start(&["--reload-every", "1h"]).await;
    let changed = signed_policy(2);
    std::fs::write(program._folder.path().join("policy.json"), &changed).unwrap();
    program.signal("HUP");
    let digest = ocisign::Digest::sha256(changed.as_bytes()).to_string();
    let began = std::time::Instant::now();
    while !program.ready().await.1.contains(&digest) {
        assert!(began.elapsed() < BOUND, "the policy is not taken");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    program.signal("TERM");
    let began = std::time::Instant::now();
    while program.ready().await.0 != 503 {
        assert!(began.elapsed() < BOUND, "ready while it ends");
    }
    let (code, said) = program.ended();
    assert_eq!(code, Some(0), "{said}");
    let events: Vec<serde_json::Value> =
        said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut names: Vec<_> = events.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!((names[0], names[names.len() - 1]), ("serving", "ended"), "{said}");
    // the second signal may come while the files are still looked at
    names.sort_unstable();
    assert_eq!(
        names,
        ["certificate-taken", "ended", "ending", "policy-taken", "serving"],
        "{said}"
    );
}

#[test]
fn what_cannot_be_served_is_said_at_once() {
    let setup = Setup::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let cases: [(&[&str], u16, &str); 4] = [
        (&[], port, "choose another address"),
        (&["--resources", "/nowhere/table.json"], free_port(), "/nowhere/table.json"),
        (&["--ca", "/nowhere/ca.crt"], free_port(), "/nowhere/ca.crt"),
        (&["--timeout", "soon"], free_port(), "write it as 10s"),
    ];
    for (options, port, said) in cases {
        let ran = command(&setup.settings, port).args(options).output().unwrap();
        let stderr = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(said), "{stderr}");
    }
}

/// Reviews of the largest size and of the worst shapes, many at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn huge_reviews_at_once_stay_in_bounded_memory() {
    let program = Program::start(&["--log", "events"]).await;
    let shapes = [
        format!("[{}0]", "0,".repeat(3 << 20)),
        format!("{{\"request\":{{\"uid\":\"1\",\"object\":[{}{{}}]}}}}", "{},".repeat(2 << 20)),
        format!("{{\"a\":\"{}\"}}", "x".repeat(7 << 20)),
        format!("{}1{}", "[".repeat(3 << 20), "]".repeat(3 << 20)),
    ];
    let mut sending = tokio::task::JoinSet::new();
    for at in 0..48 {
        let (client, url) = (program.client.clone(), program.url("/validate?timeout=10s"));
        let body = shapes[at % shapes.len()].clone();
        sending.spawn(async move {
            let answer = client.post(url).body(body).send().await;
            // cut off where there is no room, which is an answer too
            answer.map_or(503, |answer| answer.status().as_u16())
        });
    }
    let statuses = sending.join_all().await;
    assert!(statuses.iter().all(|status| [200, 400, 408, 503].contains(status)), "{statuses:?}");
    assert!(statuses.iter().any(|status| [200, 400].contains(status)), "{statuses:?}");
    let scrape = program.client.get(program.url("/metrics")).send().await.unwrap();
    let most = metric_of(&scrape.text().await.unwrap(), "process_resident_memory_max_bytes");
    assert!(most < 128.0 * 1024.0 * 1024.0, "{} MiB", most / 1024.0 / 1024.0);
}

#[tokio::test]
async fn a_reader_that_stops_reading_the_log_stops_nothing() {
    let mut program = Program::start(&[]).await;
    let mut lines = BufReader::new(program.child.stdout.take().unwrap());
    let mut first = String::new();
    lines.read_line(&mut first).unwrap();
    assert!(first.contains("\"serving\""), "{first}");
    // more than a pipe and the queue hold
    let review = pod("1", &["127.0.0.1:9/app:v1"; 1]).to_string();
    for _ in 0..200 {
        let url = program.url("/validate?timeout=20ms");
        let answer = program.client.post(url).body(review.clone()).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }
    drop(lines);
    let url = program.url("/validate?timeout=200ms");
    let answer = program.client.post(url).body(review).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}
