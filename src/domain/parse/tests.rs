//! What people type, and what is understood: a table, and the properties that hold for every text.

use proptest::prelude::*;

use super::*;
use crate::domain::{ParameterKind, Value, sample};

const SHOP: &str = "C-SHOP";
const NOWHERE: &str = "C-ELSEWHERE";

/// What was understood, in one line.
fn outcome(text: &str, channel: &str) -> String {
    let catalog = sample::catalog();
    let hearing = Hearing { catalog, channel };
    match parse(text, &hearing) {
        Ok(Typed::Invoke(invocation)) => invocation.typed_in_full(),
        Ok(Typed::Ask(Question::May {
            person,
            invocation,
            at,
        })) => format!("may {person:?} {} {at:?}", invocation.typed_in_full()),
        Ok(Typed::Ask(question)) => asked(&question),
        Err(refusal) => refused(&refusal),
    }
}

fn asked(question: &Question) -> String {
    let rest = match question {
        Question::Help { topic } => topic.iter().map(ToString::to_string).collect(),
        Question::List { .. } | Question::May { .. } | Question::Pages | Question::Reviews => {
            vec![]
        }
        Question::Runs { project, all } => {
            let project = project.as_ref().map_or("*", |p| p.as_str());
            vec![project.to_owned(), all.to_string()]
        }
        Question::Show { reference }
        | Question::Summary { reference }
        | Question::Why { reference }
        | Question::Join { reference }
        | Question::Cancel { reference }
        | Question::Withdraw { reference }
        | Question::Approve {
            reference,
            digits: None,
        } => vec![reference.to_string()],
        Question::Approve {
            reference,
            digits: Some(digits),
        } => vec![reference.to_string(), digits.clone()],
        Question::SendBack { reference, comment } | Question::Review { reference, comment } => {
            vec![reference.to_string(), comment.clone()]
        }
        Question::Reject { reference, reason } => vec![reference.to_string(), reason.clone()],
        Question::Settle { reference, verdict } => {
            vec![reference.to_string(), format!("{verdict:?}")]
        }
        Question::Runbook { project, heading } => {
            vec![project.to_string(), heading.clone().unwrap_or_default()]
        }
        Question::Card { invocation }
        | Question::Ask { invocation }
        | Question::WhoCan { invocation } => vec![invocation.typed_in_full()],
        Question::Lock {
            target,
            length,
            reason,
        } => vec![target.typed(), format!("{length:?}"), reason.clone()],
        Question::Unlock { target } => vec![target.typed()],
        Question::Page { project, words } => vec![project.to_string(), words.clone()],
        Question::Orient { project }
        | Question::Locks { project }
        | Question::Handover { project } => vec![project.to_string()],
        Question::Acknowledge { reference } | Question::Escalate { reference } => {
            reference.iter().map(ToString::to_string).collect()
        }
        Question::OnCall { rotations } => rotations.iter().map(ToString::to_string).collect(),
        Question::Cover(given) => vec![arranged(given)],
        Question::Swap { give, back } => vec![arranged(give), format!("{back:?}")],
        Question::History {
            command,
            project,
            environment,
        } => vec![
            command.to_string(),
            project.to_string(),
            environment
                .as_ref()
                .map_or("*", |it| it.as_str())
                .to_owned(),
        ],
        Question::Timeline { ask } => vec![
            ask.project.to_string(),
            ask.since
                .map_or_else(|| "*".to_owned(), |it| it.to_string()),
            ask.about.clone().unwrap_or_else(|| "*".to_owned()),
            ask.before
                .map_or_else(|| "*".to_owned(), |it| it.to_string()),
        ],
        Question::Link { account } | Question::Unlink { account } => vec![account.to_string()],
        Question::ConfirmLink { code } => vec![code.expose().to_owned()],
    };
    format!("? {} {}", question.word(), rest.join(" | "))
        .trim_end()
        .to_owned()
}

fn arranged(given: &crate::domain::Arrangement) -> String {
    let person = given.person.as_ref().map_or("*", |it| it.as_str());
    let of = given
        .of
        .as_ref()
        .map_or("*".to_owned(), ToString::to_string);
    format!("{person} {of} {:?}", given.when)
}

fn refused(refusal: &Refusal) -> String {
    let meant = |meant: &Option<Box<Meant>>| {
        let Some(meant) = meant else {
            return "nothing near".to_owned();
        };
        let line = meant.line.as_deref().unwrap_or("(no line)");
        format!("{} -> {line}", meant.word)
    };
    let rest = match refusal {
        Refusal::UnknownCommand { typed, nearest }
        | Refusal::UnknownProject { typed, nearest, .. }
        | Refusal::UnknownParameter { typed, nearest, .. } => {
            format!("{typed}; {}", meant(nearest))
        }
        Refusal::WhichProject { typed, .. } => typed.clone(),
        Refusal::GivenTwice { parameter, .. } => parameter.to_string(),
        Refusal::TooManyWords { word, .. } => word.clone(),
        Refusal::BadValue {
            parameter,
            typed,
            expected,
            nearest,
            ..
        } => format!(
            "{parameter}={}; {expected}; {}",
            typed.as_deref().unwrap_or("(hidden)"),
            meant(nearest)
        ),
        Refusal::Missing {
            parameters, says, ..
        } => {
            let names: Vec<&str> = parameters
                .iter()
                .map(crate::domain::ParameterName::as_str)
                .collect();
            format!("{}; {says}", names.join(","))
        }
        Refusal::BadBuiltin { what, example } => format!("{what}; {example}"),
        _ => String::new(),
    };
    format!("! {} {rest}", refusal.word()).trim_end().to_owned()
}

