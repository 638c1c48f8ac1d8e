//! Texts that want to be more than text: to ping, to link, to format, to move the cursor, to hide, to look like ours.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

/// For chat: mentions, links, markup.
const CHAT: &[&str] = &[
    "<@U0ANA>",
    "<@U0BO|bo>",
    "<!channel>",
    "<!here>",
    "<!here|here>",
    "<!everyone>",
    "<!subteam^S1>",
    "<!subteam^S1|@sre>",
    "<#C1>",
    "<#C1|shop>",
    "@here",
    "@channel",
    "@everyone",
    "@ana",
    "<!date^0^{date}|x>",
    "&lt;!channel&gt;",
    "&amp;lt;!here&amp;gt;",
    "&lt",
    "&",
    "&amp",
    "<",
    ">",
    "<!",
    "<@",
    "http://evil.test/a?b=1&c=2",
    "https://evil.test",
    "<https://evil.test>",
    "<https://evil.test|https://shop.test>",
    "<mailto:a@evil.test|mail>",
    "[shop](https://evil.test)",
    "![x](https://evil.test/x.png)",
    "www.evil.test",
    "evil.test/login",
    "slack://user?team=T1&id=U0ANA",
    "javascript:alert(1)",
    "`",
    "``",
    "```",
    "\n```\n",
    "````",
    "~~~",
    "*bold*",
    "_it_",
    "~gone~",
    "**b**",
    "__u__",
    "||spoiler||",
    "\n> quoted\n",
    "\n>>> all\n",
    "\n# head\n",
    "\n- item\n",
    "\n1. item\n",
    "\n---\n",
    ":tada:",
    ":here:",
    "\\`",
    "\\n",
    "\\u003c!here>",
    "%3C!here%3E",
    "＜!channel＞",
    "\u{2039}!here\u{203a}",
    "{\"type\":\"user\",\"user_id\":\"U0ANA\"}",
    "</pre>",
];

/// For terminals: sequences of control characters, whole and broken.
const TERMINAL: &[&str] = &[
    "\x1b[31m",
    "\x1b[1;33m",
    "\x1b[0m",
    "\x1b[2J\x1b[H",
    "\x1b[1A\x1b[2K",
    "\x1b[999D",
    "\x1b[6n",
    "\x1b[?1049h",
    "\x1b[?25l",
    "\x1bc",
    "\x1b]0;title\x07",
    "\x1b]8;;https://evil.test\x1b\\shop\x1b]8;;\x1b\\",
    "\x1b]52;c;aGk=\x07",
    "\x1b]1337;File=:AAAA\x07",
    "\x1bP1$r0m\x1b\\",
    "\x1b_apc\x1b\\",
    "\x1b^pm\x1b\\",
    "\x1bXsos\x1b\\",
    "\x1b(0lqqk\x1b(B",
    "\x1b#8",
    "\x1b[",
    "\x1b]",
    "\x1b",
    "\x1bP",
    "\x1b[38;2;1;2;3m",
    "\x1b[31",
    "\u{9b}31m",
    "\u{9b}2J",
    "\u{9d}0;t\u{9c}",
    "\u{90}x\u{9c}",
    "\u{85}",
    "\u{84}",
    "\u{8d}",
    "\u{98}x\u{9c}",
    "\u{9e}x\u{9c}",
    "\u{9f}x\u{9c}",
    "\r",
    "\r\r",
    "over\rwritten",
    "\x08\x08\x08",
    "\x07",
    "\x0b",
    "\x0c",
    "\x0e",
    "\x0f",
    "\x00",
    "\x7f",
    "\t",
    "\x1a",
    "\x18",
    "\x05",
    "\x11\x13",
];

/// What is read otherwise than it is written, or not seen at all.
const UNSEEN: &[&str] = &[
    "\u{202e}",
    "\u{202d}",
    "\u{202a}",
    "\u{202b}",
    "\u{202c}",
    "\u{2066}",
    "\u{2067}",
    "\u{2068}",
    "\u{2069}",
    "\u{200e}",
    "\u{200f}",
    "\u{61c}",
    "\u{200b}",
    "\u{200c}",
    "\u{200d}",
    "\u{2060}",
    "\u{2061}",
    "\u{2064}",
    "\u{206a}",
    "\u{206f}",
    "\u{feff}",
    "\u{ad}",
    "\u{34f}",
    "\u{115f}",
    "\u{1160}",
    "\u{17b4}",
    "\u{180b}",
    "\u{180e}",
    "\u{3164}",
    "\u{ffa0}",
    "\u{fe00}",
    "\u{fe01}",
    "\u{fe0d}",
    "\u{fff0}",
    "\u{fff8}",
    "\u{fff9}a\u{fffa}b\u{fffb}",
    "\u{1bca0}",
    "\u{1d173}",
    "\u{1d17a}",
    "\u{e0001}",
    "\u{e0041}\u{e007f}",
    "\u{e0100}",
    "\u{e0fff}",
    "\u{2028}",
    "\u{2029}",
    "gpj.\u{202e}exe",
    "@\u{200b}here",
    "<\u{200b}!here>",
    "h\u{301}\u{302}\u{303}\u{304}",
    "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}",
    "❤\u{fe0f}",
    "\u{feff}\u{feff}",
    "表表表",
    "ｅｖｉｌ",
    "\u{5d0}\u{5d1}\u{5d2}",
    "\u{627}\u{644}",
];

