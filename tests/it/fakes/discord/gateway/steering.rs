//! What tests set about the gateway and do to its connections, and what they can see of it.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::FakeDiscord;
use super::Order;

impl FakeDiscord {
    /// How often a client is to show that it lives; 41.25 seconds.
    pub(crate) fn set_heartbeat(&self, interval: Duration) {
        self.state().gateway.settings.heartbeat = interval;
    }

    /// Between two identifies; five seconds. Sooner is a violation and an invalid session.
    pub(crate) fn set_identify_pause(&self, pause: Duration) {
        self.state().gateway.settings.identify_pause = pause;
    }

    /// So many identifies are left for the day; a thousand.
    pub(crate) fn set_identifies_left(&self, left: usize) {
        self.state().gateway.settings.identifies_left = left;
    }

    /// So many events of a session are kept for who resumes.
    pub(crate) fn set_kept_events(&self, events: usize) {
        self.state().gateway.settings.kept_events = events;
    }

    /// Whether no session can be resumed.
    pub(crate) fn refuse_resume(&self, refuse: bool) {
        self.state().gateway.settings.refuse_resume = refuse;
    }

    /// The next identifies are answered with an invalid session.
    pub(crate) fn invalid_sessions_next(&self, sessions: usize) {
        self.state().gateway.settings.invalid_next = sessions;
    }

    /// Whether the gateway takes no connection.
    pub(crate) fn shut_gateway(&self, shut: bool) {
        self.state().gateway.settings.shut = shut;
    }

    /// `GET /gateway` and `/gateway/bot` tell this address; `None`: ours again.
    pub(crate) fn point_gateway_at(&self, url: Option<&str>) {
        self.state().gateway.elsewhere = url.map(str::to_owned);
    }

    /// Sessions that begin from now on are told to be resumed at this address; `None`: ours again.
    pub(crate) fn point_resumes_at(&self, url: Option<&str>) {
        self.state().gateway.resumes_elsewhere = url.map(str::to_owned);
    }

    /// Whether nobody takes a connection where sessions are resumed.
    pub(crate) fn shut_resumes(&self, shut: bool) {
        self.state().gateway.settings.shut_resumes = shut;
    }

    /// The next connections are taken, and nothing is said on them.
    pub(crate) fn stall_next(&self, connections: usize) {
        self.state().gateway.settings.stall_next = connections;
    }

    /// The next who identify or resume get no answer; their heartbeats do.
    pub(crate) fn mute_next(&self, connections: usize) {
        self.state().gateway.settings.mute_next = connections;
    }

    /// How many connections are to come yet that were to stall or to stay without an answer.
    pub(crate) fn waits_to_happen(&self) -> usize {
        let settings = &self.state().gateway.settings;
        settings.stall_next + settings.mute_next
    }

    /// Ids of the sessions that can hear or be resumed.
    pub(crate) fn sessions(&self) -> Vec<String> {
        self.state().gateway.sessions.keys().cloned().collect()
    }

    /// How many sessions have a connection through which something goes.
    pub(crate) fn listening(&self) -> usize {
        self.hearing_connections().len()
    }

    /// The numbers of those connections.
    pub(crate) fn hearing_connections(&self) -> Vec<u64> {
        let gateway = &self.state().gateway;
        let hears = |number: &u64| gateway.connections.get(number).is_some_and(|it| !it.deaf);
        let theirs = gateway.sessions.values().filter_map(|it| it.connection);
        theirs.filter(hears).collect()
    }

    /// Numbers of the connections that are open.
    pub(crate) fn connections(&self) -> Vec<u64> {
        self.state().gateway.connections.keys().copied().collect()
    }

    /// Connections that were ever opened.
    pub(crate) fn connections_opened(&self) -> usize {
        self.state().gateway.counts.opened
    }

    pub(crate) fn identifies(&self) -> usize {
        self.state().gateway.counts.identifies
    }

    /// Tries to resume, whether they succeeded or not.
    pub(crate) fn resumes(&self) -> usize {
        self.state().gateway.counts.resumes
    }

    /// Tries to resume that succeeded.
    pub(crate) fn resumed(&self) -> usize {
        self.state().gateway.counts.resumed
    }

    /// Tries to resume at another address than the one that was told for it.
    pub(crate) fn resumes_elsewhere(&self) -> usize {
        self.state().gateway.counts.resumes_elsewhere
    }

    pub(crate) fn heartbeats(&self) -> usize {
        self.state().gateway.counts.beats
    }

    /// Forgets all sessions: who comes back finds theirs invalid.
    pub(crate) fn forget_sessions(&self) {
        self.state().gateway.sessions.clear();
    }

    /// Does this to one connection; `false` when it is gone already.
    pub(crate) fn order_connection(&self, number: u64, order: Order) -> bool {
        let gateway = &mut self.state().gateway;
        let Some(connection) = gateway.connections.get_mut(&number) else {
            return false;
        };
        connection.deaf |= matches!(order, Order::Deafen);
        connection.orders.try_send(order).is_ok()
    }

    /// Breaks all connections, as a network does.
    pub(crate) fn cut_gateway(&self) {
        self.state().gateway.order(|| Order::Cut);
    }

    /// Closes all connections with this code. After 4007, 4009 and those from 4010 nothing can be resumed.
    pub(crate) fn close_gateway(&self, code: u16) {
        let gateway = &mut self.state().gateway;
        gateway.order(|| Order::Close(code, "as you were told"));
        if matches!(code, 1000 | 1001 | 4004 | 4007 | 4009..) {
            gateway.sessions.clear();
        }
    }

    /// Leaves all connections open but deaf and dumb: no event, no acknowledgement.
    pub(crate) fn deafen_gateway(&self) {
        for number in self.connections() {
            self.order_connection(number, Order::Deafen);
        }
    }

    /// Asks all clients to come again and resume (op 7).
    pub(crate) fn ask_reconnect(&self) {
        self.send_raw(&json!({ "op": 7, "d": null }).to_string());
    }

    /// Asks all clients for a heartbeat at once (op 1).
    pub(crate) fn ask_heartbeat(&self) {
        self.send_raw(&json!({ "op": 1, "d": null }).to_string());
    }

    /// Tells all clients that their session is invalid (op 9); `resumable`: they may try, over the same connection too.
    pub(crate) fn invalidate_sessions(&self, resumable: bool) {
        self.send_raw(&json!({ "op": 9, "d": resumable }).to_string());
        let gateway = &mut self.state().gateway;
        for connection in gateway.connections.values_mut() {
            connection.session = None;
        }
        for session in gateway.sessions.values_mut() {
            session.connection = None;
        }
        if !resumable {
            gateway.sessions.clear();
        }
    }

    /// Sends any text to all connections.
    pub(crate) fn send_raw(&self, text: &str) {
        self.state().gateway.order(|| Order::Send(text.to_owned()));
    }

    /// Sends any bytes as a text to all connections.
    pub(crate) fn send_bytes(&self, bytes: &[u8]) {
        self.state()
            .gateway
            .order(|| Order::SendBytes(bytes.to_vec()));
    }

    /// Tells every session an event, known or unknown to anybody, with its number.
    pub(crate) fn tell_event(&self, event: &str, data: &Value) {
        self.state().tell(event, |_| Some(data.clone()));
    }
}
