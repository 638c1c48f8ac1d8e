//! What people read about pages: whom is called, who is next and when, who has it.

use std::time::Duration;

use jiff::Timestamp;

use super::{append, between, field, who};
use crate::domain::{
    About, Block, Button, Call, CallState, Field, Means, Message, Page, PageState, People,
    PersonId, Text, show_elapsed,
};

/// How many calls one message shows.
const MOST_CALLS: usize = 12;

/// A level is called: in the thread. `told` are the levels that were passed, and whether each reached nobody.
pub fn page_called(
    page: &Page,
    told: &[(usize, bool)],
    calls: &[Call],
    people: &People,
) -> Message {
    let mut first = append(Text::from("📟 "), about(page)).plain(" — ");
    for (level, nobody) in told {
        let call = page
            .levels
            .get(*level)
            .map(|it| it.call.to_string())
            .unwrap_or_default();
        first = if *nobody {
            first.plain(format!("{call} reaches nobody, "))
        } else {
            append(first.plain(format!("calling {call}: ")), pinged(calls))
        };
    }
    if calls.is_empty() {
        first = first.plain("and no level is left");
    }
    let mut message = Message::new(first);
    let means = by_means(calls);
    if !means.is_empty() {
        message = message.text(Text::new().plain(format!("by {means}")));
    }
    message
        .text(append(Text::from("next: "), next(page, people)))
        .buttons(buttons(page))
}

fn pinged(calls: &[Call]) -> Text {
    let mentioned = calls.iter().any(|call| call.means == Means::Mention);
    let mut text = Text::new();
    for (n, person) in persons(calls).into_iter().enumerate() {
        text = text.plain(if n > 0 { ", " } else { "" });
        text = if mentioned {
            text.ping(person)
        } else {
            text.person(person)
        };
    }
    text
}

fn persons(calls: &[Call]) -> Vec<&PersonId> {
    let mut persons: Vec<&PersonId> = calls.iter().flat_map(|call| &call.persons).collect();
    persons.sort();
    persons.dedup();
    persons
}

fn by_means(calls: &[Call]) -> String {
    let mut means: Vec<Means> = calls.iter().map(|call| call.means).collect();
    means.sort_unstable();
    means.dedup();
    let words: Vec<String> = means
        .into_iter()
        .map(|it| it.in_words().to_owned())
        .collect();
    if words.is_empty() {
        String::new()
    } else {
        super::list(&words, "and")
    }
}

/// `page 7f3k for shop: “checkout is down”`.
fn about(page: &Page) -> Text {
    match &page.about {
        About::Words(words) => Text::new().plain(format!(
            "page {} for {}: “{words}”",
            page.reference, page.project
        )),
        About::Consent { title, .. } => Text::new()
            .plain(format!(
                "run {} of {}: nobody has answered whether ",
                page.reference, page.project
            ))
            .code(title.clone())
            .plain(" may run"),
        About::Glass { title, reason, .. } => append(
            Text::new().plain(format!("run {} of {}: ", page.reference, page.project)),
            broken(page, title, "").plain(reason.clone()),
        ),
    }
}

/// `Dana broke the glass for flush-cache in shop: `, after which the reason follows.
fn broken(page: &Page, title: &str, place: &str) -> Text {
    let text = who(&page.by).plain(" broke the glass for ");
    text.code(title).plain(format!("{place}: "))
}

/// Who is called next, and when that is.
fn next(page: &Page, people: &People) -> Text {
    let (Some(at), Some(level)) = (page.next_at(), page.next_level()) else {
        return Text::from("nobody, this was the last level");
    };
    let mut text = Text::new().plain(level.call.to_string());
    let meant = people.meant(&level.call, at);
    for (n, person) in meant.into_iter().take(5).enumerate() {
        text = text.plain(if n > 0 { ", " } else { ": " }).person(person);
    }
    // How far away that is, each platform shows.
    text.plain(" at ")
        .time(at)
        .plain(", unless somebody has it before")
}

fn buttons(page: &Page) -> Vec<Button> {
    let reference = &page.reference;
    let mut buttons = Vec::new();
    if let About::Consent { .. } = &page.about {
        buttons.push(Button::primary("Approve", format!("approve {reference}")));
        buttons.push(Button::danger("Reject", format!("reject {reference}")));
    }
    if page.state.is_open() {
        let says = format!("ack {reference}");
        buttons.push(match page.about {
            About::Words(_) | About::Glass { .. } => Button::primary("I have it", says),
            About::Consent { .. } => Button::plain("I have it", says),
        });
    }
    if page.next_level().is_some() && page.state.is_open() {
        buttons.push(Button::plain(
            "Call the next now",
            format!("escalate {reference}"),
        ));
    }
    if let About::Glass { .. } = &page.about {
        buttons.push(Button::plain("Show it", format!("show {reference}")));
    }
    buttons
}

