//! Slow clients: connections that never say anything, or stop halfway, keep nobody else out.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::House;

/// Each kind of slow client, so many of it.
const EACH: usize = 1_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_real_request_is_answered_within_a_second_whoever_stands_around() {
    let house = House::open().await;
    let address = house.bot.address;
    let mut crowd = Vec::new();
    for n in 0..2 * EACH {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let said = match n % 4 {
            0 => "",
            1 => "GET /api/v1/tasks HTTP/1.1\r\nhost: x\r\nauthoriz",
            2 => "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n",
            _ => "POST /api/v1/task/touch HTTP/1.1\r\nhost: x\r\ncontent-length: 500\r\n\r\n{",
        };
        // One that was sent away already has had its turn.
        let _ = stream.write_all(said.as_bytes()).await;
        crowd.push(stream);
        if n % 500 == 499 {
            let began = Instant::now();
            // A connection of its own, and no older one that is still open.
            let client = reqwest::Client::new();
            let request = client
                .get(house.bot.url("/api/v1/tasks"))
                .bearer_auth(&house.tokens["ana"]);
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), 200);
            let took = began.elapsed();
            assert!(took < Duration::from_secs(1), "with {n} around: {took:?}");
        }
    }
    drop(crowd);
    house.close();
}
