insert into tokens (id, person, scopes, projects, lookup, hash, made_at, until, revoked_at)
values ('k3v9q2', 'ana', '["read","run"]', '["shop"]', 'e3b0c44298fc1c14',
        'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', 1790000000000, 1792592000000, null),
       ('b7m2x5', 'bo', '["approve","read"]', '[]', '9f86d081884c7d65',
        '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08', 1790000000000, 1790600000000, 1790000500000);
update inbound set answer = '{"fact":{"actor":{"person":"ana"},"inbound":"x","kind":"answered","question":"help"},"messages":[]}'
where arrival = (select min(arrival) from inbound where concluded_at is not null);
