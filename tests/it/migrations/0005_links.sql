insert into links (id, state, person, platform, space, account, account_salt, asked_from, code, tries, expires_at, at)
values ('01998a00-0000-7000-8000-000000000001', 'linked', 'ana', 'discord', '', '80351110224678912',
        '00112233445566778899aabbccddeeff', 'slack:T1/U0ANA', null, 1, 1790000600000, 1790000030000),
       ('01998a00-0000-7000-8000-000000000002', 'unlinked', 'bo', 'slack', 'T1', 'U0BOTWO',
        'ffeeddccbbaa99887766554433221100', 'slack:T1/U0BO', null, 0, 1790000600000, 1790000060000),
       ('01998a00-0000-7000-8000-000000000003', 'asked', 'bo', 'discord', '', '80351110224678913',
        '0123456789abcdef0123456789abcdef', 'slack:T1/U0BO',
        '00112233445566778899aabbccddeeff:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', 2,
        1790000900000, 1790000300000);
