//! Midwatch, a chat-ops bot: typed commands, a runbook per project that decides, a thread that is the audit trail.
//!
//! # The one path
//!
//! An edge verifies a sender and makes an [`Inbound`](domain::Inbound); the [`store`] records it; [`dispatch`] identifies,
//! parses and asks the runbook; the decision, the run and the first postings are one transaction; the [`engine`] leases
//! the run and does its steps, each recorded before it begins and when it ends; the outbox in [`chat`] delivers what we
//! owe. No source has another door, and what the ledger does not hold was not done.
//!
//! # Who may import whom
//!
//! | module | duty | may import, besides itself and `domain` |
//! | --- | --- | --- |
//! | [`domain`] | what things are and what follows from what: no I/O, no clock, no async | nothing of ours |
//! | [`catalog`] | turns `commands/` and `runbooks/` into one checked snapshot, or into diagnostics | `clock` |
//! | [`store`] | keeps the facts and hands out work; the only SQL | – |
//! | [`dispatch`] | walks one inbound from message to recorded decision | `catalog`, `store`, `clock` |
//! | [`engine`] | takes runs, does their steps, survives crashes; calls people when it is time | `catalog`, `store`, `clock` |
//! | [`chat`] | speaks Slack, Discord and the console; delivers postings | `catalog`, `store`, `dispatch`, `clock` |
//! | [`http`] | the API; health and metrics; carries the platforms' routes | `catalog`, `store`, `dispatch`, `clock` |
//! | [`cli`] | subcommands, wiring, startup, shutdown, exit codes | everything |
//! | [`config`], [`telemetry`], [`clock`] | settings; logs and metrics; the one place that asks the time | nothing of ours |
//!
//! Beside them, `planted` holds the switches for known bugs that the proofs must find, and for the points at which they
//! kill the process; every module may ask it.
//!
//! `tests/it/architecture.rs` holds this table. Edges never import each other.
//!
//! # Words
//!
//! One word per idea, in code, SQL, logs, chat and docs. *Inbound*: one thing that came in, before we understood it.
//! *Speaker*: the account that sent it; *actor*: whom we hold responsible. *Invocation*: one parsed use of a *command*,
//! with *arguments* for its *parameters*. *Decision*: allow, require approval, hold or deny, by a *rule* of a
//! *runbook*. *Permit*: what `decide` alone can make, and without which there is no *plan*. *Run*: one durable
//! execution of a plan, in *steps* with *attempts*; a step's *effect* says what a crash allows. *Interrupted*: started,
//! result unknown. *Supervisor*: the process that owns a step's program and outlives midwatch. *Lease*: the
//! time-limited right to work on a run. *Ledger*: the append-only record, one *entry* a line. *Posting*: a message that
//! we owe to a thread; the *outbox* holds them. *Timeline*: what happened to a project, one *happening* a line. *Mirror*: another place in which a run's thread is told, line by line.
//! *Rotation*: who is on call when, by *level*, in *layers*; a *shift* is a span of it, a *cover* one that somebody takes
//! by arrangement. *Page*: people who are called, level by level, until somebody answers; a *call* is one of them by one
//! *means*. *Lock*: a person keeps others from changing something for a while. *Card*: what a command does, and whether
//! one may, before anything is done. *Token*: what a program shows to speak for a person, or
//! for a *service*, over the API. *Refusal*: an expected no, told to the person; *fault*: an unexpected failure, told to the operator. *Reference*:
//! the short code that ties thread, ledger and log together.

pub mod catalog;
pub mod chat;
pub mod cli;
pub mod clock;
pub mod config;
pub mod dispatch;
pub mod domain;
pub mod engine;
pub mod http;
pub mod planted;
pub mod store;
pub mod telemetry;
