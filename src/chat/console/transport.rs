//! The console's sending side: every message is printed once, where it falls.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use super::paint::Paint;
use super::screen::Screen;
use crate::chat::{CurrentCatalog, DeliveryError, Pace, Transport, Within};
use crate::clock::Clock;
use crate::domain::{Form, Message, Place, Platform};
use crate::store::{Mark, MessageRef};

/// Before the lines of a thread.
const INDENTATION: &str = "  ";

/// Prints messages on a [`Screen`].
#[derive(Debug)]
pub struct ConsoleTransport {
    screen: Screen,
    catalog: CurrentCatalog,
    clock: Clock,
    colour: bool,
    columns: fn() -> Option<usize>,
    printed: AtomicU64,
}

impl ConsoleTransport {
    /// `colour`: standard output is a terminal and `NO_COLOR` isn't set.
    pub fn new(screen: Screen, catalog: CurrentCatalog, clock: Clock, colour: bool) -> Self {
        Self {
            screen,
            catalog,
            clock,
            colour,
            columns: || None,
            printed: AtomicU64::new(0),
        }
    }

    /// For an output whose lines are so wide at the moment; `None` where nobody knows.
    #[must_use]
    pub fn as_wide_as(mut self, columns: fn() -> Option<usize>) -> Self {
        self.columns = columns;
        self
    }

    async fn print(&self, message: &Message, in_thread: bool) -> Result<(), DeliveryError> {
        let catalog = self.catalog.load_full();
        let indentation = if in_thread { INDENTATION.len() } else { 0 };
        let paint = Paint {
            colour: self.colour,
            people: &catalog.people,
            now: self.clock.now(),
            columns: (self.columns)().map(|columns| columns.saturating_sub(indentation)),
        };
        let text = paint.message(message);
        let text = if in_thread { indented(&text) } else { text };
        self.screen
            .print(&text)
            .await
            .map_err(|error| undelivered(&error))
    }
}

#[async_trait]
impl Transport for ConsoleTransport {
    fn platform(&self) -> Platform {
        Platform::Console
    }

    fn pace(&self) -> Pace {
        Pace {
            between_posts: Duration::ZERO,
            between_edits: Duration::ZERO,
            between_looks: Duration::ZERO,
            read_back_after: None,
            asks_within: Within::Space,
        }
    }

    async fn post(
        &self,
        to: &Place,
        thread: Option<&MessageRef>,
        message: &Message,
        _: &Mark,
    ) -> Result<MessageRef, DeliveryError> {
        self.print(message, thread.is_some() || to.thread.is_some())
            .await?;
        let number = self.printed.fetch_add(1, Ordering::Relaxed) + 1;
        Ok(MessageRef(number.to_string()))
    }

    /// What is printed stays; the lines of the thread tell what changed.
    async fn edit(
        &self,
        _: &Place,
        _: &MessageRef,
        _: &Message,
        _: &Mark,
    ) -> Result<(), DeliveryError> {
        Ok(())
    }

    async fn whisper(
        &self,
        _: &Place,
        _: &str,
        _: Option<&str>,
        message: &Message,
        _: &Mark,
    ) -> Result<(), DeliveryError> {
        self.print(message, false).await
    }

    /// The output was shown while it came.
    async fn attach(
        &self,
        _: &Place,
        _: Option<&MessageRef>,
        _: &str,
        _: &str,
    ) -> Result<(), DeliveryError> {
        Ok(())
    }

    async fn open_form(&self, _: &Place, _: &str, _: &Form) -> Result<(), DeliveryError> {
        Err(DeliveryError::Refused(
            "a console has no forms; it asks by text".to_owned(),
        ))
    }

    /// Nobody can look at a screen for us: a line in doubt is printed again.
    async fn find(
        &self,
        _: &Place,
        _: Option<&MessageRef>,
        _: &Message,
        _: &Mark,
    ) -> Result<Option<MessageRef>, DeliveryError> {
        Ok(None)
    }

    async fn stands(
        &self,
        _: &Place,
        _: Option<&MessageRef>,
        _: &MessageRef,
        _: &Mark,
    ) -> Result<bool, DeliveryError> {
        Ok(true)
    }
}

fn indented(text: &str) -> String {
    let lines: Vec<String> = text
        .lines()
        .map(|line| format!("{INDENTATION}{line}"))
        .collect();
    lines.join("\n")
}

/// A closed output never opens again, so such a message is dropped instead of tried for ever.
fn undelivered(error: &io::Error) -> DeliveryError {
    match error.kind() {
        io::ErrorKind::BrokenPipe => DeliveryError::Refused(format!("standard output: {error}")),
        _ => DeliveryError::Failed(format!("standard output: {error}")),
    }
}