/// Compares every row and reports all that differ.
fn check(rows: &[(&str, &str, &str, &str)]) {
    let wrong: Vec<String> = rows
        .iter()
        .filter_map(|(name, channel, text, expected)| {
            let found = outcome(text, channel);
            (found != *expected).then(|| {
                format!("{name}\n  typed    {text}\n  expected {expected}\n  found    {found}\n")
            })
        })
        .collect();
    assert!(
        wrong.is_empty(),
        "{} rows:\n{}",
        wrong.len(),
        wrong.join("")
    );
}

#[test]
#[rustfmt::skip] // A table reads best with a row on each line.
fn invocations_are_read_as_people_mean_them() {
    const FLUSH: &str = "flush-cache prod path=/ project=shop";
    check(&[
        ("positional", SHOP, "flush-cache prod", FLUSH),
        ("with the address", SHOP, "/ops flush-cache prod", FLUSH),
        ("addressed without a slash", SHOP, "ops flush-cache prod", FLUSH),
        ("in any case", SHOP, "/OPS Flush-Cache PROD PATH=/", FLUSH),
        ("in backticks", SHOP, "`/ops flush-cache prod`", FLUSH),
        ("no-break spaces", SHOP, "flush-cache\u{a0}prod\u{202f}/", FLUSH),
        ("by name", SHOP, "flush-cache path=/ environment=prod", FLUSH),
        ("by option", SHOP, "flush-cache --environment prod --path=/", FLUSH),
        ("by dashes that a client made", SHOP, "flush-cache —environment prod", FLUSH),
        ("named elsewhere", NOWHERE, "flush-cache prod project=shop", FLUSH),
        ("named by option", NOWHERE, "flush-cache --project SHOP prod", FLUSH),
        ("project and environment", NOWHERE, "flush-cache shop/prod", FLUSH),
        ("both and the project", SHOP, "flush-cache shop/prod project=shop", FLUSH),
        ("another project than the channel's", SHOP, "flush-cache blog/live", "flush-cache live path=/ project=blog"),
        ("named before positional", SHOP, "flush-cache path=/a prod", "flush-cache prod path=/a project=shop"),
        ("smart quotes", SHOP, "flush-cache prod path=“/a”", "flush-cache prod path=/a project=shop"),
        ("again", SHOP, "flush-cache prod --again", "flush-cache prod path=/ --again project=shop"),
        ("again twice", SHOP, "flush-cache prod —again again=yes", "flush-cache prod path=/ --again project=shop"),
        ("not again", SHOP, "flush-cache prod --no-again", FLUSH),
        ("a reason", SHOP, "flush-cache prod --reason “site is\u{a0}slow”", "flush-cache prod path=/ reason=\"site is slow\" project=shop"),
        ("a reason on two lines", SHOP, "flush-cache prod reason=\"a\nb\"", "flush-cache prod path=/ reason=\"a b\" project=shop"),
        ("an empty reason", SHOP, "flush-cache prod reason=''", FLUSH),
        ("what may be missing comes last", SHOP, "deploy v1.2 staging", "deploy staging dry-run=false strategy=Rolling version=v1.2 project=shop"),
        ("a flag", SHOP, "deploy v1.2 staging --dry-run", "deploy staging dry-run=true strategy=Rolling version=v1.2 project=shop"),
        ("a denied flag", SHOP, "deploy v1.2 staging --no-dry-run", "deploy staging dry-run=false strategy=Rolling version=v1.2 project=shop"),
        ("a boolean in words", SHOP, "deploy v1.2 staging dry-run=ON", "deploy staging dry-run=true strategy=Rolling version=v1.2 project=shop"),
        ("a choice in another case", SHOP, "deploy v1.2 staging strategy=BLUE-green", "deploy staging dry-run=false strategy=blue-green version=v1.2 project=shop"),
        ("a note", SHOP, "deploy v1.2 staging note=\"it's = \\\"x\\\"\"", "deploy staging dry-run=false note=\"it's = \\\"x\\\"\" strategy=Rolling version=v1.2 project=shop"),
        ("options end", SHOP, "deploy v1.2 staging on rolling -- --note", "deploy staging dry-run=true note=\"--note\" strategy=Rolling version=v1.2 project=shop"),
        ("a pair after the end of options", SHOP, "deploy v1.2 staging on rolling -- a=b", "deploy staging dry-run=true note=\"a=b\" strategy=Rolling version=v1.2 project=shop"),
        ("an address is no pair", SHOP, "look prod https://x/?a=b", "look prod at=\"https://x/?a=b\" project=shop"),
        ("a quoted pair is a word", SHOP, "look prod \"a=b\"", "look prod at=\"a=b\" project=shop"),
        ("a dash is a word", SHOP, "look prod -", "look prod at=\"-\" project=shop"),
        ("numbers and spans", SHOP, "restart prod 3 \"1m 30s\"", "restart prod count=3 pause=\"1m 30s\" project=shop"),
        ("a list with commas", SHOP, "restart prod hosts=\"a, b c\"", "restart prod count=1 hosts=\"a,b c\" pause=10s project=shop"),
        ("a list of the remaining words", SHOP, "restart prod 1 10s a b, 'c d'", "restart prod count=1 hosts=\"a,b,c d\" pause=10s project=shop"),
        ("a list that is not the last", SHOP, "copy-data tables=users,ORDERS prod staging", "copy-data from=prod tables=users,orders to=staging project=shop"),
        ("two environments of one project", NOWHERE, "copy-data shop/prod shop/staging users", "copy-data from=prod tables=users to=staging project=shop"),
        ("environments in a list", SHOP, "check-all PROD staging", "check-all environments=prod,staging project=shop"),
        ("an empty list by default", SHOP, "check-all", "check-all environments=\"\" project=shop"),
        ("a negative number", SHOP, "say hi -5", "say times=\"-5\" words=hi project=shop"),
        ("a secret's name", SHOP, "rotate-secret prod varnish", "rotate-secret prod secret=varnish project=shop"),
        ("a default environment", SHOP, "usual", "usual staging project=shop"),
        ("an environment that may be missing", SHOP, "look at=x", "look at=x project=shop"),
        ("a project without environments", NOWHERE, "status project=bare", "status project=bare"),
    ]);
}

