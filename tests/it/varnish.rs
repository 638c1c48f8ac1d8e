//! A real Varnish before the sample shop.
#![expect(
    clippy::disallowed_methods,
    reason = "starts varnishd, finds it in PATH, and waits for it by the wall clock"
)]

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::sample_shop::{Running, client};

/// A running varnishd; ended, and its folder removed, when it is dropped.
pub(crate) struct Varnish {
    /// Where it answers.
    pub(crate) addr: SocketAddr,
    child: Child,
    folder: TempDir,
}

/// Starts Debian's varnishd with our VCL before this origin; `None`, after saying so, where it isn't installed.
pub(crate) fn start_varnish(origin: SocketAddr) -> Option<Varnish> {
    let Some(program) = find_varnishd() else {
        let mandatory = std::env::var("CI").is_ok_and(|ci| ci == "true");
        assert!(
            !mandatory,
            "varnish: not installed, and CI=true makes it mandatory"
        );
        println!("varnish: not installed, passed over");
        return None;
    };
    let folder = TempDir::with_prefix("varnish").unwrap();
    let vcl = include_str!("varnish.vcl")
        .replace("ORIGIN_HOST", &origin.ip().to_string())
        .replace("ORIGIN_PORT", &origin.port().to_string());
    let vcl_file = folder.path().join("shop.vcl");
    std::fs::write(&vcl_file, vcl).unwrap();
    let addr = free_address();
    let child = Command::new(program)
        .arg("-F")
        .arg("-n")
        .arg(folder.path().join("run"))
        .arg("-f")
        .arg(vcl_file)
        .args(["-a", &addr.to_string(), "-T", "none", "-j", "none"])
        .args(["-s", "malloc,16m", "-p", "thread_pool_min=5"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(folder.path().join("log")).unwrap())
        .spawn()
        .unwrap();
    let mut varnish = Varnish {
        addr,
        child,
        folder,
    };
    varnish.wait_until_it_answers();
    Some(varnish)
}

fn find_varnishd() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|folder| folder.join("varnishd"))
        .find(|file| file.is_file())
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

impl Varnish {
    /// It compiles its VCL first, which takes a while.
    fn wait_until_it_answers(&mut self) {
        let until = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(self.addr).is_err() {
            let ended = self.child.try_wait().unwrap();
            let log = || std::fs::read_to_string(self.folder.path().join("log"));
            assert!(ended.is_none(), "varnishd ended: {ended:?}, {:?}", log());
            assert!(
                Instant::now() < until,
                "varnishd does not answer on {}",
                self.addr
            );
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Varnish {
    /// Asks first: a killed manager may leave its worker behind.
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let until = Instant::now() + Duration::from_secs(5);
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < until {
            thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill(); // Ended by now, or doesn't listen.
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ban_sends_the_next_request_to_the_origin() {
    let running = Running::start().await;
    let Some(varnish) = start_varnish(running.shop.address()) else {
        return;
    };
    let client = client();
    let ask = async |method: &str, path: &str| {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let url = format!("http://{}{path}", varnish.addr);
        let response = client.request(method, url).send().await.unwrap();
        let cached = response.headers().get("x-cache").cloned();
        let cached = cached.map(|value| value.to_str().unwrap().to_owned());
        (response.status().as_u16(), cached.unwrap_or_default())
    };
    let hit = (200, "HIT".to_owned());
    let miss = (200, "MISS".to_owned());
    for (row, method, path, answer, reached) in [
        ("the cache is empty", "GET", "/a.html", Some(&miss), 1),
        ("it is filled", "GET", "/a.html", Some(&hit), 1),
        ("another page", "GET", "/aXhtml", Some(&miss), 2),
        ("one page is banned", "BAN", "/a.html", None, 2),
        ("it is fetched again", "GET", "/a.html", Some(&miss), 3),
        ("once", "GET", "/a.html", Some(&hit), 3),
        ("the dot was a dot", "GET", "/aXhtml", Some(&hit), 3),
        ("everything is banned", "BAN", "/", None, 3),
        ("so is the other page", "GET", "/aXhtml", Some(&miss), 4),
    ] {
        let answered = ask(method, path).await;
        assert_eq!(answered.0, 200, "{row}");
        if let Some(answer) = answer {
            assert_eq!(&answered, answer, "{row}");
        }
        assert_eq!(running.shop.requests(), reached, "{row}");
    }
    assert_eq!(ask("BAN", "/x?a=b").await.0, 400);
    assert_eq!(ask("GET", "/admin/version").await, miss);
    assert_eq!(ask("GET", "/admin/version").await, miss, "never cached");
}
