//! What Discord refuses in messages and forms, what we swore not to send, and how a message reads.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::rest::Refused;

pub(super) const EPHEMERAL: u64 = 1 << 6;
pub(super) const LOADING: u64 = 1 << 7;
pub(super) const HAS_THREAD: u64 = 1 << 5;
pub(super) const IS_COMPONENTS_V2: u64 = 1 << 15;
/// What an app may set: no embeds, no notification, components alone.
pub(super) const SETTABLE: u64 = 1 << 2 | 1 << 12 | IS_COMPONENTS_V2;

const CONTENT_CHARS: usize = 2_000;
const DISPLAYED_CHARS: usize = 4_000;
const COMPONENTS: usize = 40;
const ROWS: usize = 5;
const FILE_BYTES: usize = 10 << 20;
const SELECTS: [u64; 5] = [3, 5, 6, 7, 8];

type Checked = Result<(), Refused>;

/// What a message would be after a call.
pub(super) struct Draft<'a> {
    pub(super) content: &'a str,
    pub(super) embeds: &'a [Value],
    pub(super) components: &'a [Value],
    pub(super) flags: u64,
    /// Sizes of all files.
    pub(super) files: &'a [usize],
}

/// Whether Discord takes such a message.
pub(super) fn message(draft: &Draft) -> Checked {
    if draft.content.chars().count() > CONTENT_CHARS {
        let says = "Must be 2000 or fewer in length.";
        return Err(Refused::form("content", "BASE_TYPE_MAX_LENGTH", says));
    }
    if draft.files.len() > 10 {
        return Err(Refused::form(
            "attachments",
            "BASE_TYPE_MAX_LENGTH",
            "Must be 10 or fewer in length.",
        ));
    }
    if draft.files.iter().any(|size| *size > FILE_BYTES) {
        return Err(Refused::new(413, 40_005, "Request entity too large"));
    }
    embeds(draft.embeds)?;
    let mut seen = Seen::default();
    if draft.flags & IS_COMPONENTS_V2 != 0 {
        if !draft.content.is_empty() || !draft.embeds.is_empty() {
            let says = "The 'content' and 'embeds' fields cannot be used when using MessageFlags.IS_COMPONENTS_V2";
            let code = "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2";
            return Err(Refused::form("content", code, says));
        }
        if draft.components.is_empty() {
            return Err(empty());
        }
        for (nth, component) in draft.components.iter().enumerate() {
            seen.component(&format!("components.{nth}"), component, true)?;
        }
        if seen.count > COMPONENTS || seen.displayed > DISPLAYED_CHARS {
            let says = format!(
                "{} components of 40, {} displayed characters of 4000",
                seen.count, seen.displayed
            );
            return Err(Refused::form("components", "BASE_TYPE_MAX_LENGTH", &says));
        }
        return Ok(());
    }
    if draft.content.trim().is_empty()
        && draft.embeds.is_empty()
        && draft.files.is_empty()
        && draft.components.is_empty()
    {
        return Err(empty());
    }
    if draft.components.len() > ROWS {
        return Err(Refused::form(
            "components",
            "BASE_TYPE_BAD_LENGTH",
            "Must be between 1 and 5 in length.",
        ));
    }
    for (nth, row) in draft.components.iter().enumerate() {
        seen.component(&format!("components.{nth}"), row, false)?;
    }
    if draft.content.trim().is_empty() && draft.embeds.is_empty() && draft.files.is_empty() {
        return Err(empty());
    }
    Ok(())
}

fn empty() -> Refused {
    Refused::new(400, 50_006, "Cannot send an empty message")
}

fn embeds(embeds: &[Value]) -> Checked {
    fn chars(value: &Value) -> usize {
        match value {
            Value::String(text) => text.chars().count(),
            Value::Array(all) => all.iter().map(chars).sum(),
            Value::Object(all) => all.values().map(chars).sum(),
            _ => 0,
        }
    }
    let long = |embed: &Value, name: &str, most| length(&embed[name]) > most;
    let wrong = embeds.len() > 10
        || embeds.iter().map(chars).sum::<usize>() > 6_000
        || embeds
            .iter()
            .any(|embed| long(embed, "title", 256) || long(embed, "description", 4_096));
    if wrong {
        let says = "Embeds exceed their limits";
        return Err(Refused::form("embeds", "MAX_EMBED_SIZE_EXCEEDED", says));
    }
    Ok(())
}

/// What was met while going through components.
#[derive(Default)]
struct Seen {
    count: usize,
    displayed: usize,
    ids: BTreeSet<String>,
}

