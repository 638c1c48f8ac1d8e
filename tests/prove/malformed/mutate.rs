//! How a payload is spoilt: in its structure, in its form, in its bytes, and on its way.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::{IndexedMutRandom, IndexedRandom, SliceRandom};

use super::tree::{Tree, encoded};

type InTree = fn(&mut Tree, &mut StdRng);
type InBytes = fn(&mut Vec<u8>, &mut StdRng);

/// Where moments stand.
const MOMENTS: &[&str] = &[
    "ts",
    "event_ts",
    "action_ts",
    "message_ts",
    "thread_ts",
    "event_time",
];
/// Where stands what people say.
const WORDS: &[&str] = &["text", "value", "private_metadata", "user", "channel"];

/// Spoilt as a structure.
pub(super) const STRUCTURE: &[(&str, InTree)] = &[
    ("a key removed", |tree, random| {
        if let Some(members) = tree.any_members(random) {
            members.remove(random.random_range(0..members.len()));
        }
    }),
    ("a key twice", |tree, random| {
        let other = tree.any(random).clone();
        if let Some(members) = tree.any_members(random) {
            let (key, value) = members.choose(random).expect("not empty").clone();
            let value = if random.random() { value } else { other };
            let at = random.random_range(0..=members.len());
            members.insert(at, (key, value));
        }
    }),
    ("a key renamed", |tree, random| {
        if let Some(members) = tree.any_members(random) {
            let (key, _) = members.choose_mut(random).expect("not empty");
            *key = match random.random_range(0..6) {
                0 => key.to_uppercase(),
                1 => format!("{key} "),
                2 => format!("{key}\0"),
                3 => String::new(),
                4 => key.replace(['a', 'e', 'o'], "\u{430}"),
                _ => key.repeat(random.random_range(2..2_000)),
            };
        }
    }),
    ("a null", |tree, random| {
        *tree.any(random) = Tree::raw("null")
    }),
    ("another type", |tree, random| {
        let values = [
            "true",
            "false",
            "0",
            "99999999999999",
            "-9223372036854775808",
            "-1",
            "1.5",
            "[]",
            "{}",
            "\"\"",
            "[[]]",
            "{\"id\":{}}",
            "[null]",
            "17",
        ];
        *tree.any(random) = Tree::raw(values.choose(random).expect("some"));
    }),
    ("nested deeply", |tree, random| {
        let depth = *[100, 126, 127, 128, 129, 1_000, 20_000]
            .choose(random)
            .expect("some");
        let (open, close) = *[("[", "]"), ("{\"a\":", "}"), ("[{\"type\":", "}]")]
            .choose(random)
            .expect("some");
        *tree.any(random) =
            Tree::Raw(format!("{}1{}", open.repeat(depth), close.repeat(depth)).into());
    }),
    ("nested deeply and not closed", |tree, random| {
        *tree.any(random) = Tree::Raw("[".repeat(random.random_range(1_000..100_000)).into());
    }),
    ("a huge text", |tree, random| {
        let piece = *[
            "a",
            "é",
            "\u{1f600}",
            "\n",
            "\"",
            "<",
            "`",
            "/ops ",
            "\u{202e}",
            "x ",
        ]
        .choose(random)
        .expect("some");
        let longest = *[5_000, 60_000, 250_000].choose(random).expect("some");
        *tree.any(random) =
            Tree::Text(piece.repeat(random.random_range(1_000..longest) / piece.len()));
    }),
    ("a huge number", |tree, random| {
        let numbers = [
            "1e999".to_owned(),
            "-1e999".to_owned(),
            "1e-999".to_owned(),
            "9".repeat(400),
            "-0".to_owned(),
            "-0.0".to_owned(),
            "18446744073709551616".to_owned(),
            "9223372036854775807".to_owned(),
            "-9223372036854775808".to_owned(),
            format!("0.{}1", "0".repeat(5_000)),
            format!("1{}", "0".repeat(50_000)),
            "1E+2".to_owned(),
            "01".to_owned(),
            "+1".to_owned(),
            "0x10".to_owned(),
            "NaN".to_owned(),
            "Infinity".to_owned(),
            "1.".to_owned(),
            ".5".to_owned(),
            "253402300800".to_owned(),
            "-377705116801".to_owned(),
        ];
        let number = numbers.choose(random).expect("some");
        *tree.any(random) = if random.random() {
            Tree::raw(number)
        } else {
            Tree::Text(number.clone())
        };
    }),
    ("a lone surrogate", |tree, random| {
        let pieces = [
            "\\ud800",
            "\\udfff",
            "\\udc00\\ud800",
            "\\ud83d",
            "\\ud83dx",
            "\\uD83D\\u0041",
            "a\\udbff\"",
        ];
        let piece = pieces.choose(random).expect("some");
        *tree.any(random) = Tree::Raw(format!("\"{piece}\"").into());
    }),
    ("a broken escape", |tree, random| {
        let pieces = [
            "\\x41", "\\u12", "\\u{41}", "\\", "\\'", "\\0", "\\uZZZZ", "\\\n",
        ];
        let piece = pieces.choose(random).expect("some");
        *tree.any(random) = Tree::Raw(format!("\"{piece}\"").into());
    }),
    ("a NUL", |tree, random| {
        let texts = ["\0", "a\0b", "U0BO\0", "\0\0\0", "mark\0 x", "C10\0"];
        let text = *texts.choose(random).expect("some");
        *tree.any(random) = match random.random_range(0..3) {
            0 => Tree::Raw([b"\"", text.as_bytes(), b"\""].concat()),
            _ => Tree::Text(text.to_owned()),
        };
    }),
    ("line breaks", |tree, random| {
        let texts = [
            "a\r\nb",
            "\n",
            "\r",
            "x-slack: 1\r\n\r\n",
            "list\nlist",
            "\u{2028}\u{2029}\u{85}",
        ];
        let text = *texts.choose(random).expect("some");
        *tree.any(random) = match random.random_range(0..3) {
            0 => Tree::Raw([b"\"", text.as_bytes(), b"\""].concat()),
            _ => Tree::Text(text.to_owned()),
        };
    }),
    ("a list for an object", |tree, random| {
        let part = tree.any(random);
        *part = match std::mem::replace(part, Tree::List(Vec::new())) {
            Tree::Map(members) => Tree::List(members.into_iter().map(|(_, value)| value).collect()),
            Tree::List(items) => {
                let numbered = items.into_iter().enumerate();
                Tree::Map(numbered.map(|(n, item)| (n.to_string(), item)).collect())
            }
            other => Tree::List(vec![other]),
        };
    }),
    ("an unknown word", |tree, random| {
        let words = [
            "block_actionz",
            "event_callbacks",
            "BUTTON",
            "url_verification",
            "app_home_opened",
            "message_deleted",
            "view_submission",
            "block_actions",
            "slash_commands",
            "bot_message",
            "im",
            "midwatch_form",
            "message",
        ];
        *tree.any(random) = Tree::Text((*words.choose(random).expect("some")).to_owned());
    }),
    ("a known word in the place of the type", |tree, random| {
        let words = [
            "block_actions",
            "view_submission",
            "event_callback",
            "url_verification",
            "app_mention",
            "message",
            "message_changed",
            "view_closed",
            "shortcut",
            "button",
            "static_select",
        ];
        let word = (*words.choose(random).expect("some")).to_owned();
        let members = tree.any_members(random).into_iter().flatten();
        members
            .filter(|(key, _)| key == "type" || key == "subtype")
            .for_each(|(_, value)| *value = Tree::Text(word.clone()));
    }),
    ("an empty value", |tree, random| {
        let values = ["\"\"", "[]", "{}", "\" \"", "\"\\t\""];
        *tree.any(random) = Tree::raw(values.choose(random).expect("some"));
    }),
    ("a value from elsewhere", |tree, random| {
        let other = tree.any(random).clone();
        *tree.any(random) = other;
    }),
    ("wrapped", |tree, random| {
        let part = tree.any(random);
        let inner = std::mem::replace(part, Tree::raw("0"));
        *part = if random.random() {
            Tree::List(vec![inner])
        } else {
            Tree::Map(vec![("value".to_owned(), inner)])
        };
    }),
    ("text where structure was", |tree, random| {
        let part = tree.any(random);
        let text = String::from_utf8_lossy(&part.bytes()).into_owned();
        *part = Tree::Text(text);
    }),
    ("very many items", |tree, random| {
        let item = *[
            "{}",
            "[]",
            "null",
            "\"\"",
            "{\"type\":\"button\"}",
            "{\"a\":[{}]}",
        ]
        .choose(random)
        .expect("some");
        let items = vec![item; random.random_range(100..20_000)];
        *tree.any(random) = Tree::Raw(format!("[{}]", items.join(",")).into());
    }),
    ("very many keys", |tree, random| {
        let keys: Vec<String> = (0..random.random_range(100..5_000))
            .map(|n| format!("\"k{n}\":{n}"))
            .collect();
        *tree.any(random) = Tree::Raw(format!("{{{}}}", keys.join(",")).into());
    }),
];

