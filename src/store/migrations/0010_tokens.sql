-- Tokens that programs show to the API. Of the token itself a hash is kept, and the beginning of it to look it up by.
create table tokens (
    id         text   not null primary key,
    person     text   not null,
    scopes     text   not null,
    projects   text   not null,  -- an empty list: all
    lookup     text   not null unique,
    hash       text   not null,
    made_at    bigint not null,
    until      bigint not null,
    revoked_at bigint,
    check (made_at < until)
);
-- What a program that asked over the API is answered, as long as it may ask again.
alter table inbound add column answer text;
create index inbound_answers on inbound (received_at) where answer is not null;
