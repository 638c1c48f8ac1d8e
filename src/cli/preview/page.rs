//! The page: each message as it looks on each platform, side by side. One file, nothing is fetched.

use std::fmt::Write as _;

use super::seen::{Look, Part};
use super::{Column, Drawn};

const STYLE: &str = "
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1d21; --faint: #5b6068; --edge: #d4d7dc; --pre: #f4f5f7; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #191b1f; --ink: #e6e7e9; --faint: #a4a9b2; --edge: #3a3e45; --pre: #23262b; }
}
body { margin: 0 auto; max-width: 90rem; padding: 1rem; background: var(--paper); color: var(--ink);
       font: 15px/1.45 system-ui, sans-serif; }
h2 { margin: 2rem 0 .5rem; font-size: 1.05rem; }
.row { display: grid; grid-template-columns: repeat(auto-fit, minmax(19rem, 1fr)); gap: 1rem; margin-bottom: .75rem; }
.card { border: 1px solid var(--edge); border-radius: 6px; padding: .5rem .75rem; min-width: 0; overflow-wrap: anywhere; }
.card > h3 { margin: 0 0 .25rem; font-size: .75rem; font-weight: 600; color: var(--faint); }
.console { background: #111418; color: #d8dbe0; font: 13px/1.5 ui-monospace, monospace; }
.console > h3 { color: #9aa1ab; }
.slack { border-left: 4px solid #611f69; }
.discord { border-left: 4px solid #5865f2; }
p { margin: 0; white-space: pre-wrap; }
pre { margin: .25rem 0; padding: .4rem .5rem; background: var(--pre); border: 1px solid var(--edge); border-radius: 4px;
      white-space: pre-wrap; font: 13px/1.4 ui-monospace, monospace; }
.console pre { background: none; border: 0; padding: 0; margin: 0; }
code { font: 13px ui-monospace, monospace; background: var(--pre); border: 1px solid var(--edge); border-radius: 3px; padding: 0 .2em; }
.ping { background: #d8e1ff; color: #1c2f80; border-radius: 3px; padding: 0 .15em; }
.button { display: inline-block; margin: .35rem .35rem .1rem 0; padding: .2rem .7rem; border: 1px solid var(--faint); border-radius: 4px;
          font-weight: 600; }
.primary { background: #1d7a4f; border-color: #1d7a4f; color: #fff; }
.discord .primary { background: #4752c4; border-color: #4752c4; }
.danger { border-color: #b3242b; color: #b3242b; }
.discord .danger { background: #b3242b; color: #fff; }
@media (prefers-color-scheme: dark) { .slack .danger { border-color: #ff8a8f; color: #ff8a8f; } }
.none { color: var(--faint); }
";

/// The whole page.
pub(super) fn page(scenes: &[(&str, Vec<Drawn>)]) -> String {
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>midwatch: messages</title>\n<style>{STYLE}</style>\n<h1>Messages, as each platform shows them</h1>\n"
    );
    for (name, drawn) in scenes {
        let _ = writeln!(out, "<h2>{}</h2>", escaped(name));
        if drawn.is_empty() {
            let _ = writeln!(out, "<p class=\"none\">{}</p>", super::NOTHING_LEADS_HERE);
        }
        for message in drawn {
            out.push_str("<div class=\"row\">\n");
            for column in message {
                card(&mut out, column);
            }
            out.push_str("</div>\n");
        }
    }
    out.push_str("</html>\n");
    out
}

fn card(out: &mut String, column: &Column) {
    let name = column.platform;
    let _ = write!(out, "<section class=\"card {name}\"><h3>{name}</h3>");
    match &column.shown {
        Ok(parts) => parts.iter().for_each(|it| part(out, it)),
        Err(why) => {
            let _ = write!(out, "<p class=\"none\">{}</p>", escaped(why));
        }
    }
    out.push_str("</section>\n");
}

fn part(out: &mut String, part: &Part) {
    match part {
        Part::Line(pieces) => {
            out.push_str("<p>");
            for piece in pieces {
                let text = escaped(&piece.text);
                let (open, close) = match piece.look {
                    Look::Plain => ("", ""),
                    Look::Bold => ("<b>", "</b>"),
                    Look::Code => ("<code>", "</code>"),
                    Look::Ping => ("<span class=\"ping\">", "</span>"),
                };
                let _ = write!(out, "{open}{text}{close}");
            }
            out.push_str("</p>");
        }
        Part::Block(text) => {
            let _ = write!(out, "<pre>{}</pre>", escaped(text));
        }
        Part::Buttons(buttons) => {
            for button in buttons {
                let (style, label) = (button.style, escaped(&button.label));
                let _ = write!(out, "<span class=\"button {style}\">{label}</span>");
            }
        }
        Part::Question {
            label,
            help,
            choices,
        } => {
            let (label, help) = (escaped(label), escaped(help));
            let field = if choices.is_empty() {
                "<input disabled>".to_owned()
            } else {
                let options = choices
                    .iter()
                    .map(|it| format!("<option>{}</option>", escaped(it)));
                format!("<select>{}</select>", options.collect::<String>())
            };
            let _ = write!(out, "<p><label><b>{label}</b> {field}</label> {help}</p>");
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