/// Spoilt where we read closely: what people say, and when they said it.
pub(super) const MEANING: &[(&str, InTree)] = &[
    ("a moment that is none", |tree, random| {
        let moments = [
            "0",
            "99999999999999",
            "-9223372036854775808",
            "-1",
            "1e9",
            "1595926230",
            "1595926230.",
            ".5",
            "1595926230.0000000000",
            "99999999999999.999999",
            "-9223372036854775808.000000",
            "1595926230.00960a",
            "\u{661}.\u{662}",
            "1595926230.009600.1",
        ];
        let moment = *moments.choose(random).expect("some");
        let number = Tree::raw(moment);
        let part = tree.any_of(MOMENTS, random);
        *part = if matches!(part, Tree::Raw(_)) {
            number
        } else {
            Tree::Text(moment.to_owned())
        };
    }),
    ("odd words", |tree, random| {
        let words = [
            "mark \"",
            "mark 'a",
            "mark “x”",
            "`mark a`",
            "``",
            "```",
            "mark tag=",
            "mark tag=\"a\nb\"",
            "mark --tag",
            "mark -- --tag",
            "mark tag=x tag=y",
            "mark project=yard/here x",
            "show",
            "show \u{202e}7f3k",
            "approve 7f3k 7f3k",
            "reject 7f3k <!channel>",
            "settle x maybe",
            "may --as bo mark x --at 99:99",
            "help help help",
            "runbook yard ```",
            "<@UBOT>",
            "<@UBOT",
            "<@UBOT|>",
            "<@UBOT> <@UBOT> mark x",
            "&amp;&lt;&gt;&",
            "<!date^1^{date}|x>",
            "<http://a|b>",
            "<>",
            "<|>",
            "<@|>",
            "<#C1|",
            "&#60;",
            "mark \u{0}",
            "mark \u{200b}",
            "\u{feff}mark x",
            "ｍark x",
            "mark x\u{301}\u{301}\u{301}",
            "—again",
            "mark –tag x",
            "/ops /ops mark x",
        ];
        let word = words.choose(random).expect("some");
        let times = *[1, 1, 1, 50].choose(random).expect("some");
        let lead = *["", "<@UBOT> "].choose(random).expect("two");
        *tree.any_of(WORDS, random) = Tree::Text(format!("{lead}{}", word.repeat(times)));
    }),
    ("odd characters within words", |tree, random| {
        if let Tree::Text(text) = tree.any_of(WORDS, random) {
            for _ in 0..random.random_range(1..6) {
                let piece = *[
                    "&",
                    "&é",
                    "<é",
                    "<\u{1f600}>",
                    "&\u{301}",
                    "<@é|",
                    "<",
                    ">",
                    "é",
                    "\u{1f600}",
                    "`",
                    "\"",
                    "'",
                    "\\",
                    "\u{202e}",
                    "@",
                    "|",
                    "!",
                    "^",
                    "=",
                    "--",
                    "—",
                    "\0",
                    "\n",
                    "“",
                    "\u{a0}",
                ]
                .choose(random)
                .expect("some");
                let at = text.floor_char_boundary(random.random_range(0..=text.len()));
                text.insert_str(at, piece);
            }
        }
    }),
];

