-- Shifts that somebody takes by arrangement, beside those of people.yaml.
create table covers (
    number   bigint not null primary key,  -- in the order in which they were arranged: the last counts
    rotation text   not null,
    level    text   not null,
    person   text   not null,
    begins   bigint not null,
    ends     bigint not null,
    at       bigint not null,
    check (begins < ends)
);
create index covers_by_end on covers (ends);

-- Pages: people who are called until somebody answers. One of a run calls for its consent.
create table pages (
    id        text   not null primary key,
    reference text   not null,
    project   text   not null,
    run       text,  -- without a foreign key: a run may come from a newer version
    state     text   not null check (state in ('calling', 'acknowledged', 'exhausted', 'over')),
    body      text   not null,
    next_at   bigint,  -- when the next level is called
    revision  bigint not null default 1,
    at        bigint not null,
    check ((state = 'calling') or (next_at is null))
);
create unique index pages_one_of_a_run on pages (run);
create index pages_of_reference on pages (reference);
create index pages_due on pages (next_at) where state = 'calling';
create index pages_open on pages (at) where state in ('calling', 'exhausted');
create index pages_of_project on pages (project, at);

-- Each call to somebody, and what became of it. A call in chat is delivered by the outbox.
create table calls (
    page      text   not null references pages (id),
    number    bigint not null,
    body      text   not null,
    posting   bigint,  -- of the outbox; delivered when it is not there any more
    state     text   not null check (state in ('waiting', 'delivered', 'failed', 'stopped')),
    attempts  bigint not null default 0,
    next_at   bigint,  -- when it is tried; moved on by whoever tries it
    why       text,    -- why it is late, once that was told; or why it failed
    at        bigint not null,
    primary key (page, number),
    check ((next_at is not null) = (state = 'waiting' and posting is null))
);
create index calls_due on calls (next_at) where next_at is not null;
create index calls_in_chat on calls (at) where state = 'waiting' and posting is not null;
create index runs_awaiting_approval on runs (created_at) where phase = 'awaiting_approval';
