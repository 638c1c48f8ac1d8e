//! A second factor outside chat: what is of high risk begins, and is consented to, with a one-time code.
//!
//! It is asked for last, when nothing else is in the way, so that no code is used up for nothing.

use super::Walk;
use super::change::not_now;
use crate::domain::{CODE_WORD, Invocation, ParameterName, PersonId, Refusal, quoted};
use crate::store::{CodeCounts, StoreError};

impl Walk<'_> {
    /// Whether the runbook wants a one-time code for this.
    pub(super) fn wants_code(&self, invocation: &Invocation) -> bool {
        let project = self.catalog.projects.get(&invocation.project);
        let command = self.catalog.commands.get(&invocation.command);
        match (project, command) {
            (Some(project), Some(command)) => project.wants_code(command),
            (None, _) | (_, None) => false,
        }
    }

    /// What is in the way of something that the runbook allows: a code that is wanted and missing, or doesn't count. The
    /// right one is used up by it. `says`: what was typed, without a code.
    pub(super) async fn unconfirmed(
        &self,
        invocation: &Invocation,
        says: &str,
    ) -> Result<Option<Refusal>, StoreError> {
        if !self.wants_code(invocation) {
            return Ok(None);
        }
        let Some(person) = self.actor.person() else {
            return Ok(Some(Refusal::Stranger));
        };
        let known = self.catalog.people.persons.get(person);
        let Some(enrolment) = known.and_then(|it| it.second_factor.as_ref()) else {
            return Ok(Some(not_enrolled(invocation, person)));
        };
        let Some(code) = &self.code else {
            return Ok(Some(Refusal::Missing {
                command: invocation.command.clone(),
                parameters: vec![ParameterName::parse(CODE_WORD).expect("it is a name")],
                example: format!("{says} {CODE_WORD}=123456"),
                says: says.to_owned(),
            }));
        };
        let store = &self.dispatch.store;
        let counts = store
            .try_code(person, enrolment, code, &self.inbound.key, self.now)
            .await?;
        Ok(does_not_count(counts, says))
    }

    /// What was typed to ask for this.
    pub(super) fn said(invocation: &Invocation) -> String {
        let typed = invocation.typed_in_full();
        if invocation.glass {
            format!(
                "break-glass {typed} phrase={}",
                quoted(&invocation.phrase())
            )
        } else {
            typed
        }
    }
}

fn not_enrolled(invocation: &Invocation, person: &PersonId) -> Refusal {
    let what = format!(
        "{} wants a one-time code here, and you have no second factor",
        invocation.command
    );
    let next = format!(
        "ask whoever keeps midwatch's host to run `midwatch factor enrol {person}` with you, then type it again"
    );
    not_now("no_second_factor", what, next)
}

fn does_not_count(counts: CodeCounts, says: &str) -> Option<Refusal> {
    let again =
        format!("type it again with the code that your app shows then: /ops {says} {CODE_WORD}=…");
    match counts {
        CodeCounts::Yes => None,
        CodeCounts::Wrong => {
            let what = "that is not the code that your app shows now".to_owned();
            Some(not_now("wrong_code", what, again))
        }
        CodeCounts::Used => {
            let what = "that code was used already: one code is for one thing".to_owned();
            Some(not_now(
                "used_code",
                what,
                format!("wait for the next one, at most 30 s, and {again}"),
            ))
        }
        CodeCounts::NotBefore(until) => {
            let until = until.strftime("%H:%M UTC");
            let what =
                format!("too many wrong codes were typed in your name; none counts before {until}");
            let next = "if it was not you, tell whoever keeps midwatch: somebody uses your account"
                .to_owned();
            Some(not_now("too_many_codes", what, next))
        }
    }
}