/// Spoilt as a form: for what comes percent-encoded.
pub(super) const FORM: &[(&str, InBytes)] = &[
    ("a field twice", |form, random| {
        let mut fields = fields(form);
        let field = fields.choose(random).expect("at least one").clone();
        fields.insert(random.random_range(0..=fields.len()), field);
        *form = fields.join(&b'&');
    }),
    ("a field twice, differently", |form, random| {
        let mut fields = fields(form);
        let name = fields
            .choose(random)
            .expect("at least one")
            .split(|b| *b == b'=')
            .next()
            .unwrap_or_default()
            .to_vec();
        fields.insert(
            random.random_range(0..=fields.len()),
            [name.as_slice(), b"=%7B%7D"].concat(),
        );
        *form = fields.join(&b'&');
    }),
    ("a field gone", |form, random| {
        let mut fields = fields(form);
        fields.remove(random.random_range(0..fields.len()));
        *form = fields.join(&b'&');
    }),
    ("fields in another order", |form, random| {
        let mut fields = fields(form);
        fields.shuffle(random);
        *form = fields.join(&b'&');
    }),
    ("a broken percent", |form, random| {
        let pieces: [&[u8]; 9] = [
            b"%",
            b"%zz",
            b"%e2%28%a1",
            b"%00",
            b"%ff%fe",
            b"%f0%9f%98",
            b"%u0041",
            b"%%%",
            b"%ed%a0%80",
        ];
        let at = random.random_range(0..=form.len());
        form.splice(at..at, pieces.choose(random).expect("some").iter().copied());
    }),
    ("separators", |form, random| {
        let pieces: [&[u8]; 7] = [
            b"&&&&",
            b"=",
            b"&=&",
            b";",
            b"&payload",
            b"&payload=",
            b"&payload[]=x",
        ];
        let at = *[0, form.len()].choose(random).expect("two");
        form.splice(at..at, pieces.choose(random).expect("some").iter().copied());
    }),
    ("another form's field", |form, random| {
        let more: [&[u8]; 5] = [
            b"&ssl_check=1",
            b"&payload=%7B%22type%22%3A%22block_actions%22%7D",
            b"&text=help",
            b"&user_id=",
            b"&channel_id=C10&channel_id=C11",
        ];
        form.extend(*more.choose(random).expect("some"));
    }),
    ("very many fields", |form, random| {
        for number in 0..random.random_range(100..20_000) {
            form.extend(format!("&f{number}=").bytes());
        }
    }),
    ("no encoding", |form, _| {
        *form = url::form_urlencoded::parse(form)
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
            .join("&")
            .into_bytes();
    }),
    ("encoded twice", |form, _| *form = encoded(form)),
    ("many parts", |form, _| {
        let parts = [
            b"--x\r\nContent-Disposition: form-data; name=\"payload\"\r\n\r\n".as_slice(),
            form,
            b"\r\n--x--\r\n",
        ];
        *form = parts.concat();
    }),
];

