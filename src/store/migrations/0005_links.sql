-- Accounts that persons linked to themselves, beside those of people.yaml; and requests for it while their code lives.
create table links (
    id           text   not null primary key,
    state        text   not null check (state in ('asked', 'linked', 'unlinked')),
    person       text   not null,
    platform     text   not null check (platform in ('slack', 'discord', 'console')),
    space        text   not null,  -- empty: wherever the account speaks
    account      text   not null,
    account_salt text   not null,  -- of the ledger's commitment to the account
    asked_from   text   not null,  -- the account that asked: the code counts from there alone
    code         text,             -- salt and hash; forgotten when it was used
    tries        bigint not null default 0 check (tries >= 0),
    expires_at   bigint not null,
    at           bigint not null,  -- when it came into this state
    check ((state = 'asked') = (code is not null))
);
-- An account speaks for one person.
create unique index links_in_force on links (platform, account) where state = 'linked';
create index links_of_person on links (person, state);