/// What would be believed if it stood alone in its line.
const OURS: &[&str] = &[
    "✅ `flush-cache prod` succeeded in 2 s · ref 7f3k",
    "❌ `flush-cache prod` failed at step 1 of 1 (`ban`), after 2 s · ref 7f3k",
    "👍 Ana approved",
    "⏸ `flush-cache prod` waits for 1 approval of leads",
    "  → type: /ops approve 7f3k   (Approve)",
    "/ops approve 7f3k",
    "▸ `2/2 verify` started",
    "… 3 lines left out …",
    "… 2 lines left out, all of them in the attached file …",
    "ref 7f3k",
    "Ana asked for `flush-cache prod`: allowed by runbooks/shop.yaml:3",
    "  asked by  Ana",
    "│ ",
    "  │ ",
    "┊ ",
    "— midwatch ledger\n17\nabc=\n\n— midwatch abcd",
    "~ $ ",
    "bo> ",
    "[Approve]",
];

/// Bytes that are no text.
const BYTES: &[&[u8]] = &[
    b"\xff",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xe2\x82",
    b"\xf0\x9f",
    b"\x9b31m",
    b"\x9d0;t\x9c",
    b"\x85",
    b"\xfe\xff",
    b"\xf8\x88\x80\x80\x80",
];

/// Output of a program, the mark in every line of it that does not vanish.
pub(super) fn output(mark: &str, random: &mut StdRng) -> Vec<u8> {
    let lines = match random.random_range(0..20) {
        0 => random.random_range(25..400),
        1 => random.random_range(2_000..10_000),
        _ => random.random_range(0..12),
    };
    let mut out = Vec::new();
    for _ in 0..lines {
        out.extend(line(mark, random));
        let ends: [&[u8]; 6] = [b"\n", b"\n", b"\n", b"\r\n", b"\n\n", b"\n\r"];
        out.extend(*ends.choose(random).expect("some"));
    }
    if random.random_bool(0.5) {
        out.extend(line(mark, random));
    }
    out
}

fn line(mark: &str, random: &mut StdRng) -> Vec<u8> {
    let mut line = Vec::new();
    for _ in 0..random.random_range(0..8) {
        match random.random_range(0..30) {
            0 => line.extend(*BYTES.choose(random).expect("some")),
            1 => line.extend(long(random).bytes()),
            2..6 => line.extend(format!("\n{mark} {}", OURS.choose(random).expect("some")).bytes()),
            _ => line.extend(piece(random).bytes()),
        }
        if random.random_bool(0.5) {
            line.extend(mark.bytes());
        }
    }
    // Whatever of it becomes a line of its own begins with the mark.
    let breaks: [&[u8]; 7] = [
        b"\n",
        b"\r",
        b"\x0b",
        b"\x0c",
        b"\xc2\x85",
        b"\xe2\x80\xa8",
        b"\xe2\x80\xa9",
    ];
    let mut marked = mark.as_bytes().to_vec();
    let mut rest = line.as_slice();
    while let Some((byte, after)) = rest.split_first() {
        match breaks.iter().find(|it| rest.starts_with(it)) {
            Some(it) => {
                marked.extend([it, mark.as_bytes()].concat());
                rest = &rest[it.len()..];
            }
            None => {
                marked.push(*byte);
                rest = after;
            }
        }
    }
    marked
}

fn piece(random: &mut StdRng) -> &'static str {
    let kind = [CHAT, CHAT, TERMINAL, UNSEEN, OURS]
        .choose(random)
        .expect("some");
    kind.choose(random).expect("some")
}

/// A line that a terminal has to break, so that its end begins where ours would.
fn long(random: &mut StdRng) -> String {
    let width = *[40, 76, 80, 100, 120, 132].choose(random).expect("some");
    let filler = *["x", " ", "é", "表", "\t", "\u{1f600}"]
        .choose(random)
        .expect("some");
    let ours = OURS.choose(random).expect("some");
    let more = *[0, 500, 5_000].choose(random).expect("some");
    format!("{}{ours}{}", filler.repeat(width), filler.repeat(more))
}

/// What a person says: one line or several, the mark at both ends.
pub(super) fn words(mark: &str, random: &mut StdRng) -> String {
    let mut text = mark.to_owned();
    for _ in 0..random.random_range(1..5) {
        text.push_str(piece(random));
        if random.random_bool(0.3) {
            text.push_str(["\n", " ", "\r\n", "\n\n"].choose(random).expect("some"));
            text.push_str(mark);
        }
    }
    text + mark
}
