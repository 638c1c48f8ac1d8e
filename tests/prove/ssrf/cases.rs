//! Addresses that are not on the list, in many spellings, and the ways to them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use midwatch::domain::{
    Action, Effect, Expect, HttpAction, Piece, PlannedStep, Rendered, StepName, StepResult,
};
use midwatch::engine::actions::{HttpClient, Surroundings};
use midwatch::engine::secrets::LocalSecrets;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::LIMIT;
use super::internet::{Answers, Internet};
use crate::lab::perform_step;

/// The only ones that a step of these cases may reach, beside a name of its own.
pub(super) const INSIDE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
pub(super) const SHOP: &str = "shop.test";
const LISTED: [&str; 2] = ["shop.test:80", "127.0.0.2:80"];

/// Addresses that no list names. All of them answer here.
const OUTSIDE: [&str; 32] = [
    "169.254.169.254",
    "169.254.170.2",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "127.0.0.1",
    "127.0.0.3",
    "127.255.255.254",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "198.18.0.1",
    "93.184.216.34",
    "1.1.1.1",
    "255.255.255.255",
    "::1",
    "::",
    "::ffff:169.254.169.254",
    "::ffff:127.0.0.2",
    "::127.0.0.1",
    "::ffff:0:127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::7f00:1",
    "2002:a9fe:a9fe::1",
    "2002:7f00:1::",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fe80::a9fe:a9fe",
    "fd00::1",
    "2606:2800:220:1::1",
];

/// Where no name may lead, whoever lists it: credentials of the machine itself, and no address of one machine.
const NEVER: [&str; 27] = [
    "169.254.169.254",
    "169.254.170.2",
    "169.254.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "0.0.0.0",
    "0.1.2.3",
    "255.255.255.255",
    "224.0.0.1",
    "fe80::a9fe:a9fe",
    "::",
    "ff02::1",
    "fd00:ec2::254",
    "fd00:ec2::23",
    "fd20:ce::254",
    "fd00:c1::a9fe:a9fe",
    "fd00:42::42",
    "fd00:a9fe:a9fe::1",
    "fd00:100::100:200",
    "::ffff:169.254.169.254",
    "::169.254.169.254",
    "::ffff:0:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "2002:6464:64c8::",
];

const NAMES: [&str; 9] = [
    "evil.test",
    "metadata.google.internal",
    "localhost",
    "shop.test.",
    "shop.test.evil.test",
    "evilshop.test",
    "www.shop.test",
    "xn--shp-test.evil.test",
    "shop-test",
];

/// One exchange, and what it may do.
#[derive(Debug)]
pub(super) struct Case {
    url: String,
    hosts: Vec<String>,
    responses: Vec<String>,
    names: BTreeMap<String, Answers>,
    may_reach: BTreeSet<SocketAddr>,
    must_arrive: bool,
}

impl Case {
    /// The n-th case: the ways in turn, the addresses in turn within each.
    pub(super) fn new(n: usize, random: &mut StdRng) -> Self {
        let (way, nth) = (n % 7, n / 7);
        match way {
            0 | 1 => Self::straight(nth, random),
            2..=4 => Self::redirected(nth, random),
            5 => Self::rebound(nth, random),
            _ => Self::allowed(nth),
        }
    }

    fn usual(url: String) -> Self {
        Self {
            url,
            hosts: LISTED.map(str::to_owned).to_vec(),
            responses: Vec::new(),
            names: BTreeMap::from([(SHOP.to_owned(), vec![vec![INSIDE]])]),
            may_reach: BTreeSet::from([SocketAddr::new(INSIDE, 80)]),
            must_arrive: false,
        }
    }

    /// The step's own address leads elsewhere.
    fn straight(nth: usize, random: &mut StdRng) -> Self {
        let mut case = Self::usual(address(nth, random));
        case.everybody_has_an_address();
        case
    }

