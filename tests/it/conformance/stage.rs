//! A platform with a running midwatch, as its people use it: what they can do there, and what they see.

use async_trait::async_trait;

use super::console::{LINES, ONCE, ONE_PLACE, ONE_READER, TAB};

/// People of the shipped runbooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    /// In the team; on call in turn.
    Ana,
    /// In the team too; not on Discord.
    Cy,
    /// An engineer, who needs consent in prod.
    Bo,
    /// An account of Bo's that `people.yaml` doesn't name.
    BoElsewhere,
    /// May do nothing here.
    Eve,
    /// Nobody knows them.
    Stranger,
}

/// All of them.
pub(crate) const EVERYBODY: [Who; 6] = [
    Who::Ana,
    Who::Cy,
    Who::Bo,
    Who::BoElsewhere,
    Who::Eve,
    Who::Stranger,
];

/// Where everybody reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    /// In the shop's channels and their threads.
    Shop,
    /// In the channel that the project `twin` is mirrored to.
    Mirror,
}

/// What goes wrong, or is put right again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The next calls are answered with "too fast".
    TooFast,
    /// The next message is taken, and the answer to us is lost.
    AnswerLost,
    /// The next call is redirected to another host.
    Elsewhere,
    /// What we listen on is cut once.
    LineCut,
    /// What we listen on is cut and stays so.
    Deaf,
    /// It is there again.
    Hearing,
    /// midwatch and all that it started are killed; it is started again.
    PowerCut,
    /// Somebody locks the thread of the latest run.
    ThreadShut,
    /// The platform takes no more edits of the latest run's message: it is too old.
    GrownOld,
}

/// A request that the platform did not send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Forgery {
    /// Signed by somebody else.
    Signature,
    /// Signed by the platform, more than five minutes ago.
    Old,
    /// The platform's own, once more.
    Replay,
}

/// Why a platform can't, and who says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cant(pub(crate) &'static str);

/// Of platforms that call us.
pub(super) const NO_LINE: Cant =
    Cant("over HTTP no line is kept open, so none can be cut: the platform calls us");
/// Of platforms that we call.
pub(super) const NOT_SIGNED: Cant = Cant(
    "what comes over a line that we opened ourselves, with our token, is not signed: <https://docs.slack.dev/apis/events-api/using-socket-mode>, <https://docs.discord.com/developers/events/gateway>",
);

/// What came of something that a platform may be unable to do.
pub(crate) type Done<T = ()> = Result<T, Cant>;

/// A platform with a running midwatch. What has a body here is what a terminal can't.
#[async_trait]
pub(crate) trait Stage: Send {
    /// Types a command in one of the shop's channels, in the way that the platform has for it.
    async fn command(&mut self, who: Who, text: &str) -> Done;
    /// Mentions us in one of the shop's channels.
    async fn mention(&mut self, _: Who, _text: &str) -> Done {
        Err(ONE_PLACE)
    }
    /// Writes to us alone.
    async fn direct(&mut self, _: Who, _text: &str) -> Done {
        Err(ONE_PLACE)
    }
    /// Mentions us in the thread of the run that was told last.
    async fn in_thread(&mut self, _: Who, _text: &str) -> Done {
        Err(ONE_PLACE)
    }
    /// Writes something else and changes it into a command.
    async fn edited(&mut self, _: Who, _text: &str) -> Done {
        Err(LINES)
    }
    /// Another app mentions us.
    async fn by_bot(&mut self, _text: &str) -> Done {
        Err(ONE_PLACE)
    }
    /// The platform delivers one command twenty times.
    async fn twenty_times(&mut self, _: Who, _text: &str) -> Done {
        Err(ONCE)
    }
    /// The platform tells us two minutes late that somebody mentioned us.
    async fn late(&mut self, _: Who, _text: &str) -> Done {
        Err(ONCE)
    }
    /// Presses a button that everybody sees.
    async fn press(&mut self, _: At, _: Who, _label: &str) -> Done {
        Err(LINES)
    }
    /// Two people who see the same button press it, one after the other.
    async fn press_both(&mut self, _first: Who, _second: Who, _label: &str) -> Done {
        Err(LINES)
    }
    /// Presses a button where the platform doesn't say in which space.
    async fn press_nowhere(&mut self, _: Who, _label: &str) -> Done {
        Err(LINES)
    }
    /// Fills in the form that is open for this person.
    async fn fill(&mut self, _: Who, _field: &str, _value: &str) -> Done {
        Err(LINES)
    }
    /// What is offered to somebody who has typed this much.
    async fn offered(&mut self, _: Who, _typed: &str) -> Done<Vec<String>> {
        Err(TAB)
    }
    /// Something goes wrong.
    async fn trouble(&mut self, trouble: Trouble) -> Done;
    /// Somebody sends us what the platform didn't: the status of our answer.
    async fn forge(&mut self, _: Forgery) -> Done<u16> {
        Err(ONE_PLACE)
    }
    /// midwatch is stopped, and started again after this was said to it.
    async fn away_while(&mut self, _: Who, _text: &str) -> Done {
        Err(ONCE)
    }
    /// The platform has this person in its group of leads from now on.
    async fn join_leads(&mut self, _: Who) -> Done {
        Err(ONE_PLACE)
    }
    /// How `/ops link` calls Bo's other account.
    async fn other_account(&mut self) -> Done<String> {
        Err(ONE_PLACE)
    }
    /// Whether who mentioned us last sees in the channel that it was heard: the answer, or a mark.
    async fn is_marked(&mut self) -> Done<bool> {
        Err(ONE_PLACE)
    }
    /// How often the message of the latest run was edited.
    async fn edits(&mut self) -> Done<usize> {
        Err(LINES)
    }
    /// Whom messages that everybody sees have pinged.
    async fn pinged(&mut self) -> Done<Vec<Who>> {
        Err(ONE_READER)
    }
    /// How many of our messages stand in channels themselves, and not in threads.
    async fn outside_threads(&mut self) -> Done<usize> {
        Err(ONE_PLACE)
    }
    /// The files that everybody sees.
    async fn files(&mut self) -> Done<Vec<String>> {
        Err(LINES)
    }
    /// What `/readyz` says.
    async fn ready(&mut self) -> Done<String> {
        Err(ONCE)
    }
    /// Whether anything is heard while a run goes on.
    async fn amid_a_run(&mut self) -> Done {
        Ok(())
    }
    /// Everything that everybody sees in these channels and their threads, oldest first.
    async fn shown(&mut self, at: At) -> Done<Vec<String>>;
    /// What this person alone was told.
    async fn alone(&mut self, who: Who) -> Vec<String>;
    /// Facts of this kind in the ledger.
    async fn facts(&mut self, kind: &str) -> usize;
    /// What the platform has to complain of since the last time.
    fn violations(&mut self) -> Vec<String>;
}
