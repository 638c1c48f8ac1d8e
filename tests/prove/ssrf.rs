//! No `http` step reaches what its list does not name: not by spelling, redirect, name, proxy or typed value.
//!
//! In a network namespace of its own the whole internet leads to this process: every address is local, every name is
//! answered here, and the kernel counts each connection that anybody tries to open, also to where nobody listens.

mod cases;
mod internet;
mod steered;

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;

use self::cases::Case;
use self::internet::Internet;
use super::{Found, Round};

/// Makes every address local, and names answered by us. `$1`: the folder with the files, then what to run.
const SETUP: &str = "set -e
ip link set lo up
ip route add local 0.0.0.0/0 dev lo
ip -6 route add local ::/0 dev lo
for file in resolv.conf nsswitch.conf hosts; do mount --bind \"$1/$file\" \"/etc/$file\"; done
touch \"$1/ready\"
shift
exec \"$@\"";

/// The proof: each round is one address, and one way to it.
pub(crate) fn prove(round: Round) -> Found {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let everybody = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder.path(), everybody).expect("it is ours");
    let server = format!(
        "nameserver {}\noptions timeout:2 attempts:1\n",
        internet::NAMES_AT
    );
    for (name, text) in [
        ("resolv.conf", server.as_str()),
        ("nsswitch.conf", "hosts: files dns\n"),
        ("hosts", "127.0.0.1 localhost\n"),
    ] {
        std::fs::write(folder.path().join(name), text).expect("a file");
    }
    let output = match in_namespace(folder.path(), round) {
        Ok(output) => output,
        Err(why) => return Found::Missing(format!("unshare(1) is needed: {why}")),
    };
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    if !folder.path().join("ready").exists() {
        let why = errors.trim().replace('\n', "; ");
        return Found::Missing(format!("a network namespace of its own is needed: {why}"));
    }
    assert!(
        output.status.success(),
        "{said}\n{errors}\nseed {}",
        round.seed
    );
    Found::Held(said)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a proof that starts itself in a network of its own"
)]
fn in_namespace(folder: &std::path::Path, round: Round) -> std::io::Result<Output> {
    let exe = std::env::current_exe()?;
    Command::new("unshare")
        .args([
            "--user",
            "--map-root-user",
            "--net",
            "--mount",
            "sh",
            "-c",
            SETUP,
            "sh",
        ])
        .arg(folder)
        .arg(exe)
        .args([
            "--as",
            "ssrf",
            &round.rounds.to_string(),
            &round.seed.to_string(),
        ])
        // Nobody may listen to these.
        .envs(PROXIES.map(|name| (name, "http://127.0.0.9:3128")))
        .output()
}

/// Variables that other programs take a proxy from.
const PROXIES: [&str; 6] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// The part within the namespace: does all of it, and says so.
#[expect(
    clippy::print_stdout,
    reason = "the proof outside of the namespace reads it"
)]
pub(crate) fn inside(arguments: &[OsString]) {
    let number = |n: usize| {
        arguments[n]
            .to_string_lossy()
            .parse::<u64>()
            .expect("a number")
    };
    let (rounds, seed) = (number(0), number(1));
    let mut random = StdRng::seed_from_u64(seed);
    let internet = Internet::start();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let surroundings = cases::surroundings();
    let (mut reached, mut refused) = (0, 0);
    for n in 0..rounds {
        let case = Case::new(usize::try_from(n).expect("not so many"), &mut random);
        let (connections, arrived) = runtime.block_on(case.run(&internet, &surroundings));
        reached += usize::from(arrived);
        refused += usize::from(connections == 0);
    }
    let steered = steered::prove(&internet, &mut random);
    assert!(
        reached * 20 > usize::try_from(rounds).expect("not so many"),
        "hardly anything arrived: {reached}"
    );
    println!(
        "{rounds} addresses: {reached} exchanges with who was listed, {refused} without any connection; {steered}; 0 connections beside the list, 0 lookups of other names, as the kernel counts"
    );
}

/// How long one exchange may take.
const LIMIT: Duration = Duration::from_secs(5);
