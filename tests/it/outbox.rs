//! The outbox between a real store and a fake workspace: what people read in the end is what is true.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use midwatch::catalog::{Folders, load};
use midwatch::chat::outbox::Outbox;
use midwatch::chat::slack::{Door, History, Slack, SlackSettings};
use midwatch::clock::Clock;
use midwatch::domain::{Platform, Posting};
use midwatch::store::Receipt;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::fakes::slack::{BOT_TOKEN, FakeSlack, render};
use crate::world::{Engine, World, connect, root};

pub(crate) const SOON: Duration = Duration::from_secs(10);

/// Delivers until it is dropped.
pub(crate) fn deliver(world: &World, fake: &FakeSlack) -> JoinSet<()> {
    deliver_until(CancellationToken::new(), world, fake)
}

fn deliver_until(stop: CancellationToken, world: &World, fake: &FakeSlack) -> JoinSet<()> {
    let outbox = Outbox::new(world.store.clone(), adapter(world, fake), Clock::system());
    let mut tasks = JoinSet::new();
    tasks.spawn(outbox.run(stop, Duration::ZERO));
    tasks
}

/// Reads what was said before, until it is dropped.
fn read_history(world: &World, fake: &FakeSlack) -> JoinSet<()> {
    let history = History {
        door: Door {
            slack: adapter(world, fake),
            intake: Arc::new(|_| Box::pin(async { Ok(Receipt::Duplicate) })),
            clock: Clock::system(),
        },
        store: world.store.clone(),
        sockets: None,
    };
    let mut tasks = JoinSet::new();
    tasks.spawn(history.run(CancellationToken::new()));
    tasks
}

fn adapter(world: &World, fake: &FakeSlack) -> Arc<Slack> {
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
    Arc::new(Slack::new(&settings, catalog).unwrap())
}

/// Waits until a message with these words is in the channel; answers how many messages there are.
async fn said(fake: &FakeSlack, words: &str) -> usize {
    let found = |fake: &FakeSlack| {
        let messages = fake.messages("C1");
        let found = messages.iter().any(|message| render(message) == words);
        found.then_some(messages.len())
    };
    fake.wait_for(words, SOON, found).await
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
    let messages = said(&fake, "succeeded").await;
    assert_eq!(messages, 1);
    assert_eq!(fake.violations(), Vec::<String>::new());
}

#[tokio::test]
async fn a_look_that_must_wait_holds_up_no_posts() {
    let world = World::new().await;
    let fake = FakeSlack::start().await;
    let doubted = world.begin(1, None).await.unwrap();
    let other = world.begin(2, None).await.unwrap();
    fake.use_up("conversations.history", 50);
    fake.drop_answer_next(1);
    owe(&world, root(doubted.id, "in doubt")).await;
    let _outbox = deliver(&world, &fake);
    said(&fake, "in doubt").await;
    fake.wait_for("look that is refused", SOON, |fake| {
        (fake.calls("conversations.history") == 1).then_some(())
    })
    .await;
    owe(&world, root(other.id, "another")).await;
    assert_eq!(said(&fake, "another").await, 2);
    assert_eq!(fake.violations(), Vec::<String>::new());
}

#[tokio::test]
async fn what_was_looked_for_is_not_looked_for_again_when_its_post_must_wait() {
    let world = World::new().await;
    let fake = FakeSlack::start().await;
    let run = world.begin(1, None).await.unwrap();
    fake.fail_next(1); // The post: nobody knows what became of it.
    fake.refuse_next(1); // The next.
    owe(&world, root(run.id, "at last")).await;
    let _outbox = deliver(&world, &fake);
    assert_eq!(said(&fake, "at last").await, 1);
    assert_eq!(fake.calls("chat.postMessage"), 3);
    assert_eq!(fake.calls("conversations.history"), 1);
    assert_eq!(fake.violations(), Vec::<String>::new());
}

#[tokio::test]
async fn what_is_in_doubt_is_looked_for_before_history_is_read() {
    let world = World::new().await;
    let fake = FakeSlack::start().await;
    for channel in 10..30 {
        fake.add_channel(&format!("C{channel}"), true);
    }
    let listening = read_history(&world, &fake);
    fake.wait_for("first reading", SOON, |fake| {
        (fake.calls("users.conversations") == 1).then_some(())
    })
    .await;
    let run = world.begin(1, None).await.unwrap();
    fake.drop_answer_next(1);
    owe(&world, root(run.id, "in doubt")).await;
    let stop = CancellationToken::new();
    let mut outbox = deliver_until(stop.clone(), &world, &fake);
    said(&fake, "in doubt").await;
    let later = Clock::system().now() + Duration::from_secs(60);
    let in_doubt = async {
        while !world
            .store
            .are_in_doubt(Platform::Slack, later)
            .await
            .unwrap()
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, in_doubt).await.unwrap();
    stop.cancel();
    outbox.join_next().await.unwrap().unwrap();
    drop(listening);
    tokio::time::sleep(Duration::from_millis(1_500)).await; // Until it is to be looked for.
    owe(&world, root(run.id, "up to date")).await;
    fake.use_up("conversations.history", 49);
    let _listening = read_history(&world, &fake);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let _outbox = deliver(&world, &fake);
    assert_eq!(said(&fake, "up to date").await, 1);
    assert_eq!(fake.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_whose_beginning_has_no_answer_is_handed_back_and_done_once() {
    let Some(world) = World::on(Engine::Postgres).await else {
        return;
    };
    let fake = FakeSlack::start().await;
    let run = world.begin(1, None).await.unwrap();
    // The commit that says "it is being sent" takes longer than anybody waits for it, once; then it stands.
    world
        .spoil(
            "create sequence stalls;
             create function stall() returns trigger language plpgsql as $$
             begin
               if nextval('stalls') = 1 then perform pg_sleep(4); end if;
               return null;
             end $$;
             create constraint trigger stall after update on outbox deferrable initially deferred
             for each row when (new.state = 'sending') execute function stall()",
        )
        .await;
    owe(&world, root(run.id, "said once")).await;
    let _outbox = deliver(&world, &fake);
    assert_eq!(said(&fake, "said once").await, 1);
    let mut database = connect(&world.settings().url).await;
    let begun: i64 = sqlx::query_scalar("select last_value from stalls")
        .fetch_one(&mut database)
        .await
        .unwrap();
    assert!(begun >= 2, "the first beginning had no answer");
    assert_eq!(fake.violations(), Vec::<String>::new());
}
