-- Which ledger entries a project's timeline tells, so that a page costs the same however long the ledger is. Project '*':
-- those that concern every project. Written with the entry; for earlier entries, and those of a version that does not
-- write it, afterwards, in order: `tree.placed` says up to where that is done. No foreign key: it would cost a look-up on
-- the way of every command, and `ledger verify` compares both anyway.
create table happenings (
    project  text   not null,
    at       bigint not null,
    sequence bigint not null,
    primary key (project, at, sequence)
);
alter table tree add column placed bigint not null default 0 check (placed >= 0);

-- What git says of the files of a project. Read from there, and read anew at will.
create table commits (
    project text   not null,
    at      bigint not null,
    hash    text   not null,
    author  text   not null,
    summary text   not null,
    files   text   not null,
    primary key (project, at, hash)
);
-- When git was last asked, and why it could not answer.
create table commits_read (
    id      bigint not null primary key check (id = 1),
    at      bigint not null,
    problem text
);
-- The rules that every project's people know of, in words: what differs from them is told. Project '*' has the revision of
-- the files that they were read from, and no rules.
create table rules_told (
    project  text not null primary key,
    revision text not null,
    rules    text not null
);
-- The latest runs of one command in one environment, with whatever arguments: `same_target` without its digest.
create index runs_of_target on runs (substr(same_target, 1, length(same_target) - 17), created_at desc, id);
