//! The subcommands as scripts use them: what they print, where, and the exit codes that are fixed.

use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::bad_day::{PEOPLE, connected, laboratory, serve, told};
use crate::bot::Home;
use crate::fakes::slack::FakeSlack;
use crate::try_story::{Told, answer, masked, references, tell, typed};

fn says(home: &Home, arguments: &[&str]) -> Told {
    tell(home, arguments, "")
}

#[test]
fn help_and_version_are_there_without_any_folder() {
    let home = Home::of_files(&[]);
    let help = says(&home, &["--help"]);
    assert_eq!((help.code, help.err.as_str()), (Some(0), ""));
    insta::assert_snapshot!("cli_help", help.out);
    let version = says(&home, &["--version"]);
    assert_eq!(version.code, Some(0));
    let number = env!("CARGO_PKG_VERSION");
    assert_eq!(version.out, format!("midwatch {number}\n"));
    let unknown = says(&home, &["srve"]);
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.err.contains("serve"), "{}", unknown.err);
    let nothing = says(&home, &[]);
    assert_eq!(nothing.code, Some(2));
    assert!(!home.path("data").exists(), "asking leaves nothing behind");
}

#[test]
fn the_shipped_files_pass_their_check_without_a_warning() {
    let home = Home::shipped();
    let told = says(&home, &["check", "--strict"]);
    assert_eq!(
        (told.code, told.err.as_str()),
        (Some(0), ""),
        "{}",
        told.out
    );
    let counted = "8 commands, 3 projects, 20 examples: 0 mistakes, 0 warnings\n";
    assert_eq!(told.out, counted);
    let root = env!("CARGO_MANIFEST_DIR");
    let by_folder = says(&Home::of_files(&[]), &["check", root]);
    assert_eq!((by_folder.code, by_folder.out.as_str()), (Some(0), counted));
}

#[test]
fn check_underlines_every_mistake_of_every_file_at_once() {
    let home = Home::of_files(&[
        ("runbooks/people.yaml", PEOPLE),
        (
            "runbooks/lab.yaml",
            "project: lab\nabout: A laboratory.\nowner: crwe\nchannels: [lab]\nenvironments:\n  one: {}\n\
             rules:\n  - { may: everything, who: crew }\n  - otherwise: ask Ann\n\
             examples:\n  - { who: ben, says: mark one, then: allowed }\n",
        ),
        (
            "commands/mark.yaml",
            "command: mark\ndoes: Makes a folder.\nrisk: lwo\nundo: none\nstps: []\n",
        ),
        ("commands/tab.yaml", "command: tab\n\tdoes: Nothing.\n"),
    ]);
    let folder = home.path("");
    let told = says(&home, &["check", folder.to_str().unwrap()]);
    assert_eq!(
        (told.code, told.err.as_str()),
        (Some(2), ""),
        "{}",
        told.out
    );
    insta::assert_snapshot!("cli_check", masked(&home, &told.out));
    let places = [
        "lab.yaml:3:8",
        "mark.yaml:3:7",
        "mark.yaml:5:1",
        "tab.yaml:1:10",
    ];
    for place in places {
        assert_eq!(told.out.matches(place).count(), 1, "{place}:\n{}", told.out);
    }
    let missing = says(&home, &["check", "/nowhere/at/all"]);
    assert_eq!(missing.code, Some(2), "{}", missing.out);
    assert!(missing.out.contains("/nowhere/at/all"), "{}", missing.out);
}

#[test]
fn check_prints_the_schemas_that_are_shipped() {
    let home = Home::of_files(&[]);
    for kind in ["command", "runbook", "people"] {
        let told = says(&home, &["check", "--schema", kind]);
        assert_eq!(told.code, Some(0));
        let file = format!("docs/schemas/{kind}.schema.json");
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join(&file);
        let shipped = std::fs::read_to_string(shipped).unwrap();
        assert!(
            told.out.trim_end() == shipped.trim_end(),
            "{file} is not what `check --schema {kind}` prints"
        );
    }
    let unknown = says(&home, &["check", "--schema", "runbok"]);
    assert_eq!((unknown.code, unknown.out.as_str()), (Some(2), ""));
    assert!(
        unknown.err.contains("command, runbook and people"),
        "{}",
        unknown.err
    );
}

