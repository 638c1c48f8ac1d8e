//! What is typed, walked and told, without processes: a store, a dispatch and a clock in our hand.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use midwatch::catalog::{Folders, load};
use midwatch::clock::Clock;
use midwatch::dispatch::Dispatch;
use midwatch::domain::{
    Catalog, Inbound, InboundKey, Manner, Place, Platform, Posting, Source, Speaker, SpeakerKind,
};
use midwatch::store::{MessageRef, Store, StoreSettings, WorkerId};

/// Reads the files of this folder.
pub(crate) fn catalog(folder: &Path, files: &[(&str, String)]) -> Catalog {
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }
    let folders = Folders {
        commands: folder.join("commands"),
        runbooks: folder.join("runbooks"),
    };
    let loaded = load(&folders, &BTreeMap::new());
    assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
    loaded.catalog
}

/// Opens a store in this folder, and a dispatch on it.
pub(crate) async fn open(url: &str, data: &Path, catalog: Catalog, clock: &Clock) -> Dispatch {
    std::fs::create_dir_all(data).expect("a folder");
    let settings = StoreSettings {
        url: url.to_owned(),
        data: data.to_owned(),
    };
    let store = Store::open(&settings, clock.now()).await;
    Dispatch {
        store: store.expect("it opens"),
        catalog: Arc::new(ArcSwap::from_pointee(catalog)),
        roster: None,
        clock: clock.clone(),
        mirrors_on: Vec::new(),
    }
}

/// Somebody's words in the channel `C1`; `key` makes it what it is.
pub(crate) fn said(key: &str, who: &str, text: &str, now: Timestamp) -> Inbound {
    Inbound {
        key: InboundKey::new(&["said", key]),
        source: Source::Chat,
        speaker: Speaker {
            platform: Platform::Slack,
            space: "T1".to_owned(),
            id: format!("U0{}", who.to_uppercase()),
            kind: SpeakerKind::Person,
        },
        place: Place {
            platform: Platform::Slack,
            space: "T1".to_owned(),
            channel: "C1".to_owned(),
            thread: None,
        },
        manner: Manner::Said,
        text: text.to_owned(),
        sent_at: now,
        received_at: now,
        form_handle: None,
    }
}

/// Slack takes all that is owed; answers it.
pub(crate) async fn deliver(store: &Store, now: Timestamp) -> Vec<Posting> {
    let worker = WorkerId(format!("{}/worker", store.home()));
    let duty = store.take_duty(Platform::Slack, &worker, now, Duration::from_mins(1));
    let duty = duty.await.expect("it answers").expect("nobody else has it");
    let mut taken = Vec::new();
    loop {
        let due = store
            .due_postings(Platform::Slack, now, 100)
            .await
            .expect("it answers");
        if due.is_empty() {
            return taken;
        }
        for due in due {
            store
                .begin_posting(&duty, due.id)
                .await
                .expect("it is begun");
            let message = Some(MessageRef(format!("C1:{}.0", due.id.0)));
            let done = store.posting_delivered(&duty, due.id, due.version, message);
            done.await.expect("it is delivered");
            taken.push(due.posting);
        }
    }
}
