//! What a client says to the gateway, and how it is answered.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::super::{APP, BOT_TOKEN, BOT_USER, State};
use super::{Order, Session, intent};

/// Frames that a client may send in a minute.
const FRAMES: usize = 120;
const MINUTE: Duration = Duration::from_secs(60);

/// The error closes the connection.
pub(super) type Heard = Result<(), (u16, &'static str)>;

/// `resumes`: it came to the address at which sessions are resumed.
pub(super) fn heard(state: &mut State, number: u64, frame: &Value, resumes: bool) -> Heard {
    let now = Instant::now();
    let Some(connection) = state.gateway.connections.get_mut(&number) else {
        return Ok(());
    };
    while connection
        .heard
        .front()
        .is_some_and(|at| now - *at > MINUTE)
    {
        connection.heard.pop_front();
    }
    connection.heard.push_back(now);
    if connection.heard.len() > FRAMES {
        state.violation("more than 120 frames to the gateway in a minute");
        return Err((4008, "You are being rate limited."));
    }
    let known = connection.session.is_some();
    let data = &frame["d"];
    match frame["op"].as_u64() {
        Some(1) => {
            connection.beat = now;
            state.gateway.counts.beats += 1;
            let ack = json!({ "op": 11, "t": null, "s": null, "d": null });
            state.gateway.send(number, ack.to_string());
            Ok(())
        }
        Some(2 | 6) if state.gateway.settings.mute_next > 0 => {
            state.gateway.settings.mute_next -= 1;
            Ok(())
        }
        Some(2 | 6) if known => Err((4005, "Already authenticated.")),
        Some(2) => identify(state, number, data),
        Some(6) => {
            state.gateway.counts.resumes += 1;
            state.gateway.counts.resumes_elsewhere += usize::from(!resumes);
            resume(state, number, data)
        }
        Some(3 | 4 | 8) if !known => Err((4003, "Not authenticated.")),
        Some(3 | 4) => Ok(()),
        Some(8) => members(state, number, data),
        _ => Err((4001, "Unknown opcode.")),
    }
}

fn identify(state: &mut State, number: u64, data: &Value) -> Heard {
    if data["token"] != BOT_TOKEN {
        state.violation("an identify with a wrong token");
        return Err((4004, "Authentication failed."));
    }
    let intents = data["intents"]
        .as_u64()
        .filter(|it| it & !intent::KNOWN == 0);
    let Some(intents) = intents else {
        state.violation(format!(
            "an identify with invalid intents: {}",
            data["intents"]
        ));
        return Err((4013, "Invalid intent(s)."));
    };
    if intents & intent::PRIVILEGED & !state.settings.granted != 0 {
        return Err((4014, "Disallowed intent(s)."));
    }
    let shard = &data["shard"];
    if !shard.is_null() && *shard != json!([0, 1]) {
        return Err((4010, "Invalid shard."));
    }
    let properties = &data["properties"];
    if ["os", "browser", "device"]
        .iter()
        .any(|name| !properties[*name].is_string())
    {
        return Err((4002, "Error while decoding payload."));
    }
    let now = Instant::now();
    let gateway = &mut state.gateway;
    gateway.counts.identifies += 1;
    let pause = gateway.settings.identify_pause;
    let last = gateway.identified.back().copied();
    let too_soon = last.is_some_and(|last| now - last < pause);
    gateway.identified.push_back(now);
    if gateway.settings.identifies_left == 0 {
        state.violation("an identify more than the day has left");
        return Err((4004, "Authentication failed."));
    }
    gateway.settings.identifies_left -= 1;
    if too_soon || gateway.settings.invalid_next > 0 {
        gateway.settings.invalid_next = gateway.settings.invalid_next.saturating_sub(1);
        gateway.send(number, json!({ "op": 9, "d": false }).to_string());
        if too_soon {
            state.violation(format!("an identify within {pause:?} of another"));
        }
        return Ok(());
    }
    let id = format!("session-{}", state.next_id());
    let gateway = &mut state.gateway;
    let session = Session {
        intents,
        sequence: 0,
        log: std::collections::VecDeque::new(),
        connection: Some(number),
    };
    gateway.sessions.insert(id.clone(), session);
    gateway.connections.get_mut(&number).unwrap().session = Some(id.clone());
    let guilds: Vec<String> = state.guilds.keys().cloned().collect();
    let unavailable: Vec<Value> = guilds
        .iter()
        .map(|id| json!({ "id": id, "unavailable": true }))
        .collect();
    let mut user = state.user_json(BOT_USER);
    for (name, value) in [
        ("verified", json!(true)),
        ("mfa_enabled", json!(true)),
        ("email", Value::Null),
    ] {
        user[name] = value;
    }
    let mut ready = json!({
        "v": 10, "user": user, "guilds": unavailable, "session_id": id, "resume_gateway_url": state.resume_url(),
        "session_type": "normal", "private_channels": [], "relationships": [], "user_settings": {}, "presences": [],
        "guild_join_requests": [], "geo_ordered_rtc_regions": [], "application": { "id": APP, "flags": 0 },
        "_trace": ["fake"],
    });
    if !shard.is_null() {
        ready["shard"] = shard.clone();
    }
    state.gateway.dispatch(&id, "READY", &ready);
    if intents & intent::GUILDS != 0 {
        for guild in guilds {
            let created = state.guild_create_json(&guild);
            state.gateway.dispatch(&id, "GUILD_CREATE", &created);
        }
    }
    Ok(())
}

fn resume(state: &mut State, number: u64, data: &Value) -> Heard {
    if data["token"] != BOT_TOKEN {
        state.violation("a resume with a wrong token");
        return Err((4004, "Authentication failed."));
    }
    let gateway = &mut state.gateway;
    let id = data["session_id"].as_str().unwrap_or_default().to_owned();
    let since = data["seq"].as_u64();
    let refuse = gateway.settings.refuse_resume;
    let session = gateway.sessions.get_mut(&id).filter(|_| !refuse);
    let whole = |session: &Session, since: u64| {
        let first_missed = session
            .log
            .front()
            .map_or(session.sequence + 1, |(first, _)| *first);
        since + 1 >= first_missed
    };
    if session
        .as_ref()
        .is_some_and(|it| since.is_none_or(|since| since > it.sequence))
    {
        gateway.sessions.remove(&id);
        return Err((4007, "Invalid seq."));
    }
    let session = session.filter(|it| whole(it, since.unwrap_or(0)));
    let Some(session) = session else {
        gateway.sessions.remove(&id);
        gateway.send(number, json!({ "op": 9, "d": false }).to_string());
        return Ok(());
    };
    let before = session.connection.replace(number);
    let missed = session
        .log
        .iter()
        .filter(|(sequence, _)| Some(*sequence) > since);
    let missed: Vec<String> = missed.map(|(_, frame)| frame.to_string()).collect();
    if let Some(before) = before.and_then(|before| gateway.connections.get_mut(&before)) {
        before.session = None;
        let _ = before.orders.try_send(Order::Close(4000, "Unknown error.")); // Gone already is as good.
    }
    gateway.connections.get_mut(&number).unwrap().session = Some(id.clone());
    for frame in missed {
        gateway.send(number, frame);
    }
    gateway.counts.resumed += 1;
    gateway.dispatch(&id, "RESUMED", &json!({ "_trace": ["fake"] }));
    Ok(())
}

/// All members at once, as one chunk.
fn members(state: &mut State, number: u64, data: &Value) -> Heard {
    let Some(session) = state.gateway.connections[&number].session.clone() else {
        return Err((4003, "Not authenticated."));
    };
    let guild = data["guild_id"].as_str().unwrap_or_default();
    if let Some(found) = state.guilds.get(guild) {
        let members: Vec<Value> = found
            .members
            .keys()
            .map(|user| state.member_json(guild, user))
            .collect();
        let chunk = json!({ "guild_id": guild, "members": members, "chunk_index": 0, "chunk_count": 1,
                            "nonce": data["nonce"] });
        state
            .gateway
            .dispatch(&session, "GUILD_MEMBERS_CHUNK", &chunk);
    }
    Ok(())
}
