-- One-time codes of second factors: which was used last, and how many wrong ones were tried.
create table codes (
    person   text   not null primary key,
    step     bigint not null,  -- of 30 seconds since 1970: earlier ones count no more
    used_for text   not null,  -- the inbound that brought it; empty: none was used yet
    wrong    bigint not null check (wrong >= 0),
    wrong_at bigint not null   -- when the last wrong one was tried
);