impl Seen {
    fn component(&mut self, path: &str, component: &Value, layouts: bool) -> Checked {
        self.count += 1;
        let refused = |what: &str| Refused::form(path, "COMPONENT_INVALID", what);
        let children = list(&component["components"]);
        match component["type"].as_u64() {
            Some(1) => {
                let buttons = children.iter().filter(|child| child["type"] == 2).count();
                let selects = |child: &&Value| {
                    child["type"]
                        .as_u64()
                        .is_some_and(|kind| SELECTS.contains(&kind))
                };
                let selects = children.iter().filter(selects).count();
                let full = buttons == children.len() && (1..=5).contains(&buttons);
                let one_select = selects == 1 && children.len() == 1;
                if !full && !one_select {
                    return Err(refused("a row holds one to five buttons, or one select"));
                }
                for (nth, child) in children.iter().enumerate() {
                    let path = format!("{path}.components.{nth}");
                    self.count += 1;
                    if child["type"] == 2 {
                        self.button(&path, child)?;
                    } else {
                        self.select(&path, child, 1)?;
                    }
                }
                Ok(())
            }
            Some(10) if layouts => {
                let chars = length(&component["content"]);
                self.displayed += chars;
                if chars == 0 {
                    return Err(refused("a text display has some text"));
                }
                Ok(())
            }
            Some(9 | 17) if layouts => {
                for (nth, child) in children.iter().enumerate() {
                    self.component(&format!("{path}.components.{nth}"), child, true)?;
                }
                let accessory = &component["accessory"];
                if accessory["type"] == 2 {
                    self.count += 1;
                    return self.button(&format!("{path}.accessory"), accessory);
                }
                Ok(())
            }
            Some(12..=14) if layouts => Ok(()),
            _ => Err(refused("no such component here")),
        }
    }

    fn button(&mut self, path: &str, button: &Value) -> Checked {
        let refused = |what: &str| Refused::form(path, "COMPONENT_INVALID", what);
        let style = button["style"].as_u64().unwrap_or(0);
        if !(1..=5).contains(&style) {
            return Err(refused("a style is 1 to 5"));
        }
        let label = length(&button["label"]);
        if label > 80 || (label == 0 && button["emoji"].is_null()) {
            return Err(refused("a label has 1 to 80 characters"));
        }
        if style == 5 {
            let fine = button["url"].is_string() && button["custom_id"].is_null();
            return if fine {
                Ok(())
            } else {
                Err(refused("a link has a url and no custom_id"))
            };
        }
        self.custom_id(path, button)
    }

    fn select(&mut self, path: &str, select: &Value, fewest: usize) -> Checked {
        let refused = |what: &str| Refused::form(path, "COMPONENT_INVALID", what);
        if length(&select["placeholder"]) > 150 {
            return Err(refused("a placeholder has at most 150 characters"));
        }
        if select["type"] == 3 {
            let options = list(&select["options"]);
            let fits = |name: &str| {
                options
                    .iter()
                    .all(|option| (1..=100).contains(&length(&option[name])))
            };
            let mut values: Vec<String> = options
                .iter()
                .map(|option| option["value"].to_string())
                .collect();
            values.sort();
            values.dedup();
            if !(fewest..=25).contains(&options.len()) || !fits("label") || !fits("value") {
                return Err(refused("1 to 25 options of 1 to 100 characters"));
            }
            if values.len() != options.len() {
                return Err(refused("an option's value is given twice"));
            }
        }
        self.custom_id(path, select)
    }

    fn custom_id(&mut self, path: &str, component: &Value) -> Checked {
        let id = component["custom_id"].as_str().unwrap_or_default();
        if !(1..=100).contains(&id.chars().count()) {
            let says = "Must be between 1 and 100 in length.";
            return Err(Refused::form(
                &format!("{path}.custom_id"),
                "BASE_TYPE_BAD_LENGTH",
                says,
            ));
        }
        if !self.ids.insert(id.to_owned()) {
            let says = "Component custom id cannot be duplicated";
            return Err(Refused::form(
                &format!("{path}.custom_id"),
                "COMPONENT_CUSTOM_ID_DUPLICATED",
                says,
            ));
        }
        Ok(())
    }
}

