//! The console: what it prints, and what it hands in.

use std::collections::BTreeMap;
use std::io::{Cursor, Write};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use insta::assert_snapshot;
use jiff::Timestamp;
use midwatch::chat::console::{Console, ConsoleTransport, Ended, Input, Paint, Screen};
use midwatch::chat::{CurrentCatalog, DeliveryError, Intake, Transport};
use midwatch::clock::Clock;
use midwatch::domain::{
    Block, Button, Catalog, CommandName, Field, Form, Inbound, Message, People, Person, PersonId,
    Place, Platform, ProjectName, Source, Text,
};
use midwatch::store::{Mark, MessageRef, Receipt, StoreError};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Standard output, for the tests to read.
#[derive(Clone, Default)]
struct Out(Arc<Mutex<Vec<u8>>>);

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Out {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// An output that nobody reads any more.
struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn now() -> Timestamp {
    "2026-11-20T03:14:00Z".parse().unwrap()
}

fn person(id: &str) -> PersonId {
    PersonId::parse(id).unwrap()
}

fn catalog() -> CurrentCatalog {
    let mut people = People::default();
    for (id, name) in [("ana", "Ana"), ("kim", "Kim")] {
        let found = Person {
            hours: None,
            second_factor: None,
            name: name.to_owned(),
            accounts: BTreeMap::new(),
        };
        people.persons.insert(person(id), found);
    }
    let shop = ProjectName::parse("shop").unwrap();
    let channels = [
        ("shop".to_owned(), shop.clone()),
        ("sandbox".to_owned(), shop),
    ];
    Arc::new(ArcSwap::from_pointee(Catalog {
        people,
        channels: channels.into_iter().collect(),
        ..Catalog::default()
    }))
}

fn every_block() -> Message {
    let first = Text::new()
        .plain("⏸ ")
        .bold("flush-cache prod")
        .plain(" waits for consent of ")
        .ping(&person("kim"))
        .plain(", asked by ")
        .person(&person("ana"))
        .plain(" at ")
        .time("2026-11-20T03:12:00Z".parse().unwrap());
    let field = |label: &str, value: Text| Field {
        label: label.to_owned(),
        value,
    };
    Message::new(first)
        .text(
            Text::new()
                .plain("two lines,\nhostile: ")
                .code("a\x1b]0;title\x07b"),
        )
        .with(Block::Fields(vec![
            field("rule", Text::new().code("runbooks/shop.yaml:21")),
            field("löscht", Text::from("the cache,\nnothing else")),
            field("who", Text::new().person(&person("nobody"))),
        ]))
        .with(Block::Output("one\n\x1b[2Jtwo\n\n三\n".to_owned()))
        .with(Block::Progress { done: 1, total: 3 })
        .buttons(vec![
            Button::primary("Approve", "approve 7f3k"),
            Button::danger("Cancel", "cancel 7f3k"),
            Button::plain("Why", "why 7f3k"),
        ])
}

fn painted(colour: bool) -> String {
    let catalog = catalog().load_full();
    let paint = Paint {
        colour,
        people: &catalog.people,
        now: now(),
        columns: None,
    };
    paint.message(&every_block())
}

#[test]
fn a_message_is_painted_without_colours() {
    assert_snapshot!(painted(false));
}

#[test]
fn a_message_is_painted_with_colours() {
    assert_snapshot!(painted(true).replace('\x1b', "␛"));
}

fn place() -> Place {
    Place {
        platform: Platform::Console,
        space: String::new(),
        channel: "shop".to_owned(),
        thread: None,
    }
}

fn transport(out: Box<dyn Write + Send>) -> ConsoleTransport {
    let screen = Screen::open(out).unwrap();
    ConsoleTransport::new(screen, catalog(), Clock::steered(now()), false)
}

#[tokio::test]
async fn every_message_is_printed_once_and_lines_of_a_thread_are_indented() {
    let out = Out::default();
    let transport = transport(Box::new(out.clone()));
    let (to, says) = (place(), |words: &str| Message::new(Text::from(words)));
    let root = transport
        .post(&to, None, &says("▶ flush-cache prod"), &mark(1))
        .await
        .unwrap();
    let line = says("1 of 2: ban").with(Block::Output("200\nbanned".to_owned()));
    let other = transport
        .post(&to, Some(&root), &line, &mark(2))
        .await
        .unwrap();
    assert_ne!(root, other);
    transport
        .edit(&to, &root, &says("✅ done"), &mark(1))
        .await
        .unwrap();
    transport
        .attach(&to, Some(&root), "ban.txt", "200")
        .await
        .unwrap();
    transport
        .whisper(&to, "ana", None, &says("only you"), &mark(9))
        .await
        .unwrap();
    assert_snapshot!(out.text(), @r"
    ▶ flush-cache prod
      1 of 2: ban
        │ 200
        │ banned
    only you
    ");
}

#[tokio::test]
async fn what_a_console_cannot_do_is_said() {
    let out = Out::default();
    let transport = transport(Box::new(out.clone()));
    let form = Form {
        command: CommandName::parse("deploy").unwrap(),
        says: "deploy".to_owned(),
        does: String::new(),
        fields: Vec::new(),
    };
    let refused = transport.open_form(&place(), "", &form).await;
    assert!(matches!(refused, Err(DeliveryError::Refused(_))));
    let root = MessageRef("1".to_owned());
    let found = transport
        .find(
            &place(),
            Some(&root),
            &Message::new(Text::from("x")),
            &mark(1),
        )
        .await;
    assert_eq!(found.unwrap(), None);
    assert_eq!(out.text(), "");
}

#[tokio::test]
async fn a_closed_output_refuses_for_good() {
    let transport = transport(Box::new(Closed));
    let result = transport
        .post(&place(), None, &every_block(), &mark(1))
        .await;
    assert!(
        matches!(result, Err(DeliveryError::Refused(_))),
        "{result:?}"
    );
}

/// A console on a few lines, with a fake bot behind it: it answers `did TEXT`, one command at a time.
struct Story {
    out: Out,
    heard: Arc<Mutex<Vec<Inbound>>>,
    may_play: bool,
}

impl Story {
    fn new() -> Self {
        Self {
            out: Out::default(),
            heard: Arc::default(),
            may_play: true,
        }
    }

    fn console(&self) -> Console {
        let screen = Screen::open(Box::new(self.out.clone())).unwrap();
        let heard = Arc::clone(&self.heard);
        let intake: Intake = Arc::new(move |inbound: Inbound| {
            let full = inbound.text.contains("disk-full");
            if !full {
                heard.lock().unwrap().push(inbound);
            }
            Box::pin(async move {
                if full {
                    return Err(StoreError::NotWritable("disk full".to_owned()));
                }
                Ok(Receipt::New)
            })
        });
        let (heard, answers) = (Arc::clone(&self.heard), screen.clone());
        Console {
            screen,
            speaker: "ana".to_owned(),
            channel: "shop".to_owned(),
            may_play: self.may_play,
            colour: false,
            session: "17".to_owned(),
            intake,
            ended: Arc::new(move |key| {
                let heard = heard.lock().unwrap();
                let consent = heard.iter().any(|inbound| inbound.text == "approve");
                let inbound = heard.iter().find(|inbound| inbound.key == *key).unwrap();
                let (text, answers) = (inbound.text.clone(), answers.clone());
                Box::pin(async move {
                    tokio::task::yield_now().await;
                    answers.print(&format!("did {text}")).await.unwrap();
                    match text.as_str() {
                        "fails" => Ok(Ended::Failed),
                        "waits" if !consent => Ok(Ended::Waiting),
                        "hangs" => std::future::pending().await,
                        "unreadable" => Err(StoreError::Unavailable("gone".to_owned())),
                        _ => Ok(Ended::Done),
                    }
                })
            }),
            complete: Arc::new(|_, cursor, _| (cursor, Vec::new())),
            catalog: catalog(),
            clock: Clock::steered(now()),
        }
    }

    async fn run(&self, lines: &str) -> Ended {
        let input = Input::Lines(Box::new(Cursor::new(lines.to_owned())));
        let console = self.console();
        console.run(input, CancellationToken::new()).await.unwrap()
    }
}

#[tokio::test]
async fn each_command_of_a_pipe_has_ended_before_the_next_is_read() {
    let story = Story::new();
    let ended = story
        .run("# setup\n\n/ops flush-cache prod\nlist\n/as kim\n/in #sandbox\n/help deploy\n/quit\nnever\n")
        .await;
    assert_eq!(ended, Ended::Done);
    assert_snapshot!(story.out.text(), @r"
    ana@shop> /ops flush-cache prod
    did flush-cache prod
    ana@shop> list
    did list
    ana@shop> /as kim
    kim@shop> /in #sandbox
    kim@sandbox> /help deploy
    did help deploy
    kim@sandbox> /quit
    ");
}

#[tokio::test]
async fn what_is_handed_in_says_who_where_and_when() {
    let story = Story::new();
    story.run("/ops list\n/as kim\n/ops list\n").await;
    let heard = story.heard.lock().unwrap();
    let (first, second) = (&heard[0], &heard[1]);
    assert_eq!(first.key.as_str(), "console:17:1");
    assert_eq!(second.key.as_str(), "console:17:2");
    assert_eq!(
        (first.speaker.id.as_str(), second.speaker.id.as_str()),
        ("ana", "kim")
    );
    assert_eq!(first.speaker.platform, Platform::Console);
    assert_eq!(first.source, Source::Chat);
    assert_eq!(first.place, place());
    assert_eq!((first.sent_at, first.received_at), (now(), now()));
}

#[tokio::test]
async fn the_worst_end_of_all_commands_is_the_sessions() {
    for (row, lines, ended) in [
        ("nothing", "", Ended::Done),
        ("all done", "a\nb", Ended::Done),
        ("one failed, later ones ran", "a\nfails\nb\n", Ended::Failed),
        ("one waits for consent", "waits\na\n", Ended::Waiting),
        ("it got it later", "waits\napprove\n", Ended::Done),
        ("taken, then unreadable", "unreadable\n", Ended::Failed),
        ("not taken", "disk-full\n", Ended::Failed),
        ("not known here", "/flush-cache prod\n", Ended::Failed),
        ("nobody of that name", "/as zoe\n", Ended::Failed),
    ] {
        assert_eq!(Story::new().run(lines).await, ended, "{row}");
    }
}

#[tokio::test]
async fn what_is_refused_says_why_and_what_to_do() {
    let story = Story::new();
    let long = "x".repeat(4_001);
    story
        .run(&format!(
            "disk-full\n/flush\n/as zoe\n/in nowhere\n/ops {long}\nunreadable"
        ))
        .await;
    let printed = story.out.text();
    let told: Vec<&str> = printed
        .lines()
        .filter(|line| line.starts_with('⛔'))
        .collect();
    assert_snapshot!(told.join("\n"), @r"
    ⛔ nothing was done: the database can't be written: disk full
    ⛔ `/flush` is not known here; type `/ops` and a command, or one of `/as`, `/in`, `/help`, `/quit`
    ⛔ no person `zoe` in people.yaml; you are still `ana`; there are ana, kim
    ⛔ no runbook names a channel `nowhere`; you are still in `shop`; there are sandbox, shop
    ⛔ nothing was done: the line is longer than 4000 characters; shorten it
    ⛔ it was taken, and how it ended can't be read: the database is unavailable: gone
    ");
    assert_eq!(story.heard.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn nobody_speaks_for_another_unless_it_is_allowed() {
    let story = Story {
        may_play: false,
        ..Story::new()
    };
    assert_eq!(story.run("/as kim\n/ops list\n").await, Ended::Failed);
    assert_eq!(story.heard.lock().unwrap()[0].speaker.id, "ana");
    assert!(
        story
            .out
            .text()
            .contains("⛔ nobody speaks for another here; you are `ana`")
    );
}

#[tokio::test]
async fn a_line_cannot_act_on_the_terminal_when_it_is_repeated() {
    let story = Story::new();
    story.run("/as \x1b[2Jzoe\n").await;
    assert!(!story.out.text().contains('\x1b'), "{:?}", story.out.text());
}

#[tokio::test]
async fn a_session_that_is_cut_off_has_failed() {
    let story = Story::new();
    let cancel = CancellationToken::new();
    let input = Input::Lines(Box::new(Cursor::new("hangs\nlist\n")));
    let mut tasks = JoinSet::new();
    tasks.spawn(story.console().run(input, cancel.clone()));
    while !story.out.text().contains("did hangs") {
        tokio::task::yield_now().await;
    }
    cancel.cancel();
    let ended = tasks.join_next().await.unwrap().unwrap();
    assert_eq!(ended.unwrap(), Ended::Failed);
    assert_eq!(story.heard.lock().unwrap().len(), 1);
}

fn mark(n: i64) -> Mark {
    Mark {
        id: n.to_string(),
        version: 1,
    }
}
