//! Our own half of the way out, in this process: what a program printed or a person said, through the pipeline, the
//! renderings and the adapters, to a workspace and a screen.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use midwatch::catalog::{self, Folders};
use midwatch::chat::console::{ConsoleTransport, Screen};
use midwatch::chat::discord::{self, Discord, DiscordSettings};
use midwatch::chat::slack::{Slack, SlackSettings};
use midwatch::chat::{CurrentCatalog, DeliveryError, Transport};
use midwatch::clock::Clock;
use midwatch::domain::{
    Action, Arguments, Block, Catalog, CommandName, Effect, FileLine, Hearing, Identity,
    InboundKey, Invocation, Message, Outcome, PersonId, Phase, Piece, Place, PlannedStep, Platform,
    ProjectName, Question, Refusal, Rendered, Revision, RuleRef, Run, RunAction, RunEvent, RunId,
    Span, StepName, StepResult, Text, Typed, clean, harmless, parse, render,
};
use midwatch::engine::actions::{HttpClient, Surroundings};
use midwatch::engine::secrets::LocalSecrets;
use midwatch::store::Mark;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use tempfile::TempDir;

use super::judge::{self, Marks};
use super::markdown;
use super::words::{output, words};
use crate::bot::Home;
use crate::fakes::discord::{self as fake_discord, FakeDiscord, GENERAL, GUILD};
use crate::fakes::slack::{BOT_TOKEN, FakeSlack};
use crate::lab::perform_and_hear;

/// Lines of output that the root message shows while a step runs.
const TAIL_LINES: usize = 8;
const CHANNEL: &str = "C1";

/// What a platform says once it lets us: fifty calls a second are all that Discord takes.
async fn when_it_may<T>(
    act: impl AsyncFn() -> Result<T, DeliveryError>,
) -> Result<T, DeliveryError> {
    for _ in 0..40 {
        match act().await {
            Err(DeliveryError::Limited(wait)) => tokio::time::sleep(wait).await,
            said => return said,
        }
    }
    act().await
}

/// A workspace, a screen, and both adapters.
pub(super) struct Stage {
    slack: FakeSlack,
    adapter: Slack,
    discord: FakeDiscord,
    discord_adapter: Discord,
    screens: Vec<(Option<usize>, Console)>,
    catalog: CurrentCatalog,
    surroundings: Surroundings,
    folder: TempDir,
    /// What belongs to which message of the workspace.
    sent: BTreeMap<String, Marks>,
    /// The same of Discord, by message.
    sent_to_discord: BTreeMap<String, Marks>,
    whispered: Vec<(String, Marks)>,
    posted: i64,
}

/// A console whose output is kept.
struct Console {
    transport: ConsoleTransport,
    out: Out,
}

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

/// What was seen of one batch.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) messages: usize,
    pub(super) quoted: usize,
    pub(super) refusals: usize,
    pub(super) programs: usize,
    /// Messages as Discord would be sent them.
    pub(super) encoded: usize,
    /// Those of them that a Discord took.
    pub(super) posted: usize,
    /// Blocks in them in which a program speaks.
    pub(super) blocks: usize,
}