#[test]
fn may_prints_the_decision_that_the_real_thing_gets() {
    let home = Home::shipped();
    let may = |person: &str, says_: &str, more: &[&str]| {
        let mut arguments = vec!["may", "--as", person, says_, "--in", "shop"];
        arguments.extend(more);
        says(&home, &arguments)
    };
    let bo = may("bo", "flush-cache prod", &["--at", "03:00"]);
    let needs = "⏸ flush-cache prod needs 1 approval of team-shop · runbooks/shop.yaml:26\n";
    assert_eq!((bo.code, bo.out.as_str()), (Some(1), needs), "{}", bo.err);
    let ana = may("ana", "flush-cache prod", &[]);
    let allowed = "✅ flush-cache prod is allowed by runbooks/shop.yaml:23\n";
    assert_eq!(
        (ana.code, ana.out.as_str()),
        (Some(0), allowed),
        "{}",
        ana.err
    );
    for (at, code) in [
        ("2026-11-18T10:00+01:00[Europe/Berlin]", 0),
        ("2026-11-18T09:00Z", 0),
        ("2026-11-18T03:00+01:00[Europe/Berlin]", 1),
        ("2026-11-21T10:00+01:00[Europe/Berlin]", 1),
    ] {
        let cy = may("cy", "deploy prod v1.2.3", &["--at", at]);
        assert_eq!(cy.code, Some(code), "{at}: {}", cy.out);
    }
    assert!(!home.path("data").exists(), "asking leaves nothing behind");

    // The real thing, and the question in chat, name the same rules.
    let real = typed(
        &home,
        &[
            "/ops flush-cache prod",
            "/as bo",
            "/ops flush-cache prod",
            "/as eve",
            "/ops flush-cache prod",
        ],
    );
    assert!(
        answer(&real.out, 4).contains("allowed by runbooks/shop.yaml:23 "),
        "{}",
        real.out
    );
    assert!(
        answer(&real.out, 2)
            .contains("it needs 1 approval of team-shop, says runbooks/shop.yaml:26 "),
        "{}",
        real.out
    );
    let eve = may("eve", "flush-cache prod", &[]);
    // The real thing is a card: it says the same first, and more besides.
    let first = |text: &str| text.lines().next().map(str::to_owned);
    assert_eq!(
        (eve.code, first(&eve.out)),
        (Some(1), first(answer(&real.out, 0)))
    );
}

#[test]
fn may_says_what_it_does_not_understand() {
    let home = Home::shipped();
    for (arguments, code, words) in [
        (
            &["may", "--as", "zed", "flush-cache prod"][..],
            2,
            "people.yaml knows no person `zed`; it knows ana, bo, cy, dana, eve, kim",
        ),
        (
            &["may", "--as", "ana", "flush-cache prod", "--at", "nine"],
            2,
            "--at takes 03:00",
        ),
        (
            &["may", "--as", "ana", "flsh-cache prod", "--in", "shop"],
            1,
            "did you mean flush-cache?",
        ),
        (
            &["may", "--as", "ana", "flush-cache prod"],
            0,
            "is allowed by runbooks/shop.yaml:",
        ),
        (
            &[
                "may",
                "--as",
                "ana",
                "flush-cache prod",
                "--in",
                "elsewhere",
            ],
            1,
            "for which project?",
        ),
        (&["may", "--as", "ana"], 2, "<SAYS>"),
        (&["may", "--as", "ana", "help"], 0, "is a question"),
    ] {
        let told = says(&home, arguments);
        assert_eq!(
            told.code,
            Some(code),
            "{arguments:?}: {}{}",
            told.out,
            told.err
        );
        let shown = format!("{}{}", told.out, told.err);
        assert!(shown.contains(words), "{arguments:?}: {shown}");
    }
}

