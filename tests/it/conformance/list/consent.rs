//! Consent: who is asked, who can give it, and how.

use super::behaviours;
use crate::conformance::stage::At;
use crate::conformance::stage::Who::{Ana, Bo, Cy};
use crate::conformance::watch::{
    asked, first_line, of_run, reference, seen, succeeded, told, told_alone,
};

behaviours! {
    "*needs approval*: the first line says whose, until when, and that they approve or reject it": stage => {
        let run = asked(stage, Bo, "flush-cache prod path=/consent").await?;
        let root = of_run(stage, &run, "waits for 1 approval of team-shop until").await;
        first_line(&root, &["⏸", "UTC (", "they approve or reject it"]);
        Ok(())
    }
    "who can consent is asked, and nobody else is pinged": stage => {
        seen(stage, "please look at this").await;
        let pinged = stage.pinged().await?;
        assert!(pinged.contains(&Ana), "{pinged:?}");
        assert!(pinged.iter().all(|who| [Ana, Cy].contains(who)), "{pinged:?}");
        Ok(())
    }
    "who asked can't consent": stage => {
        let ask = seen(stage, "flush-cache prod waits for 1 approval of team-shop").await;
        stage.command(Bo, &format!("approve {}", reference(&ask))).await?;
        let refused = told_alone(stage, Bo, "you asked for this yourself").await;
        first_line(&refused, &["nothing was done", "ask for 1 approval of team-shop"]);
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
        stage.press(At::Shop, Ana, "Approve").await?;
        succeeded(stage, &run).await;
        Ok(())
    }
    "a button that was pressed already answers whoever presses it next": stage => {
        let run = asked(stage, Bo, "flush-cache prod path=/twice").await?;
        stage.press_both(Ana, Bo, "Approve").await?;
        told_alone(stage, Bo, "is not waiting for consent").await;
        succeeded(stage, &run).await;
        Ok(())
    }
    "a button is heard where an organisation's installation names no workspace": stage => {
        let run = asked(stage, Bo, "flush-cache prod path=/everywhere").await?;
        stage.press_nowhere(Ana, "Approve").await?;
        succeeded(stage, &run).await;
        Ok(())
    }
    "consent is refused, and nothing runs": stage => {
        let run = asked(stage, Bo, "flush-cache prod path=/refused").await?;
        stage.command(Ana, &format!("reject {run} not now")).await?;
        seen(stage, "Ana Ruiz rejected it: not now; nothing was done").await;
        let root = of_run(stage, &run, "was cancelled by Ana Ruiz before it began").await;
        first_line(&root, &["nothing was done", "ask again if it is still wanted"]);
        Ok(())
    }
    "consent that nobody gives in time expires, and nothing runs": stage => {
        let run = asked(stage, Bo, "lapse project=lab").await?;
        let root = of_run(stage, &run, "expired: nobody consented in time").await;
        first_line(&root, &["⌛", "nothing was done", "ask again if it is still wanted"]);
        stage.command(Ana, &format!("approve {run}")).await?;
        told(stage, Ana, "is not waiting").await;
        Ok(())
    }
    "who asked takes it back, by its reference": stage => {
        let run = asked(stage, Bo, "flush-cache prod path=/back").await?;
        stage.command(Bo, &format!("cancel {run}")).await?;
        of_run(stage, &run, "was cancelled by Bo Lind before it began; nothing was done").await;
        Ok(())
    }
}
