//! The real program: steps that print hostile bytes, people with hostile names who say hostile things, in Slack, in Discord
//! and at the console.

use std::time::Duration;

use rand::rngs::StdRng;

use super::judge::{self, Marks};
use super::markdown;
use super::words::{output, words};
use crate::bot::Home;
use crate::fakes::discord::{
    self as fake_discord, ALICE, BEN, FakeDiscord, GUILD, Posted as DiscordPosted,
};
use crate::fakes::slack::{BOT_TOKEN, BOT_USER, FakeSlack, Posted, SIGNING_SECRET, render};

/// Who asks, and who refuses.
const BO: &str = "U0BO";
const ANA: &str = "U0ANA";
/// How long a thread may take to be told, at a message a second.
const PATIENCE: Duration = Duration::from_secs(90);

/// One half, some time later the other: the root message shows what there is in between.
const PRINT: &str = r#"size=$(wc -c < "out/$1")
half=$((size / 2))
head -c "$half" "out/$1"
sleep 0.7
tail -c +$((half + 1)) "out/$1"
exit $(($1 % 2))
"#;

/// The proof's own files. Names of people as they stand in YAML, quotes included.
pub(super) fn home(channels: u32, ana: &str, bo: &str) -> Home {
    let names: Vec<String> = (0..channels)
        .map(|it| format!("{}, \"{}\"", channel(it), discord_channel(it)))
        .collect();
    let runbook = format!(
        "project: yard\nabout: The proof's own.\nowner: all\nchannels: [{}]\nenvironments: {{ here: {{}} }}\nrules:\n\
         \x20 - {{ may: print, who: all }}\n  - {{ may: plead, who: all, after: {{ approvals: 1, of: leads, within: 15m }} }}\n\
         \x20 - otherwise: ask ana\nescalation:\n  - {{ at: 0m, call: \"@ana\" }}\n",
        names.join(", ")
    );
    let people = format!(
        "people:\n  ana: {{ name: {ana}, slack: {ANA}, discord: \"{ALICE}\" }}\n  bo: {{ name: {bo}, slack: {BO}, discord: \"{BEN}\" }}\ngroups: {{ all: [ana, bo], leads: [ana] }}\n"
    );
    let note = "  note: { type: text, optional: true }\n";
    let print = format!(
        "command: print\ndoes: Prints.\nrisk: low\nundo: none\nparameters:\n  number: {{ type: integer }}\n{note}\
         steps:\n  - {{ name: print, run: [sh, print.sh, \"{{number}}\"], effect: read }}\n"
    );
    let ask = format!(
        "command: plead\ndoes: Waits.\nrisk: low\nundo: none\nparameters:\n{note}steps:\n  - {{ name: nothing, run: [\"true\"], effect: once }}\n"
    );
    Home::of_files(&[
        ("print.sh", PRINT),
        ("runbooks/people.yaml", &people),
        ("runbooks/yard.yaml", &runbook),
        ("commands/print.yaml", &print),
        ("commands/plead.yaml", &ask),
    ])
}

/// A text in YAML's double quotes, whatever it holds.
fn in_yaml(text: &str) -> String {
    let escaped: String = text
        .chars()
        .map(|c| format!("\\U{:08x}", u32::from(c)))
        .collect();
    format!("\"{escaped}\"")
}

fn channel(number: u32) -> String {
    format!("C{}", 10 + number)
}

fn discord_channel(number: u32) -> String {
    (812_000_000_000_000_000 + u64::from(number)).to_string()
}

fn quoted(said: &str) -> String {
    format!("\"{}\"", said.replace('\\', "\\\\").replace('"', "\\\""))
}

fn marks() -> Marks {
    Marks {
        printed: "zqzq".to_owned(),
        said: "swsw".to_owned(),
    }
}

