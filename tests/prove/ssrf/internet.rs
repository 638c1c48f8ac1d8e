//! All of the internet, on loopback: whoever is asked answers as told, and every connection and lookup is remembered.

use std::collections::{BTreeMap, VecDeque};
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Where names are answered.
pub(super) const NAMES_AT: &str = "127.0.0.53";
/// Where somebody listens, at every address. Connections to other ports are counted by the kernel alone.
const PORTS: [u16; 4] = [80, 443, 8080, 3128];

/// What a name leads to, lookup by lookup; the last answer stays.
pub(super) type Answers = Vec<Vec<IpAddr>>;

#[derive(Default)]
struct State {
    /// What the next requests are answered with; 200 afterwards.
    responses: VecDeque<String>,
    connections: Vec<SocketAddr>,
    names: BTreeMap<String, Answers>,
    /// How often a name was asked for, by the kind of address.
    lookups: BTreeMap<(String, u8), usize>,
}

/// Everything there is to connect to.
#[derive(Clone)]
pub(super) struct Internet(Arc<Mutex<State>>);

/// What one exchange did to the network.
#[derive(Debug)]
pub(super) struct Traffic {
    pub(super) connections: Vec<SocketAddr>,
    /// Connections that the kernel was asked for, whether somebody listened or not.
    pub(super) attempts: usize,
    /// Names that were looked up.
    pub(super) names: Vec<String>,
}

impl Internet {
    pub(super) fn start() -> Self {
        let internet = Self(Arc::default());
        for port in PORTS {
            // Both families: the other one comes mapped.
            let listener = TcpListener::bind(("::", port)).expect("this network is ours");
            let all = internet.clone();
            std::thread::spawn(move || {
                for stream in listener.incoming() {
                    let stream = stream.expect("connections come in");
                    let all = all.clone();
                    all.note(&stream);
                    std::thread::spawn(move || all.answer(stream));
                }
            });
        }
        let socket = UdpSocket::bind((NAMES_AT, 53)).expect("this network is ours");
        let all = internet.clone();
        std::thread::spawn(move || all.answer_names(&socket));
        internet
    }

    /// Does something, and says what it did to the network.
    pub(super) async fn watch<T>(
        &self,
        responses: Vec<String>,
        names: BTreeMap<String, Answers>,
        act: impl Future<Output = T>,
    ) -> (T, Traffic) {
        let before = attempts();
        {
            let mut state = self.0.lock().unwrap();
            *state = State {
                responses: responses.into(),
                names,
                ..State::default()
            };
        }
        let done = act.await;
        let attempts = attempts() - before;
        // What was opened is accepted a little later.
        let deadline = Instant::now() + Duration::from_millis(300);
        while self.0.lock().unwrap().connections.len() < attempts && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
        let state = self.0.lock().unwrap();
        let mut names: Vec<String> = state.lookups.keys().map(|(name, _)| name.clone()).collect();
        names.dedup();
        let traffic = Traffic {
            connections: state.connections.clone(),
            attempts,
            names,
        };
        (done, traffic)
    }

    fn note(&self, stream: &TcpStream) {
        let address = stream.local_addr().expect("it is connected");
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        self.0.lock().unwrap().connections.push(address);
    }

    fn answer(&self, mut stream: TcpStream) {
        let mut request = Vec::new();
        let mut buffer = [0; 4096];
        while !request.windows(4).any(|window| window == b"\r\n\r\n") {
            match stream.read(&mut buffer) {
                // Not HTTP, or gone.
                Ok(0) | Err(_) => return,
                Ok(length) => request.extend_from_slice(&buffer[..length]),
            }
            if request.first() == Some(&0x16) {
                return; // TLS, which nobody here speaks.
            }
        }
        let response = self.0.lock().unwrap().responses.pop_front();
        let response = response.unwrap_or_else(|| {
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned()
        });
        let _ = stream.write_all(response.as_bytes()); // Whoever went away has its reasons.
    }

    fn answer_names(&self, socket: &UdpSocket) {
        let mut buffer = [0; 1500];
        loop {
            let (length, from) = socket.recv_from(&mut buffer).expect("this network is ours");
            if let Some(answer) = self.answer_to(&buffer[..length]) {
                let _ = socket.send_to(&answer, from); // Whoever went away has its reasons.
            }
        }
    }

    /// RFC 1035 as far as a resolver needs it: one question, its addresses or none.
    fn answer_to(&self, query: &[u8]) -> Option<Vec<u8>> {
        let (header, mut rest) = query.split_at_checked(12)?;
        let mut labels = Vec::new();
        loop {
            let (length, after) = rest.split_first()?;
            let (label, after) = after.split_at_checked((*length).into())?;
            rest = after;
            if label.is_empty() {
                break;
            }
            labels.push(String::from_utf8_lossy(label).to_lowercase());
        }
        let kind = *rest.get(1)?;
        let name = labels.join(".");
        let question = &query[12..query.len() - rest.len() + 4];
        let addresses = self.look_up(&name, kind);
        let found: Vec<Vec<u8>> = addresses
            .iter()
            .flatten()
            .filter_map(|address| bytes_of(*address, kind))
            .collect();
        let code = if addresses.is_some() { 0x80 } else { 0x83 };
        let count = u8::try_from(found.len()).ok()?;
        let mut answer = [
            &header[..2],
            &[0x81, code, 0, 1, 0, count, 0, 0, 0, 0],
            question,
        ]
        .concat();
        for bytes in found {
            // A pointer to the question, the kind, the class, no time to live, the length.
            let length = u8::try_from(bytes.len()).ok()?;
            answer.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 0, 0, length]);
            answer.extend(bytes);
        }
        Some(answer)
    }

    /// `None`: there is no such name.
    fn look_up(&self, name: &str, kind: u8) -> Option<Vec<IpAddr>> {
        let mut state = self.0.lock().unwrap();
        let count = state.lookups.entry((name.to_owned(), kind)).or_default();
        let at = *count;
        *count += 1;
        let answers = state.names.get(name)?;
        answers.get(at).or(answers.last()).cloned()
    }
}

/// The address as a record of this kind (1: IPv4, 28: IPv6) holds it.
fn bytes_of(address: IpAddr, kind: u8) -> Option<Vec<u8>> {
    match (address, kind) {
        (IpAddr::V4(v4), 1) => Some(v4.octets().to_vec()),
        (IpAddr::V6(v6), 28) => Some(v6.octets().to_vec()),
        _ => None,
    }
}

/// How many connections were asked for in this network so far.
fn attempts() -> usize {
    let text = std::fs::read_to_string("/proc/net/snmp").expect("the kernel counts");
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let (names, values) = (lines.next().expect("names"), lines.next().expect("values"));
    let mut both = names.split(' ').zip(values.split(' '));
    let found = both.find(|(name, _)| *name == "ActiveOpens");
    found
        .and_then(|(_, value)| value.parse().ok())
        .expect("it is counted")
}