#[test]
#[rustfmt::skip] // A table reads best with a row on each line.
fn what_cannot_be_understood_is_refused_with_what_was_probably_meant() {
    check(&[
        ("unknown command", SHOP, "flsh-cache prod", "! unknown_command flsh-cache; flush-cache -> flush-cache prod"),
        ("two words for one", SHOP, "flush cache prod --again", "! unknown_command flush; flush-cache -> flush-cache prod --again"),
        ("a built-in misspelt", SHOP, "hlep", "! unknown_command hlep; help -> help"),
        ("nothing near", SHOP, "make coffee", "! unknown_command make; nothing near"),
        ("an over-long word", SHOP, &"x".repeat(100), "! unknown_command xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…; nothing near"),
        ("a line that is too long", SHOP, &"é".repeat(4_001), "! too_long"),
        ("too many words", SHOP, &"a ".repeat(201), "! too_long"),
        ("an open quote", SHOP, "flush-cache \"prod", "! open_quote"),
        ("unknown environment", SHOP, "flush-cache prdo", "! bad_value environment=prdo; one of staging, prod; prod -> flush-cache prod"),
        ("unknown environment by option", SHOP, "flush-cache --environment prdo /x", "! bad_value environment=prdo; one of staging, prod; prod -> flush-cache --environment prod /x"),
        ("unknown environment of a named project", NOWHERE, "flush-cache shop/prdo", "! bad_value environment=prdo; one of staging, prod; prod -> flush-cache shop/prod"),
        ("a project without environments", NOWHERE, "flush-cache prod project=bare", "! bad_value environment=prod; an environment, and this project has none; nothing near"),
        ("unknown project", NOWHERE, "flush-cache prod project=shpo", "! unknown_project shpo; shop -> flush-cache prod project=shop"),
        ("unknown project before an environment", NOWHERE, "flush-cache shpo/prod --again", "! unknown_project shpo; shop -> flush-cache shop/prod --again"),
        ("no project", NOWHERE, "/ops flush-cache prod", "! which_project flush-cache prod"),
        ("two projects", SHOP, "copy-data shop/prod blog/live users", "! given_twice project"),
        ("a project in the place of an environment", NOWHERE, "flush-cache shop prod", "! bad_value environment=shop; an environment; a project goes before it with a slash; shop/prod -> flush-cache shop/prod"),
        ("unknown parameter", SHOP, "flush-cache prod pth=/x", "! unknown_parameter pth; path -> flush-cache prod path=/x"),
        ("unknown option", SHOP, "flush-cache prod --agian", "! unknown_parameter --agian; --again -> flush-cache prod --again"),
        ("one dash", SHOP, "flush-cache prod -again", "! unknown_parameter -again; --again -> flush-cache prod --again"),
        ("three dashes", SHOP, "flush-cache prod ---", "! unknown_parameter ---; nothing near"),
        ("given twice", SHOP, "flush-cache prod path=/ --path /", "! given_twice path"),
        ("too many words", SHOP, "flush-cache prod / again", "! too_many_words again"),
        ("an option without its value", SHOP, "flush-cache prod --path", "! bad_value path=; text that matches ^/[\\w/.-]{0,200}$, at most 200 characters on one line; nothing near"),
        ("an option in the place of a value", SHOP, "flush-cache prod --path --again", "! bad_value path=; text that matches ^/[\\w/.-]{0,200}$, at most 200 characters on one line; nothing near"),
        ("no match", SHOP, "flush-cache prod x", "! bad_value path=x; text that matches ^/[\\w/.-]{0,200}$, at most 200 characters on one line; nothing near"),
        ("a control character", SHOP, "look prod \"a\u{0}b\"", "! bad_value at=a\u{fffd}b; text of at most 200 characters on one line; nothing near"),
        ("a line break", SHOP, "look prod \"a\nb\"", "! bad_value at=a\u{fffd}b; text of at most 200 characters on one line; nothing near"),
        ("not one of the choices", SHOP, "deploy v1.2 prod strategy=bluegreen", "! bad_value strategy=bluegreen; one of Rolling, blue-green; blue-green -> deploy v1.2 prod strategy=blue-green"),
        ("neither yes nor no", SHOP, "deploy v1.2 prod dry-run=treu", "! bad_value dry-run=treu; yes or no; true -> deploy v1.2 prod dry-run=true"),
        ("out of range", SHOP, "restart prod 10", "! bad_value count=10; a whole number from 1 to 9; nothing near"),
        ("no number", SHOP, "restart prod many", "! bad_value count=many; a whole number from 1 to 9; nothing near"),
        ("no span of time", SHOP, "restart prod 1 soon", "! bad_value pause=soon; a span of time such as 90s or 1h 30m, from 1s to 1h; nothing near"),
        ("too long a span", SHOP, "restart prod 1 2h", "! bad_value pause=2h; a span of time such as 90s or 1h 30m, from 1s to 1h; nothing near"),
        ("an item of a list", SHOP, "copy-data prod staging users ordes", "! bad_value tables=ordes; one of users, orders; orders -> copy-data prod staging users,orders"),
        ("an empty required list", SHOP, "copy-data prod staging ''", "! bad_value tables=; at most 5 items, separated by commas, each one of users, orders; nothing near"),
        ("too many items", SHOP, "restart prod hosts=1,2,3,4,5,6", "! bad_value hosts=1,2,3,4,5,6; at most 5 items, separated by commas, each text of at most 200 characters on one line; nothing near"),
        ("missing", SHOP, "flush-cache", "! missing environment; flush-cache project=shop"),
        ("missing among known", SHOP, "deploy environment=prod --dry-run --again", "! missing version; deploy dry-run=true environment=prod --again project=shop"),
        ("a default that this project lacks", NOWHERE, "usual project=blog", "! missing environment; usual project=blog"),
    ]);
}