#[test]
fn preview_shows_a_run_and_every_kind_of_message_on_each_platform() {
    let home = Home::shipped();
    let run = typed(&home, &["/ops flush-cache prod"]);
    let reference = references(&run.out).remove(0);
    let told = says(&home, &["preview", &reference]);
    assert_eq!((told.code, told.err.as_str()), (Some(0), ""));
    let headline = told.out.matches("✅ flush-cache prod succeeded in").count();
    assert_eq!(headline, 6, "root and last line, three times: {}", told.out);
    assert_eq!(told.out.matches("✓ 2/3 ban done: 200 OK").count(), 3);
    assert_eq!(
        told.out.matches("BAN http://").count(),
        3,
        "what it printed"
    );

    let on_discord = says(&home, &["preview", "--on", "discord"]);
    assert_eq!((on_discord.code, on_discord.err.as_str()), (Some(0), ""));
    assert!(
        on_discord
            .out
            .contains("── needs approval\n   discord\n     ⏸ ")
    );
    assert!(!on_discord.out.contains("slack"), "{}", on_discord.out);
    let elsewhere = says(&home, &["preview", "--on", "irc"]);
    assert_eq!((elsewhere.code, elsewhere.out.as_str()), (Some(2), ""));
    assert!(
        elsewhere.err.contains("console, slack, discord"),
        "{}",
        elsewhere.err
    );
    let unknown = says(&home, &["preview", "zzzz"]);
    assert_eq!((unknown.code, unknown.out.as_str()), (Some(1), ""));

    let broken = Home::of_files(&[("runbooks/shop.yaml", "project: shop\nabuot: x\n")]);
    let mistaken = says(&broken, &["preview"]);
    assert_eq!((mistaken.code, mistaken.out.as_str()), (Some(2), ""));
    for said in ["runbooks/shop.yaml", "abuot", "add `examples:`"] {
        assert!(mistaken.err.contains(said), "{said}: {}", mistaken.err);
    }

    let page = home.path("preview.html");
    let written = says(&home, &["preview", "--html", page.to_str().unwrap()]);
    assert_eq!((written.code, written.err.as_str()), (Some(0), ""));
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("<h2>interrupted</h2>"));
    for fetched in ["src=", "href=", "url(", "<script"] {
        assert!(
            !page.contains(fetched),
            "the page fetches nothing: {fetched}"
        );
    }
}

#[test]
fn why_and_the_ledger_answer_beside_and_after_the_program() {
    let home = Home::shipped();
    let before = says(&home, &["ledger", "verify"]);
    assert_eq!(before.code, Some(1), "there is nothing yet");
    assert!(
        before
            .err
            .contains("`midwatch serve` or `midwatch try` makes the database"),
        "{}",
        before.err
    );
    assert!(!home.path("data").exists(), "looking leaves nothing behind");

    let run = typed(&home, &["/ops flush-cache prod"]);
    let reference = references(&run.out).remove(0);
    let why = says(&home, &["why", &reference]);
    assert_eq!((why.code, why.err.as_str()), (Some(0), ""));
    let told = why.out.replace(&reference, "REF1");
    insta::assert_snapshot!("cli_why", masked(&home, &told));
    let unknown = says(&home, &["why", "zzzz"]);
    assert_eq!((unknown.code, unknown.out.as_str()), (Some(1), ""));
    let malformed = says(&home, &["why", "zzz!"]);
    assert_eq!((malformed.code, malformed.out.as_str()), (Some(2), ""));

    let export = home.path("export");
    let export = export.to_str().unwrap();
    assert_eq!(says(&home, &["ledger", "export", export]).code, Some(0));
    assert_eq!(says(&home, &["ledger", "verify"]).code, Some(0));
    assert_eq!(says(&home, &["ledger", "verify", export]).code, Some(0));
    // The last line of the thread is the witness.
    let note: Vec<&str> = run
        .out
        .lines()
        .filter_map(|line| line.strip_prefix("    │"))
        .collect();
    let from = note
        .iter()
        .rposition(|line| line.starts_with(" midwatch/"))
        .unwrap();
    let note: Vec<&str> = note[from..]
        .iter()
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .collect();
    home.write("note", &format!("{}\n", note.join("\n")));
    let witness = home.path("note");
    let with_witness = [
        "ledger",
        "verify",
        export,
        "--checkpoint",
        witness.to_str().unwrap(),
    ];
    let sound = says(&home, &with_witness);
    assert_eq!(sound.code, Some(0), "{}{}", sound.out, sound.err);

    let lines = std::fs::read_to_string(export).unwrap();
    assert!(lines.contains("flush-cache"));
    home.write("export", &lines.replacen("flush-cache", "flush-cachf", 1));
    let edited = says(&home, &with_witness);
    assert_eq!(edited.code, Some(1), "{}", edited.out);
    let one_less: Vec<&str> = lines
        .lines()
        .enumerate()
        .filter(|(n, _)| *n != 3)
        .map(|(_, line)| line)
        .collect();
    home.write("export", &format!("{}\n", one_less.join("\n")));
    assert_eq!(says(&home, &with_witness).code, Some(1));
    let checkpoint = says(&home, &["ledger", "checkpoint"]);
    assert_eq!(checkpoint.code, Some(0));
    assert!(
        checkpoint.out.starts_with("midwatch/"),
        "{}",
        checkpoint.out
    );
    assert_eq!(says(&home, &["ledger", "verify", "/nowhere"]).code, Some(1));
}

