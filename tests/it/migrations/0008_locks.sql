insert into locks (id, project, environment, person, reason, place, since, until, ended_at)
values ('01998a00-0000-7000-8000-0000000000a1', 'shop', 'prod', 'ana', 'restoring a backup',
        '{"channel":"C1","platform":"slack","space":"T1","thread":null}', 1790000000000, 1790007200000, null),
       ('01998a00-0000-7000-8000-0000000000a2', 'shop', '', 'bo', 'moving hosts',
        '{"channel":"C1","platform":"slack","space":"T1","thread":null}', 1790000000000, 1790003600000, 1790003600500);