#[test]
fn a_typed_secret_is_never_repeated() {
    let catalog = sample::catalog();
    for text in [
        "rotate-secret prod HUNTER2",
        "rotate-secret prod secret=HUNTER2",
        "rotate-secret prod secret=HUNTER2 --agian",
        "rotate-secret prod --HUNTER2",
        "rotate-secret prod HUNTER2=",
        "rotate-secret prod my HUNTER2",
        "rotate-secret prdo HUNTER2",
        "rotate-secret HUNTER2",
        "rotate-secret HUNTER2/x",
        "rotate-secret shop prod HUNTER2",
        "rotate-secret prod project=shpo secret=HUNTER2",
        "rotate secret prod HUNTER2",
        "rotate-secrt prod HUNTER2",
        "forget HUNTER2",
        "may 'rotate-secret prod HUNTER2'",
    ] {
        for channel in [SHOP, NOWHERE] {
            let hearing = Hearing { catalog, channel };
            let refusal = parse(text, &hearing).expect_err(text);
            let shown = format!("{refusal:?}").to_uppercase();
            assert!(!shown.contains("HUNTER2"), "{text}: {shown}");
        }
    }
}

#[test]
#[rustfmt::skip] // A table reads best with a row on each line.
fn our_own_words_are_understood() {
    check(&[
        ("nothing", SHOP, "", "? orient shop"),
        ("only the address", SHOP, "/ops", "? orient shop"),
        ("only what can't be seen", SHOP, "\u{200b} \u{a0}", "? orient shop"),
        ("help", SHOP, "HELP", "? help"),
        ("a question mark", SHOP, "?", "? help"),
        ("help for a command", SHOP, "help Flush-Cache", "? help flush-cache"),
        ("help for one of ours", SHOP, "help runs", "? help runs"),
        ("help by option", SHOP, "flush-cache prod --help", "? help flush-cache"),
        ("help for ours by option", SHOP, "show --help", "? help show"),
        ("help for something unknown", SHOP, "help flsh-cache", "! unknown_command flsh-cache; flush-cache -> help flush-cache"),
        ("list", SHOP, "list", "? list"),
        ("list of a project", SHOP, "list project=shop", "? list"),
        ("list of no project", SHOP, "list x", "! unknown_project x; nothing near"),
        ("runs here", SHOP, "runs", "? runs shop | false"),
        ("runs anywhere", NOWHERE, "runs ALL", "? runs * | true"),
        ("runs of a project", SHOP, "runs all project=blog", "? runs blog | true"),
        ("runs of a project by word", SHOP, "runs blog", "? runs blog | false"),
        ("runs of an unknown project", SHOP, "runs all project=blgo", "! unknown_project blgo; blog -> runs all project=blog"),
        ("show", SHOP, "show #7F3K", "? show 7f3k"),
        ("show with a word", SHOP, "show ref 7f3k", "? show 7f3k"),
        ("why", SHOP, "why 7f3k", "? why 7f3k"),
        ("cancel", SHOP, "cancel 7f3k", "? cancel 7f3k"),
        ("approve", SHOP, "approve 7f3k", "? approve 7f3k"),
        ("no reference", SHOP, "cancel", "! bad_builtin `cancel` needs the reference of a run; `/ops runs` lists them; cancel 7f3k"),
        ("a wrong reference", SHOP, "cancel it!", "! bad_builtin `it!` is no reference of a run; cancel 7f3k"),
        ("two references", SHOP, "cancel 7f3k 8f3k", "! bad_builtin `cancel` takes one reference and nothing after it, not `8f3k`; cancel 7f3k"),
        ("reject", SHOP, "reject 7f3k", "? reject 7f3k |"),
        ("reject with a reason", SHOP, "reject 7f3k not during\u{a0}lunch", "? reject 7f3k | not during lunch"),
        ("reject with a named reason", SHOP, "reject 7f3k reason=\"not now\"", "? reject 7f3k | not now"),
        ("link", SHOP, "link discord 803", "? link discord 803"),
        ("link a mention", SHOP, "/ops link Slack <@u0bo>", "? link slack U0BO"),
        ("link in one space", SHOP, "link slack T1/U0BO", "? link slack T1/U0BO"),
        ("a code", SHOP, "link abcd-2345", "? link ABCD2345"),
        ("no code, not repeated", SHOP, "link ABCD234", "! bad_builtin that is neither a platform nor a code; a code has 8 letters and digits, and none of I, L, O, 0 and 1; link discord 80351110224678912"),
        ("link nothing", SHOP, "link", "! bad_builtin `link` needs the platform and the id of your account there; then the code that it is sent; link discord 80351110224678912"),
        ("link a platform alone", SHOP, "link discord", "! bad_builtin `link discord` needs the id of your account there; link discord 80351110224678912"),
        ("link a name", SHOP, "link slack bo", "! bad_builtin `bo` is not the id of a Slack account; your profile shows it: U0123ABCD; link discord 80351110224678912"),
        ("link the console", SHOP, "link console bo", "! bad_builtin an account of the console can't be linked: whoever keeps people.yaml adds it with `login:`; link discord 80351110224678912"),
        ("link elsewhere", SHOP, "link teams bo", "! bad_builtin `link` knows the platforms slack and discord; link discord 80351110224678912"),
        ("link too much", SHOP, "link discord 803 804", "! bad_builtin `link discord` takes one account and nothing after it, not `804`; link discord 80351110224678912"),
        ("oncall here", SHOP, "oncall", "? oncall shop | web"),
        ("oncall anywhere", NOWHERE, "oncall", "? oncall shop | web"),
        ("oncall of a project", NOWHERE, "/ops OnCall Shop", "? oncall shop"),
        ("oncall of a rotation", SHOP, "oncall web", "? oncall web"),
        ("oncall of nothing", SHOP, "oncall wab", "! bad_builtin there is no project or rotation `wab`; did you mean `web`?; oncall shop"),
        ("cover", SHOP, "oncall cover @kim sat", "? oncall kim * Days { first: Next(Saturday), last: Next(Saturday), hours: None }"),
        ("cover a mention", SHOP, "oncall cover <@U0KIM> 4h", "? oncall kim * For(14400s)"),
        ("take over", SHOP, "oncall cover oncall(shop) today 18:00-22:00", "? oncall * oncall(shop) Days { first: In(0), last: In(0), hours: Some((18:00:00, 22:00:00)) }"),
        ("cover nothing", SHOP, "oncall cover", "! bad_builtin say when: a day, days, hours or a length; oncall cover @kim sat 18:00-22:00"),
        ("cover sometime", SHOP, "oncall cover @kim soon", "! bad_builtin `soon` is no time: write sat, sat-sun, tomorrow, 2026-12-24, or hours after it; oncall cover @kim sat 18:00-22:00"),
        ("cover nobody", SHOP, "oncall cover @kam sat", "! bad_builtin nobody is called `kam` here; did you mean `@kim`?; oncall cover @kim sat 18:00-22:00"),
        ("cover elsewhere", SHOP, "oncall cover @kim sat night(shop)", "! bad_builtin rotation `shop` has no level `night`; its levels: oncall; oncall cover @kim sat 18:00-22:00"),
        ("swap", SHOP, "oncall swap @kim sat for sun", "? oncall kim * Days { first: Next(Saturday), last: Next(Saturday), hours: None } | Some(Days { first: Next(Sunday), last: Next(Sunday), hours: None })"),
        ("swap with nobody", SHOP, "oncall swap sat", "! bad_builtin say with whom; oncall swap @kim sat for sun"),
        ("page", NOWHERE, "page Shop \"checkout is  down\"", "? page shop | checkout is down"),
        ("page here", SHOP, "page checkout is down", "? page shop | checkout is down"),
        ("page elsewhere", SHOP, "page blog it hangs", "? page blog | it hangs"),
        ("which pages", SHOP, "page", "? page"),
        ("page without words", SHOP, "page blog", "! bad_builtin say what is wrong; page blog \"checkout is down\""),
        ("page nothing", NOWHERE, "page it hangs", "! unknown_project it; nothing near"),
        ("ack", SHOP, "ack", "? ack"),
        ("ack one", SHOP, "ack #7F3K", "? ack 7f3k"),
        ("ack in words", SHOP, "ack yes!", "! bad_builtin `yes!` is no reference of a page; ack 7f3k"),
        ("ack two", SHOP, "ack 7f3k 8f3k", "! bad_builtin `ack` takes one reference and nothing after it, not `8f3k`; ack 7f3k"),
        ("escalate", SHOP, "escalate 7f3k", "? escalate 7f3k"),
        ("handover", SHOP, "handover", "? handover shop"),
        ("handover of another", SHOP, "handover blog", "? handover blog"),
        ("unlink", SHOP, "unlink discord 803", "? unlink discord 803"),
        ("unlink nothing", SHOP, "unlink", "! bad_builtin `unlink` needs the platform and the id of your account there; unlink discord 80351110224678912"),
        ("settle", SHOP, "settle 7f3k happened", "? settle 7f3k | Happened"),
        ("settle in two words", SHOP, "settle 7f3k Did Not", "? settle 7f3k | DidNot"),
        ("settle short", SHOP, "settle 7f3k didn’t", "? settle 7f3k | DidNot"),
        ("settle again", SHOP, "settle 7f3k again", "? settle 7f3k | Again"),
        ("settle nothing", SHOP, "settle 7f3k", "! bad_builtin say what became of the step: happened, did-not or again; settle 7f3k did-not"),
        ("settle otherwise", SHOP, "settle 7f3k no idea", "! bad_builtin `no idea` is none of happened, did-not and again; settle 7f3k did-not"),
        ("history", SHOP, "history flush-cache prod", "? history flush-cache | shop | prod"),
        ("history anywhere", SHOP, "history /ops Flush-Cache", "? history flush-cache | shop | *"),
        ("history elsewhere", NOWHERE, "history flush-cache project=shop environment=PROD", "? history flush-cache | shop | prod"),
        ("history of nothing", SHOP, "history", "! bad_builtin `history` needs a command; `/ops list` shows them; history flush-cache prod"),
        ("history of which project", NOWHERE, "history flush-cache", "! which_project history flush-cache"),
        ("history in no environment", SHOP, "history flush-cache prd", "! bad_builtin shop has no environment `prd`; it has staging, prod; history flush-cache prod"),
        ("history with more", SHOP, "history flush-cache prod /", "! bad_builtin `history` takes a command and an environment, and not `/` after them; history flush-cache"),
        ("timeline here", SHOP, "timeline", "? timeline shop | * | * | *"),
        ("timeline of a project", SHOP, "timeline BLOG", "? timeline blog | * | * | *"),
        ("timeline of a named project", NOWHERE, "timeline project=blog since 3d", "? timeline blog | 3d | * | *"),
        ("timeline in any order", SHOP, "timeline about Cache flush since 1d 2h", "? timeline shop | 1d2h | Cache flush | *"),
        ("timeline by options", SHOP, "timeline --since=3d --about \"cache\"", "? timeline shop | 3d | cache | *"),
        ("timeline since a day", SHOP, "timeline since 2026-11-20", "? timeline shop | 2026-11-20 | * | *"),
        ("timeline, earlier", SHOP, "timeline shop before 1790000000120/7", "? timeline shop | * | * | 1790000000120/7"),
        ("timeline of which project", NOWHERE, "timeline since 3d", "! which_project timeline since 3d"),
        ("timeline of no project", SHOP, "timeline blgo since 3d", "! unknown_project blgo; blog -> timeline blog since 3d"),
        ("timeline since what", SHOP, "timeline since noon", "! bad_builtin `since noon` is neither a span such as 3d nor a day such as 2026-11-20; timeline shop since 3d"),
        ("timeline before what", SHOP, "timeline before noon", "! bad_builtin `before noon` is no day such as 2026-11-20, and no moment such as 2026-11-20T03:00Z; timeline shop before 2026-11-20"),
        ("timeline with more", SHOP, "timeline shop cache", "! bad_builtin `timeline` takes a project, then since, about or before, and not `cache`; timeline shop since 3d about cache"),
        ("timeline about much", SHOP, "timeline about aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "! bad_builtin `about` takes 24 characters at the most; timeline shop about cache"),
        ("runbook here", SHOP, "runbook", "? runbook shop |"),
        ("runbook of a project", SHOP, "runbook BLOG", "? runbook blog |"),
        ("runbook with a heading", NOWHERE, "runbook shop Flush the cache", "? runbook shop | Flush the cache"),
        ("a heading here", SHOP, "runbook flush", "? runbook shop | flush"),
        ("runbook anywhere", NOWHERE, "runbook", "! which_project runbook"),
        ("runbook of an unknown project", NOWHERE, "runbook shpo trouble", "! unknown_project shpo; shop -> runbook shop trouble"),
        ("may", SHOP, "may 'flush-cache prod'", "may None flush-cache prod path=/ project=shop None"),
        ("may without quotes", SHOP, "may @bo /ops flush-cache prod at 03:00", "may Some(PersonId(\"bo\")) flush-cache prod path=/ project=shop Some(Time(03:00:00))"),
        ("may as somebody", SHOP, "may --as Kim “flush-cache prod”", "may Some(PersonId(\"kim\")) flush-cache prod path=/ project=shop None"),
        ("may by account", SHOP, "may @U0KIM 'flush-cache prod'", "may Some(PersonId(\"kim\")) flush-cache prod path=/ project=shop None"),
        ("may at a moment", SHOP, "may 'flush-cache prod' --at=2026-11-03T03:00:00Z", "may None flush-cache prod path=/ project=shop Some(Moment(2026-11-03T03:00:00Z))"),
        ("may a correction", SHOP, "may @bo 'flush-cache prdo' at 03:00", "! bad_value environment=prdo; one of staging, prod; prod -> may @bo \"flush-cache prod\" at 03:00"),
        ("may with something missing", SHOP, "may flush-cache", "! bad_builtin `flush-cache` needs environment; may \"flush-cache staging\""),
        ("may nowhere", NOWHERE, "may flush-cache prod", "! bad_builtin name the project, too; may \"flush-cache prod project=bare\""),
        ("may nothing", SHOP, "may", "! bad_builtin `may` asks about a command, and none was given; may check-all"),
        ("may a question", SHOP, "may list", "! bad_builtin `may` asks about a command, and none was given; may check-all"),
        ("may nobody", SHOP, "may @koi list", "! bad_builtin nobody is called `koi` here; may check-all"),
        ("may at no time", SHOP, "may status at noon", "! bad_builtin `noon` is no time of day; may status at 03:00"),
    ]);
}

#[test]
fn every_example_works_where_it_is_shown() {
    let catalog = sample::catalog();
    for command in catalog.commands.values() {
        let anywhere = Hearing {
            catalog,
            channel: NOWHERE,
        };
        let here = Hearing {
            catalog,
            channel: SHOP,
        };
        let shop = here.implied_project().unwrap();
        for (example, hearing) in [
            (examples_of(command, catalog, None), &anywhere),
            (examples_of(command, catalog, Some(shop)), &here),
            (examples::example(command, &anywhere, Some(shop)), &anywhere),
        ] {
            let typed = parse(&example, hearing).unwrap_or_else(|r| panic!("{example}: {r:?}"));
            assert!(matches!(typed, Typed::Invoke(_)), "{example}");
        }
    }
}

#[test]
fn a_correction_works_when_it_is_pressed() {
    let catalog = sample::catalog();
    let hearing = Hearing {
        catalog,
        channel: SHOP,
    };
    for text in [
        "flsh-cache prod \"/a\"",
        "flush-cache prdo path=“/a” --reason 'it is \"slow\"'",
        "flush-cache prod —pth /a",
        "may @bo 'flush-cache prdo path=\"/a\"' at 03:00",
    ] {
        let refusal = parse(text, &hearing).expect_err(text);
        let (Refusal::UnknownCommand { nearest, .. }
        | Refusal::UnknownParameter { nearest, .. }
        | Refusal::BadValue { nearest, .. }) = refusal
        else {
            panic!("{text}: {refusal:?}")
        };
        let line = nearest.unwrap().line.unwrap();
        assert!(parse(&line, &hearing).is_ok(), "{text} -> {line}");
    }
}

/// Any value that the kind accepts.
fn value(kind: &ParameterKind, project: &Project) -> BoxedStrategy<Value> {
    let environments: Vec<_> = project
        .environments
        .iter()
        .map(|e| e.name.clone())
        .collect();
    match kind {
        ParameterKind::Environment => prop::sample::select(environments)
            .prop_map(Value::Environment)
            .boxed(),
        ParameterKind::Choice(words) => prop::sample::select(words.clone())
            .prop_map(Value::Text)
            .boxed(),
        ParameterKind::Text {
            matches: Some(pattern),
            ..
        } => {
            let all = ["/", "/a/b.c-d", "v1.2", "v10.99"];
            let fitting: Vec<_> = all.into_iter().filter(|t| pattern.is_match(t)).collect();
            prop::sample::select(fitting)
                .prop_map(|text| Value::Text(text.to_owned()))
                .boxed()
        }
        ParameterKind::Text { .. } => {
            // What the tokeniser changes can't be said at all.
            let sayable = |c: char| !c.is_control() && (c == ' ' || !c.is_whitespace());
            prop_oneof!["\\PC{1,20}", "[-\"'\\\\ =,@—“”‘’„«a-c]{1,12}"]
                .prop_map(move |text| text.chars().filter(|c| sayable(*c)).collect::<String>())
                .prop_filter("what the tokeniser keeps", |text| {
                    let (words, _) = split_loosely(&crate::domain::quoted(text));
                    words.len() == 1 && words[0].text == *text && !text.is_empty()
                })
                .prop_map(Value::Text)
                .boxed()
        }
        ParameterKind::Integer { min, max } => (*min..=*max).prop_map(Value::Integer).boxed(),
        ParameterKind::Duration { min, max } => {
            let ms = |span: &std::time::Duration| u64::try_from(span.as_millis()).unwrap();
            (ms(min)..=ms(max)).prop_map(Value::DurationMs).boxed()
        }
        ParameterKind::Boolean => any::<bool>().prop_map(Value::Boolean).boxed(),
        ParameterKind::Secret { names } => {
            let mut names = names.clone();
            names.push(crate::domain::SecretName::parse("varnish").unwrap());
            prop::sample::select(names).prop_map(Value::Secret).boxed()
        }
        ParameterKind::List { of, longest } => {
            prop::collection::vec(value(of, project), 1..*longest)
                .prop_map(|items| {
                    let item = |item: Value| match item {
                        Value::Text(text) => Value::Text(text.replace(',', "").trim().to_owned()),
                        other => other,
                    };
                    items.into_iter().map(item).collect::<Vec<_>>()
                })
                .prop_filter("items say something", |items| {
                    !items.contains(&Value::Text(String::new()))
                })
                .prop_map(Value::List)
                .boxed()
        }
    }
}

/// Any invocation of any command of the sample.
fn invocations() -> BoxedStrategy<Invocation> {
    let catalog = sample::catalog();
    let commands: Vec<_> = catalog.commands.values().cloned().collect();
    let projects: Vec<_> = catalog.projects.values().cloned().collect();
    let with_environments = projects.into_iter().filter(|p| !p.environments.is_empty());
    let projects: Vec<_> = with_environments.collect();
    (
        prop::sample::select(commands),
        prop::sample::select(projects),
    )
        .prop_flat_map(|(command, project)| {
            let arguments: Vec<_> = command
                .parameters
                .iter()
                .map(|parameter| {
                    let given = value(&parameter.kind, &project);
                    let maybe = if parameter.optional && parameter.default.is_none() {
                        prop::option::of(given).boxed()
                    } else {
                        given.prop_map(Some).boxed()
                    };
                    (Just(parameter.name.clone()), maybe)
                })
                .collect();
            let reason = prop::option::of("[a-z\"'\\\\=-]{1,5}( [a-z]{1,5}){0,3}");
            (
                Just(command),
                Just(project),
                arguments,
                any::<bool>(),
                reason,
            )
        })
        .prop_map(|(command, project, arguments, again, reason)| {
            let given = arguments.into_iter().filter_map(|(n, v)| Some((n, v?)));
            let arguments: crate::domain::Arguments = given.collect();
            let environment = command
                .environment_parameter()
                .and_then(|parameter| match arguments.get(&parameter.name) {
                    Some(Value::Environment(name)) => Some(name.clone()),
                    _ => None,
                });
            Invocation {
                command: command.name.clone(),
                project: project.name.clone(),
                environment,
                arguments,
                again,
                reason,
                glass: false,
            }
        })
        .boxed()
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC*", channel in prop::sample::select(vec![SHOP, NOWHERE])) {
        outcome(&text, channel);
    }

    #[test]
    fn no_words_of_ours_panic(
        words in prop::collection::vec(prop::sample::select(vec![
            "/ops", "flush-cache", "deploy", "rotate-secret", "may", "reject", "settle", "runbook", "runs", "help",
            "prod", "shop/prod", "shop", "shop/", "/", "=", "path=", "--", "--path", "--no-", "--=", "-", "—x", "at",
            "--at=", "03:00", "@", "@bo", "as", "7f3k", "project=", "project=shop", "\"", "'", "“”", "\\", "a,,b", "é",
            "--again", "reason=x", "\u{200b}", "\u{a0}", "--help", "`",
        ]), 0..9),
        glue in prop::sample::select(vec!["", " "]),
    ) {
        let text = words.join(glue);
        if let Ok(Typed::Invoke(invocation)) = parse(&text, &Hearing { catalog: sample::catalog(), channel: SHOP }) {
            prop_assert_eq!(outcome(&invocation.typed_in_full(), NOWHERE), invocation.typed_in_full());
        }
    }

    #[test]
    fn what_an_invocation_prints_reads_as_the_same_invocation(invocation in invocations()) {
        let catalog = sample::catalog();
        let hearing = Hearing { catalog, channel: NOWHERE };
        let full = invocation.typed_in_full();
        prop_assert_eq!(parse(&full, &hearing), Ok(Typed::Invoke(invocation.clone())), "{}", full);
        let channel = if invocation.project.as_str() == "shop" { SHOP } else { "C-BLOG" };
        let there = Hearing { catalog, channel };
        let typed = invocation.typed();
        prop_assert_eq!(parse(&typed, &there), Ok(Typed::Invoke(invocation)), "{}", typed);
    }
}
