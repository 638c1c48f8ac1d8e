//! The real program, stopped for longer than a lease lasts while a step runs and consent is awaited: it goes on as if
//! nothing had been.

use std::time::Duration;

use rustix::process::Signal;

use crate::bot::Home;
use crate::fakes::slack::{BOT_TOKEN, FakeSlack, Posted, SIGNING_SECRET, render};

/// Longer than a lease.
const STOPPED: Duration = Duration::from_secs(17);
/// How long what is due may take afterwards.
const SOON: Duration = Duration::from_secs(40);

const FILES: [(&str, &str); 4] = [
    (
        "commands/slow.yaml",
        "command: slow\ndoes: Waits.\nundo: none\nsteps: [{ name: slow, run: [sh, -c, \"echo slow >> marks; while [ ! -e go ]; do sleep 0.1; done\"] }]\n",
    ),
    (
        "commands/asked.yaml",
        "command: asked\ndoes: Leaves a mark.\nundo: none\nparameters: { tag: { type: text } }\nsteps: [{ name: asked, run: [sh, -c, \"echo asked >> marks\"] }]\n",
    ),
    (
        "runbooks/people.yaml",
        "people:\n  ana: { name: Ana, slack: U0ANA }\n  bo: { name: Bo, slack: U0BO }\ngroups: { all: [ana, bo] }\n",
    ),
    (
        "runbooks/house.yaml",
        "project: house
about: The proof's own.
owner: all
channels: [C1, C2]
rules:
  - { may: asked, who: all, where: { tag: [short] }, after: { approvals: 1, of: all, within: 10s } }
  - { may: asked, who: all, after: { approvals: 1, of: all, within: 15m } }
  - { may: slow, who: all }
  - otherwise: ask ana
escalation: [{ at: 0m, call: \"@ana\" }]
",
    ),
];

/// The proof's part with the real program. Answers what was looked at.
pub(super) async fn stop_and_go_on() -> String {
    let slack = FakeSlack::start().await;
    let home = Home::of_files(&FILES)
        .setting("SLACK_BOT_TOKEN", BOT_TOKEN)
        .setting("SLACK_SIGNING_SECRET", SIGNING_SECRET)
        .setting("SLACK_API_URL", slack.api_url());
    let bot = home.serve().await;
    slack.use_http(&bot.url(""));
    for (channel, text) in [("C1", "slow"), ("C2", "asked short"), ("C2", "asked long")] {
        let ack = slack.slash("U0BO", channel, text).await;
        assert_eq!(ack.status, 200, "`{text}`");
    }
    let with = |words: &'static str| {
        move |slack: &FakeSlack| {
            let all = [slack.messages("C1"), slack.messages("C2")].concat();
            all.into_iter()
                .find(|it: &Posted| it.thread.is_none() && render(it).contains(words))
        }
    };
    slack
        .wait_for("the running step", SOON, with("is running"))
        .await;
    let waits = |slack: &FakeSlack| {
        let all = slack.messages("C2");
        let waits = |it: &&Posted| it.thread.is_none() && render(it).contains("waits for 1");
        let roots: Vec<Posted> = all.iter().filter(waits).cloned().collect();
        (roots.len() == 2).then_some(roots)
    };
    slack
        .wait_for("both that wait for consent", SOON, waits)
        .await;

    bot.signal(Signal::STOP);
    tokio::time::sleep(STOPPED).await;
    bot.signal(Signal::CONT);

    slack
        .wait_for("the consent that ran out", SOON, with("expired"))
        .await;
    // A lease that had run out was renewed, not taken: nothing was interrupted, and the step goes on to its end.
    home.write("go", "");
    slack
        .wait_for("the end of the step", SOON, with("succeeded"))
        .await;
    let still = slack.wait_for("the other", SOON, with("waits for 1")).await;
    let ack = slack.click("U0ANA", &still, "Approve").await;
    assert_eq!(ack.status, 200, "the press of a button");
    let marks = || std::fs::read_to_string(home.path("marks")).unwrap_or_default();
    let both = |_: &FakeSlack| marks().contains("asked").then_some(());
    slack
        .wait_for("the mark of what was consented to", SOON, both)
        .await;
    assert!(bot.stop().success(), "{}", home.log());

    let export = home.run(&["ledger", "export"], "");
    let export = String::from_utf8(export.stdout).expect("the ledger is text");
    assert!(!export.contains("step_interrupted"), "{export}");
    assert_eq!(marks(), "slow\nasked\n");
    assert!(!home.log().contains("panicked"), "{}", home.log());
    let verified = home.run(&["ledger", "verify"], "");
    assert!(verified.status.success(), "the ledger does not verify");
    assert_eq!(slack.violations(), Vec::<String>::new());
    let seconds = STOPPED.as_secs();
    format!(
        "stopped for {seconds} s with a running step and two waiting for consent: nothing interrupted, one expired, one allowed"
    )
}