impl Stage {
    pub(super) async fn open(home: &Home) -> Self {
        let slack = FakeSlack::start().await;
        let folders = Folders {
            commands: home.path("commands"),
            runbooks: home.path("runbooks"),
        };
        let loaded = catalog::load(&folders, &BTreeMap::new());
        assert!(
            !loaded.has_errors(),
            "the proof's own files have mistakes: {:?}",
            loaded.diagnostics
        );
        let catalog: CurrentCatalog = Arc::new(ArcSwap::from_pointee(loaded.catalog));
        let settings = SlackSettings {
            bot_token: BOT_TOKEN.to_owned().into(),
            app_token: None,
            signing_secret: None,
            api_url: slack.api_url(),
        };
        let adapter = Slack::new(&settings, Arc::clone(&catalog)).expect("an adapter");
        let discord = FakeDiscord::start().await;
        discord.keep_pace(false);
        let settings = DiscordSettings {
            token: fake_discord::BOT_TOKEN.to_owned().into(),
            public_key: None,
            api_url: discord.api_url(),
        };
        let discord_adapter = Discord::new(&settings, Arc::clone(&catalog), Clock::system());
        let discord_adapter = discord_adapter.expect("an adapter");
        let widths: [fn() -> Option<usize>; 3] = [|| None, || Some(80), || Some(43)];
        let screens = widths.map(|columns| (columns(), Console::open(&catalog, columns)));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let environment: BTreeMap<String, String> =
            [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into();
        let surroundings = Surroundings {
            secrets: Arc::new(LocalSecrets::new(&environment, None)),
            directory: folder.path().to_owned(),
            environment: Arc::new(environment),
            http: HttpClient::new().expect("a client"),
            supervisor: crate::bot::MIDWATCH.into(),
        };
        Self {
            slack,
            adapter,
            discord,
            discord_adapter,
            screens: screens.into(),
            catalog,
            surroundings,
            folder,
            sent: BTreeMap::new(),
            sent_to_discord: BTreeMap::new(),
            whispered: Vec::new(),
            posted: 0,
        }
    }

    /// One output and some words, all the way. Answers what is wrong with what the terminal would show.
    pub(super) async fn round(
        &mut self,
        number: u32,
        random: &mut StdRng,
        seen: &mut Seen,
    ) -> Result<(), String> {
        let marks = Marks {
            printed: format!("zq{number}zq"),
            said: format!("sw{number}sw"),
        };
        self.rename(&words(&marks.said, random));
        let bytes = output(&marks.printed, random);
        let text = if number.is_multiple_of(10) {
            seen.programs += 1;
            self.printed_by_a_program(&bytes).await
        } else {
            clean(&String::from_utf8_lossy(&bytes))
        };
        let said = words(&marks.said, random);
        let run = self.run(number, &said);
        let ended = RunEvent::StepEnded {
            position: 0,
            step: StepName::parse("print").expect("a name"),
            attempt: 1,
            result: StepResult::Failed {
                why: "exit code 1".to_owned(),
            },
            elapsed_ms: 12,
            output_sha256: None,
        };
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n");
        let live = render::Live { tail: &tail };
        let mut messages = vec![
            render::line(&run, &ended, &text).expect("a line"),
            render::root(&run, self.now(), Some(live)),
        ];
        if random.random_bool(0.3) {
            messages.push(render::first_line(&run, &[]));
        }
        for message in &messages {
            self.post(message, &marks, random).await?;
            self.encode_for_discord(message, &marks, seen)?;
            let by_chance = random.random_bool(0.2);
            if by_chance || number.is_multiple_of(4) {
                self.post_to_discord(message, &marks, random).await?;
            }
        }
        // Two programs in one message: what one printed must not open the other's block.
        let hollow = *[
            "",
            " ",
            "\n\n",
            "\u{200b}",
            "\u{feff}\n\u{2060}",
            "`",
            "```",
        ]
        .choose(random)
        .expect("some");
        let pair = Message::new(Text::new().plain("two"))
            .with(Block::Output(hollow.to_owned()))
            .text(Text::new().plain("and the other"))
            .with(Block::Output(text.clone()));
        self.encode_for_discord(&pair, &marks, seen)?;
        let answer = self.answer(&said, random);
        self.encode_for_discord(&answer, &marks, seen)?;
        seen.refusals += 1;
        self.whisper(number, &answer, &marks).await
    }

    /// What every way in would answer to these words, as a command, a question or a value.
    fn answer(&self, said: &str, random: &mut StdRng) -> Message {
        let quoted = format!("\"{}\"", said.replace('\\', "\\\\").replace('"', "\\\""));
        let line = match random.random_range(0..12) {
            0 => said.to_owned(),
            1 => format!("print 1 note={quoted}"),
            2 => format!("print {quoted}"),
            3 => format!("print 1 --{said}"),
            4 => format!("print 1 {quoted} {quoted} {quoted}"),
            5 => format!("reject 7f3k {said}"),
            6 => format!("show {quoted}"),
            7 => format!("runbook yard {said}"),
            8 => format!("print 1 project={quoted}"),
            9 => format!("settle 7f3k {said}"),
            10 => format!("may --as {quoted} print 1"),
            _ => format!("help {quoted}"),
        };
        let catalog = self.catalog.load();
        let hearing = Hearing {
            catalog: &catalog,
            channel: "elsewhere",
        };
        let run = |invocation| Run {
            invocation,
            ..self.run(0, said)
        };
        match parse(&line, &hearing) {
            Err(refusal) => refusal.message(),
            Ok(Typed::Invoke(invocation)) => render::first_line(&run(invocation), &[]),
            Ok(Typed::Ask(Question::Reject { reason, .. })) => {
                let by = PersonId::parse("ana").expect("a name");
                render::line(&self.run(0, said), &RunEvent::Rejected { by, reason }, "")
                    .expect("a line")
            }
            Ok(Typed::Ask(Question::Runbook { project, heading })) => {
                render::runbook(&catalog.projects[&project], heading.as_deref())
            }
            Ok(Typed::Ask(_)) => Refusal::Fault {
                code: "7f3k-2".to_owned(),
            }
            .message(),
        }
    }

    async fn post(
        &mut self,
        message: &Message,
        marks: &Marks,
        random: &mut StdRng,
    ) -> Result<(), String> {
        self.posted += 1;
        let posted = self
            .adapter
            .post(&place(Platform::Slack), None, message, &mark(self.posted))
            .await;
        let reference = posted.map_err(|why| format!("slack took no message: {why}"))?;
        if random.random_bool(0.2) {
            let edited = self
                .adapter
                .edit(
                    &place(Platform::Slack),
                    &reference,
                    message,
                    &mark(self.posted),
                )
                .await;
            edited.map_err(|why| format!("slack took no edit: {why}"))?;
        }
        self.sent.insert(reference.0, marks.clone());
        for (columns, console) in &self.screens {
            let thread = random.random_bool(0.5).then(|| reference_of("1"));
            let sent = console
                .transport
                .post(
                    &place(Platform::Console),
                    thread.as_ref(),
                    message,
                    &mark(0),
                )
                .await;
            sent.map_err(|why| why.to_string())?;
            console.judge(marks, *columns)?;
        }
        Ok(())
    }

    async fn whisper(
        &mut self,
        number: u32,
        message: &Message,
        marks: &Marks,
    ) -> Result<(), String> {
        let user = format!("U{number}");
        let sent = self
            .adapter
            .whisper(&place(Platform::Slack), &user, None, message, &mark(0))
            .await;
        sent.map_err(|why| format!("slack took no whisper: {why}"))?;
        self.whispered.push((user, marks.clone()));
        for (columns, console) in &self.screens {
            let sent = console
                .transport
                .whisper(&place(Platform::Console), "ana", None, message, &mark(0))
                .await;
            sent.map_err(|why| why.to_string())?;
            console.judge(marks, *columns)?;
        }
        Ok(())
    }

    /// Judges a message as Discord would be sent it.
    fn encode_for_discord(
        &self,
        message: &Message,
        marks: &Marks,
        seen: &mut Seen,
    ) -> Result<(), String> {
        let body = discord::message(message, &self.catalog.load().people, GUILD);
        let judged = markdown::sent(&body, marks, &[]);
        let read = judged.map_err(|why| format!("discord: {why}\n{body}"))?;
        let (lines, blocks) = own_parts(message);
        if read.lines > lines || read.blocks > blocks {
            return Err(format!(
                "discord: of our {lines} lines and {blocks} blocks it shows {} and {}\n{body}",
                read.lines, read.blocks
            ));
        }
        // What is too long leaves lines out, and says so; nothing else may swallow one.
        let is_whole = !body.to_string().contains('…');
        if is_whole && (read.lines < lines || read.blocks < blocks) {
            return Err(format!(
                "discord: of our {lines} lines and {blocks} blocks it shows {} and {}\n{body}",
                read.lines, read.blocks
            ));
        }
        seen.encoded += 1;
        seen.blocks += read.quoted;
        Ok(())
    }

    async fn post_to_discord(
        &mut self,
        message: &Message,
        marks: &Marks,
        random: &mut StdRng,
    ) -> Result<(), String> {
        self.posted += 1;
        let to = Place {
            space: GUILD.to_owned(),
            channel: GENERAL.to_owned(),
            ..place(Platform::Discord)
        };
        let mark = mark(self.posted);
        let (adapter, to) = (&self.discord_adapter, &to);
        let posted = when_it_may(async || adapter.post(to, None, message, &mark).await).await;
        let reference = posted.map_err(|why| format!("discord took no message: {why}"))?;
        if random.random_bool(0.3) {
            when_it_may(async || adapter.edit(to, &reference, message, &mark).await)
                .await
                .map_err(|why| format!("discord took no edit: {why}"))?;
        }
        let id = reference.0.rsplit(':').next().unwrap_or_default();
        self.sent_to_discord.insert(id.to_owned(), marks.clone());
        Ok(())
    }

    /// Judges everything that the workspace was sent.
    pub(super) fn verdict(&self, seen: &mut Seen) -> Result<(), String> {
        for message in self.slack.messages(CHANNEL) {
            let marks = &self.sent[&format!("{CHANNEL}:{}", message.ts)];
            judge::slack(&message, marks, &[]).map_err(|why| format!("{why}\n{message:?}"))?;
            seen.messages += 1;
            seen.quoted += usize::from(judge::shows(&message, marks));
        }
        for (user, marks) in &self.whispered {
            for message in self.slack.whispers(user) {
                judge::slack(&message, marks, &[]).map_err(|why| format!("{why}\n{message:?}"))?;
                seen.messages += 1;
            }
        }
        for message in self.discord.messages(GENERAL) {
            let marks = &self.sent_to_discord[&message.id];
            markdown::posted(&message, marks, &[])
                .map_err(|why| format!("discord: {why}\n{message:?}"))?;
            seen.posted += 1;
        }
        if let Some(violation) = self.discord.violations().first() {
            return Err(format!("discord: {violation}"));
        }
        match self.slack.violations().first() {
            Some(violation) => Err(format!("slack: {violation}")),
            None => Ok(()),
        }
    }

    /// Runs a program that prints these bytes, as a step would.
    async fn printed_by_a_program(&self, bytes: &[u8]) -> String {
        std::fs::write(self.folder.path().join("bytes"), bytes).expect("a file");
        let action = Action::Run(RunAction {
            argv: ["cat", "bytes"]
                .map(|word| Rendered(vec![Piece::Text(word.to_owned())]))
                .into(),
            directory: None,
            environment: BTreeMap::new(),
            pass: Vec::new(),
        });
        let step = PlannedStep {
            name: StepName::parse("print").expect("a name"),
            action,
            verify: None,
            effect: Effect::Read,
            timeout_ms: 20_000,
            attempts: 1,
            hosts: Vec::new(),
        };
        let (result, text) = perform_and_hear(&step, &self.surroundings, self.folder.path()).await;
        assert!(matches!(result, StepResult::Succeeded { .. }), "{result:?}");
        text
    }

    /// From now on the person has this name.
    fn rename(&self, name: &str) {
        let mut catalog = Catalog::clone(&self.catalog.load());
        for person in catalog.people.persons.values_mut() {
            name.clone_into(&mut person.name);
        }
        self.catalog.store(Arc::new(catalog));
    }

    fn now(&self) -> jiff::Timestamp {
        Clock::system().now()
    }

    /// A run that was asked for with these words, as the parser lets them through.
    fn run(&self, number: u32, said: &str) -> Run {
        let catalog = self.catalog.load();
        let hearing = Hearing {
            catalog: &catalog,
            channel: "elsewhere",
        };
        let quoted = format!("\"{}\"", said.replace('\\', "\\\\").replace('"', "\\\""));
        let lines = [
            format!("print 1 reason={quoted} note={quoted}"),
            format!("print 1 reason={quoted}"),
        ];
        let typed = lines.iter().find_map(|line| match parse(line, &hearing) {
            Ok(Typed::Invoke(invocation)) => Some(invocation),
            _ => None,
        });
        let id = RunId::of_inbound(&InboundKey::new(&["proof", &number.to_string()]));
        Run {
            id,
            reference: id.reference(4),
            invocation: typed.unwrap_or_else(|| Invocation {
                command: CommandName::parse("print").expect("a name"),
                project: ProjectName::parse("yard").expect("a name"),
                environment: None,
                arguments: Arguments::new(),
                again: false,
                reason: None,
                glass: false,
            }),
            requester: Identity::Person(PersonId::parse("ana").expect("a name")),
            rule: RuleRef {
                at: FileLine {
                    file: "runbooks/yard.yaml".to_owned(),
                    line: 7,
                },
                revision: Revision("0123456789ab".to_owned()),
            },
            place: place(Platform::Slack),
            mirrors: Vec::new(),
            followers: Vec::new(),
            glass: None,
            phase: Phase::Finished(Outcome::Failed),
            plan: None,
            steps: Vec::new(),
            cancelled_by: None,
            doubted_at: None,
            created_at: self.now(),
            started_at: None,
            finished_at: None,
        }
    }
}

impl Console {
    fn open(catalog: &CurrentCatalog, columns: fn() -> Option<usize>) -> Self {
        let out = Out::default();
        let screen = Screen::open(Box::new(out.clone())).expect("a screen");
        let colour = columns().is_some();
        let transport = ConsoleTransport::new(screen, Arc::clone(catalog), Clock::system(), colour);
        Self {
            transport: transport.as_wide_as(columns),
            out,
        }
    }

