//! What the runbook says of words, without anything being recorded or done.

use jiff::Timestamp;

use super::{Dispatch, Walk};
use crate::domain::{
    Decision, Inbound, Invocation, Message, Refusal, Typed, decide, parse, render,
};
use crate::store::StoreError;

/// What would be decided.
pub struct Judged {
    /// As it was understood.
    pub invocation: Invocation,
    /// What the runbook says of it now.
    pub decision: Decision,
    /// The same for people.
    pub message: Message,
}

impl Dispatch {
    /// Asks the runbook about words as if they had been said now. What is no command is refused.
    ///
    /// # Errors
    /// The store's; nothing is known then.
    pub async fn judge(
        &self,
        inbound: &Inbound,
        now: Timestamp,
    ) -> Result<Result<Judged, Refusal>, StoreError> {
        let catalog = self.catalog.load_full();
        let actor = catalog.people.identify(&inbound.speaker);
        let walk = Walk {
            dispatch: self,
            catalog: &catalog,
            inbound,
            actor: &actor,
            unsaid: &[],
            code: None,
            now,
        };
        let invocation = match parse(&inbound.text, &walk.hearing()) {
            Err(refusal) => return Ok(Err(refusal)),
            Ok(Typed::Invoke(invocation)) => invocation,
            Ok(Typed::Ask(question)) => {
                return Ok(Err(Refusal::BadBuiltin {
                    what: format!("`{}` is a question, and no command", question.word()),
                    example: "help".to_owned(),
                }));
            }
        };
        let facts = walk.facts(&invocation, Vec::new()).await?;
        let decision = decide(&invocation, &actor, &catalog, &facts, now);
        let message = render::not_run(&invocation, &decision, now);
        Ok(Ok(Judged {
            invocation,
            decision,
            message,
        }))
    }
}
