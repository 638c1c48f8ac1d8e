//! What platforms promise and don't: pace, lost answers, cut lines, forged requests, gaps, messages that can't be changed.

use std::time::{Duration, Instant};

use super::behaviours;
use crate::conformance::stage::Who::{Ana, Bo};
use crate::conformance::stage::{Forgery, Trouble};
use crate::conformance::watch::{asked, begun, everybody, recorded, seen, succeeded, told};

/// How soon the health page has to know.
const KNOWS_WITHIN: Duration = Duration::from_secs(15);

behaviours! {
    "where the platform is asked too fast we wait as long as it says, and nothing is lost or doubled": stage => {
        stage.trouble(Trouble::TooFast).await?;
        let run = asked(stage, Ana, "cache-status prod").await?;
        succeeded(stage, &run).await;
        seen(stage, "midwatch/").await;
        Ok(())
    }
    "a message whose answer was lost is not sent twice": stage => {
        stage.trouble(Trouble::AnswerLost).await?;
        let run = asked(stage, Ana, "cache-status prod").await?;
        succeeded(stage, &run).await;
        let roots = everybody(stage).await;
        let roots = roots.iter().filter(|it| it.contains("asked by") && it.contains(&format!("ref {run}")));
        assert_eq!(roots.count(), 1);
        Ok(())
    }
    "our token goes to no host that the platform redirects us to": stage => {
        stage.trouble(Trouble::Elsewhere).await?;
        let run = asked(stage, Bo, "cache-status prod").await?;
        succeeded(stage, &run).await;
        Ok(())
    }
    "a line that is cut is there again, and nothing is heard twice": stage => {
        let before = stage.facts("decided").await;
        stage.trouble(Trouble::LineCut).await?;
        let run = asked(stage, Ana, "cache-status prod").await?;
        succeeded(stage, &run).await;
        assert_eq!(stage.facts("decided").await, before + 1);
        Ok(())
    }
    "while we are deaf the health page says so, and why": stage => {
        stage.trouble(Trouble::Deaf).await?;
        let began = Instant::now();
        loop {
            let says = stage.ready().await?;
            if says.contains("\"ready\":false") && says.contains("\"why\"") {
                break;
            }
            assert!(began.elapsed() < KNOWS_WITHIN, "{says}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        stage.trouble(Trouble::Hearing).await?;
        Ok(())
    }
    "a request with somebody else's signature is refused": stage => {
        let received = stage.facts("received").await;
        assert_eq!(stage.forge(Forgery::Signature).await?, 401);
        assert_eq!(stage.facts("received").await, received);
        Ok(())
    }
    "a request that was signed more than five minutes ago is refused": stage => {
        let received = stage.facts("received").await;
        assert_eq!(stage.forge(Forgery::Old).await?, 401);
        assert_eq!(stage.facts("received").await, received);
        Ok(())
    }
    "a request that is sent once more is answered and does nothing": stage => {
        let before = stage.facts("decided").await;
        assert_eq!(stage.forge(Forgery::Replay).await?, 200);
        seen(stage, "touch succeeded").await;
        assert_eq!(stage.facts("decided").await, before + 1);
        Ok(())
    }
    "what was typed while midwatch was away is heard when it returns, once": stage => {
        let received = stage.facts("received").await;
        stage.away_while(Ana, "help restart").await?;
        told(stage, Ana, "Restarts one host").await;
        recorded(stage, "received", received).await;
        assert_eq!(stage.facts("received").await, received + 1);
        Ok(())
    }
    "a thread that somebody locked: the rest of the run is told in the channel above it": stage => {
        let run = asked(stage, Bo, "nap chair project=lab").await?;
        let outside = stage.outside_threads().await.unwrap_or_default();
        stage.trouble(Trouble::ThreadShut).await?;
        succeeded(stage, &run).await;
        let began = Instant::now();
        while stage.outside_threads().await? <= outside {
            assert!(began.elapsed() < Duration::from_secs(30), "the lines stand nowhere");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }
    "a message that the platform lets nobody change any more: the state is told below it": stage => {
        let run = asked(stage, Bo, "nap bed project=lab").await?;
        begun(stage, Bo, &run).await;
        stage.trouble(Trouble::GrownOld).await?;
        succeeded(stage, &run).await;
        Ok(())
    }
}
