//! A server that gives back the secret that it is sent, in every encoding, wherever an answer has room.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::encodings::ENCODINGS;

/// Starts it; answers its address. It ends with the proof.
pub(super) fn start(seed: u64) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    let here = address.clone();
    std::thread::spawn(move || {
        let mut random = StdRng::seed_from_u64(seed);
        for stream in listener.incoming() {
            let mut stream = stream.expect("connections come in");
            let (here, random) = (here.clone(), StdRng::seed_from_u64(random.random()));
            std::thread::spawn(move || {
                if let Some((path, secret)) = read(&mut stream) {
                    let answer = answer(&path, &secret, &here, random);
                    let _ = stream.write_all(answer.as_bytes()); // Whoever went away has its reasons.
                }
            });
        }
    });
    address
}

/// The path and the secret of a request: it stands in the JSON body.
fn read(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut text = String::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        let length = stream.read(&mut buffer).ok().filter(|length| *length > 0)?;
        text.push_str(&String::from_utf8_lossy(&buffer[..length]));
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        // The body may be under way.
        let Ok(json) = serde_json::from_str::<serde_json::Value>(body) else {
            continue;
        };
        let path = head.split(' ').nth(1)?.to_owned();
        return Some((path, json["secret"].as_str()?.to_owned()));
    }
}

fn answer(path: &str, secret: &str, here: &str, mut random: StdRng) -> String {
    let forms: Vec<String> = ENCODINGS
        .iter()
        .map(|(_, encode)| encode(secret, &mut random).text)
        .collect();
    let one_line = |text: &String| text.replace(['\r', '\n'], " ");
    let lines: Vec<String> = forms.iter().map(one_line).collect();
    let body = forms.join("\n---\n");
    let body = match path {
        "/late" => format!("{}{body}", "x ".repeat(1_024 - 12)), // What is shown of it ends within.
        _ => body,
    };
    let echoes: String = lines
        .iter()
        .map(|line| format!("x-echo: {line}\r\n"))
        .collect();
    let to = &lines[6]; // With percent signs: it fits into an address.
    let (status, more) = match path {
        "/go" => (
            "307 Elsewhere",
            format!("location: http://other.test/{to}?{to}\r\n"),
        ),
        "/spin" => (
            "307 Elsewhere",
            format!("location: http://{here}/spin?{to}\r\n"),
        ),
        spin if spin.starts_with("/spin") => ("307 Elsewhere", format!("location: /spin?{to}\r\n")),
        "/bad" => ("500 Failed", format!("location: {to}\r\n")),
        _ => ("200 OK", String::new()),
    };
    let length = if path == "/cut" {
        body.len() + 100
    } else {
        body.len()
    };
    format!(
        "HTTP/1.1 {status}\r\n{more}{echoes}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}