#[test]
fn doctor_is_content_without_slack() {
    // Free again at the end of the statement: nothing answers there.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let home = Home::shipped().setting("MIDWATCH_LISTEN", free.unwrap());
    let told = says(&home, &["doctor"]);
    assert_eq!(
        (told.code, told.err.as_str()),
        (Some(0), ""),
        "{}",
        told.out
    );
    for line in [
        "  ok       files ",
        "  missing  store ",
        "  missing  slack      not configured; docs/slack.md",
    ] {
        assert_eq!(told.out.matches(line).count(), 1, "{line}:\n{}", told.out);
    }
    assert!(!told.out.contains("broken"), "{}", told.out);
    assert!(!home.path("data").exists(), "looking leaves nothing behind");
    let ready = says(&home, &["doctor", "--ready"]);
    assert_eq!(
        (ready.code, ready.out.as_str()),
        (Some(3), ""),
        "{}",
        ready.err
    );
    let short = home
        .setting("MIDWATCH_SECRET_PIN", "hush1")
        .setting("MIDWATCH_SECRET_TINY", "ab");
    let told = says(&short, &["doctor"]);
    for line in [
        "MIDWATCH_SECRET_PIN is shorter than 8 bytes: it is redacted wherever ordinary text happens to hold it",
        "MIDWATCH_SECRET_TINY is shorter than 4 bytes and could not be redacted: no step can use it",
    ] {
        assert!(told.out.contains(line), "{line}:\n{}", told.out);
    }
    assert!(!told.out.contains("hush1"), "{}", told.out);
    let wrong = laboratory();
    wrong.write("commands/mark.yaml", "command: mark\n");
    let told = says(&wrong, &["doctor"]);
    assert_eq!(told.code, Some(1), "{}", told.out);
    assert!(told.out.contains("  broken   files "), "{}", told.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_asks_slack_who_we_are_and_calls_a_wrong_token_broken() {
    let slack = FakeSlack::start().await;
    let home = connected(laboratory(), &slack);
    let well = told(&home, &["doctor"]);
    assert_eq!(well.code, Some(0), "{}{}", well.out, well.err);
    assert!(
        well.out.contains("  ok       slack      we are "),
        "{}",
        well.out
    );
    let home = home.setting("SLACK_BOT_TOKEN", "xoxb-2-wrong");
    let broken = told(&home, &["doctor"]);
    assert_eq!(broken.code, Some(1), "{}", broken.out);
    assert!(broken.out.contains("  broken   slack "), "{}", broken.out);
    assert!(
        broken.out.contains("check SLACK_BOT_TOKEN"),
        "{}",
        broken.out
    );
    for told in [well, broken] {
        for secret in ["xoxb-", crate::fakes::slack::SIGNING_SECRET] {
            assert!(
                !told.out.contains(secret) && !told.err.contains(secret),
                "{}",
                told.out
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_finds_the_running_server_ready() {
    let slack = FakeSlack::start().await;
    let home = connected(laboratory(), &slack);
    let bot = serve(&home, &slack).await;
    let home = home.setting("MIDWATCH_LISTEN", bot.address);
    let ready = told(&home, &["doctor", "--ready"]);
    assert_eq!(ready.code, Some(0), "{}", ready.err);
    let all = told(&home, &["doctor"]);
    let line = format!("  ok       server     ready at {}", bot.address);
    assert!(all.out.contains(&line), "{}", all.out);
    assert!(all.out.contains("ledger entries"), "{}", all.out);
    assert!(bot.stop().success());
    assert_eq!(told(&home, &["doctor", "--ready"]).code, Some(3));
}

/// The name of the account that the tests run under.
pub(crate) fn account() -> String {
    let id = rustix::process::getuid().as_raw().to_string();
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap();
    let mut fields = accounts
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>());
    let found = fields.find(|fields| fields.get(2) == Some(&id.as_str()));
    (*found.expect("the account has a name").first().unwrap()).to_owned()
}

#[test]
fn run_speaks_for_the_person_whose_login_it_is() {
    let home = laboratory();
    let stranger = says(&home, &["run", "mark", "one"]);
    assert_eq!(stranger.code, Some(1), "{}", stranger.out);
    assert!(
        stranger
            .out
            .contains("I don't know this account; nothing was done"),
        "{}",
        stranger.out
    );
    assert!(
        stranger.err.contains(&format!("`login: {}`", account())),
        "{}",
        stranger.err
    );

    let mine = format!("name: Ann, slack: U1, login: {}", account());
    home.write(
        "runbooks/people.yaml",
        &PEOPLE.replace("name: Ann, slack: U1", &mine),
    );
    let started = Instant::now();
    for arguments in [
        &["run", "mark", "one"][..],
        &["run", "mark one"],
        &["run", "mark", "environment=one"],
    ] {
        let told = says(&home, arguments);
        assert_eq!(
            (told.code, told.err.as_str()),
            (Some(0), ""),
            "{arguments:?}: {}",
            told.out
        );
        assert!(told.out.contains("✅ mark one succeeded"), "{}", told.out);
        assert!(!told.out.contains('\x1b'), "{}", told.out);
    }
    assert!(started.elapsed() < Duration::from_secs(60));
    let refused = says(&home, &["run", "mark", "two"]);
    assert_eq!(refused.code, Some(1));
    assert!(
        refused
            .out
            .contains("environment can't be two; nothing was done"),
        "{}",
        refused.out
    );
    assert_eq!(says(&home, &["run"]).code, Some(2));
    assert_eq!(std::fs::read_dir(home.path("marks")).unwrap().count(), 3);
}

#[test]
fn a_reader_that_goes_away_ends_the_program_quietly() {
    let home = Home::shipped();
    for arguments in [
        &["check", "--schema", "command"][..],
        &["doctor"],
        &["--help"],
    ] {
        let mut child = home
            .command(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let ended = child.wait_with_output().unwrap();
        let complaint = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(
            (ended.status.code(), complaint.as_str()),
            (Some(0), ""),
            "{arguments:?}"
        );
    }
}

#[test]
fn what_can_not_be_printed_is_a_failure() {
    let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") else {
        println!("full output: no /dev/full here, passed over");
        return;
    };
    let home = Home::shipped();
    let mut command = home.command(&["check"]);
    let ended = command.stdin(Stdio::null()).stdout(full).output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    let complaint = String::from_utf8(ended.stderr).unwrap();
    assert!(
        complaint.starts_with("midwatch: standard output: "),
        "{complaint}"
    );
}

/// Enrols a person: their app, and the line for people.yaml.
pub(crate) fn enrol(home: &Home, person: &str) -> (totp_rs::Totp, String) {
    use std::io::{BufRead as _, BufReader, Write as _};
    use totp_rs::{Builder, Secret};
    let mut enrolling = home
        .command(&["factor", "enrol", person])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(enrolling.stdout.take().unwrap()).lines();
    let mut line_with = |word: &str| {
        let mut found = lines.by_ref().map(Result::unwrap);
        let line = found.find(|line| line.contains(word));
        line.unwrap_or_else(|| panic!("no line with `{word}`"))
    };
    let secret = line_with("type into it: ");
    let (_, secret) = secret.rsplit_once(' ').unwrap();
    let app = Builder::new().with_secret(Secret::try_from_base32(secret).unwrap());
    let app = app.build().unwrap();
    let mut typing = enrolling.stdin.take().unwrap();
    writeln!(typing, "{}", app.generate_current()).unwrap();
    let enrolment = line_with("second_factor: ");
    assert!(enrolling.wait().unwrap().success());

    (app, enrolment.trim().to_owned())
}

#[test]
fn an_app_is_enrolled_and_its_codes_begin_what_is_of_high_risk() {
    let people = "people:\n  ana: { name: Ana }\ngroups:\n  team: [ana]\n";
    let shop = "project: shop\nabout: A shop.\nowner: team\nchannels: [shop]\nsecond_factor: high\n\
                rules: [{ may: wipe, who: team }, { otherwise: ask Ana }]\n";
    let wipe = "command: wipe\ndoes: Wipes.\nrisk: high\nsteps: [{ name: wipe, run: [touch, wiped], effect: idempotent }]\n";
    let home = Home::of_files(&[
        ("runbooks/people.yaml", people),
        ("runbooks/shop.yaml", shop),
        ("commands/wipe.yaml", wipe),
    ]);
    let refused = typed(&home, &["/as ana", "/ops wipe"]);
    assert!(
        refused.out.contains("midwatch factor enrol ana"),
        "{}",
        refused.out
    );
    let nobody = says(&home, &["factor", "enrol", "zoe"]);
    assert_eq!(nobody.code, Some(2));
    let given_up = says(&home, &["factor", "enrol", "ana"]);
    assert_eq!(given_up.code, Some(1));
    assert!(
        given_up.err.contains("nothing was enrolled"),
        "{}",
        given_up.err
    );

    let (app, enrolment) = enrol(&home, "ana");
    let enrolled = people.replace("name: Ana", &format!("name: Ana, {enrolment}"));
    home.write("runbooks/people.yaml", &enrolled);
    let without = typed(&home, &["/as ana", "/ops wipe"]);
    assert!(without.out.contains("wipe needs otp"), "{}", without.out);
    assert!(!home.path("wiped").exists());
    let line = format!("/ops wipe otp={}", app.generate_current());
    let done = typed(&home, &["/as ana", &line]);
    assert!(done.out.contains("wipe succeeded"), "{}", done.out);
}

/// The policy that docs/files.md shows, with six commands, three environments, and what it must decide.
#[test]
fn the_policy_in_the_documentation_fits_on_a_page_and_decides_as_it_reads() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/files.md");
    let docs = std::fs::read_to_string(docs).unwrap();
    let (_, policy) = docs.split_once("<!-- policy -->\n```yaml\n").unwrap();
    let (policy, _) = policy.split_once("```\n<!-- end -->").unwrap();
    assert!(policy.lines().count() <= 40, "{policy}");
    assert!(
        policy.lines().all(|line| line.chars().count() <= 120),
        "{policy}"
    );
    let people = "people:\n  ana: { name: Ana }\n  bo: { name: Bo }\n  cy: { name: Cy }\n  dana: { name: Dana }\n  eve: { name: Eve }\n\
        groups: { engineering: [ana, bo, cy], team-shop: [ana, cy], security: [dana] }\n\
        rotations:\n  shop: { zone: Europe/Berlin, starts: 2026-01-05 09:00, every: 7d, levels: { oncall: [eve] } }\n";
    let examples = "examples:\n\
        \x20 - { who: eve, says: look live, then: allowed }\n\
        \x20 - { who: bo, says: deploy staging, then: allowed }\n\
        \x20 - { who: bo, says: flush live, then: \"needs 1 approval of team-shop or oncall(shop)\" }\n\
        \x20 - { who: eve, says: restart live, then: allowed }\n\
        \x20 - { who: dana, says: restart live, then: denied }\n\
        \x20 - { who: ana, says: drop-table dev, then: denied }\n\
        \x20 - { who: ana, says: deploy live, at: \"tue 10:00 Europe/Berlin\", then: allowed }\n\
        \x20 - { who: ana, says: deploy live, at: \"fri 10:00 Europe/Berlin\", then: denied }\n\
        \x20 - { who: ana, says: migrate live, then: needs 1 approval of team-shop and 1 approval of security }\n";
    let shop = format!(
        "project: shop\nabout: A shop.\nowner: team-shop\nchannels: [shop]\nenvironments: {{ dev: {{}}, staging: {{}}, live: {{}} }}\n\
         {policy}escalation: [{{ at: 0m, call: oncall(shop) }}]\n{examples}"
    );
    let mut files = vec![
        ("runbooks/people.yaml".to_owned(), people.to_owned()),
        ("runbooks/shop.yaml".to_owned(), shop),
    ];
    for name in [
        "look",
        "flush",
        "restart",
        "deploy",
        "migrate",
        "drop-table",
    ] {
        let (effect, check) = if name == "look" {
            ("read", "")
        } else {
            ("idempotent", "check: look\n")
        };
        let text = format!(
            "command: {name}\ndoes: It.\nundo: none\n{check}parameters: {{ environment: {{ type: environment }} }}\n\
             steps: [{{ name: x, run: [uptime], effect: {effect} }}]\n"
        );
        files.push((format!("commands/{name}.yaml"), text));
    }
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    let told = says(&Home::of_files(&files), &["check", "--strict"]);
    let counted = "6 commands, 1 project, 9 examples: 0 mistakes, 0 warnings\n";
    assert_eq!(
        (told.code, told.out.as_str(), told.err.as_str()),
        (Some(0), counted, "")
    );
}
