//! Our Discord alone, for trials by hand and for clients of others: `cargo test --test prove -- --as discord [PORT]`.
//!
//! Prints its address, the bot's token and its public key, then takes a command a line, such as
//! `say general alice hello`, and answers each with a line of JSON. Channels and people have their names or ids; `help`
//! lists the commands. It ends with its input.

use std::ffi::OsString;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

use crate::fakes::discord::{
    ALICE, APP, BEN, BOT_TOKEN, BOT_USER, CLEO, FakeDiscord, GENERAL, GUILD, HERMIT, HIDDEN, OPS,
    Posted, STRANGER, Scope, VOICE,
};

const NAMES: [(&str, &str); 11] = [
    ("general", GENERAL),
    ("ops", OPS),
    ("hidden", HIDDEN),
    ("voice", VOICE),
    ("guild", GUILD),
    ("alice", ALICE),
    ("ben", BEN),
    ("cleo", CLEO),
    ("hermit", HERMIT),
    ("stranger", STRANGER),
    ("bot", BOT_USER),
];

const HELP: &[&str] = &[
    "say CHANNEL USER TEXT, mention CHANNEL USER TEXT, dm USER TEXT, edit MESSAGE TEXT, delete MESSAGE",
    "slash CHANNEL USER COMMAND [NAME=VALUE…], typing CHANNEL USER COMMAND NAME=TEXT",
    "click MESSAGE USER LABEL, submit USER [NAME=VALUE…]: the form that this person opened last",
    "interaction KIND CHANNEL USER JSON: any data; event NAME JSON; raw JSON: any frame",
    "http URL: interactions go there from now on; gateway: over the gateway again",
    "reconnect, invalidate true|false, cut, beat: what the gateway asks or does",
    "refuse CALLS user|global|shared|cloudflare SECONDS, fail CALLS, allow CHANNEL BITS, unlimited",
    "messages CHANNEL, whispers USER, commands, keep, bodies, calls METHOD PATTERN, state",
];

pub(crate) fn discord(arguments: &[OsString]) {
    let port = arguments.first().and_then(|port| port.to_str());
    let port = port.map_or(0, |port| port.parse().expect("a port"));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(serve(port));
}

async fn serve(port: u16) {
    let fake = FakeDiscord::start_at(port).await;
    let begins = json!({ "api": fake.api_url(), "token": BOT_TOKEN, "public_key": fake.public_key(), "application": APP,
                         "names": NAMES.into_iter().collect::<std::collections::BTreeMap<_, _>>() });
    println!("{begins}");
    let mut lines = BufReader::new(stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if !line.trim().is_empty() {
            // A task of its own: what can't be done panics, as in a test.
            let fake = fake.clone();
            let mut task = tokio::task::JoinSet::new();
            task.spawn(async move { obeyed(&fake, line.trim()).await });
            let answer = task.join_next().await.and_then(Result::ok);
            let answer = answer.unwrap_or_else(|| json!({ "error": "see above" }));
            println!("{answer}");
        }
    }
}

/// Does what a line says; what it answers is `{}`, or what was asked for.
async fn obeyed(fake: &FakeDiscord, line: &str) -> Value {
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    let [one, two, three] = words::<3>(rest);
    let number = |text: &str| text.parse::<usize>().expect("a number");
    match verb {
        "edit" => {
            let message = fake.message(one).expect("a message");
            fake.edit(&message, words::<2>(rest)[1]);
        }
        "delete" => fake.delete(one),
        "event" => {
            let [name, data] = words::<2>(rest);
            fake.tell_event(name, &serde_json::from_str(data).expect("an event in JSON"));
        }
        "raw" => fake.send_raw(rest),
        "http" => fake.use_http(one),
        "gateway" => fake.use_gateway(),
        "reconnect" => fake.ask_reconnect(),
        "invalidate" => fake.invalidate_sessions(one == "true"),
        "cut" => fake.cut_gateway(),
        "beat" => fake.ask_heartbeat(),
        "refuse" => {
            let scope = match two {
                "global" => Scope::Global,
                "shared" => Scope::Shared,
                "cloudflare" => Scope::Cloudflare,
                _ => Scope::User,
            };
            let wait = Duration::from_secs_f64(three.parse().expect("seconds"));
            fake.refuse_next_as(number(one), scope, wait);
        }
        "fail" => fake.fail_next(number(one)),
        "allow" => fake.allow(one, two.parse().expect("permissions")),
        "unlimited" => fake.keep_pace(false),
        "keep" => fake.keep_bodies(),
        _ => return answered(fake, verb, rest).await,
    }
    json!({})
}

