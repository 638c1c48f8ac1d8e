//! How well we hear a platform that speaks to us over sockets that we open: for the health page, and for reading what was
//! said while none was open.

use std::sync::Arc;

use tokio::sync::watch;

use crate::domain::Platform;

/// How well we hear.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ears {
    /// Sockets that the platform greeted; none: we are deaf.
    pub connected: usize,
    /// What went wrong last; `None` once a socket is connected again.
    pub trouble: Option<String>,
    /// How often we began to hear after being deaf: each time something may have been missed.
    pub beginnings: u64,
}

impl Ears {
    /// How well we hear; else why not. In words for the operator.
    pub fn are_open(&self) -> Result<String, String> {
        let trouble = self.trouble.clone();
        let sockets = match self.connected {
            0 => return Err(trouble.unwrap_or_else(|| "no socket is connected yet".to_owned())),
            1 => "1 socket is connected".to_owned(),
            more => format!("{more} sockets are connected"),
        };
        let deaf = match self.beginnings {
            0 | 1 => None,
            2 => Some("deaf before that once since the start".to_owned()),
            more => Some(format!(
                "deaf before that {} times since the start",
                more - 1
            )),
        };
        let said = [Some(sockets), deaf, trouble];
        Ok(said.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

/// Counts a socket as connected while it lives.
pub(super) struct Counted {
    platform: Platform,
    ears: Arc<watch::Sender<Ears>>,
}

impl Counted {
    /// From now on.
    pub(super) fn new(platform: Platform, ears: &Arc<watch::Sender<Ears>>) -> Self {
        ears.send_modify(|ears| {
            ears.beginnings += u64::from(ears.connected == 0);
            ears.connected += 1;
            ears.trouble = None;
        });
        metrics::gauge!("midwatch_platform_connected", "platform" => platform.as_str())
            .increment(1);
        Self {
            platform,
            ears: ears.clone(),
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        metrics::gauge!("midwatch_platform_connected", "platform" => self.platform.as_str())
            .decrement(1);
        self.ears
            .send_modify(|ears| ears.connected = ears.connected.saturating_sub(1));
    }
}

/// Says what went wrong, in the log and on the health page.
pub(super) fn tell_trouble(ears: &watch::Sender<Ears>, why: &str) {
    tracing::warn!("{why}");
    ears.send_modify(|ears| ears.trouble = Some(why.to_owned()));
}

/// The kind of a websocket error; its text may hold the address, and that is a ticket to connect.
pub(super) fn kind_of(error: &tokio_tungstenite::tungstenite::Error) -> &'static str {
    use tokio_tungstenite::tungstenite::Error;
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed => "closed",
        Error::Io(_) => "the network broke",
        Error::Tls(_) => "no trust in the certificate",
        Error::Capacity(_) => "a frame too large",
        Error::Http(_) | Error::HttpFormat(_) => "refused by http",
        _ => "a protocol error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_is_counted_each_time_that_we_were_deaf() {
        let (sender, seen) = watch::channel(Ears::default());
        let sender = Arc::new(sender);
        let open = || Counted::new(Platform::Discord, &sender);
        let never = seen.borrow().are_open();
        assert_eq!(never, Err("no socket is connected yet".to_owned()));
        let (one, other) = (open(), open());
        assert_eq!(
            (seen.borrow().connected, seen.borrow().beginnings),
            (2, 1),
            "the second joined the first"
        );
        let both = seen.borrow().are_open();
        assert_eq!(both, Ok("2 sockets are connected".to_owned()));
        drop((one, other));
        tell_trouble(&sender, "it broke");
        assert_eq!(seen.borrow().are_open(), Err("it broke".to_owned()));
        let _again = open();
        let now = seen.borrow().clone();
        assert_eq!((now.connected, now.beginnings), (1, 2));
        assert_eq!(now.trouble, None);
        let anew = "1 socket is connected, deaf before that once since the start";
        assert_eq!(now.are_open(), Ok(anew.to_owned()));
    }
}
