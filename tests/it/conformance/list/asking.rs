//! Questions, mistakes and refusals: who asks gets an answer, and nobody else.

use super::behaviours;
use crate::conformance::stage::Who::{Ana, Bo, Eve, Stranger};
use crate::conformance::watch::{
    asked, everybody, first_line, recorded, succeeded, told, told_alone,
};

behaviours! {
    "*help*: the first line says what to type, with an example; to whoever asked alone": stage => {
        stage.command(Ana, "help").await?;
        let help = told_alone(stage, Ana, "Type /ops COMMAND ARGUMENTS").await;
        first_line(&help, &["for example /ops "]);
        stage.command(Ana, "help flush-cache").await?;
        told_alone(stage, Ana, "Empties the page cache").await;
        Ok(())
    }
    "a mistyped command is answered with what was probably meant": stage => {
        stage.command(Ana, "flsh-cache prod").await?;
        let odd = told_alone(stage, Ana, "there is no command flsh-cache").await;
        first_line(&odd, &["nothing was done", "did you mean flush-cache?"]);
        Ok(())
    }
    "*refused*: the first line says that nothing was done, whom to ask, and which rule says so; to them alone": stage => {
        let decided = stage.facts("decided").await;
        stage.command(Eve, "flush-cache prod").await?;
        let denial = told_alone(stage, Eve, "is not yours to run").await;
        first_line(&denial, &["nothing was done", "#shop-help", "runbooks/shop.yaml:"]);
        for part in ["who may: team-shop", "on call now: "] {
            assert!(denial.contains(part), "`{part}` in {denial}");
        }
        recorded(stage, "decided", decided).await;
        Ok(())
    }
    "an account that people.yaml does not name, a guest's too, may do nothing and is told so": stage => {
        stage.command(Stranger, "flush-cache prod").await?;
        let refused = told_alone(stage, Stranger, "people.yaml").await;
        first_line(&refused, &["nothing was done", "ask whoever keeps"]);
        Ok(())
    }
    "the value of a secret, typed where its name belongs, is repeated nowhere": stage => {
        stage.command(Ana, "rotate-secret staging session-key with=hunter2hunter2").await?;
        let refused = told_alone(stage, Ana, "with can't be what was typed").await;
        first_line(&refused, &["nothing was done"]);
        assert!(!refused.contains("hunter2"), "{refused}");
        Ok(())
    }
    "what can be run here is listed, with what the runbook says of each": stage => {
        stage.command(Bo, "list").await?;
        let list = told_alone(stage, Bo, "what the runbook says when you type them").await;
        assert!(list.contains("needs 1 approval of team-shop"), "{list}");
        Ok(())
    }
    "what would be decided is told, and nothing runs": stage => {
        let decided = stage.facts("decided").await;
        stage.command(Ana, "may flush-cache prod").await?;
        told_alone(stage, Ana, "is allowed by runbooks/shop.yaml:").await;
        assert_eq!(stage.facts("decided").await, decided);
        Ok(())
    }
    "the project's runbook is read by its headings, its commands ready to use": stage => {
        stage.command(Ana, "runbook shop visitors").await?;
        let prose = told_alone(stage, Ana, "Visitors see old prices").await;
        assert!(prose.contains("flush-cache prod /sale"), "{prose}");
        Ok(())
    }
    "what ran lately, one run's history, and by which rule: told long after": stage => {
        let run = asked(stage, Ana, "cache-status prod").await?;
        succeeded(stage, &run).await;
        stage.command(Ana, "runs").await?;
        let runs = told(stage, Ana, "Runs, newest first").await;
        assert!(runs.contains(&run), "{run} in {runs}");
        stage.command(Ana, &format!("show {run}")).await?;
        told(stage, Ana, "1/1 look started").await;
        stage.command(Ana, &format!("why {run}")).await?;
        let why = told(stage, Ana, "ledger entry").await;
        first_line(&why, &[&format!("ref {run}")]);
        assert!(why.contains("runbooks/shop.yaml:"), "{why}");
        Ok(())
    }
    "missing arguments are asked for by a form, whose answers complete the command": stage => {
        let before = stage.facts("decided").await;
        stage.command(Ana, "flush-cache").await?;
        stage.fill(Ana, "environment", "staging").await?;
        recorded(stage, "decided", before).await;
        Ok(())
    }
    "what may follow is offered while one types, and to nobody what is denied them": stage => {
        let offered = stage.offered(Ana, "flu").await?;
        assert_eq!(offered, ["flush-cache"]);
        assert_eq!(stage.offered(Eve, "flu").await?, Vec::<String>::new());
        assert_eq!(stage.offered(Stranger, "").await?, Vec::<String>::new());
        Ok(())
    }
    "who may is decided by the platform's own group, asked anew for what is risky": stage => {
        stage.command(Eve, "rise project=lab").await?;
        told(stage, Eve, "rise is not yours to run").await;
        stage.join_leads(Eve).await?;
        let run = asked(stage, Eve, "rise project=lab").await?;
        succeeded(stage, &run).await;
        Ok(())
    }
    "a second account speaks for a person once they have shown that it is theirs": stage => {
        use crate::conformance::stage::Who::BoElsewhere;
        let account = stage.other_account().await?;
        stage.command(BoElsewhere, "loud project=lab").await?;
        told(stage, BoElsewhere, "people.yaml").await;
        stage.command(Bo, &format!("link {account}")).await?;
        told(stage, Bo, "a code was sent to").await;
        let sent = told(stage, BoElsewhere, "/ops link ").await;
        let (_, code) = sent.split_once("/ops link ").expect("it was looked for");
        let code: String = code.chars().take_while(char::is_ascii_alphanumeric).collect();
        assert!(everybody(stage).await.iter().all(|it| !it.contains(&code)));
        stage.command(Bo, &format!("link {code}")).await?;
        told(stage, Bo, "speaks for Bo Lind now").await;
        let linked = stage.facts("link").await;
        assert_eq!(linked, 2, "asked for and confirmed");
        Ok(())
    }
}
