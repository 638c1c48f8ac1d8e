//! The outbox between a real store and a fake workspace: what people read in the end is what is true.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use midwatch::catalog::{Folders, load};
use midwatch::chat::outbox::Outbox;
use midwatch::chat::slack::{Slack, SlackSettings};
use midwatch::clock::Clock;
use midwatch::domain::Posting;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::fakes::slack::{BOT_TOKEN, FakeSlack, render};
use crate::world::{World, root};

const SOON: Duration = Duration::from_secs(10);

/// Delivers until it is dropped.
fn deliver(world: &World, fake: &FakeSlack) -> JoinSet<()> {
    let nothing = Folders {
        commands: world.data("commands"),
        runbooks: world.data("runbooks"),
    };
    let catalog = Arc::new(ArcSwap::from_pointee(
        load(&nothing, &BTreeMap::new()).catalog,
    ));
    let settings = SlackSettings {
        bot_token: BOT_TOKEN.to_owned().into(),
        app_token: None,
        signing_secret: None,
        api_url: fake.api_url(),
    };
    let slack = Arc::new(Slack::new(&settings, catalog).unwrap());
    let outbox = Outbox::new(world.store.clone(), slack, Clock::system());
    let mut tasks = JoinSet::new();
    tasks.spawn(outbox.run(CancellationToken::new(), Duration::ZERO));
    tasks
}

async fn owe(world: &World, posting: Posting) {
    let now = Clock::system().now();
    world
        .store
        .record(Vec::new(), vec![posting], now)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_root_that_was_in_doubt_is_brought_up_to_date_when_it_is_found() {
    let world = World::new().await;
    let fake = FakeSlack::start().await;
    let run = world.begin(1, None).await.unwrap();
    fake.drop_answer_next(1);
    owe(&world, root(run.id, "is running")).await;
    let _outbox = deliver(&world, &fake);
    fake.wait_for("root message", SOON, |fake| fake.messages("C1").pop())
        .await;
    // Posted, but we don't know it yet.
    owe(&world, root(run.id, "succeeded")).await;
    let edited = |fake: &FakeSlack| {
        let messages = fake.messages("C1");
        messages
            .iter()
            .any(|message| render(message) == "succeeded")
            .then_some(messages.len())
    };
    let messages = fake.wait_for("up-to-date root", SOON, edited).await;
    assert_eq!(messages, 1);
    assert_eq!(fake.violations(), Vec::<String>::new());
}
