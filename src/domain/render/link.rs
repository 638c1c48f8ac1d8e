//! What people read about accounts that speak for them.

use crate::domain::{Account, LinkCode, Message, PersonId, Text};

/// To the other account: the code, for whom it is, and what to do with it. The only message that holds it.
pub fn link_code(code: &LinkCode, person: &PersonId) -> Message {
    Message::new(
        Text::from("🔗 ")
            .person(person)
            .plain(" says that this account is theirs, too; their code is ")
            .code(code.expose()),
    )
    .text(
        Text::from("if that is you, type ")
            .code(format!("/ops link {}", code.expose()))
            .plain(
                " where you asked for it, within 10 minutes; then this account may do what you may",
            ),
    )
    .text(Text::from(
        "if it is not you, do nothing and give the code to nobody",
    ))
}

/// To who asked: where the code is.
pub fn link_asked(account: &Account) -> Message {
    Message::new(
        Text::from("🔗 a code was sent to ")
            .code(account.to_string())
            .plain(" as a direct message"),
    )
    .text(
        Text::from("type ")
            .code("/ops link CODE")
            .plain(" here, with that code, within 10 minutes"),
    )
}

/// The account speaks for them.
pub fn linked(account: &Account, person: &PersonId) -> Message {
    Message::new(
        Text::from("🔗 ")
            .code(account.to_string())
            .plain(" speaks for ")
            .person(person)
            .plain(" now, wherever it clicks and types"),
    )
    .text(unlink(account))
}

/// It doesn't any more.
pub fn unlinked(account: &Account, person: &PersonId) -> Message {
    Message::new(
        Text::from("🔗 ")
            .code(account.to_string())
            .plain(" does not speak for ")
            .person(person)
            .plain(" any more"),
    )
}

fn unlink(account: &Account) -> Text {
    Text::new()
        .code(format!("/ops unlink {account}"))
        .plain(" takes it away")
}
