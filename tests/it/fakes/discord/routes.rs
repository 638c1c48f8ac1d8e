//! The REST API's routes: which call does what.

use serde_json::{Value, json};

use super::rest::{Answer, Refused, Request, id_of};
use super::world::role_json;
use super::{
    APP, BOT_USER, State, commands, gateway, interactions, messages, permission, reading, signing,
    threads,
};

/// The route without its ids.
pub(super) fn pattern(request: &Request) -> String {
    let mut pattern = String::new();
    let secret = ["webhooks", "interactions"].contains(&request.path[0].as_str());
    for (nth, part) in request.path.iter().enumerate() {
        let is_id = part.bytes().all(|byte| byte.is_ascii_digit());
        let is_emoji = nth > 0 && request.path[nth - 1] == "reactions";
        let hidden = is_id || is_emoji || (secret && nth == 2);
        pattern.push('/');
        pattern.push_str(if hidden { "{}" } else { part });
    }
    pattern
}

pub(super) fn dispatch(state: &mut State, request: &Request) -> Answer {
    let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
    match (request.method.as_str(), path.as_slice()) {
        ("GET", ["users", "@me"]) => {
            let mut user = state.user_json(BOT_USER);
            user["mfa_enabled"] = true.into();
            user["locale"] = "en-US".into();
            Ok((200, user))
        }
        ("GET", ["applications", "@me"] | ["oauth2", "applications", "@me"]) => {
            Ok((200, state.application_json(&signing::public_key())))
        }
        ("GET", ["gateway"]) => Ok((200, json!({ "url": state.gateway_url() }))),
        ("GET", ["gateway", "bot"]) => Ok((200, state.gateway_bot_json())),
        ("GET", ["users", "@me", "guilds"]) => Ok((200, state.my_guilds_json())),
        ("GET", ["guilds", guild, rest @ ..]) => guild_route(state, request, guild, rest),
        ("POST", ["users", "@me", "channels"]) => {
            let user = id_of(&request.body["recipient_id"]).unwrap_or_default();
            if !state.users.contains_key(&user) {
                return Err(Refused::new(404, 10_013, "Unknown User"));
            }
            if user == BOT_USER {
                return Err(Refused::new(
                    400,
                    50_007,
                    "Cannot send messages to this user",
                ));
            }
            let channel = state.dm_with(&user);
            Ok((200, state.channel_json(&state.channels[&channel])))
        }
        ("GET", ["channels", channel]) => {
            let channel = state.visible(channel)?;
            Ok((200, state.channel_json(&channel)))
        }
        ("PATCH", ["channels", thread]) => threads::change(state, request, thread),
        ("GET", ["channels", channel, "messages"]) => reading::page(state, request, channel),
        ("POST", ["channels", channel, "messages"]) => messages::create(state, request, channel),
        ("GET", ["channels", channel, "messages", id]) => reading::one(state, channel, id),
        ("PATCH", ["channels", channel, "messages", id]) => {
            messages::edit(state, request, channel, id)
        }
        ("DELETE", ["channels", channel, "messages", id]) => messages::delete(state, channel, id),
        ("POST", ["channels", channel, "messages", id, "threads"]) => {
            threads::from_message(state, request, channel, id)
        }
        ("POST", ["channels", channel, "threads"]) => threads::alone(state, request, channel),
        (
            "PUT" | "DELETE",
            [
                "channels",
                channel,
                "messages",
                id,
                "reactions",
                emoji,
                "@me",
            ],
        ) => messages::react(state, channel, id, emoji, request.method == "PUT"),
        ("GET" | "PUT", ["applications", app, "guilds", guild, "commands"]) => {
            if *app != APP {
                return Err(Refused::new(
                    403,
                    20_012,
                    "You are not authorized to perform this action on this application",
                ));
            }
            state.guild(guild)?;
            if request.method == "PUT" {
                return commands::overwrite(state, guild, &request.body);
            }
            Ok((
                200,
                state
                    .commands
                    .get(*guild)
                    .cloned()
                    .unwrap_or_default()
                    .into(),
            ))
        }
        ("POST", ["interactions", id, token, "callback"]) => {
            interactions::callback(state, request, id, token)
        }
        (_, ["webhooks", app, token, rest @ ..]) => {
            interactions::webhook(state, request, app, token, rest)
        }
        _ => {
            let route = format!("{} {}", request.method, pattern(request));
            state.violation(format!("{route}: no such route here"));
            Err(Refused::unknown_route())
        }
    }
}

fn guild_route(state: &mut State, request: &Request, guild: &str, rest: &[&str]) -> Answer {
    state.guild(guild)?;
    match rest {
        [] => Ok((200, state.guild_json(guild))),
        ["channels"] => {
            let here = state
                .channels
                .values()
                .filter(|it| it.guild.as_deref() == Some(guild) && it.parent.is_none());
            // Since November 2026 those that it can't see are left out.
            let here = here.filter(|it| state.allowed(it) & permission::VIEW_CHANNEL != 0);
            Ok((200, here.map(|it| state.channel_json(it)).collect()))
        }
        ["roles"] => Ok((
            200,
            state.guilds[guild].roles.iter().map(role_json).collect(),
        )),
        ["threads", "active"] => Ok((200, threads::active(state, guild))),
        ["members", user] => {
            if !state.users.contains_key(*user) {
                return Err(Refused::new(404, 10_013, "Unknown User"));
            }
            if !state.guilds[guild].members.contains_key(*user) {
                return Err(Refused::new(404, 10_007, "Unknown Member"));
            }
            Ok((200, state.member_json(guild, user)))
        }
        ["members"] => {
            if state.settings.granted & gateway::intent::GUILD_MEMBERS == 0 {
                return Err(Refused::new(403, 50_001, "Missing Access"));
            }
            let number = |name: &str, or| {
                request
                    .query
                    .get(name)
                    .map_or(Some(or), |text| text.parse::<u64>().ok())
            };
            let (limit, after) = (number("limit", 1), number("after", 0));
            let limit = limit.filter(|limit| (1..=1_000).contains(limit));
            let (Some(limit), Some(after)) = (limit, after) else {
                return Err(Refused::form(
                    "limit",
                    "NUMBER_TYPE_MAX",
                    "int value should be between 1 and 1000.",
                ));
            };
            let mut users: Vec<&String> = state.guilds[guild].members.keys().collect();
            users.sort_by_key(|user| user.parse::<u64>().unwrap());
            let users = users
                .into_iter()
                .filter(|user| user.parse::<u64>().unwrap() > after);
            let users = users.take(usize::try_from(limit).unwrap());
            Ok((
                200,
                users.map(|user| state.member_json(guild, user)).collect(),
            ))
        }
        _ => Err(Refused::unknown_route()),
    }
}

impl State {
    pub(super) fn guild(&self, id: &str) -> Result<(), Refused> {
        if self.guilds.contains_key(id) {
            Ok(())
        } else {
            Err(Refused::new(404, 10_004, "Unknown Guild"))
        }
    }

    fn my_guilds_json(&self) -> Value {
        let guilds = self.guilds.iter().map(|(id, guild)| {
            json!({ "id": id, "name": guild.name, "icon": null, "banner": null, "owner": false,
                    "permissions": permission::EVERYBODY.to_string(), "features": [] })
        });
        guilds.collect()
    }
}
