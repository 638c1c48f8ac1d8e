-- Locks that people took on an environment, or on all of a project.
create table locks (
    id          text   not null primary key,
    project     text   not null,
    environment text   not null,  -- empty: all of the project
    person      text   not null,
    reason      text   not null,
    place       text   not null,  -- where its end is told
    since       bigint not null,
    until       bigint not null,
    ended_at    bigint,           -- null: nobody has ended it, and nobody has told yet that its time is over
    check (since < until)
);
create unique index locks_in_force on locks (project, environment) where ended_at is null;
create index locks_due on locks (until) where ended_at is null;

-- The latest run of a target, however it ended.
create index runs_of_same_target on runs (same_target, created_at desc);
