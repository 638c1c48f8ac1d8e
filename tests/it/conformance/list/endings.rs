//! What doesn't go as it should: steps that fail, runs that are stopped, held or torn, and what people do then.

use super::behaviours;
use crate::conformance::stage::Who::{Ana, Bo};
use crate::conformance::stage::{At, Done, Stage, Trouble};
use crate::conformance::watch::{
    asked, begun, first_line, of_run, reference, seen, succeeded, told, told_alone,
};

/// A run that may or may not have happened: its step had begun when the power went.
async fn torn(stage: &mut dyn Stage, hole: &str) -> Done<String> {
    let run = asked(stage, Ana, &format!("dig {hole} project=lab")).await?;
    begun(stage, Ana, &run).await;
    stage.trouble(Trouble::PowerCut).await?;
    of_run(stage, &run, "needs attention").await;
    Ok(run)
}

behaviours! {
    "*one step failed and is tried again*: the line says why, and that another attempt follows": stage => {
        let run = asked(stage, Ana, "flaky project=lab").await?;
        let line = seen(stage, "attempt 2 of 2 follows").await;
        let failed = line.lines().find(|it| it.contains("follows")).expect("it was found");
        assert!(failed.contains("✗ 1/1 work failed: exit code 1"), "{line}");
        succeeded(stage, &run).await;
        Ok(())
    }
    "*failed*: the first line says at which step, and to see why before asking again": stage => {
        let run = asked(stage, Ana, "broken project=lab").await?;
        let root = of_run(stage, &run, "broken failed at step 1 of 1 (work)").await;
        first_line(&root, &["❌", "see why before you ask again"]);
        seen(stage, "the disk is full").await;
        Ok(())
    }
    "*held*: the first line says that someone just did it, and which run to look at": stage => {
        let run = asked(stage, Ana, "stamp project=lab").await?;
        succeeded(stage, &run).await;
        stage.command(Bo, "stamp project=lab").await?;
        let held = told_alone(stage, Bo, "someone just did it").await;
        first_line(&held, &["nothing was done", &format!("use the result of run {run}, or say why again")]);
        assert!(held.contains("Ana Ruiz") && held.contains("--again"), "{held}");
        Ok(())
    }
    "who wants it all the same says so, and it runs": stage => {
        let run = asked(stage, Bo, "stamp project=lab --again reason=\"it is still stale\"").await?;
        succeeded(stage, &run).await;
        Ok(())
    }
    "*duplicate*: the first line says that it is running already, and how to follow it": stage => {
        stage.amid_a_run().await?;
        let run = asked(stage, Ana, "nap chair project=lab").await?;
        stage.command(Bo, "nap chair project=lab").await?;
        let held = told_alone(stage, Bo, "it is running already").await;
        first_line(&held, &["nothing was started twice", "press Join to follow it"]);
        succeeded(stage, &run).await;
        Ok(())
    }
    "*cancelled*: in the middle of a step, by a button; the first line says how far it came": stage => {
        stage.amid_a_run().await?;
        let run = asked(stage, Ana, "slow project=lab").await?;
        begun(stage, Ana, &run).await;
        stage.press(At::Shop, Ana, "Cancel").await?;
        let root = of_run(stage, &run, "was cancelled after 0 of 1 steps").await;
        first_line(&root, &["🛑", "see what was done before you ask again"]);
        seen(stage, "was stopped midway").await;
        Ok(())
    }
    "it is cancelled by its reference, typed by somebody of the owners": stage => {
        stage.amid_a_run().await?;
        let run = asked(stage, Bo, "slow project=lab").await?;
        begun(stage, Bo, &run).await;
        stage.command(Ana, &format!("cancel {run}")).await?;
        of_run(stage, &run, "was cancelled after 0 of 1 steps").await;
        Ok(())
    }
    "*interrupted*: the first line says that the outcome is unknown, and that a person has to settle it": stage => {
        let run = torn(stage, "a").await?;
        let root = of_run(stage, &run, "outcome unknown at step 1 of 1 (work)").await;
        first_line(&root, &["⚠️", "a person has to settle it"]);
        seen(stage, "it is not repeated; a person has to say what happened").await;
        Ok(())
    }
    "somebody settles that it happened, and the run goes on": stage => {
        let root = seen(stage, "dig needs attention").await;
        let run = reference(&root);
        stage.command(Ana, &format!("settle {run} happened")).await?;
        seen(stage, "Ana Ruiz says that it happened").await;
        succeeded(stage, &run).await;
        Ok(())
    }
    "somebody settles that it did not, and it is not done": stage => {
        let run = torn(stage, "b").await?;
        if stage.press(At::Shop, Ana, "It did not").await.is_err() {
            stage.command(Ana, &format!("settle {run} did-not")).await?;
        }
        seen(stage, "Ana Ruiz says that it did not happen").await;
        of_run(stage, &run, "dig failed").await;
        Ok(())
    }
    "somebody lets it run again, and it does": stage => {
        let run = torn(stage, "c").await?;
        stage.command(Ana, &format!("settle {run} again")).await?;
        seen(stage, "Ana Ruiz lets it run again").await;
        succeeded(stage, &run).await;
        Ok(())
    }
    "a step that only reads runs again after a power cut, and that is said": stage => {
        let run = asked(stage, Bo, "count project=lab").await?;
        begun(stage, Bo, &run).await;
        stage.trouble(Trouble::PowerCut).await?;
        seen(stage, "it only reads, so it runs again").await;
        succeeded(stage, &run).await;
        Ok(())
    }
    "what has ended can't be cancelled, and who tries is told": stage => {
        let root = seen(stage, "count succeeded").await;
        stage.command(Bo, &format!("cancel {}", reference(&root))).await?;
        let refused = told(stage, Bo, "has ended already").await;
        first_line(&refused, &["nothing was done", "/ops show "]);
        Ok(())
    }
}