    /// Judges what was printed since the last look.
    fn judge(&self, marks: &Marks, columns: Option<usize>) -> Result<(), String> {
        let sent = std::mem::take(&mut *self.out.0.lock().unwrap());
        let sent = String::from_utf8(sent).map_err(|why| format!("the console: {why}"))?;
        judge::console(&sent, marks, columns).map_err(|why| format!("the console: {why}\n{sent:?}"))
    }
}

/// Lines of a message outside of its outputs, where each text of others stands in a line of ours, and blocks of output.
fn own_parts(message: &Message) -> (usize, usize) {
    let shown = |text: &Text| {
        let plain = text.0.iter().map(|span| match span {
            Span::Plain(words) => harmless(words),
            Span::Bold(words) | Span::Code(words) => harmless(words).replace('\n', " "),
            Span::Person(_) | Span::Ping(_) | Span::Time(_) | Span::Thread(_) => "x".to_owned(),
        });
        let plain: String = plain.collect();
        plain.lines().filter(|line| !line.trim().is_empty()).count()
    };
    let (mut lines, mut blocks) = (0, 0);
    for block in &message.blocks {
        match block {
            Block::Text(text) => lines += shown(text),
            Block::Fields(fields) => lines += fields.len(),
            Block::Output(output) => blocks += usize::from(!harmless(output).trim().is_empty()),
            Block::Progress { .. } => lines += 1,
            Block::Buttons(_) => {}
        }
    }
    (lines, blocks)
}

fn place(platform: Platform) -> Place {
    Place {
        platform,
        space: "T1".to_owned(),
        channel: CHANNEL.to_owned(),
        thread: None,
    }
}

fn reference_of(text: &str) -> midwatch::store::MessageRef {
    midwatch::store::MessageRef(text.to_owned())
}

fn mark(number: i64) -> Mark {
    Mark {
        id: number.to_string(),
        version: 1,
    }
}
