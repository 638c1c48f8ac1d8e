//! One conversation: takes line after line, remembers who speaks where, and hands commands in.

use super::lines::{Ask, Heard, LONGEST_LINE};
use super::said::{Said, said};
use super::{Console, ConsoleError, Ended};
use crate::domain::{
    Inbound, InboundKey, Manner, PersonId, Place, Platform, Source, Speaker, SpeakerKind, harmless,
};
use crate::store::StoreError;

const HOW_TO_STOP: &str = "nothing was stopped: to stop a run type `/ops cancel REF`; to leave press Ctrl-C again, or type `/quit`";

/// The conversation, from its first line to its last.
pub(super) struct Talk {
    console: Console,
    /// Each command has ended before the next line is asked for.
    in_order: bool,
    commands: u64,
    /// Commands whose runs waited for a person when we last looked.
    waiting: Vec<InboundKey>,
    worst: Ended,
    interrupted: bool,
}

impl Talk {
    pub(super) fn new(console: Console, in_order: bool) -> Self {
        Self {
            console,
            in_order,
            commands: 0,
            waiting: Vec::new(),
            worst: Ended::Done,
            interrupted: false,
        }
    }

    /// What the reader needs for the next line.
    pub(super) fn ask(&self) -> Ask {
        Ask {
            prompt: format!("{}@{}> ", self.console.speaker, self.console.channel),
            channel: self.console.channel.clone(),
        }
    }

    /// Does what was heard; answers whether there is more to hear.
    pub(super) async fn take(&mut self, heard: Heard) -> Result<bool, ConsoleError> {
        let again = std::mem::replace(&mut self.interrupted, heard == Heard::Interrupted);
        match heard {
            Heard::Line(line) => return self.take_line(&line).await,
            Heard::TooLong => {
                let limit = format!(
                    "nothing was done: the line is longer than {LONGEST_LINE} characters; shorten it"
                );
                self.refuse(&limit).await?;
            }
            Heard::NotText => {
                self.refuse("nothing was done: the line is not UTF-8 text")
                    .await?;
            }
            Heard::Interrupted if again => return Ok(false),
            Heard::Interrupted => self.say(HOW_TO_STOP).await?,
            Heard::End => return Ok(false),
            Heard::Broken(why) => return Err(ConsoleError::Input(why)),
        }
        Ok(true)
    }

    async fn take_line(&mut self, line: &str) -> Result<bool, ConsoleError> {
        let said = said(line);
        if self.in_order && said != Said::Nothing {
            // Nobody typed it here: what was said belongs into what is printed.
            let Ask { prompt, .. } = self.ask();
            self.say(&harmless(&format!("{prompt}{}", line.trim())))
                .await?;
        }
        match said {
            Said::Nothing => {}
            Said::Leave => return Ok(false),
            Said::PlayAs(person) => self.play_as(&person).await?,
            Said::GoTo(channel) => self.go_to(&channel).await?,
            Said::Command(text) => self.hand_in(text).await?,
            Said::Unknown(word) => {
                let words = "type `/ops` and a command, or one of `/as`, `/in`, `/help`, `/quit`";
                self.refuse(&format!("`{word}` is not known here; {words}"))
                    .await?;
            }
        }
        Ok(true)
    }

    async fn play_as(&mut self, person: &str) -> Result<(), ConsoleError> {
        let speaker = &self.console.speaker;
        if !self.console.may_play {
            let why = format!("nobody speaks for another here; you are `{speaker}`");
            return self.refuse(&why).await;
        }
        let catalog = self.console.catalog.load_full();
        if catalog.people.persons.contains_key(person) {
            person.clone_into(&mut self.console.speaker);
            return Ok(());
        }
        let known: Vec<&str> = catalog
            .people
            .persons
            .keys()
            .map(PersonId::as_str)
            .collect();
        let why = format!(
            "no person `{person}` in people.yaml; you are still `{speaker}`; there are {}",
            known.join(", ")
        );
        self.refuse(&why).await
    }

    async fn go_to(&mut self, channel: &str) -> Result<(), ConsoleError> {
        let catalog = self.console.catalog.load_full();
        if catalog.channels.contains_key(channel) {
            channel.clone_into(&mut self.console.channel);
            return Ok(());
        }
        let mut known: Vec<&str> = catalog.channels.keys().map(String::as_str).collect();
        known.sort_unstable();
        let why = format!(
            "no runbook names a channel `{channel}`; you are still in `{}`; there are {}",
            self.console.channel,
            known.join(", ")
        );
        self.refuse(&why).await
    }

    async fn hand_in(&mut self, text: String) -> Result<(), ConsoleError> {
        let inbound = self.inbound(text);
        let key = inbound.key.clone();
        if let Err(error) = (self.console.intake)(inbound).await {
            return self.refuse(&format!("nothing was done: {error}")).await;
        }
        if !self.in_order {
            return Ok(());
        }
        match (self.console.ended)(&key).await {
            Ok(Ended::Waiting) => self.waiting.push(key),
            Ok(ended) => self.worst = self.worst.max(ended),
            Err(error) => self.lose_sight(&error).await?,
        }
        Ok(())
    }

    fn inbound(&mut self, text: String) -> Inbound {
        self.commands += 1;
        let now = self.console.clock.now();
        let number = self.commands.to_string();
        Inbound {
            key: InboundKey::new(&["console", &self.console.session, &number]),
            source: Source::Chat,
            speaker: Speaker {
                platform: Platform::Console,
                space: String::new(),
                id: self.console.speaker.clone(),
                kind: SpeakerKind::Person,
            },
            place: Place {
                platform: Platform::Console,
                space: String::new(),
                channel: self.console.channel.clone(),
                thread: None,
            },
            manner: Manner::Said,
            text,
            sent_at: now,
            received_at: now,
            form_handle: None,
        }
    }

    /// How it all ended. A run that waited may have got its consent from a later line: those are looked at again.
    pub(super) async fn settle_waiting(&mut self) -> Result<Ended, ConsoleError> {
        for key in std::mem::take(&mut self.waiting) {
            match (self.console.ended)(&key).await {
                Ok(ended) => self.worst = self.worst.max(ended),
                Err(error) => self.lose_sight(&error).await?,
            }
        }
        Ok(self.end())
    }

    /// Ends the line that is being edited.
    pub(super) async fn give_line_up(&self) -> Result<(), ConsoleError> {
        Ok(self.console.screen.give_line_up().await?)
    }

    /// How it ended when it was cut off: not all of it was done.
    pub(super) fn cut_off(&self) -> Ended {
        if self.in_order {
            Ended::Failed
        } else {
            Ended::Done
        }
    }

    fn end(&self) -> Ended {
        if self.in_order {
            self.worst
        } else {
            Ended::Done
        }
    }

    async fn lose_sight(&mut self, error: &StoreError) -> Result<(), ConsoleError> {
        let why = format!("it was taken, and how it ended can't be read: {error}");
        self.refuse(&why).await
    }

    async fn refuse(&mut self, why: &str) -> Result<(), ConsoleError> {
        self.worst = Ended::Failed;
        self.say(&format!("⛔ {}", harmless(why))).await
    }

    async fn say(&self, text: &str) -> Result<(), ConsoleError> {
        Ok(self.console.screen.print(text).await?)
    }
}
