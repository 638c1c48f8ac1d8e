-- Up to when everything was heard that was said in a channel. The channel '' stands for those without a row of their own.
create table cursors (
    platform text   not null check (platform in ('slack', 'discord', 'console')),
    space    text   not null,
    channel  text   not null,
    heard    bigint not null,
    primary key (platform, space, channel)
);
