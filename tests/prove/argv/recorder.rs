//! Remembers what a program was really started with, and what a server was really sent.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// The program's part: writes down what the kernel says that it was started with, and below whom.
pub(crate) fn record(arguments: &[OsString]) {
    let name = arguments[0].to_str().expect("a run's id is text");
    let copy = |from: &str, to: &str| {
        // Not `copy`: the kernel says that these files are empty.
        let text = std::fs::read(Path::new("/proc/self").join(from)).expect("it is there");
        std::fs::write(format!("{name}.{to}"), text).expect("the folder is there");
    };
    copy("environ", "environ");
    let above: Vec<String> = above()
        .iter()
        .map(|exe| exe.display().to_string())
        .collect();
    std::fs::write(format!("{name}.above"), above.join("\n")).expect("the folder is there");
    copy("cmdline", "cmdline");
}

/// What runs above this process, up to the proof: each by its executable.
fn above() -> Vec<PathBuf> {
    let this = std::env::current_exe().expect("this program has a path");
    let mut above = Vec::new();
    let mut process = "self".to_owned();
    loop {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("it is there");
        let (_, fields) = stat
            .rsplit_once(") ")
            .expect("the name stands in parentheses");
        process = fields
            .split(' ')
            .nth(1)
            .expect("the parent is the second field")
            .to_owned();
        match std::fs::read_link(format!("/proc/{process}/exe")) {
            Ok(exe) if exe == this => return above,
            Ok(exe) => above.push(exe),
            Err(why) => panic!("who is {process}, above a program? {why}"),
        }
    }
}

/// What a program was started with.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) argv: Vec<String>,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) above: Vec<PathBuf>,
}

impl Started {
    pub(super) fn read(folder: &Path, run: &str) -> Option<Self> {
        let read = |ending: &str| std::fs::read(folder.join(format!("{run}.{ending}"))).ok();
        let text = |bytes: &[u8]| {
            let text = OsString::from_vec(bytes.to_vec()).into_string();
            text.expect("every value is text")
        };
        // Each ends with a NUL byte.
        let parts = |bytes: Vec<u8>| -> Vec<String> {
            let mut parts: Vec<String> = bytes.split(|byte| *byte == 0).map(text).collect();
            parts.pop();
            parts
        };
        let environment = parts(read("environ")?).into_iter().map(|variable| {
            let (name, value) = variable.split_once('=').expect("a variable has a value");
            (name.to_owned(), value.to_owned())
        });
        Some(Self {
            environment: environment.collect(),
            above: text(&read("above")?).lines().map(PathBuf::from).collect(),
            argv: parts(read("cmdline")?),
        })
    }
}

/// What was sent, as it stood on the wire.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) target: String,
    /// Names in lower case; a value is everything after `: `.
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) body: Vec<u8>,
}

/// A server that says yes to everything.
pub(super) struct Recorder {
    pub(super) address: String,
    requests: Arc<Mutex<HashMap<String, Vec<Request>>>>,
}

impl Recorder {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let requests: Arc<Mutex<HashMap<String, Vec<Request>>>> = Arc::default();
        let kept = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let kept = Arc::clone(&kept);
                let mut stream = stream.expect("connections come in");
                std::thread::spawn(move || {
                    let request = read_request(&mut stream);
                    let run = request.headers.iter().find(|(name, _)| name == "x-run");
                    let run = run.map_or(Vec::new(), |(_, run)| run.clone());
                    let run = String::from_utf8_lossy(&run).into_owned();
                    kept.lock().unwrap().entry(run).or_default().push(request);
                    let answer =
                        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                    let _ = stream.write_all(answer); // Whoever went away has its reasons.
                });
            }
        });
        Self { address, requests }
    }

    /// What was sent for this run.
    pub(super) fn requests(&self, run: &str) -> Vec<Request> {
        let requests = self.requests.lock().unwrap();
        requests.get(run).cloned().unwrap_or_default()
    }

    /// How many were sent for no run that anybody knows of.
    pub(super) fn without_run(&self) -> usize {
        self.requests("").len()
    }
}

fn read_request(stream: &mut TcpStream) -> Request {
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(end) = end {
            let mut request = head(&bytes[..end]);
            let length = request
                .headers
                .iter()
                .find(|(name, _)| name == "content-length");
            let length = length.map_or(0, |(_, text)| {
                String::from_utf8_lossy(text)
                    .parse()
                    .expect("a length is a number")
            });
            if bytes.len() >= end + 4 + length {
                request.body = bytes[end + 4..].to_vec();
                return request;
            }
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return head(&bytes),
            Ok(length) => bytes.extend_from_slice(&buffer[..length]),
        }
    }
}

fn head(bytes: &[u8]) -> Request {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut lines = bytes
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let first = text(lines.next().unwrap_or_default());
    let mut words = first.split(' ');
    let headers = lines.map(|line| {
        let colon = line
            .iter()
            .position(|byte| *byte == b':')
            .unwrap_or(line.len());
        let value = line.get(colon + 2..).unwrap_or_default();
        (text(&line[..colon]).to_lowercase(), value.to_vec())
    });
    Request {
        method: words.next().unwrap_or_default().to_owned(),
        target: words.next().unwrap_or_default().to_owned(),
        headers: headers.collect(),
        body: Vec::new(),
    }
}
