//! What Slack refuses in messages and forms, and how a message reads.

use serde_json::Value;

use super::Posted;

/// Slack's word for what is wrong with a message's text and blocks, and the place.
pub(super) fn message_fault(body: &Value) -> Option<(&'static str, String)> {
    let text = body["text"].as_str().unwrap_or_default();
    let blocks = body["blocks"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    if text.is_empty() && blocks.is_empty() {
        return Some(("no_text", "neither text nor blocks".to_owned()));
    }
    if text.chars().count() > 4_000 {
        return Some(("msg_too_long", "text".to_owned()));
    }
    if blocks.len() > 50 {
        return Some(("invalid_blocks", "more than 50 blocks".to_owned()));
    }
    blocks
        .iter()
        .find_map(|block| block_fault(block).map(|fault| ("invalid_blocks", fault)))
}

/// What is wrong with a form.
pub(super) fn view_fault(view: &Value) -> Option<String> {
    let blocks = view["blocks"].as_array()?;
    if view["type"] != "modal" || !(1..=100).contains(&blocks.len()) {
        return Some("a modal has 1 to 100 blocks".to_owned());
    }
    if let Some(fault) = plain_fault(&view["title"], 24) {
        return Some(format!("title: {fault}"));
    }
    if length(&view["private_metadata"]) > 3_000 || length(&view["callback_id"]) > 255 {
        return Some("private_metadata or callback_id too long".to_owned());
    }
    let inputs = blocks.iter().any(|block| block["type"] == "input");
    if inputs && view["submit"].is_null() {
        return Some("inputs need submit".to_owned());
    }
    blocks.iter().find_map(block_fault)
}

fn block_fault(block: &Value) -> Option<String> {
    match block["type"].as_str().unwrap_or_default() {
        "rich_text" => missing(block).or_else(|| elements(block).iter().find_map(rich_fault)),
        "actions" => actions_fault(block),
        "section" => text_fault(&block["text"], 3_000),
        "input" => input_fault(block),
        "divider" => None,
        other => Some(format!("unknown block `{other}`")),
    }
}

fn elements(block: &Value) -> &[Value] {
    block["elements"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
}

fn missing(block: &Value) -> Option<String> {
    elements(block).is_empty().then(|| "no elements".to_owned())
}

fn rich_fault(part: &Value) -> Option<String> {
    let kind = part["type"].as_str().unwrap_or_default();
    let known = [
        "rich_text_section",
        "rich_text_preformatted",
        "rich_text_quote",
        "rich_text_list",
    ];
    if !known.contains(&kind) {
        return Some(format!("unknown rich text `{kind}`"));
    }
    if let Some(fault) = missing(part) {
        return Some(format!("{kind}: {fault}"));
    }
    elements(part).iter().find_map(|element| {
        let kind = element["type"].as_str().unwrap_or_default();
        let fine = match kind {
            "text" => (1..=3_000).contains(&length(&element["text"])),
            "user" => length(&element["user_id"]) > 1,
            // <https://docs.slack.dev/reference/block-kit/blocks/rich-text-block#link-element-type>
            "link" => {
                let url = element["url"].as_str().unwrap_or_default();
                url.starts_with("https://") && (1..=3_000).contains(&length(&element["text"]))
            }
            "date" => element["timestamp"].is_i64() && length(&element["format"]) > 0,
            "rich_text_section" => return rich_fault(element),
            _ => false,
        };
        (!fine).then(|| format!("element {element}"))
    })
}

fn actions_fault(block: &Value) -> Option<String> {
    let elements = elements(block);
    if !(1..=25).contains(&elements.len()) {
        return Some("actions: 1 to 25 elements".to_owned());
    }
    let mut ids: Vec<&Value> = elements
        .iter()
        .map(|element| &element["action_id"])
        .collect();
    ids.dedup();
    if ids.len() != elements.len() {
        return Some("actions: action_id twice".to_owned());
    }
    elements.iter().find_map(|button| {
        let style = button["style"].as_str();
        if button["type"] != "button"
            || length(&button["value"]) > 2_000
            || length(&button["action_id"]) > 255
        {
            return Some(format!("button {button}"));
        }
        if style.is_some_and(|style| !["primary", "danger"].contains(&style)) {
            return Some(format!("style {style:?}"));
        }
        plain_fault(&button["text"], 75)
    })
}

fn input_fault(block: &Value) -> Option<String> {
    let element = &block["element"];
    if let Some(fault) = plain_fault(&block["label"], 2_000) {
        return Some(format!("label: {fault}"));
    }
    if !block["hint"].is_null() && plain_fault(&block["hint"], 2_000).is_some() {
        return Some("hint".to_owned());
    }
    match element["type"].as_str().unwrap_or_default() {
        "plain_text_input" => {
            let placeholder = &element["placeholder"];
            if placeholder.is_null() {
                None
            } else {
                plain_fault(placeholder, 150)
            }
        }
        "static_select" => {
            let options = element["options"]
                .as_array()
                .map(Vec::as_slice)
                .unwrap_or_default();
            if !(1..=100).contains(&options.len()) {
                return Some("1 to 100 options".to_owned());
            }
            options.iter().find_map(|option| {
                if length(&option["value"]) > 75 {
                    return Some("option value".to_owned());
                }
                plain_fault(&option["text"], 75)
            })
        }
        other => Some(format!("unknown input `{other}`")),
    }
}

fn text_fault(text: &Value, limit: usize) -> Option<String> {
    let fine = ["plain_text", "mrkdwn"]
        .iter()
        .any(|kind| text["type"] == *kind);
    let fits = (1..=limit).contains(&length(&text["text"]));
    (!fine || !fits).then(|| format!("text object {text}"))
}

fn plain_fault(text: &Value, limit: usize) -> Option<String> {
    if text["type"] != "plain_text" {
        return Some(format!("not plain text: {text}"));
    }
    text_fault(text, limit)
}

fn length(text: &Value) -> usize {
    text.as_str().map_or(0, |text| text.chars().count())
}

/// A message as a person reads it.
pub(crate) fn render(message: &Posted) -> String {
    if message.blocks.is_empty() {
        return message.text.clone();
    }
    let parts: Vec<String> = message.blocks.iter().map(render_block).collect();
    parts.join("\n")
}

fn render_block(block: &Value) -> String {
    let elements = elements(block);
    if block["type"] == "actions" {
        let labels: Vec<String> = elements
            .iter()
            .map(|button| format!("[{}]", button["text"]["text"].as_str().unwrap_or_default()))
            .collect();
        return labels.join(" ");
    }
    let parts: Vec<String> = elements.iter().map(render_part).collect();
    parts.join("\n")
}

fn render_part(part: &Value) -> String {
    let elements = elements(part);
    let text: String = elements.iter().map(render_element).collect();
    if part["type"] == "rich_text_preformatted" {
        format!("```\n{text}\n```")
    } else {
        text
    }
}

fn render_element(element: &Value) -> String {
    let text = |name: &str| element[name].as_str().unwrap_or_default().to_owned();
    match element["type"].as_str().unwrap_or_default() {
        "user" => format!("<@{}>", text("user_id")),
        "link" => format!("<{}|{}>", text("url"), text("text")),
        "date" => text("format").replace("{ago}", "a while ago"),
        _ if element["style"]["code"] == true => format!("`{}`", text("text")),
        _ => text("text"),
    }
}
