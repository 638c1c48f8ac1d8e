//! The behaviours. They are shown in this order, on one running midwatch.

use super::Who::{Ana, Bo, Cy, Eve, Stranger};
use super::{Behaviour, asked, recorded, reference, seen, succeeded, told};

macro_rules! behaviours {
    ($($says:literal: $stage:ident => $body:block)*) => {
        pub(super) const LIST: &[Behaviour] = &[$(Behaviour {
            says: $says,
            show: |$stage| Box::pin(async move { $body }),
        }),*];
    };
}

behaviours! {
    "a command is run, and its message says how it ended": stage => {
        stage.command(Ana, "flush-cache prod").await?;
        let root = seen(stage, "flush-cache prod succeeded in").await;
        for part in ["asked by", "Ana Ruiz", "runbooks/shop.yaml:", "ref "] {
            let all = stage.everybody().await.join("\n");
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
    "the first line names the person, the rule, its file and line, and the plan": stage => {
        let line = seen(stage, "allowed by runbooks/shop.yaml:").await;
        assert!(line.contains("asked for flush-cache prod"), "{line}");
        seen(stage, "look → ban → verify").await;
        Ok(())
    }
    "the last line carries the ledger's checkpoint": stage => {
        seen(stage, "midwatch/").await;
        Ok(())
    }
    "the run's message is kept up to date in place": stage => {
        assert!(stage.edits().await? > 0);
        Ok(())
    }
    "a run's lines stand in a thread of its own": stage => {
        assert!(stage.has_threads().await?);
        Ok(())
    }
    "a command that is delivered twenty times runs once": stage => {
        let before = stage.facts("decided").await;
        stage.twenty_times(Ana, "cache-status prod").await?;
        seen(stage, "cache-status prod succeeded").await;
        assert_eq!(stage.facts("decided").await, before + 1);
        Ok(())
    }
    "help is answered, to whoever asked alone": stage => {
        stage.command(Ana, "help flush-cache").await?;
        told(stage, Ana, "Empties the page cache").await;
        Ok(())
    }
    "a mistyped command is answered with what was probably meant": stage => {
        stage.command(Ana, "flsh-cache prod").await?;
        told(stage, Ana, "flush-cache").await;
        Ok(())
    }
    "a denial names the rule and the route, to that person alone": stage => {
        stage.command(Eve, "flush-cache prod").await?;
        let denial = told(stage, Eve, "is not yours to run").await;
        for part in ["runbooks/shop.yaml:", "team-shop", "#shop-help"] {
            assert!(denial.contains(part), "`{part}` in {denial}");
        }
        Ok(())
    }
    "somebody whom people.yaml does not name may do nothing, and is told so": stage => {
        stage.command(Stranger, "flush-cache prod").await?;
        told(stage, Stranger, "people.yaml").await;
        Ok(())
    }
    "a mention in a channel is a command": stage => {
        stage.mention(Ana, "runs").await?;
        told(stage, Ana, "flush-cache prod").await;
        Ok(())
    }
    "whoever mentions us sees in the channel that it was heard": stage => {
        assert!(stage.is_marked().await?);
        Ok(())
    }
    "a direct message is a command, with nothing before it": stage => {
        stage.direct(Ana, "help rollback").await?;
        told(stage, Ana, "rollback").await;
        Ok(())
    }
    "a mention in a run's thread is a command": stage => {
        let before = stage.facts("answered").await;
        stage.in_thread(Ana, "help deploy").await?;
        recorded(stage, "answered", before).await;
        told(stage, Ana, "deploy").await;
        Ok(())
    }
    "a message that was changed is no command": stage => {
        stage.edited(Ana, "flush-cache prod").await?;
        told(stage, Ana, "a message that was changed").await;
        Ok(())
    }
    "another app's message is no command, and is not answered": stage => {
        let (refused, decided) = (stage.facts("refused").await, stage.facts("decided").await);
        stage.by_bot("flush-cache prod").await?;
        recorded(stage, "refused", refused).await;
        assert_eq!(stage.facts("decided").await, decided);
        Ok(())
    }
    "missing arguments are asked for by a form, whose answers complete the command": stage => {
        let before = stage.facts("decided").await;
        stage.command(Ana, "flush-cache").await?;
        stage.fill(Ana, "environment", "staging").await?;
        recorded(stage, "decided", before).await;
        Ok(())
    }
    "what may follow is offered while one types, and nothing that is denied": stage => {
        let offered = stage.offered(Ana, "flu").await?;
        assert_eq!(offered, ["flush-cache"]);
        Ok(())
    }
    "who can consent is asked, and nobody else is pinged": stage => {
        stage.command(Bo, "flush-cache prod path=/consent").await?;
        seen(stage, "please look at this").await;
        let pinged = stage.pinged().await?;
        assert!(pinged.contains(&Ana), "{pinged:?}");
        assert!(pinged.iter().all(|who| [Ana, Cy].contains(who)), "{pinged:?}");
        Ok(())
    }
    "who asked can't consent": stage => {
        let ask = seen(stage, "flush-cache prod waits for 1 approval of team-shop").await;
        stage.command(Bo, &format!("approve {}", reference(&ask))).await?;
        told(stage, Bo, "you asked for this yourself").await;
        Ok(())
    }
    "consent is given by a reference, typed": stage => {
        let ask = seen(stage, "flush-cache prod waits for 1 approval of team-shop").await;
        let run = reference(&ask);
        stage.command(Ana, &format!("approve {run}")).await?;
        seen(stage, "Ana Ruiz approved").await;
        succeeded(stage, &run).await;
        Ok(())
    }
    "consent is given by a button": stage => {
        let run = asked(stage, Bo, "flush-cache prod path=/button").await?;
        stage.press(Ana, "Approve").await?;
        succeeded(stage, &run).await;
        Ok(())
    }
    "consent is refused, and nothing runs": stage => {
        let run = asked(stage, Bo, "flush-cache prod path=/refused").await?;
        stage.command(Ana, &format!("reject {run} not now")).await?;
        seen(stage, "Ana Ruiz rejected it").await;
        Ok(())
    }
    "why and by which rule is told long after": stage => {
        let root = seen(stage, "flush-cache prod succeeded").await;
        stage.command(Ana, &format!("why {}", reference(&root))).await?;
        told(stage, Ana, "runbooks/shop.yaml:").await;
        Ok(())
    }
    "bad weather loses and doubles nothing": stage => {
        let before = stage.facts("decided").await;
        stage.bad_weather().await?;
        stage.command(Ana, "cache-status staging").await?;
        recorded(stage, "decided", before).await;
        assert_eq!(stage.facts("decided").await, before + 1);
        Ok(())
    }
    "what was typed while midwatch was away is heard when it returns": stage => {
        stage.away_while(Ana, "help restart").await?;
        told(stage, Ana, "restart").await;
        Ok(())
    }
}
