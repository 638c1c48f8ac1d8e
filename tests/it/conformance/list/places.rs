//! Where people talk: channels, threads, direct messages, mirrors.

use super::behaviours;
use crate::conformance::stage::At;
use crate::conformance::stage::Who::{Ana, Bo};
use crate::conformance::watch::{
    asked, everybody, mirrored, of_run, recorded, reference, seen, succeeded, told,
};

behaviours! {
    "a mention in a channel is a command": stage => {
        let before = stage.facts("decided").await;
        stage.mention(Ana, "flush-cache prod").await?;
        seen(stage, "flush-cache prod succeeded").await;
        assert_eq!(stage.facts("decided").await, before + 1);
        Ok(())
    }
    "a mention that the platform tells as two events is heard once": stage => {
        let (received, answered) = (stage.facts("received").await, stage.facts("answered").await);
        stage.mention(Ana, "help rollback").await?;
        told(stage, Ana, "Goes back to the version").await;
        recorded(stage, "answered", answered).await;
        assert_eq!(stage.facts("received").await, received + 1);
        Ok(())
    }
    "whoever mentions us sees in the channel that it was heard": stage => {
        assert!(stage.is_marked().await?);
        Ok(())
    }
    "a direct message is a command, with nothing before it": stage => {
        stage.direct(Ana, "help deploy").await?;
        told(stage, Ana, "Puts a released version").await;
        Ok(())
    }
    "a mention in a run's thread is a command, told in that thread": stage => {
        let outside = stage.outside_threads().await.unwrap_or_default();
        stage.in_thread(Ana, "cache-status prod path=/sale").await?;
        seen(stage, "cache-status prod succeeded").await;
        assert_eq!(stage.outside_threads().await?, outside);
        Ok(())
    }
    "a message that was changed is no command": stage => {
        let decided = stage.facts("decided").await;
        stage.edited(Ana, "flush-cache prod").await?;
        told(stage, Ana, "a message that was changed").await;
        assert_eq!(stage.facts("decided").await, decided);
        Ok(())
    }
    "another app's message is no command, and is not answered": stage => {
        let (refused, decided) = (stage.facts("refused").await, stage.facts("decided").await);
        let answered = stage.facts("answered").await;
        stage.by_bot("flush-cache prod").await?;
        recorded(stage, "refused", refused).await;
        assert_eq!(stage.facts("decided").await, decided);
        assert_eq!(stage.facts("answered").await, answered);
        Ok(())
    }
    "*late*: what comes more than a minute late is not run; the first line says so, and a button asks again": stage => {
        stage.late(Ana, "late project=lab").await?;
        let held = seen(stage, "late was held: it reached us 2 m").await;
        crate::conformance::watch::first_line(&held, &["nothing was done", "ask again if it is still wanted"]);
        stage.press(At::Shop, Ana, "Run it now").await?;
        seen(stage, "late succeeded").await;
        Ok(())
    }
    "a run is followed in its mirror, which says where it began": stage => {
        stage.shown(At::Mirror).await?;
        let run = asked(stage, Bo, "touch project=twin").await?;
        let root = mirrored(stage, "touch waits for 1 approval of team-shop").await?;
        assert_eq!(reference(&root), run);
        assert!(root.contains("this thread mirrors the one there"), "{root}");
        Ok(())
    }
    "it is approved from its mirror, and each line is told once in each place": stage => {
        let root = mirrored(stage, "touch waits for 1 approval of team-shop").await?;
        stage.press(At::Mirror, Ana, "Approve").await?;
        succeeded(stage, &reference(&root)).await;
        mirrored(stage, "touch succeeded").await?;
        mirrored(stage, "midwatch/").await?;
        seen(stage, "Ana Ruiz approved").await;
        let of = |all: Vec<String>| all.iter().filter(|it| it.contains("Ana Ruiz approved")).count();
        let there = stage.shown(At::Mirror).await?;
        assert_eq!((of(there), of(everybody(stage).await)), (1, 1));
        Ok(())
    }
    "it is cancelled from its mirror": stage => {
        stage.shown(At::Mirror).await?;
        let run = asked(stage, Ana, "slow project=twin").await?;
        mirrored(stage, "slow is running").await?;
        stage.press(At::Mirror, Ana, "Cancel").await?;
        of_run(stage, &run, "was cancelled after 0 of 1 steps").await;
        mirrored(stage, "was cancelled after 0 of 1 steps").await?;
        Ok(())
    }
}
