//! Says something on the one path for a program, and waits for what is decided. The program may ask again: the same key
//! gives the same answer, and nothing is done twice.

use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use data_encoding::HEXLOWER;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::asked::Asked;
use super::door::{place, speaker};
use super::problem::Problem;
use super::reply::Reply;
use super::{Api, shape};
use crate::domain::{
    Decided, Fact, Inbound, InboundKey, Invocation, Manner, Run, RunId, Source, render,
};
use crate::store::{Answer, Concluded, Receipt};

/// How long a request waits for what is decided; shorter than a request may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often we look, whether or not anything was committed here.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// The longest `Idempotency-Key`, in bytes.
const LONGEST_KEY: usize = 200;

/// What became of words.
pub(super) enum Said {
    /// There is a run, perhaps one that waits for consent.
    Run(Box<Run>),
    /// It changed something that there was, or was answered.
    Answered(String),
    /// Nothing is decided yet; the run would have this id.
    Waiting(RunId),
}

impl Said {
    /// The answer where nothing is known yet.
    pub(super) fn waiting(run: RunId) -> Reply {
        let url = format!("/api/v1/run/{run}");
        Reply::Json {
            status: StatusCode::ACCEPTED,
            value: json!({ "status": "waiting", "id": run, "url": url }),
            location: Some(url),
        }
    }
}

/// Says it for the caller.
pub(super) async fn say(api: &Api, asked: &Asked, text: String) -> Result<Said, Problem> {
    let inbound = inbound(api, asked, text.clone())?;
    let (key, place) = (inbound.key.clone(), inbound.place.clone());
    let mut changes = api.store.changes();
    let receipt = (api.receive)(inbound).await?;
    if receipt == Receipt::Duplicate
        && let Some(before) = api.store.place_of(&key).await?
        && before.thread != place.thread
    {
        let detail = "the same key came with another request before; nothing was done";
        return Err(Problem::new("key_reused", detail));
    }
    let wait = async {
        loop {
            changes.mark_unchanged();
            if let Some(answer) = api.store.answer(&key).await? {
                return Ok::<_, Problem>(answer);
            }
            // A hint only.
            let _ = tokio::time::timeout(LOOK_EVERY, changes.changed()).await;
        }
    };
    match tokio::time::timeout(PATIENCE, wait).await {
        Ok(answer) => read(api, asked, (&key, &text), answer?).await,
        Err(_) => Ok(Said::Waiting(RunId::of_inbound(&key))),
    }
}

/// An inbound as the caller would send it now.
pub(super) fn inbound(api: &Api, asked: &Asked, text: String) -> Result<Inbound, Problem> {
    let terms = &asked.terms;
    let key = match idempotency_key(&asked.headers)? {
        // Of this token alone: another's key is another key.
        Some(key) => hex(&format!("midwatch idempotency\n{}\n{key}", terms.id)),
        None => uuid::Uuid::new_v4().simple().to_string(),
    };
    let key = InboundKey::new(&["api", terms.id.as_str(), &key]);
    let now = api.clock.now();
    Ok(Inbound {
        source: Source::Api,
        speaker: speaker(terms),
        place: place(terms, key.as_str(), Some(hex(&text))),
        key,
        manner: Manner::Said,
        text,
        sent_at: now,
        received_at: now,
        form_handle: None,
    })
}

fn hex(text: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(text.as_bytes())[..16])
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut given = headers.get_all("idempotency-key").iter();
    let Some(key) = given.next() else {
        return Ok(None);
    };
    let key = key.to_str().ok().filter(|key| {
        let fits = (1..=LONGEST_KEY).contains(&key.len());
        fits && key.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
    });
    match (key, given.next()) {
        (Some(key), None) => Ok(Some(key)),
        _ => Err(Problem::new(
            "bad_header",
            "`Idempotency-Key` is one text of 1 to 200 printable ASCII characters",
        )),
    }
}

async fn read(
    api: &Api,
    asked: &Asked,
    (key, text): (&InboundKey, &str),
    answer: Answer,
) -> Result<Said, Problem> {
    let people = &asked.catalog.people;
    let words: Vec<String> = answer
        .messages
        .iter()
        .map(|message| render::plain(message, people))
        .collect();
    let words = words.join("\n");
    match (answer.concluded, answer.fact) {
        (Concluded::Run, _) => match api.store.run(RunId::of_inbound(key)).await? {
            Some(run) => Ok(Said::Run(Box::new(run))),
            None => Err(Problem::new("fault", "the run that was begun is not there")),
        },
        (Concluded::Answered, _) => Ok(Said::Answered(words)),
        (Concluded::Refused, Some(Fact::Refused { refusal, .. })) => {
            Err(Problem::new(refusal, asked.not_understood(text, words)))
        }
        (
            Concluded::NotRun,
            Some(Fact::Decided {
                invocation,
                decision,
                rule,
                ..
            }),
        ) => {
            let code = code_of(decision);
            let other = other_run(api, asked, code.as_str(), &invocation).await?;
            let mut problem = Problem::new(code, words).rule(rule);
            if let Some(other) = other {
                problem = problem
                    .with("run", shape::run(&other))
                    .with("join", format!("/api/v1/run/{}/join", other.id));
            }
            Err(problem)
        }
        (Concluded::Refused | Concluded::NotRun, _) => {
            let detail = "it was refused; what was said then is not kept any more";
            Err(Problem::new("refused_before", detail))
        }
    }
}

/// The code of a decision that let nothing be run.
fn code_of(decision: Decided) -> String {
    match decision {
        Decided::Hold(word) => word,
        Decided::Deny(_) | Decided::Allow | Decided::RequireApproval(_) => "denied".to_owned(),
    }
}

/// The run that stands in the way, as it is now; the caller may see it: they asked for the same.
pub(super) async fn other_run(
    api: &Api,
    asked: &Asked,
    code: &str,
    invocation: &Invocation,
) -> Result<Option<Run>, Problem> {
    if !matches!(code, "running" | "just_done") {
        return Ok(None);
    }
    let command = asked.catalog.commands.get(&invocation.command);
    let exclusive = command.and_then(|command| command.one_at_a_time);
    let lock = exclusive.map(|exclusive| invocation.target(exclusive));
    let fresh = command.and_then(|command| command.fresh);
    let since = fresh.map(|fresh| {
        let fresh = jiff::SignedDuration::try_from(fresh).unwrap_or(jiff::SignedDuration::MAX);
        asked
            .now
            .saturating_sub(fresh)
            .unwrap_or(jiff::Timestamp::MIN)
    });
    let near = place(&asked.terms, "", None);
    let facts = api
        .store
        .facts_for(lock, invocation.same_target(), since, &near)
        .await?;
    let other = match code {
        "running" => facts.running,
        _ => facts.just_done,
    };
    match other {
        Some(other) => Ok(api.store.run_by_reference(&other.reference).await?),
        None => Ok(None),
    }
}