/// As many threads in as many channels. Answers what was seen, or what is wrong.
pub(super) async fn in_slack(threads: u32, random: &mut StdRng) -> Result<String, String> {
    let marks = marks();
    let slack = FakeSlack::start().await;
    let name = |random: &mut StdRng| in_yaml(&words(&marks.said, random));
    let home = home(threads, &name(random), &name(random))
        .setting("SLACK_BOT_TOKEN", BOT_TOKEN)
        .setting("SLACK_SIGNING_SECRET", SIGNING_SECRET)
        .setting("SLACK_API_URL", slack.api_url());
    std::fs::create_dir(home.path("out")).expect("a folder");
    for number in 0..threads {
        slack.add_channel(&channel(number), true);
        std::fs::write(
            home.path(&format!("out/{number}")),
            output(&marks.printed, random),
        )
        .expect("a file");
    }
    let bot = home.serve().await;
    slack.use_http(&bot.url(""));
    for number in 0..threads {
        let note = quoted(&words(&marks.said, random).replace(char::is_control, " "));
        slack
            .slash(BO, &channel(number), &format!("print {number} note={note}"))
            .await;
        let reason = quoted(&words(&marks.said, random));
        slack
            .slash(
                BO,
                &channel(number),
                &format!("plead note={note} reason={reason}"),
            )
            .await;
        slack
            .slash(BO, &channel(number), &words(&marks.said, random))
            .await;
    }
    for number in 0..threads {
        // Its first line: what is said in others may be the very same words.
        let asked = waits(&slack, number, "`plead` waits for", |it| {
            it.thread.is_none() && render(it).starts_with("⏸ `plead` waits for")
        });
        let asked = asked.await;
        let text = render(&asked);
        let reference = text
            .split("ref ")
            .nth(1)
            .and_then(|after| after.split_whitespace().next());
        let reference = reference.expect("the headline ends with it");
        let reason = quoted(&words(&marks.said, random));
        slack
            .slash(
                ANA,
                &channel(number),
                &format!("reject {reference} {reason}"),
            )
            .await;
    }
    for number in 0..threads {
        waits(&slack, number, "rejected it", |it| it.thread.is_some()).await;
        waits(&slack, number, "print", |it| {
            let text = render(it);
            it.thread.is_some()
                && (text.contains("succeeded in") || text.contains("failed at step"))
        })
        .await;
    }
    drop(bot);
    let (mut messages, mut shown, mut files) = (0, 0, 0);
    let of_channels = (0..threads).flat_map(|number| slack.messages(&channel(number)));
    let whispers = [BO, ANA].into_iter().flat_map(|user| slack.whispers(user));
    for message in of_channels.chain(whispers).filter(|it| it.user == BOT_USER) {
        judge::slack(&message, &marks, &[ANA]).map_err(|why| format!("{why}\n{message:?}"))?;
        messages += 1;
        shown += usize::from(judge::shows(&message, &marks));
        files += message.files.len();
    }
    if let Some(violation) = slack.violations().first() {
        return Err(format!("slack: {violation}"));
    }
    if shown == 0 {
        return Err("no thread shows anything of what was printed".to_owned());
    }
    Ok(format!(
        "{messages} messages of the real program in {threads} channels, {shown} with output, {files} files"
    ))
}

async fn waits(slack: &FakeSlack, number: u32, says: &str, is: impl Fn(&Posted) -> bool) -> Posted {
    let channel = channel(number);
    let look = |slack: &FakeSlack| {
        slack
            .messages(&channel)
            .into_iter()
            .find(|it| is(it) && render(it).contains(says))
    };
    slack
        .wait_for(&format!("`{says}` in {channel}"), PATIENCE, look)
        .await
}

/// By which way Discord tells us things: one app has one of them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    Http,
    Gateway,
}

