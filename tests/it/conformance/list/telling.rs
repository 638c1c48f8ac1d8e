//! A run is told, from the command to the checkpoint.

use std::time::{Duration, Instant};

use super::behaviours;
use crate::conformance::stage::Who::{Ana, Bo};
use crate::conformance::watch::{asked, everybody, first_line, of_run, recorded, seen, succeeded};

/// What a platform gives us for the first answer, and people before they type it again.
const FIRST_ANSWER: Duration = Duration::from_secs(3);

behaviours! {
    "a command is run, and its message says how it ended": stage => {
        stage.command(Ana, "flush-cache prod").await?;
        let root = seen(stage, "flush-cache prod succeeded in").await;
        for part in ["asked by", "Ana Ruiz", "runbooks/shop.yaml:", "ref "] {
            let all = everybody(stage).await.join("\n");
            assert!(all.contains(part), "`{part}` in {root}");
        }
        Ok(())
    }
    "each step is told, with what it showed": stage => {
        for step in ["1/3 look", "2/3 ban", "3/3 verify"] {
            seen(stage, step).await;
        }
        seen(stage, "x-cache: MISS").await;
        Ok(())
    }
    "the thread's first line names the person, the rule, its file and line, and the plan": stage => {
        let line = seen(stage, "allowed by runbooks/shop.yaml:").await;
        assert!(line.contains("asked for flush-cache prod"), "{line}");
        seen(stage, "look → ban → verify").await;
        Ok(())
    }
    "the thread's last line carries the ledger's checkpoint": stage => {
        seen(stage, "midwatch/").await;
        Ok(())
    }
    "*finished*: the first line says how, how long it took, and that nothing is left to do": stage => {
        let root = seen(stage, "flush-cache prod succeeded in").await;
        first_line(&root, &["✅", "nothing is left to do", "ref "]);
        Ok(())
    }
    "the run's message is kept up to date in place": stage => {
        assert!(stage.edits().await? > 0);
        Ok(())
    }
    "a run's lines stand in a thread of its own": stage => {
        assert_eq!(stage.outside_threads().await?, 1);
        assert!(everybody(stage).await.len() > 4);
        Ok(())
    }
    "*accepted*: within three seconds one knows, while the work takes longer": stage => {
        let began = Instant::now();
        let run = asked(stage, Ana, "nap chair project=lab").await?;
        assert!(began.elapsed() < FIRST_ANSWER, "after {:?}", began.elapsed());
        let root = of_run(stage, &run, "nap").await;
        assert!(!root.contains("succeeded"), "{root}");
        first_line(&root, &["⏳", "wait, or cancel"]);
        seen(stage, "asked for nap").await;
        Ok(())
    }
    "*running*: the first line says which step, how long, and that one may wait or cancel": stage => {
        stage.edits().await?;
        let run = asked(stage, Ana, "nap bed project=lab").await?;
        let root = of_run(stage, &run, "nap is running: step 1 of 1").await;
        first_line(&root, &["⏳", "step 1 of 1 (work), ", "wait, or cancel", "ref "]);
        Ok(())
    }
    "a command that is delivered twenty times runs once": stage => {
        let before = stage.facts("decided").await;
        stage.twenty_times(Ana, "cache-status prod").await?;
        seen(stage, "cache-status prod succeeded").await;
        assert_eq!(stage.facts("decided").await, before + 1);
        Ok(())
    }
    "long output is told by its head and tail, how much is between them, and whole in a file": stage => {
        stage.files().await?;
        let before = stage.facts("decided").await;
        let run = asked(stage, Bo, "loud project=lab").await?;
        recorded(stage, "decided", before).await;
        succeeded(stage, &run).await;
        let line = seen(stage, "lines left out, all of them in the attached file").await;
        assert!(line.contains("\n1\n2\n") && line.contains("\n2999\n3000"), "{line}");
        let began = Instant::now();
        while !stage.files().await?.iter().any(|it| it.lines().count() == 3_000) {
            assert!(began.elapsed() < Duration::from_secs(20), "there is no file");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }
    "mentions and links in output ping nobody and unfold nothing, and can be read": stage => {
        let run = asked(stage, Bo, "hostile project=lab").await?;
        succeeded(stage, &run).await;
        let line = seen(stage, "https://evil.example/x").await;
        assert!(line.contains("@everyone"), "{line}");
        if let Ok(pinged) = stage.pinged().await {
            assert_eq!(pinged, []);
        }
        Ok(())
    }
}
