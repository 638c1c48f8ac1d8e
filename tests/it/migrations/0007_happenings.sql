insert into happenings (project, at, sequence)
values ('shop', 1790000000001, 1), ('*', 1790000000040, 38);
update tree set placed = 3 where id = 1;
insert into commits (project, at, hash, author, summary, files)
values ('shop', 1790000000000, '0123456789abcdef0123456789abcdef01234567', 'Ana', 'Let kim flush',
        '["runbooks/shop.yaml"]');
insert into commits_read (id, at, problem) values (1, 1790000000000, null);
insert into rules_told (project, revision, rules)
values ('*', '0123456789ab', '[]'),
       ('shop', '0123456789ab',
        '[{"rule":"engineering may flush-cache in prod","at":{"file":"runbooks/shop.yaml","line":3}}]');