/// As many threads in as many channels of a Discord, which tells us of them over HTTP or over its gateway.
pub(super) async fn in_discord(
    threads: u32,
    door: Door,
    random: &mut StdRng,
) -> Result<String, String> {
    let marks = marks();
    let discord = FakeDiscord::start().await;
    let name = |random: &mut StdRng| in_yaml(&words(&marks.said, random));
    let home = home(threads, &name(random), &name(random))
        .setting("DISCORD_TOKEN", fake_discord::BOT_TOKEN)
        .setting("DISCORD_API_URL", discord.api_url());
    let home = if door == Door::Http {
        home.setting("DISCORD_PUBLIC_KEY", discord.public_key())
    } else {
        home
    };
    std::fs::create_dir(home.path("out")).expect("a folder");
    for number in 0..threads {
        discord.add_channel(GUILD, &discord_channel(number), &format!("yard-{number}"));
        std::fs::write(
            home.path(&format!("out/{number}")),
            output(&marks.printed, random),
        )
        .expect("a file");
    }
    let bot = home.serve().await;
    if door == Door::Http {
        discord.use_http(&bot.url(""));
    }
    let registered = |it: &FakeDiscord| (!it.commands(GUILD).is_empty()).then_some(());
    discord.wait_for("/ops", PATIENCE, registered).await;
    for number in 0..threads {
        let channel = discord_channel(number);
        let note = quoted(&words(&marks.said, random).replace(char::is_control, " "));
        let reason = quoted(&words(&marks.said, random));
        let lines = [
            format!("print {number} note={note}"),
            format!("plead note={note} reason={reason}"),
            words(&marks.said, random),
        ];
        for line in lines {
            discord
                .slash(&channel, BEN, "say", &[("text", &line)])
                .await;
        }
        discord.mention(&channel, BEN, &words(&marks.said, random));
    }
    for number in 0..threads {
        let channel = discord_channel(number);
        let asked = says(&discord, &channel, "⏸ `plead` waits for").await;
        let text = asked.text();
        let reference = text
            .split("ref ")
            .nth(1)
            .and_then(|after| after.split_whitespace().next());
        let reference = reference.ok_or_else(|| format!("no reference in {text}"))?;
        let line = format!("reject {reference} {}", quoted(&words(&marks.said, random)));
        discord
            .slash(&channel, ALICE, "say", &[("text", &line)])
            .await;
    }
    for number in 0..threads {
        let channel = discord_channel(number);
        says(&discord, &channel, "rejected it").await;
        let ends = |it: &DiscordPosted| {
            let text = it.text();
            text.contains("succeeded in") || text.contains("failed at step")
        };
        let look = |discord: &FakeDiscord| everything(discord, &channel).into_iter().find(ends);
        discord.wait_for("end of a print", PATIENCE, look).await;
    }
    drop(bot);
    let (mut messages, mut shown, mut files) = (0, 0, 0);
    let of_channels =
        (0..threads).flat_map(|number| everything(&discord, &discord_channel(number)));
    let alone = [BEN, ALICE].into_iter().flat_map(|user| {
        let whispers = discord.whispers(user).into_iter();
        whispers.chain(discord.direct_messages(user))
    });
    for message in of_channels.chain(alone) {
        if message.author != fake_discord::BOT_USER || !message.is_written() {
            continue;
        }
        let judged = markdown::posted(&message, &marks, &[ALICE]);
        let read = judged.map_err(|why| format!("discord: {why}\n{message:?}"))?;
        messages += 1;
        shown += usize::from(read.quoted > 0);
        files += message.files.len();
    }
    if let Some(violation) = discord.violations().first() {
        return Err(format!("discord: {violation}"));
    }
    if shown == 0 {
        return Err("no thread of Discord shows anything of what was printed".to_owned());
    }
    Ok(format!(
        "{messages} messages of the real program in {threads} channels, {shown} with output, {files} files"
    ))
}

/// What stands in a channel and in its threads.
fn everything(discord: &FakeDiscord, channel: &str) -> Vec<DiscordPosted> {
    let threads = discord.threads(channel).into_iter();
    let inside = threads.flat_map(|thread| discord.messages(&thread));
    discord
        .messages(channel)
        .into_iter()
        .chain(inside)
        .collect()
}

async fn says(discord: &FakeDiscord, channel: &str, words: &str) -> DiscordPosted {
    let look = |discord: &FakeDiscord| {
        let all = everything(discord, channel).into_iter();
        all.filter(|it| it.author == fake_discord::BOT_USER)
            .find(|it| it.text().contains(words))
    };
    let what = format!("`{words}` in {channel}");
    discord.wait_for(&what, PATIENCE, look).await
}

/// As many outputs at the console, which writes to a pipe.
pub(super) fn at_the_console(outputs: u32, random: &mut StdRng) -> Result<String, String> {
    let marks = marks();
    let name = |random: &mut StdRng| in_yaml(&words(&marks.said, random));
    let home = home(1, &name(random), &name(random));
    std::fs::create_dir(home.path("out")).expect("a folder");
    let mut typed = String::new();
    for number in 0..outputs {
        std::fs::write(
            home.path(&format!("out/{number}")),
            output(&marks.printed, random),
        )
        .expect("a file");
        let note = words(&marks.said, random).replace(char::is_control, " ");
        typed.push_str(&format!("print {number} note={}\n", quoted(&note)));
        typed.push_str(&format!(
            "{}\n",
            words(&marks.said, random).replace(['\n', '\r'], " ")
        ));
    }
    let told = home.run(&["try"], &typed);
    let out = String::from_utf8(told.stdout).map_err(|why| format!("the console: {why}"))?;
    judge::pipe(&out, &marks).map_err(|why| format!("the console: {why}"))?;
    let lines = out
        .lines()
        .filter(|line| line.contains(&marks.printed))
        .count();
    if lines == 0 {
        return Err(format!(
            "the console shows nothing of what was printed:\n{out}"
        ));
    }
    Ok(format!(
        "{lines} lines of {outputs} outputs at the real console"
    ))
}