/// Spoilt as bytes.
pub(super) const BYTES: &[(&str, InBytes)] = &[
    ("truncated", |bytes, random| {
        bytes.truncate(random.random_range(0..=bytes.len()))
    }),
    ("empty", |bytes, _| bytes.clear()),
    ("a bit flipped", |bytes, random| {
        for _ in 0..random.random_range(1..4) {
            if !bytes.is_empty() {
                let at = random.random_range(0..bytes.len());
                bytes[at] ^= 1 << random.random_range(0..8);
            }
        }
    }),
    ("not UTF-8", |bytes, random| {
        let pieces: [&[u8]; 7] = [
            b"\xff",
            b"\xc0\x80",
            b"\xed\xa0\x80",
            b"\xe2\x82",
            b"\xf4\x90\x80\x80",
            b"\xfe\xff",
            b"\x80\x80\x80",
        ];
        let at = random.random_range(0..=bytes.len());
        bytes.splice(at..at, pieces.choose(random).expect("some").iter().copied());
    }),
    ("a piece gone", |bytes, random| {
        let from = random.random_range(0..=bytes.len());
        let to = random.random_range(from..=bytes.len()).min(from + 200);
        bytes.drain(from..to);
    }),
    ("a piece twice", |bytes, random| {
        let from = random.random_range(0..=bytes.len());
        let to = random.random_range(from..=bytes.len()).min(from + 200);
        let piece = bytes[from..to].to_vec();
        bytes.splice(to..to, piece);
    }),
    ("NUL bytes", |bytes, random| {
        let at = random.random_range(0..=bytes.len());
        bytes.splice(at..at, vec![0; random.random_range(1..20)]);
    }),
    ("a mark at its beginning", |bytes, _| {
        drop(bytes.splice(0..0, *b"\xef\xbb\xbf"))
    }),
    ("rubbish after it", |bytes, random| {
        let pieces: [&[u8]; 6] = [b"{}", b"x", b"]", b"}}}}", b"\0", b"\n{\"type\":\"hello\"}"];
        bytes.extend(*pieces.choose(random).expect("some"));
    }),
    ("UTF-16", |bytes, _| {
        *bytes = String::from_utf8_lossy(bytes)
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
    }),
    ("much white space", |bytes, random| {
        let at = *[0, bytes.len()].choose(random).expect("two");
        let blank = *b" \n\t\r".choose(random).expect("some");
        bytes.splice(at..at, vec![blank; random.random_range(1_000..400_000)]);
    }),
    ("any bytes", |bytes, random| {
        *bytes = (0..random.random_range(1..5_000))
            .map(|_| random.random())
            .collect();
    }),
    ("quotes and brackets", |bytes, random| {
        *bytes = (0..random.random_range(1..3_000))
            .map(|_| *b"[]{}\",:\\0-e&=%".choose(random).expect("some"))
            .collect();
    }),
];

/// As large as the limit, one byte more, and much more.
pub(super) const SIZES: &[usize] = &[(1 << 20) - 1, 1 << 20, (1 << 20) + 1, 1_500_000, 3_000_000];

/// Blows it up to one of the sizes, so that it stays readable where it was.
pub(super) fn fill(bytes: &mut Vec<u8>, is_json: bool, random: &mut StdRng) {
    let size = *SIZES.choose(random).expect("some");
    let more = size.saturating_sub(bytes.len());
    if is_json {
        bytes.extend(vec![b' '; more]);
    } else if more > 3 {
        bytes.extend(b"&z=");
        bytes.extend(vec![b'z'; more - 3]);
    }
}

fn fields(form: &[u8]) -> Vec<Vec<u8>> {
    form.split(|byte| *byte == b'&')
        .map(<[u8]>::to_vec)
        .collect()
}