/// Whether Discord opens such a form.
pub(super) fn modal(modal: &Value) -> Checked {
    let refused =
        |path: &str, what: &str| Refused::form(&format!("data.{path}"), "MODAL_INVALID", what);
    if !(1..=45).contains(&length(&modal["title"])) {
        return Err(refused("title", "Must be between 1 and 45 in length."));
    }
    if !(1..=100).contains(&length(&modal["custom_id"])) {
        return Err(refused("custom_id", "Must be between 1 and 100 in length."));
    }
    let components = list(&modal["components"]);
    if !(1..=5).contains(&components.len()) {
        return Err(refused("components", "Must be between 1 and 5 in length."));
    }
    let mut seen = Seen::default();
    for (nth, component) in components.iter().enumerate() {
        let path = format!("components.{nth}");
        let (field, label) = match component["type"].as_u64() {
            Some(18) => (&component["component"], &component["label"]),
            Some(1) if list(&component["components"]).len() == 1 => {
                let field = &component["components"][0];
                (field, &field["label"])
            }
            Some(10) => continue,
            _ => return Err(refused(&path, "a form holds labels")),
        };
        if !(1..=45).contains(&length(label)) || length(&component["description"]) > 100 {
            return Err(refused(
                &path,
                "a label has 1 to 45 characters, a description at most 100",
            ));
        }
        match field["type"].as_u64() {
            Some(4) => {
                let style = field["style"].as_u64().unwrap_or(0);
                let fits = length(&field["placeholder"]) <= 100 && length(&field["value"]) <= 4_000;
                if !(1..=2).contains(&style) || !fits {
                    return Err(refused(
                        &path,
                        "a text input has a style, and a placeholder of at most 100",
                    ));
                }
                seen.custom_id(&format!("data.{path}"), field)?;
            }
            Some(kind) if SELECTS.contains(&kind) => {
                seen.select(&format!("data.{path}"), field, 1)?;
            }
            _ => return Err(refused(&path, "no such component in a form")),
        }
    }
    Ok(())
}

/// What we swore not to send, as a complaint.
pub(super) fn broken_oaths(body: &Value, words: &str) -> Vec<String> {
    let mut broken = Vec::new();
    let mentions = &body["allowed_mentions"];
    if mentions.is_null() {
        broken.push("a message without allowed_mentions".to_owned());
    } else if mentions["parse"] != json!([]) {
        broken.push(format!("allowed_mentions that parse: {mentions}"));
    }
    if !list(&mentions["roles"]).is_empty() {
        broken.push(format!("a ping of a whole role: {mentions}"));
    }
    let parses = |what: &str| mentions.is_null() || list(&mentions["parse"]).contains(&json!(what));
    if (words.contains("@everyone") || words.contains("@here")) && parses("everyone") {
        broken.push("a ping of everyone".to_owned());
    }
    broken
}

/// Whether `allowed_mentions` can be understood.
pub(super) fn mentions(body: &Value) -> Checked {
    let mentions = &body["allowed_mentions"];
    for (list_name, word) in [("users", "users"), ("roles", "roles")] {
        let ids = list(&mentions[list_name]);
        let path = format!("allowed_mentions.{list_name}");
        if ids.len() > 100 {
            return Err(Refused::form(
                &path,
                "BASE_TYPE_MAX_LENGTH",
                "Must be 100 or fewer in length.",
            ));
        }
        if !ids.is_empty() && list(&mentions["parse"]).contains(&json!(word)) {
            let says = "parse and a list exclude each other";
            return Err(Refused::form(
                &path,
                "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE",
                says,
            ));
        }
    }
    Ok(())
}

/// Gives each component the id and the defaults that an answer has.
pub(super) fn completed(components: &[Value]) -> Vec<Value> {
    fn complete(component: &mut Value, next: &mut u64) {
        *next += 1;
        if component["id"].as_u64().is_none_or(|id| id == 0) {
            component["id"] = (*next).into();
        }
        if component["type"] == 3 {
            for name in ["min_values", "max_values"] {
                if component[name].is_null() {
                    component[name] = 1.into();
                }
            }
        }
        for child in component["components"].as_array_mut().into_iter().flatten() {
            complete(child, next);
        }
        if component["accessory"].is_object() {
            complete(&mut component["accessory"], next);
        }
        // Looking for a name leaves a null behind.
        if let Some(fields) = component.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
        }
    }
    let mut components = components.to_vec();
    let mut next = 0;
    for component in &mut components {
        complete(component, &mut next);
    }
    components
}

/// All text that a message shows in its components, and its buttons' labels.
pub(super) fn shown(components: &[Value]) -> String {
    let parts = components
        .iter()
        .map(|component| match component["type"].as_u64() {
            Some(1) => {
                let labels = list(&component["components"]).iter().map(|child| {
                    let label = child["label"].as_str().or(child["placeholder"].as_str());
                    format!("[{}]", label.unwrap_or_default())
                });
                labels.collect::<Vec<_>>().join(" ")
            }
            Some(10) => component["content"].as_str().unwrap_or_default().to_owned(),
            _ => shown(list(&component["components"])),
        });
    parts.collect::<Vec<_>>().join("\n")
}

pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

pub(super) fn length(text: &Value) -> usize {
    text.as_str().map_or(0, |text| text.chars().count())
}
