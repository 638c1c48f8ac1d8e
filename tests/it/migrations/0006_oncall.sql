insert into covers (number, rotation, level, person, begins, ends, at)
values (1, 'shop', 'oncall', 'cy', 1790000000000, 1790086400000, 1789990000000),
       (2, 'shop', 'oncall', 'ana', 1790600000000, 1790686400000, 1789990000000);
insert into pages (id, reference, project, run, state, body, next_at, revision, at)
values ('8f3c2a10-0000-8000-8000-000000000001', 'pg01', 'shop', null, 'calling',
        '{"id":"8f3c2a10-0000-8000-8000-000000000001","reference":"pg01","project":"shop","about":{"words":"it is down"},"by":{"person":"bo"},"places":[{"platform":"slack","space":"T1","channel":"C1","thread":null}],"levels":[{"at":{"secs":0,"nanos":0},"call":{"person":"ana"},"say_so":false,"by":["direct","mention"]},{"at":{"secs":300,"nanos":0},"call":{"person":"cy"},"say_so":false,"by":["direct","mention"]}],"called":1,"earlier":{"secs":0,"nanos":0},"state":"calling","began_at":"2026-09-21T14:13:20Z"}',
        1790000300000, 1, 1790000000000);
insert into calls (page, number, body, posting, state, attempts, next_at, why, at)
values ('8f3c2a10-0000-8000-8000-000000000001', 0, '{"level":0,"means":"direct","persons":["ana"],"to":"slack:U0ANA"}',
        7331840000000001, 'waiting', 0, null, null, 1790000000000),
       ('8f3c2a10-0000-8000-8000-000000000001', 1, '{"level":0,"means":"email","persons":["ana"],"to":"ana@example.org"}',
        null, 'waiting', 1, 1790000060000, null, 1790000000000);