async fn answered(fake: &FakeDiscord, verb: &str, rest: &str) -> Value {
    let [one, two, three] = words::<3>(rest);
    let pairs = |nth: usize| -> Vec<(&str, &str)> {
        let words = rest.split(' ').skip(nth);
        words.filter_map(|pair| pair.split_once('=')).collect()
    };
    let command = three.split(' ').next().unwrap();
    match verb {
        "say" => shown(&fake.say(one, two, three)),
        "mention" => shown(&fake.mention(one, two, three)),
        "dm" => shown(&fake.direct_message(one, words::<2>(rest)[1])),
        "slash" => told(&fake.slash(one, two, command, &pairs(3)).await.seen),
        "typing" => {
            let mut options = pairs(3);
            let focused = options.pop().expect("an option in which is typed");
            let offered = fake.autocomplete(one, two, command, &options, focused);
            json!(offered.await)
        }
        "click" => {
            let message = fake.message(one).expect("a message");
            told(&fake.click(&message, three, two).await.seen)
        }
        "submit" => {
            let form = fake.modals(one).pop().expect("a form");
            told(&fake.submit(&form, &pairs(1)).await.seen)
        }
        "interaction" => {
            let [kind, channel, user, data] = words::<4>(rest);
            let data = serde_json::from_str(data).expect("data in JSON");
            let kind = kind.parse().expect("a kind of interaction");
            let payload = fake.payload_of(kind, channel, user, data);
            told(&fake.deliver(&payload).await.seen)
        }
        "messages" => fake.messages(one).iter().map(shown).collect(),
        "whispers" => fake.whispers(one).iter().map(shown).collect(),
        "commands" => json!(fake.commands(GUILD)),
        "bodies" => json!(fake.bodies()),
        "calls" => json!(fake.calls(one, two)),
        "state" => {
            let refusals = fake.refusals();
            let refusals = refusals
                .iter()
                .map(|it| json!([it.route, it.status, it.code]));
            json!({ "violations": fake.violations(), "sessions": fake.sessions(), "listening": fake.listening(),
                    "identifies": fake.identifies(), "resumed": fake.resumed(), "heartbeats": fake.heartbeats(),
                    "refusals": refusals.collect::<Vec<_>>() })
        }
        _ => json!(HELP),
    }
}

/// The first words, by their ids where they name something; the last has all the rest, and what is missing is empty.
fn words<const COUNT: usize>(rest: &str) -> [&str; COUNT] {
    let mut words = rest.splitn(COUNT, ' ').map(named);
    std::array::from_fn(|_| words.next().unwrap_or_default())
}

fn named(word: &str) -> &str {
    let known = NAMES.iter().find(|(name, _)| *name == word);
    known.map_or(word, |(_, id)| id)
}

fn shown(message: &Posted) -> Value {
    json!({ "id": message.id, "channel": message.channel, "author": message.author, "text": message.text(),
            "kind": message.kind, "flags": message.flags, "edits": message.edits, "only_for": message.only_for,
            "reactions": message.reactions, "refers_to": message.refers_to })
}

fn told(seen: &crate::fakes::discord::Seen) -> Value {
    use crate::fakes::discord::Seen;
    match seen {
        Seen::Message(message) | Seen::Whisper(message) => {
            json!({ "seen": "message", "message": shown(message) })
        }
        Seen::Form(form) => json!({ "seen": "form", "form": form.modal }),
        Seen::Choices(choices) => json!({ "seen": "choices", "choices": choices }),
        Seen::Thinking { whispered } => json!({ "seen": "thinking", "whispered": whispered }),
        Seen::Waiting => json!({ "seen": "waiting" }),
        Seen::Unanswered => json!({ "seen": "unanswered" }),
        Seen::Nothing => json!({ "seen": "nothing" }),
    }
}
