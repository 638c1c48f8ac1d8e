//! Three in the morning: what is this, may I, did someone just do it, whom do I call?

use super::behaviours;
use crate::conformance::stage::At;
use crate::conformance::stage::Who::{Ana, Bo, Eve};
use crate::conformance::watch::{
    asked, first_line, of_run, recorded, reference, seen, seen_whole, succeeded, told, told_alone,
};

behaviours! {
    "*orient*: what this is, what one may do here, how, whom to call, what runs and what is held; to them alone": stage => {
        stage.command(Eve, "orient shop").await?;
        let told = told_alone(stage, Eve, "The web shop").await;
        first_line(&told, &["shop", "/ops list shop"]);
        for part in ["you may", "how", "call", "dashboards", "troubles", "lately", "running", "held"] {
            assert!(told.contains(part), "`{part}` in {told}");
        }
        Ok(())
    }
    "who is on call now is told, level by level, and until when": stage => {
        stage.command(Eve, "oncall shop").await?;
        let told = told_alone(stage, Eve, "on call for shop now").await;
        first_line(&told, &["Ana Ruiz (oncall)", "Bo Lind (secondary)"]);
        for part in ["oncall(shop)", "secondary(shop)", "hand-over in the year ahead"] {
            assert!(told.contains(part), "`{part}` in {told}");
        }
        Ok(())
    }
    "a card says what a command does, whether one may, who did it last, how to check and undo; nothing runs": stage => {
        let decided = stage.facts("decided").await;
        stage.command(Bo, "flush-cache prod --plan").await?;
        let card = told_alone(stage, Bo, "you may run this with 1 approval of team-shop").await;
        first_line(&card, &["nothing was done yet", "press Run it"]);
        for part in ["does", "may you", "lately", "check", "undo", "plan"] {
            assert!(card.contains(part), "`{part}` in {card}");
        }
        assert_eq!(stage.facts("decided").await, decided);
        Ok(())
    }
    "who may run something is told, and who of them is at work": stage => {
        stage.command(Eve, "who-can flush-cache prod").await?;
        let told = told_alone(stage, Eve, "may run it now").await;
        first_line(&told, &["ask one of them"]);
        assert!(told.contains("Bo Lind"), "{told}");
        Ok(())
    }
    "*forbidden*: the first line names whom the runbook names instead, and nobody may": stage => {
        stage.command(Ana, "scrap project=lab").await?;
        let denied = told_alone(stage, Ana, "scrap is forbidden here").await;
        let hotline = "their hotline is +49 30 5550199";
        first_line(&denied, &[hotline, "nothing was done", "runbooks/lab.yaml:"]);
        Ok(())
    }
    "who may not asks those who may, and who presses the button runs it in their own name": stage => {
        stage.command(Eve, "ask flush-cache prod path=/asked").await?;
        let asking = seen(stage, "asks for flush-cache prod and may not run it").await;
        first_line(&asking, &["Eve Stone", "press Run it for them"]);
        let decided = stage.facts("decided").await;
        stage.press(At::Shop, Ana, "Run it for them").await?;
        recorded(stage, "decided", decided).await;
        seen_whole(stage, &["for eve, who asked", "succeeded in"]).await;
        Ok(())
    }
    "*someone just did it*: who, when, how it ended, how long it took, and where its thread is": stage => {
        let run = asked(stage, Ana, "stamp project=lab").await?;
        succeeded(stage, &run).await;
        stage.command(Bo, "stamp project=lab").await?;
        let held = told_alone(stage, Bo, "someone just did it").await;
        first_line(&held, &["nothing was done", &format!("run {run}")]);
        let lately = held.lines().find(|line| line.contains("of Ana Ruiz"));
        let lately = lately.unwrap_or_else(|| panic!("who did it: {held}"));
        for part in [" UTC (", "succeeded in "] {
            assert!(lately.contains(part), "`{part}` in {held}");
        }
        let links = ["|its thread>", "https://discord.com/channels/", "its lines at the console"];
        assert!(links.iter().any(|link| lately.contains(link)), "no link: {held}");
        Ok(())
    }
    "who uses the result of what was just done is told so, and nothing runs twice": stage => {
        let root = seen_whole(stage, &["stamp succeeded in", "· ref "]).await;
        let decided = stage.facts("decided").await;
        stage.command(Bo, &format!("join {}", reference(&root))).await?;
        let used = told_alone(stage, Bo, "you use the result of run").await;
        first_line(&used, &[&reference(&root), "nothing was started twice"]);
        assert_eq!(stage.facts("decided").await, decided);
        Ok(())
    }
    "who asks for what runs already follows it, and everybody reads that": stage => {
        stage.amid_a_run().await?;
        let run = asked(stage, Ana, "nap bench project=lab").await?;
        stage.command(Bo, "nap bench project=lab").await?;
        told_alone(stage, Bo, "it is running already").await;
        stage.command(Bo, &format!("join {run}")).await?;
        seen(stage, "Bo Lind asked for the same and follows this run").await;
        succeeded(stage, &run).await;
        Ok(())
    }
    "a person's lock holds others, says who and why, and is ended by a word": stage => {
        stage.command(Ana, "lock prod 1h project=shop").await?;
        told(stage, Ana, "say why as well").await;
        stage.command(Ana, "lock prod project=shop 1h moving the cache").await?;
        let locked = seen(stage, "locked prod of shop until").await;
        first_line(&locked, &["Ana Ruiz", "moving the cache", "held until then"]);
        stage.command(Bo, "lock prod project=shop 1h me too").await?;
        let too = told_alone(stage, Bo, "prod of shop is locked by ana until").await;
        first_line(&too, &["nothing was done", "/ops unlock"]);
        stage.command(Bo, "restart prod web3").await?;
        let held = told_alone(stage, Bo, "ask who locked it").await;
        first_line(&held, &["prod of shop is locked", "nothing was done"]);
        stage.command(Ana, "unlock prod project=shop").await?;
        seen(stage, "unlocked prod of shop").await;
        Ok(())
    }
    "the glass is broken with a reason and a phrase, and those who must know are called": stage => {
        stage.command(Bo, "wreck project=lab").await?;
        let denied = told_alone(stage, Bo, "by break-glass only").await;
        first_line(&denied, &["nothing was done", "somebody reviews it"]);
        let run = asked(stage, Bo, "break-glass wreck project=lab reason=\"it burns\" phrase=wreck").await?;
        seen(stage, "broke the glass for wreck: it burns").await;
        seen(stage, "broke the glass for wreck: it burns — calling team-shop").await;
        succeeded(stage, &run).await;
        stage.command(Bo, &format!("ack {run}")).await?;
        told(stage, Bo, "you broke this glass yourself").await;
        stage.command(Ana, &format!("ack {run}")).await?;
        seen(stage, &format!("has page {run} for lab")).await;
        Ok(())
    }
    "somebody else signs what was done by break-glass, and everybody reads it": stage => {
        stage.command(Ana, "review").await?;
        let open = told(stage, Ana, "nobody else has looked at it yet").await;
        let run = reference(&seen_whole(stage, &["wreck succeeded in", "· ref "]).await);
        assert!(open.contains(&run), "{run} in {open}");
        stage.command(Bo, &format!("review {run}")).await?;
        told(stage, Bo, "you broke this glass yourself").await;
        stage.command(Ana, &format!("review {run} it was right")).await?;
        seen(stage, "has reviewed what was done by break-glass: it was right").await;
        of_run(stage, &run, "succeeded in").await;
        Ok(())
    }
    "people are called until somebody answers, and everybody reads both": stage => {
        stage.command(Bo, "page shop \"checkout is down\"").await?;
        seen_whole(stage, &["checkout is down", "calling oncall(shop): "]).await;
        seen(stage, "next: secondary(shop)").await;
        stage.command(Bo, "escalate").await?;
        seen_whole(stage, &["checkout is down", "calling secondary(shop)"]).await;
        stage.command(Ana, "ack").await?;
        seen_whole(stage, &["Ana Ruiz has page", "for shop", "nobody else is called"]).await;
        Ok(())
    }
    "who is called answers by a button": stage => {
        stage.command(Bo, "page shop \"the till is slow\"").await?;
        seen_whole(stage, &["the till is slow", "calling oncall(shop)"]).await;
        let answered = stage.facts("page").await;
        stage.press(At::Shop, Ana, "I have it").await?;
        recorded(stage, "page", answered).await;
        Ok(())
    }
    "a shift is handed over with what is open, what happened and what to watch": stage => {
        stage.command(Ana, "handover shop").await?;
        let told = told_alone(stage, Ana, "handover of shop").await;
        for part in ["open", "happened", "checkout is down", "watch"] {
            assert!(told.contains(part), "`{part}` in {told}");
        }
        Ok(())
    }
    "a run is summed up in plain words, and what happened to a project is told a line each": stage => {
        let run = asked(stage, Ana, "touch project=lab").await?;
        succeeded(stage, &run).await;
        stage.command(Bo, &format!("summary {run}")).await?;
        told_alone(stage, Bo, "asked for by Ana Ruiz, was done, and it worked").await;
        stage.command(Bo, "timeline lab about touch").await?;
        let told = told_alone(stage, Bo, "What happened to lab").await;
        assert!(told.contains(&run), "{run} in {told}");
        Ok(())
    }
}
