//! HTTP/1.1 by hand: every byte of a request is the proof's to choose, and every byte of an answer is kept.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The longest that an answer may take. midwatch promises Slack three seconds; a busy machine gets some more.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection that is kept alive, and made anew where the other side ended it.
pub(crate) struct Wire {
    address: SocketAddr,
    stream: Option<TcpStream>,
}

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// From the status line to the last header.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The body as text; what is none becomes `�`.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Whether midwatch says that it took the request.
    pub(crate) fn accepts(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl Wire {
    pub(crate) fn to(address: SocketAddr) -> Self {
        Self {
            address,
            stream: None,
        }
    }

    /// Sends one whole request and reads its answer; `None` when the other side ended the connection instead.
    pub(crate) async fn send(&mut self, request: &[u8]) -> Option<Answer> {
        if let Some(stream) = self.stream.take()
            && let Some(answer) = self.exchange(stream, request).await
        {
            return Some(answer);
        }
        // A connection that was kept may have ended by itself in between.
        let stream = self.connect().await;
        self.exchange(stream, request).await
    }

    /// Sends bytes that need not be one whole request, says that there are no more, and reads all answers.
    pub(crate) async fn send_alone(&self, bytes: &[u8]) -> Vec<Answer> {
        let mut stream = self.connect().await;
        // It may answer and end before it has read everything.
        let _ = stream.write_all(bytes).await;
        let _ = stream.shutdown().await;
        let mut read = Vec::new();
        let ended = timeout(PATIENCE, stream.read_to_end(&mut read)).await;
        assert!(
            ended.is_ok(),
            "a connection without more to come stays open"
        );
        let mut answers = Vec::new();
        while let Some((answer, used)) = parse(&read) {
            read.drain(..used);
            answers.push(answer);
        }
        answers
    }

    async fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).await;
        let stream = stream.expect("midwatch takes connections");
        stream.set_nodelay(true).expect("a socket");
        stream
    }

    async fn exchange(&mut self, mut stream: TcpStream, request: &[u8]) -> Option<Answer> {
        // An early refusal ends the connection while we still write: its answer can be read all the same.
        let written = stream.write_all(request).await;
        let mut read = Vec::new();
        loop {
            if let Some((answer, used)) = parse(&read) {
                assert_eq!(used, read.len(), "more than one answer: {answer:?}");
                let ends = answer
                    .head
                    .to_ascii_lowercase()
                    .contains("connection: close");
                self.stream = (!ends && written.is_ok()).then_some(stream);
                return Some(answer);
            }
            let more = timeout(PATIENCE, stream.read_buf(&mut read)).await;
            match more.expect("an answer, or the end of the connection") {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }
}

/// The first answer in these bytes and how many it takes; `None` while it is not complete.
fn parse(bytes: &[u8]) -> Option<(Answer, usize)> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    });
    let whole = end + 4 + length.unwrap_or(0);
    let body = bytes.get(end + 4..whole)?.to_vec();
    let status = status.unwrap_or_else(|| panic!("no status: {head}"));
    Some((Answer { status, head, body }, whole))
}