    /// Somebody who is listed sends us elsewhere.
    fn redirected(nth: usize, random: &mut StdRng) -> Self {
        let to = address(nth, random).replace(['\t', '\n', '\r'], "");
        let to = match random.random_range(0..6) {
            0 => to.trim_start_matches("http:").to_owned(),
            1 => to.replace("http://", "\\\\"),
            2 => to.replace("http://", "/\\"),
            _ => to,
        };
        let mut case = Self::usual("http://shop.test/begin".to_owned());
        case.everybody_has_an_address();
        let status = *[
            301, 302, 303, 307, 308, 302, 307, 300, 304, 305, 306, 200, 201, 401,
        ]
        .choose(random)
        .expect("there are some");
        let more = *[
            "",
            "refresh: 0; url=http://evil.test/\r\n",
            "alt-svc: h2=\"evil.test:443\", h3=\":443\"\r\n",
            "location: http://evil.test/\r\n",
            "link: <http://evil.test/>; rel=preload\r\n",
        ]
        .choose(random)
        .expect("there are some");
        if random.random_bool(0.3) {
            case.responses.push(response(302, "location: /first\r\n"));
        }
        case.responses
            .push(response(status, &format!("location: {to}\r\n{more}")));
        case
    }

    /// A listed name leads where no name may, at once or the second time.
    fn rebound(nth: usize, random: &mut StdRng) -> Self {
        let never: IpAddr = NEVER[nth % NEVER.len()].parse().expect("an address");
        let fine = IpAddr::V4(Ipv4Addr::new(93, 184, 216, 34));
        let mut case = Self::usual("http://rebinding.test/".to_owned());
        let answers = match random.random_range(0..4) {
            0 => vec![vec![never]],
            // Whoever mixes such an address in is not asked at any of the others either.
            1 => vec![vec![fine, never]],
            2 => vec![vec![never, fine]],
            _ => {
                case.may_reach.insert(SocketAddr::new(fine, 80));
                vec![vec![fine], vec![never]]
            }
        };
        case.hosts.push("rebinding.test:80".to_owned());
        case.names.insert("rebinding.test".to_owned(), answers);
        case.responses.push(response(307, "location: /again\r\n"));
        case
    }

    /// What is listed is reached, however it is spelled: else nothing would be proven.
    fn allowed(nth: usize) -> Self {
        let spellings = [
            "http://shop.test/",
            "http://SHOP.test:80/",
            "http://127.0.0.2/",
            "http://127.2/",
            "http://0x7f000002/",
            "http://2130706434/",
            "http://0177.0.0.02/",
            "http://ｓｈｏｐ。test/",
            "http://shop.test\\@evil.test/",
            "http://shop.test#@evil.test/",
        ];
        let mut case = Self::usual(spellings[nth % spellings.len()].to_owned());
        case.must_arrive = true;
        if nth.is_multiple_of(3) {
            case.responses
                .push(response(302, "location: //127.0.0.2/next\r\n"));
        }
        case
    }

    /// Also names that nobody should look up lead somewhere.
    fn everybody_has_an_address(&mut self) {
        for name in NAMES {
            let name = name.trim_end_matches('.');
            self.names
                .entry(name.to_owned())
                .or_insert_with(|| vec![vec![IpAddr::V4(Ipv4Addr::new(93, 184, 216, 34))]]);
        }
    }

    /// Does it, and judges; answers how many connections there were, and whether it arrived.
    pub(super) async fn run(
        &self,
        internet: &Internet,
        surroundings: &Surroundings,
    ) -> (usize, bool) {
        let step = self.step();
        let exchange = perform_step(&step, surroundings, &surroundings.directory);
        let (result, traffic) = internet
            .watch(self.responses.clone(), self.names.clone(), exchange)
            .await;
        let arrived = matches!(result, StepResult::Succeeded { .. });
        let listed = |name: &String| {
            self.hosts
                .iter()
                .any(|host| host.split(':').next() == Some(name))
        };
        let fault = if traffic.attempts != traffic.connections.len() {
            "a connection was asked for where nobody listens"
        } else if !traffic
            .connections
            .iter()
            .all(|address| self.may_reach.contains(address))
        {
            "somebody was reached who is not on the list"
        } else if !traffic.names.iter().all(listed) {
            "a name was looked up that is not on the list"
        } else if self.must_arrive && !arrived {
            "it should have arrived"
        } else {
            return (traffic.connections.len(), arrived);
        };
        panic!("{fault}: {self:?}\n{traffic:?}\n{result:?}");
    }

