-- Times are milliseconds since 1970, booleans 0 or 1, structures JSON as text: so the same statements run on any engine.

create table inbound (
    arrival      bigint  not null primary key,
    key          text    not null unique,
    platform     text    not null check (platform in ('slack', 'discord', 'console')),
    body         text,             -- forgotten when it is concluded
    received_at  bigint  not null,
    taken_by     text,             -- the worker that may walk it
    taken_until  bigint,           -- and for how long it alone may
    concluded_at bigint,
    conclusion   text    check (conclusion in ('refused', 'answered', 'run', 'not_run')),
    check ((conclusion is null) = (concluded_at is null)),
    check ((body is null) = (concluded_at is not null))
);
create index inbound_waiting on inbound (arrival) where concluded_at is null;

-- What the ledger's commitments are made of: SHA-256 over salt and value. The only home of personal data that lasts;
-- deleting a row leaves the ledger whole. Of a text the salt alone is kept: whoever still has the text can prove it.
create table commitments (
    inbound      bigint  not null primary key references inbound (arrival),
    speaker_salt text    not null,
    speaker      text    not null,
    text_salt    text    not null
);

create table ledger (
    sequence bigint not null primary key check (sequence >= 0),
    run      text,
    line     text not null
);
create index ledger_of_run on ledger (run, sequence) where run is not null;

-- The Merkle tree over `ledger`, reduced to the roots of its perfect subtrees.
create table tree (
    id    bigint not null primary key check (id = 1),
    size  bigint not null check (size >= 0),
    nodes text   not null
);
insert into tree (id, size, nodes) values (1, 0, '[]');

create table checkpoints (
    size bigint not null primary key check (size >= 0),
    note text   not null,
    at   bigint not null
);

create table runs (
    id           text   not null primary key,
    reference    text   not null unique,
    project      text   not null,
    same_target  text   not null,
    lock         text,
    holds_lock   bigint not null check (holds_lock in (0, 1)),
    phase        text   not null check (phase in ('awaiting_approval', 'queued', 'running', 'finished')),
    outcome      text   check (outcome in ('succeeded', 'failed', 'cancelled', 'expired', 'needs_attention')),
    details      text   not null,  -- invocation, requester, rule, place: fixed when the run begins
    phase_json   text   not null,
    plan         text,
    cancelled_by text,
    doubted_at   bigint,           -- the database was set back then
    created_at   bigint not null,
    started_at   bigint,
    finished_at  bigint,
    due_at       bigint,           -- when a worker should look; null: when something happens
    fence        bigint not null default 0,
    leased_by    text,
    leased_until bigint,
    home         text,             -- where the supervisor of its running step is
    check ((phase = 'finished') = (outcome is not null)),
    check ((phase = 'finished') = (finished_at is not null)),
    check (phase <> 'awaiting_approval' or plan is null),
    check ((leased_by is null) = (leased_until is null))
);
create unique index runs_one_at_a_time on runs (lock) where holds_lock = 1;
create index runs_due on runs (due_at) where due_at is not null;
create index runs_newest on runs (created_at);
create index runs_succeeded on runs (same_target, finished_at) where outcome = 'succeeded';

create table steps (
    run      text   not null references runs (id),
    position bigint not null check (position >= 0),
    name     text   not null,
    effect   text   not null check (effect in ('read', 'idempotent', 'keyed', 'checked', 'once')),
    state    text   not null check (state in ('pending', 'started', 'ended', 'interrupted', 'cleared')),
    attempt  bigint not null check (attempt >= 0),
    result   text,
    at       bigint,               -- when it came into this state
    primary key (run, position),
    check ((state = 'ended') = (result is not null)),
    check ((state = 'pending') = (at is null))
);

create table output (
    run      text   not null references runs (id),
    position bigint not null,
    attempt  bigint not null,
    part     bigint not null,
    text     text   not null,
    primary key (run, position, attempt, part)
);

-- What we owe to people. A line is deleted when it is delivered; a root stays, because it is edited.
create table outbox (
    id                bigint not null primary key,  -- never given twice, not even after a restore
    kind              text   not null check (kind in ('root', 'line', 'output', 'answer', 'whisper', 'form')),
    platform          text   not null check (platform in ('slack', 'discord', 'console')),
    channel           text   not null,
    place             text   not null,
    run               text   references runs (id),
    body              text   not null,
    final             bigint not null check (final in (0, 1)),
    state             text   not null check (state in ('waiting', 'sending', 'delivered', 'dropped')),
    version           bigint not null default 1,
    delivered_version bigint not null default 0,
    message           text,
    in_doubt          bigint not null default 0 check (in_doubt in (0, 1)),
    attempts          bigint not null default 0,
    not_before        bigint not null,
    why               text,
    check (delivered_version <= version),
    check (state <> 'delivered' or kind = 'root')
);
create unique index outbox_one_root on outbox (run, place) where kind = 'root';
create index outbox_due on outbox (state, platform, id);
create index outbox_thread on outbox (run, place, id) where kind in ('line', 'output');
create index outbox_answers on outbox (platform, channel, id) where kind in ('answer', 'whisper');

-- The last number that a posting got.
create table posting_numbers (
    id   bigint not null primary key check (id = 1),
    last bigint not null
);

create table probe (
    id bigint not null primary key check (id = 1),
    at bigint not null
);

-- What one worker does for all: the delivery to a platform.
create table duties (
    name   text   not null primary key,
    holder text   not null,
    until  bigint not null,
    fence  bigint not null
);

-- The public key of the ledger: every replica signs with the same one.
create table ledger_key (
    id     bigint not null primary key check (id = 1),
    public text   not null
);

-- Which database this is, as far as the engine can tell, and when it was last found set back to an older state.
create table incarnation (
    id          bigint not null primary key check (id = 1),
    name        text   not null,
    set_back_at bigint
);

-- Up to when everything was heard that was said in a channel. The channel '' stands for those without a row of their own.
create table cursors (
    platform text   not null check (platform in ('slack', 'discord', 'console')),
    space    text   not null,
    channel  text   not null,
    heard    bigint not null,
    primary key (platform, space, channel)
);