/// To whoever is called, alone.
pub fn page_direct(page: &Page, call: &Call) -> Message {
    let level = page.levels.get(call.level);
    let level = level.map(|it| it.call.to_string()).unwrap_or_default();
    let first = match &page.about {
        About::Words(words) => append(Text::from("📟 "), who(&page.by))
            .plain(format!(" pages you for {}: “{words}”", page.project)),
        About::Consent { title, .. } => append(
            Text::from("📟 nobody has answered whether ")
                .code(title.clone())
                .plain(" may run for "),
            who(&page.by),
        )
        .plain(format!(" in {}", page.project)),
        About::Glass { title, reason, .. } => {
            let place = format!(" in {}", page.project);
            append(Text::from("📟 "), broken(page, title, &place))
                .plain(format!("{reason}; look at it at once"))
        }
    };
    let text = Text::new().plain(format!(
        "you are called as {level}; page {}",
        page.reference
    ));
    let text = match page.next_at() {
        Some(at) => text.plain("; the next level is called at ").time(at),
        None => text.plain("; nobody is called after you"),
    };
    Message::new(first).text(text).buttons(buttons(page))
}

/// Somebody does not want to wait.
pub fn page_escalated(page: &Page, by: &PersonId) -> Message {
    Message::new(Text::from("⏫ ").person(by).plain(format!(
        " calls the next level of page {} now",
        page.reference
    )))
}

/// Somebody has it.
pub fn page_acknowledged(page: &Page, by: &PersonId, now: Timestamp) -> Message {
    let after = show_elapsed(between(page.began_at, now));
    Message::new(Text::from("✅ ").person(by).plain(format!(
        " has page {} for {}, after {after}; nobody else is called",
        page.reference, page.project
    )))
}

/// A call is late.
pub fn call_delayed(page: &Page, call: &Call, why: &str) -> Message {
    Message::new(
        append(
            Text::new().plain(format!(
                "⏳ page {}: the {} to ",
                page.reference,
                call.means.in_words()
            )),
            named(&call.persons),
        )
        .plain(format!(
            " is late: {why}; it is tried until it is delivered"
        )),
    )
}

/// A call was given up.
pub fn call_failed(page: &Page, call: &Call, why: &str) -> Message {
    Message::new(
        append(
            Text::new().plain(format!(
                "⚠️ page {}: the {} to ",
                page.reference,
                call.means.in_words()
            )),
            named(&call.persons),
        )
        .plain(format!(
            " could not be delivered: {why}; call them yourself, or the next level"
        )),
    )
    .buttons(buttons(page))
}

fn named(persons: &[PersonId]) -> Text {
    let mut text = Text::new();
    for (n, person) in persons.iter().enumerate() {
        text = text.plain(if n > 0 { ", " } else { "" }).person(person);
    }
    text
}

/// A page with the calls made for it.
pub struct PageShown {
    /// Which.
    pub page: Page,
    /// In the order in which they were made.
    pub calls: Vec<(Call, CallState)>,
}

/// `page`: those that nobody has answered, with what became of each call.
pub fn pages(shown: &[PageShown], people: &People, now: Timestamp) -> Message {
    let Some(first) = shown.first() else {
        return Message::new(Text::from(
            "📟 no page is open: everything that was paged is answered",
        ))
        .text(Text::from("call people with ").code("/ops page PROJECT \"what is wrong\""));
    };
    let count = match shown.len() {
        1 => "1 page is open".to_owned(),
        more => format!("{more} pages are open"),
    };
    let mut message = Message::new(Text::new().plain(format!("📟 {count}: ")));
    if let Some(Block::Text(text)) = message.blocks.first_mut() {
        *text = append(std::mem::take(text), about(&first.page));
    }
    for PageShown { page, calls } in shown {
        let mut fields = vec![field(
            page.reference.as_str(),
            append(
                about(page),
                Text::new().plain(format!(
                    ", began {} ago",
                    show_elapsed(between(page.began_at, now))
                )),
            ),
        )];
        let skipped = calls.len().saturating_sub(MOST_CALLS);
        fields.extend(calls.iter().skip(skipped).map(call_field));
        fields.push(field("next", next(page, people)));
        message = message.with(Block::Fields(fields));
    }
    message.buttons(
        shown
            .iter()
            .take(2)
            .flat_map(|it| buttons(&it.page))
            .take(5)
            .collect(),
    )
}