    fn step(&self) -> PlannedStep {
        let action = HttpAction {
            method: "GET".to_owned(),
            url: Rendered(vec![Piece::Text(self.url.clone())]),
            headers: BTreeMap::new(),
            json: None,
            expect: Expect {
                status: Vec::new(),
                headers: BTreeMap::new(),
                body: None,
            },
            show: Vec::new(),
            hosts: Vec::new(),
            redirects: 3,
        };
        PlannedStep {
            name: StepName::parse("ask").expect("it is a name"),
            action: Action::Http(action),
            verify: None,
            effect: Effect::Read,
            timeout_ms: u64::try_from(LIMIT.as_millis()).expect("it is short"),
            attempts: 1,
            hosts: self.hosts.clone(),
        }
    }
}

pub(super) fn surroundings() -> Surroundings {
    Surroundings {
        secrets: Arc::new(LocalSecrets::new(&BTreeMap::new(), None)),
        directory: std::env::temp_dir(),
        environment: Arc::default(),
        http: HttpClient::new().expect("a client"),
        supervisor: crate::bot::MIDWATCH.into(),
    }
}

fn response(status: u16, headers: &str) -> String {
    format!("HTTP/1.1 {status} X\r\n{headers}content-length: 0\r\nconnection: close\r\n\r\n")
}

/// An address that is not on the list, whatever it looks like.
fn address(nth: usize, random: &mut StdRng) -> String {
    let all = OUTSIDE.len() + NAMES.len();
    let host = match OUTSIDE.get(nth % all) {
        Some(address) => spelled(address.parse().expect("an address"), random),
        None => NAMES[nth % all - OUTSIDE.len()].to_owned(),
    };
    let h = host.as_str();
    match random.random_range(0..22) {
        0 => format!("http://shop.test@{h}/"),
        1 => format!("http://shop.test:80@{h}/"),
        2 => format!("http://shop.test%40{h}/"),
        3 => format!("http://{h}\\@shop.test/"),
        4 => format!("http://{h}#@shop.test/"),
        5 => format!("http://{h}?@shop.test/"),
        6 => format!("https://{h}/"),
        7 => format!("http://{h}:8080/"),
        8 => format!("http:{h}/"),
        9 => format!("http:///{h}/"),
        10 => format!("http:\\\\{h}\\"),
        11 => format!("ht\ntp://{h}\t/"),
        12 => format!(" HTTP://{h}:080/"),
        13 => format!(
            "{}://{h}/",
            [
                "ftp",
                "gopher",
                "ws",
                "wss",
                "ldap",
                "dict",
                "file",
                "blob:http"
            ]
            .choose(random)
            .expect("there are some")
        ),
        14 => "http://shop.test:81/".to_owned(),
        15 => "https://shop.test/".to_owned(),
        _ => format!("http://{h}/"),
    }
}

fn spelled(address: IpAddr, random: &mut StdRng) -> String {
    match address {
        IpAddr::V4(v4) => spelled_v4(v4, random),
        IpAddr::V6(v6) => spelled_v6(v6, random),
    }
}

fn spelled_v4(v4: Ipv4Addr, random: &mut StdRng) -> String {
    let whole = u32::from(v4);
    let [a, b, c, d] = v4.octets();
    match random.random_range(0..12) {
        0 => whole.to_string(),
        1 => format!("0x{whole:x}"),
        2 => format!("0{whole:o}"),
        3 => format!("0X{a:X}.0{b:o}.{c}.0x{d:02x}"),
        4 => format!("{a}.{}", whole & 0xff_ffff),
        5 => format!("{a}.{b}.{}", whole & 0xffff),
        6 => format!("{v4}."),
        7 => v4
            .to_string()
            .chars()
            .map(|c| format!("%{:02x}", u32::from(c)))
            .collect(),
        8 => v4.to_string().replace('.', "。"),
        9 => v4.to_string().chars().map(fullwidth).collect(),
        _ => v4.to_string(),
    }
}

fn spelled_v6(v6: Ipv6Addr, random: &mut StdRng) -> String {
    let full: Vec<String> = v6
        .segments()
        .iter()
        .map(|part| format!("{part:04X}"))
        .collect();
    match random.random_range(0..5) {
        0 => format!("[{}]", full.join(":")),
        1 => format!("[{v6}%25lo]"),
        _ => format!("[{v6}]"),
    }
}

fn fullwidth(c: char) -> char {
    char::from_u32(u32::from(c) + 0xfee0)
        .filter(|_| c.is_ascii_digit())
        .unwrap_or(c)
}
