//! Accounts of one person: a code is sent to the account that is to be linked, and typed by who asked.
//!
//! The code goes to that account and nowhere else: neither ledger, log nor the answer to who asked has it.

use super::{Walk, whisper};
use crate::domain::{
    Account, Fact, Link, LinkCode, LinkEvent, PersonId, Posting, Refusal, direct, render,
};
use crate::store::{
    Change, Conclusion, LinkChange, Linked, MOST_CODES, MOST_LINKS, NewLink, OpenLink, StoreError,
};

impl Walk<'_> {
    /// Sends a code to the account, unless it is somebody's.
    pub(super) async fn ask_to_link(&self, account: Account) -> Result<Conclusion, StoreError> {
        let Some(person) = self.actor.person() else {
            return Ok(self.refuse(&Refusal::Stranger));
        };
        let links = self.dispatch.store.links().await?;
        if let Some(refusal) = self.not_linkable(&account, person, &links) {
            return Ok(self.refuse(&refusal));
        }
        let asked_from = Account::of(&self.inbound.speaker);
        let open = self
            .dispatch
            .store
            .open_links(person, &asked_from, self.now);
        let (_, out) = open.await?;
        if out >= MOST_CODES {
            return Ok(self.refuse(&not_now(
                "link_codes_out",
                format!("{out} codes for other accounts of yours are out already"),
                "type one of them with /ops link CODE, or ask again in 10 minutes",
            )));
        }
        let code = LinkCode::draw(rand::random);
        let link = Link {
            account: account.clone(),
            person: person.clone(),
        };
        let new = NewLink::new(link, asked_from, &code);
        let fact = self.link_fact(&account, new.commitment(), LinkEvent::Asked);
        let postings = vec![
            direct(&account, render::link_code(&code, person)),
            whisper(self.inbound, render::link_asked(&account)),
        ];
        Ok(self.link_changed(fact, LinkChange::Asked(Box::new(new)), postings))
    }

    /// Links the account that the code was sent to.
    pub(super) async fn confirm_link(&self, code: &LinkCode) -> Result<Conclusion, StoreError> {
        let Some(person) = self.actor.person() else {
            return Ok(self.refuse(&Refusal::Stranger));
        };
        let asked_from = Account::of(&self.inbound.speaker);
        let open = self
            .dispatch
            .store
            .open_links(person, &asked_from, self.now);
        let (open, _) = open.await?;
        // All are compared, whichever it is.
        let mut matching = None;
        for one in &open {
            if one.is(code) {
                matching = Some(one.clone());
            }
        }
        let Some(matching) = matching else {
            return Ok(self.code_missed(open));
        };
        let account = matching.account.clone();
        // It was free when the code was sent; meanwhile files or another link may have given it to somebody.
        let links = self.dispatch.store.links().await?;
        if let Some(refusal) = self.not_linkable(&account, person, &links) {
            return Ok(self.refuse(&refusal));
        }
        let fact = self.link_fact(&account, matching.commitment.clone(), LinkEvent::Linked);
        let told = render::linked(&account, person);
        let postings = vec![direct(&account, told.clone()), whisper(self.inbound, told)];
        Ok(self.link_changed(fact, LinkChange::Linked(Box::new(matching)), postings))
    }

    /// Takes a link away. Only whom the account speaks for may, from whichever account.
    pub(super) async fn unlink(&self, account: &Account) -> Result<Conclusion, StoreError> {
        let Some(person) = self.actor.person() else {
            return Ok(self.refuse(&Refusal::Stranger));
        };
        let links = self.dispatch.store.links().await?;
        let mut theirs = links
            .into_iter()
            .filter(|linked| linked.link.person == *person);
        let Some(Linked { link, commitment }) =
            theirs.find(|linked| linked.link.account.may_be(account))
        else {
            let in_files = self.catalog.people.owner(account) == Some(person);
            return Ok(self.refuse(&if in_files {
                not_now(
                    "link_of_files",
                    format!("{account} speaks for you because people.yaml says so"),
                    "ask whoever keeps runbooks/people.yaml to remove it",
                )
            } else {
                not_now(
                    "link_unknown",
                    format!("you linked no account {account}"),
                    "only accounts that you linked with /ops link can be taken away with /ops unlink",
                )
            }));
        };
        let fact = self.link_fact(&link.account, commitment, LinkEvent::Unlinked);
        let told = whisper(self.inbound, render::unlinked(&link.account, person));
        Ok(self.link_changed(fact, LinkChange::Unlinked(link), vec![told]))
    }

    /// A wrong code counts against every code that could have been meant.
    fn code_missed(&self, open: Vec<OpenLink>) -> Conclusion {
        let left = open.iter().map(|open| open.tries_left() - 1).max();
        let refusal = match left {
            None => not_now(
                "link_no_code",
                "no code is out that you asked for from this account".to_owned(),
                "ask for one with /ops link PLATFORM ACCOUNT, and type it where you asked",
            ),
            Some(0) => not_now(
                "link_code_spent",
                "that is not the code, and it was the last try".to_owned(),
                "ask for another with /ops link PLATFORM ACCOUNT",
            ),
            Some(left) => not_now(
                "link_code_wrong",
                format!("that is not the code; {left} more tries"),
                "look into the direct message to your other account again",
            ),
        };
        let mut conclusion = self.refuse(&refusal);
        if !open.is_empty() {
            conclusion.change = Change::Link(LinkChange::Missed(open));
        }
        conclusion
    }

    /// Why this account can't come to speak for the person.
    fn not_linkable(
        &self,
        account: &Account,
        person: &PersonId,
        links: &[Linked],
    ) -> Option<Refusal> {
        if !self.dispatch.reaches(account.platform) {
            return Some(not_now(
                "link_unreachable",
                format!("this midwatch does not speak with {}", account.platform),
                "ask whoever keeps runbooks/people.yaml to add the account there",
            ));
        }
        let mut same = links.iter().map(|linked| &linked.link);
        let linked_to = same.find(|link| {
            link.account.platform == account.platform && link.account.id == account.id
        });
        let owner = linked_to.map(|link| &link.person);
        let owner = owner.or_else(|| self.catalog.people.owner(account));
        match owner {
            Some(owner) if owner == person => Some(not_now(
                "link_yours",
                format!("{account} speaks for you already"),
                "there is nothing to do",
            )),
            Some(_) => Some(not_now(
                "link_taken",
                format!("{account} speaks for somebody else"),
                "an account belongs to one person: they type /ops unlink, or whoever keeps runbooks/people.yaml removes it",
            )),
            None => {
                let theirs = links.iter().filter(|linked| linked.link.person == *person);
                (theirs.count() >= MOST_LINKS).then(|| {
                    not_now(
                        "link_too_many",
                        format!("you linked {MOST_LINKS} accounts already"),
                        "take one away with /ops unlink PLATFORM ACCOUNT",
                    )
                })
            }
        }
    }

    fn link_fact(
        &self,
        of: &Account,
        account: crate::domain::Commitment,
        became: LinkEvent,
    ) -> Fact {
        Fact::Link {
            inbound: self.inbound.key.clone(),
            actor: self.actor.identity.clone(),
            platform: of.platform,
            account,
            became,
        }
    }

    fn link_changed(&self, fact: Fact, change: LinkChange, postings: Vec<Posting>) -> Conclusion {
        Conclusion {
            inbound: self.inbound.key.clone(),
            fact,
            change: Change::Link(change),
            postings,
        }
    }
}

pub(super) fn not_now(word: &'static str, what: String, next: &str) -> Refusal {
    let next = next.to_owned();
    Refusal::NotNow { what, next, word }
}