fn call_field((call, state): &(Call, CallState)) -> Field {
    let state = match state {
        CallState::Waiting(None) => "is on its way".to_owned(),
        CallState::Waiting(Some(why)) => format!("waits: {why}"),
        CallState::Delivered => "was delivered".to_owned(),
        CallState::Failed(why) => format!("failed: {why}"),
        CallState::Stopped => "was stopped".to_owned(),
    };
    field(
        call.means.in_words(),
        named(&call.persons).plain(format!(" {state}")),
    )
}

/// What became of a page, for those who look later.
pub fn page_state(page: &Page) -> Text {
    match &page.state {
        PageState::Calling => Text::from("nobody has answered yet"),
        PageState::Exhausted => Text::from("nobody answered, and no level is left"),
        PageState::Acknowledged { by, at } => Text::from("answered by ")
            .person(by)
            .plain(format!(" after {}", show_elapsed(since(page, *at)))),
        PageState::Over { at } => {
            Text::new().plain(format!("decided after {}", show_elapsed(since(page, *at))))
        }
    }
}

fn since(page: &Page, at: Timestamp) -> Duration {
    between(page.began_at, at)
}

/// What a page is about.
pub fn page_about(page: &Page) -> Text {
    about(page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::render::printed::printed;
    use crate::domain::{
        Account, Escalation, Identity, InboundKey, PageId, Place, Platform, Reference, Span, Who,
        usual_means,
    };

    fn level(at: u64, who: &str) -> Escalation {
        Escalation {
            at: Duration::from_secs(60 * at),
            call: Who::Person(who.parse().unwrap()),
            say_so: true,
            by: usual_means(),
        }
    }

    /// Ana was called, Cy is next.
    fn page(about: About) -> Page {
        Page {
            id: PageId::of_inbound(&InboundKey::new(&["page"])),
            reference: Reference::parse("7f3k").unwrap(),
            project: "shop".parse().unwrap(),
            about,
            by: Identity::Person("eve".parse().unwrap()),
            places: vec![Place {
                platform: Platform::Slack,
                space: "T1".to_owned(),
                channel: "C1".to_owned(),
                thread: None,
            }],
            levels: vec![level(0, "ana"), level(5, "cy")],
            called: 1,
            earlier: Duration::ZERO,
            state: PageState::Calling,
            began_at: "2026-01-10T03:00:00Z".parse().unwrap(),
        }
    }

    fn call(means: Means) -> Call {
        let to = Account {
            platform: Platform::Slack,
            space: "T1".to_owned(),
            id: "U0ANA".to_owned(),
        };
        Call {
            level: 0,
            means,
            persons: vec!["ana".parse().unwrap()],
            to: to.key(),
        }
    }

    fn all() -> [About; 3] {
        let run = crate::domain::RunId::of_inbound(&InboundKey::new(&["run"]));
        let title = "flush-cache prod".to_owned();
        [
            About::Words("checkout is down".to_owned()),
            About::Consent {
                run,
                title: title.clone(),
            },
            About::Glass {
                run,
                title,
                reason: "the sale is down".to_owned(),
            },
        ]
    }

    #[test]
    fn whoever_is_called_reads_well() {
        let people = People::default();
        let told = all().map(|about| {
            let page = page(about);
            let calls = [call(Means::Direct), call(Means::Mention)];
            [
                page_called(&page, &[(0, false)], &calls, &people),
                page_direct(&page, &calls[0]),
            ]
        });
        let told: Vec<String> = told.iter().flatten().map(printed).collect();
        insta::assert_snapshot!(told.join("\n\n"));
    }

    /// Words such as `in 5 min` would be wrong a minute later, and nobody edits the message.
    #[test]
    fn when_the_next_is_called_is_a_moment_which_each_platform_counts_down() {
        let people = People::default();
        for about in all() {
            let page = page(about);
            let told = [
                page_called(&page, &[(0, false)], &[call(Means::Mention)], &people),
                page_direct(&page, &call(Means::Direct)),
            ];
            for message in told {
                let texts = message.blocks.iter().filter_map(|block| match block {
                    Block::Text(text) => Some(&text.0),
                    _ => None,
                });
                let moments: Vec<Timestamp> = texts
                    .flatten()
                    .filter_map(|span| match span {
                        Span::Time(at) => Some(*at),
                        _ => None,
                    })
                    .collect();
                assert_eq!(moments, [page.next_at().unwrap()], "{}", printed(&message));
            }
        }
    }
}
