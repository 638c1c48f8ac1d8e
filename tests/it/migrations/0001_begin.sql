-- Rows as the version of 0001_begin.sql writes them: runs in every phase, with what belongs to them.

insert into inbound (arrival, key, platform, body, received_at, taken_by, taken_until, concluded_at, conclusion) values
    (1, 'slack:T1:C1:1', 'slack', NULL, 1790000000000, 'f27cd244-778f-42d9-ba99-188e0d6f5600', 1790000002000, 1790000000001, 'run');
insert into inbound (arrival, key, platform, body, received_at, taken_by, taken_until, concluded_at, conclusion) values
    (10, 'slack:T1:C1:21', 'slack', NULL, 1790000000000, 'f27cd244-778f-42d9-ba99-188e0d6f5600', 1790000002000, 1790000000050, 'answered');
insert into inbound (arrival, key, platform, body, received_at, taken_by, taken_until, concluded_at, conclusion) values
    (11, 'slack:T1:C1:22', 'slack', '{"key":"slack:T1:C1:22","source":"chat","speaker":{"platform":"slack","space":"T1","id":"U22","kind":"person"},"place":{"platform":"slack","space":"T1","channel":"C1","thread":null},"manner":"said","text":"flush-cache prod path=/secret-22","sent_at":"2026-09-21T14:13:20Z","received_at":"2026-09-21T14:13:20Z","form_handle":null}', 1790000000000, 'f27cd244-778f-42d9-ba99-188e0d6f5600', 1790000002000, NULL, NULL);
insert into inbound (arrival, key, platform, body, received_at, taken_by, taken_until, concluded_at, conclusion) values
    (2, 'slack:T1:C1:2', 'slack', NULL, 1790000000000, 'f27cd244-778f-42d9-ba99-188e0d6f5600', 1790000002000, 1790000000002, 'run');
insert into inbound (arrival, key, platform, body, received_at, taken_by, taken_until, concluded_at, conclusion) values
    (3, 'slack:T1:C1:3', 'slack', NULL, 1790000000000, 'f27cd244-778f-42d9-ba99-188e0d6f5600', 1790000002000, 1790000000003, 'run');
insert into inbound (arrival, key, platform, body, received_at, taken_by, taken_until, concluded_at, conclusion) values
    (4, 'slack:T1:C1:4', 'slack', NULL, 1790000000000, 'f27cd244-778f-42d9-ba99-188e0d6f5600', 1790000002000, 1790000000004, 'run');
insert into inbound (arrival, key, platform, body, received_at, taken_by, taken_until, concluded_at, conclusion) values
    (5, 'slack:T1:C1:5', 'slack', NULL, 1790000000000, 'f27cd244-778f-42d9-ba99-188e0d6f5600', 1790000002000, 1790000000005, 'run');
insert into inbound (arrival, key, platform, body, received_at, taken_by, taken_until, concluded_at, conclusion) values
    (6, 'slack:T1:C1:6', 'slack', NULL, 1790000000000, 'f27cd244-778f-42d9-ba99-188e0d6f5600', 1790000002000, 1790000000006, 'run');
insert into inbound (arrival, key, platform, body, received_at, taken_by, taken_until, concluded_at, conclusion) values
    (7, 'slack:T1:C1:7', 'slack', NULL, 1790000000000, 'f27cd244-778f-42d9-ba99-188e0d6f5600', 1790000002000, 1790000000007, 'run');
insert into inbound (arrival, key, platform, body, received_at, taken_by, taken_until, concluded_at, conclusion) values
    (8, 'slack:T1:C1:8', 'slack', NULL, 1790000000000, 'f27cd244-778f-42d9-ba99-188e0d6f5600', 1790000002000, 1790000000008, 'run');
insert into inbound (arrival, key, platform, body, received_at, taken_by, taken_until, concluded_at, conclusion) values
    (9, 'slack:T1:C1:20', 'slack', '{"key":"slack:T1:C1:20","source":"chat","speaker":{"platform":"slack","space":"T1","id":"U20","kind":"person"},"place":{"platform":"slack","space":"T1","channel":"C1","thread":null},"manner":"said","text":"flush-cache prod path=/secret-20","sent_at":"2026-09-21T14:13:20Z","received_at":"2026-09-21T14:13:20Z","form_handle":null}', 1790000000000, 'f27cd244-778f-42d9-ba99-188e0d6f5600', 1790000002000, NULL, NULL);

insert into commitments (inbound, speaker_salt, speaker, text_salt) values
    (1, '9943ef28a5af6a384b53ae5d15483959', '[{"platform":"slack","space":"T1","id":"U1","kind":"person"},{"platform":"slack","space":"T1","channel":"C1","thread":null}]', 'd14ddda36d8ad3f364da0992a2e16518');
insert into commitments (inbound, speaker_salt, speaker, text_salt) values
    (10, '41124f2a4d72412c548d3eb6de743a42', '[{"platform":"slack","space":"T1","id":"U21","kind":"person"},{"platform":"slack","space":"T1","channel":"C1","thread":null}]', '4d83f45648ca2cf8adfcdfe80e66898f');
insert into commitments (inbound, speaker_salt, speaker, text_salt) values
    (11, '291c9b39096e6f8dbc7ffa44bd88081c', '[{"platform":"slack","space":"T1","id":"U22","kind":"person"},{"platform":"slack","space":"T1","channel":"C1","thread":null}]', 'cf773b900f966176760fd23e5646cb88');
insert into commitments (inbound, speaker_salt, speaker, text_salt) values
    (2, 'b00525bbc78d3a018d6bb74ca162c255', '[{"platform":"slack","space":"T1","id":"U2","kind":"person"},{"platform":"slack","space":"T1","channel":"C1","thread":null}]', 'd5307ff91da5d57bd6183b86b5ff9fbc');
insert into commitments (inbound, speaker_salt, speaker, text_salt) values
    (3, '18f47f0f49653de8b4c3a84f00a1156f', '[{"platform":"slack","space":"T1","id":"U3","kind":"person"},{"platform":"slack","space":"T1","channel":"C1","thread":null}]', 'ecfd0a3bdb2d83578255b8da23904c19');
insert into commitments (inbound, speaker_salt, speaker, text_salt) values
    (4, 'e1dabc2bc0562626ad58a68203446bd5', '[{"platform":"slack","space":"T1","id":"U4","kind":"person"},{"platform":"slack","space":"T1","channel":"C1","thread":null}]', '25286d83b3a4a3bf4844580910e8e9bb');
insert into commitments (inbound, speaker_salt, speaker, text_salt) values
    (5, 'd0bdc759b62e6433b2957757cdc7899b', '[{"platform":"slack","space":"T1","id":"U5","kind":"person"},{"platform":"slack","space":"T1","channel":"C1","thread":null}]', 'a68344d3021333711002f2ac20e98906');
insert into commitments (inbound, speaker_salt, speaker, text_salt) values
    (6, 'd3e543bb0a74d622a0048d63ca2b96b7', '[{"platform":"slack","space":"T1","id":"U6","kind":"person"},{"platform":"slack","space":"T1","channel":"C1","thread":null}]', '64a96695069247038e338c672f0ac1c0');
insert into commitments (inbound, speaker_salt, speaker, text_salt) values
    (7, 'e23c6a6841577db541d2b7a81a040b35', '[{"platform":"slack","space":"T1","id":"U7","kind":"person"},{"platform":"slack","space":"T1","channel":"C1","thread":null}]', '3513e024bdd5c7d1a32911ac0aabc232');
insert into commitments (inbound, speaker_salt, speaker, text_salt) values
    (8, '02c8a431b1bbff815cdfce77117b480a', '[{"platform":"slack","space":"T1","id":"U8","kind":"person"},{"platform":"slack","space":"T1","channel":"C1","thread":null}]', '04e2f96d731a53bb513692c72a6292d2');
insert into commitments (inbound, speaker_salt, speaker, text_salt) values
    (9, 'ffd88420cf59933b39cf60641a450425', '[{"platform":"slack","space":"T1","id":"U20","kind":"person"},{"platform":"slack","space":"T1","channel":"C1","thread":null}]', '3ed2e60d6a147dd3c67f8416a250ba15');

insert into ledger (sequence, run, line) values
    (0, NULL, '{"at":"2026-09-21T14:13:20Z","fact":{"inbound":"slack:T1:C1:1","kind":"received","platform":"slack","source":"chat","speaker":"28050de4f968cf31a602204d1c79c5df550003be9f352c988119ff471e48bbaa","text":"bdeed0ba898d2dc1f0acdfc34bcb88be766709b781d14296c83d4bb2c783baa3"},"sequence":0}');
insert into ledger (sequence, run, line) values
    (1, '5db9228f-5a78-8a82-bb82-522a68bcb563', '{"at":"2026-09-21T14:13:20.001Z","fact":{"actor":{"person":"bo"},"decision":"allow","groups":["engineering"],"inbound":"slack:T1:C1:1","invocation":{"again":false,"arguments":{},"command":"flush-cache","environment":"prod","project":"shop","reason":null},"kind":"decided","plan":"62b91fd5f3102c011455a35993f526cca9c690c79dc99765bc750c8f1184eced","reference":"nq1a","rule":{"file":"runbooks/shop.yaml","line":3,"revision":"0123456789ab"},"run":"5db9228f-5a78-8a82-bb82-522a68bcb563"},"sequence":1}');
insert into ledger (sequence, run, line) values
    (10, 'fdc4adf6-d215-8031-a734-578f88d4ed8a', '{"at":"2026-09-21T14:13:20.02Z","fact":{"happened":{"attempt":1,"elapsed_ms":5,"event":"step_ended","output_sha256":null,"position":1,"result":{"note":"done","result":"succeeded"},"step":"verify"},"kind":"run","reference":"aj49","run":"fdc4adf6-d215-8031-a734-578f88d4ed8a"},"sequence":10}');
insert into ledger (sequence, run, line) values
    (11, 'fdc4adf6-d215-8031-a734-578f88d4ed8a', '{"at":"2026-09-21T14:13:20.02Z","fact":{"happened":{"elapsed_ms":9,"event":"finished","outcome":"succeeded"},"kind":"run","reference":"aj49","run":"fdc4adf6-d215-8031-a734-578f88d4ed8a"},"sequence":11}');
insert into ledger (sequence, run, line) values
    (12, NULL, '{"at":"2026-09-21T14:13:20Z","fact":{"inbound":"slack:T1:C1:4","kind":"received","platform":"slack","source":"chat","speaker":"3cfcb39748458fcb73c4b842814ae1c0805418a330964ee7b9e292d23c43a981","text":"bc553424682270dbd532c3121858df834e3a751c9d391870720d683634d6a3d9"},"sequence":12}');
insert into ledger (sequence, run, line) values
    (13, 'cc3341be-b648-826d-bcfb-6ba701490c9f', '{"at":"2026-09-21T14:13:20.004Z","fact":{"actor":{"person":"bo"},"decision":"allow","groups":["engineering"],"inbound":"slack:T1:C1:4","invocation":{"again":false,"arguments":{},"command":"flush-cache","environment":"prod","project":"shop","reason":null},"kind":"decided","plan":"b92dc3f1b4305d1cbfabf6b2092465ecac2946be0b5fdf78c0f896449917bb4e","reference":"bnv2","rule":{"file":"runbooks/shop.yaml","line":3,"revision":"0123456789ab"},"run":"cc3341be-b648-826d-bcfb-6ba701490c9f"},"sequence":13}');
insert into ledger (sequence, run, line) values
    (14, 'cc3341be-b648-826d-bcfb-6ba701490c9f', '{"at":"2026-09-21T14:13:20.02Z","fact":{"happened":{"attempt":1,"event":"step_started","position":0,"step":"ban"},"kind":"run","reference":"bnv2","run":"cc3341be-b648-826d-bcfb-6ba701490c9f"},"sequence":14}');
insert into ledger (sequence, run, line) values
    (15, 'cc3341be-b648-826d-bcfb-6ba701490c9f', '{"at":"2026-09-21T14:13:20.02Z","fact":{"happened":{"attempt":1,"elapsed_ms":5,"event":"step_ended","output_sha256":null,"position":0,"result":{"result":"unknown","why":"the connection broke"},"step":"ban"},"kind":"run","reference":"bnv2","run":"cc3341be-b648-826d-bcfb-6ba701490c9f"},"sequence":15}');
insert into ledger (sequence, run, line) values
    (16, 'cc3341be-b648-826d-bcfb-6ba701490c9f', '{"at":"2026-09-21T14:13:20.02Z","fact":{"happened":{"elapsed_ms":9,"event":"finished","outcome":"needs_attention"},"kind":"run","reference":"bnv2","run":"cc3341be-b648-826d-bcfb-6ba701490c9f"},"sequence":16}');
insert into ledger (sequence, run, line) values
    (17, NULL, '{"at":"2026-09-21T14:13:20Z","fact":{"inbound":"slack:T1:C1:5","kind":"received","platform":"slack","source":"chat","speaker":"ff33a2d2eef7bf0784ee206ffa2c4fa5a7b3159b8754a3c684ec9d5060634e45","text":"0232eaa3beb4166fb30a033a8fcf61417ce2b1ef75329b9039b4faedce53ff21"},"sequence":17}');
insert into ledger (sequence, run, line) values
    (18, '0a94a420-75ba-890f-9d27-8cd8388dc0f4', '{"at":"2026-09-21T14:13:20.005Z","fact":{"actor":{"person":"bo"},"decision":"allow","groups":["engineering"],"inbound":"slack:T1:C1:5","invocation":{"again":false,"arguments":{},"command":"flush-cache","environment":"prod","project":"shop","reason":null},"kind":"decided","plan":null,"reference":"f22j","rule":{"file":"runbooks/shop.yaml","line":3,"revision":"0123456789ab"},"run":"0a94a420-75ba-890f-9d27-8cd8388dc0f4"},"sequence":18}');
insert into ledger (sequence, run, line) values
    (19, NULL, '{"at":"2026-09-21T14:13:20Z","fact":{"inbound":"slack:T1:C1:6","kind":"received","platform":"slack","source":"chat","speaker":"a3504846dfeef5c21e2549119f4cb946da0a87bbc46b8e27c3a1bc4f1142d235","text":"94676e34354cb4d922a68c74c77f5d1edeaf0fc39b6584bf1554f68424b71b44"},"sequence":19}');
insert into ledger (sequence, run, line) values
    (2, NULL, '{"at":"2026-09-21T14:13:20Z","fact":{"inbound":"slack:T1:C1:2","kind":"received","platform":"slack","source":"chat","speaker":"6b5120450fadd9fe6f35539ef2eaa66051b09399dfbd17d553ec3c6427d075b1","text":"e7943875fb65cfa0f62ee7f6efc28f4cf625268c04ebc776800a5e2b53aceed2"},"sequence":2}');
insert into ledger (sequence, run, line) values
    (20, 'e53c4f79-0a56-8fcd-bbaf-3b43c17fc8f0', '{"at":"2026-09-21T14:13:20.006Z","fact":{"actor":{"person":"bo"},"decision":"allow","groups":["engineering"],"inbound":"slack:T1:C1:6","invocation":{"again":false,"arguments":{},"command":"flush-cache","environment":"prod","project":"shop","reason":null},"kind":"decided","plan":"62b91fd5f3102c011455a35993f526cca9c690c79dc99765bc750c8f1184eced","reference":"dtqf","rule":{"file":"runbooks/shop.yaml","line":3,"revision":"0123456789ab"},"run":"e53c4f79-0a56-8fcd-bbaf-3b43c17fc8f0"},"sequence":20}');
insert into ledger (sequence, run, line) values
    (21, 'e53c4f79-0a56-8fcd-bbaf-3b43c17fc8f0', '{"at":"2026-09-21T14:13:20.02Z","fact":{"happened":{"attempt":1,"event":"step_started","position":0,"step":"ban"},"kind":"run","reference":"dtqf","run":"e53c4f79-0a56-8fcd-bbaf-3b43c17fc8f0"},"sequence":21}');
insert into ledger (sequence, run, line) values
    (22, 'e53c4f79-0a56-8fcd-bbaf-3b43c17fc8f0', '{"at":"2026-09-21T14:13:20.02Z","fact":{"happened":{"attempt":1,"effect":"read","event":"step_interrupted","position":0,"step":"ban"},"kind":"run","reference":"dtqf","run":"e53c4f79-0a56-8fcd-bbaf-3b43c17fc8f0"},"sequence":22}');
insert into ledger (sequence, run, line) values
    (23, NULL, '{"at":"2026-09-21T14:13:20Z","fact":{"inbound":"slack:T1:C1:7","kind":"received","platform":"slack","source":"chat","speaker":"de8a62f58db643694cb4755162a9aa61cf8fda0cd06047d9db10de2ef7adabfc","text":"841371212d1776f2c42d1bb8531d0ac16c22fc094da463172bc525c01f66d890"},"sequence":23}');
insert into ledger (sequence, run, line) values
    (24, '082797d3-0916-81fc-bfbb-ca483ad65c71', '{"at":"2026-09-21T14:13:20.007Z","fact":{"actor":{"person":"bo"},"decision":"allow","groups":["engineering"],"inbound":"slack:T1:C1:7","invocation":{"again":false,"arguments":{},"command":"flush-cache","environment":"prod","project":"shop","reason":null},"kind":"decided","plan":"836ab8463add7cc05be278c25a177318b12c7464f64fa63607f7d394d3afdf55","reference":"vp8y","rule":{"file":"runbooks/shop.yaml","line":3,"revision":"0123456789ab"},"run":"082797d3-0916-81fc-bfbb-ca483ad65c71"},"sequence":24}');
insert into ledger (sequence, run, line) values
    (25, '082797d3-0916-81fc-bfbb-ca483ad65c71', '{"at":"2026-09-21T14:13:20.02Z","fact":{"happened":{"attempt":1,"event":"step_started","position":0,"step":"ban"},"kind":"run","reference":"vp8y","run":"082797d3-0916-81fc-bfbb-ca483ad65c71"},"sequence":25}');
insert into ledger (sequence, run, line) values
    (26, '082797d3-0916-81fc-bfbb-ca483ad65c71', '{"at":"2026-09-21T14:13:20.02Z","fact":{"happened":{"by":"bo","event":"cancel_requested"},"kind":"run","reference":"vp8y","run":"082797d3-0916-81fc-bfbb-ca483ad65c71"},"sequence":26}');
insert into ledger (sequence, run, line) values
    (27, '082797d3-0916-81fc-bfbb-ca483ad65c71', '{"at":"2026-09-21T14:13:20.02Z","fact":{"happened":{"attempt":1,"elapsed_ms":5,"event":"step_ended","output_sha256":"0000000000000000000000000000000000000000000000000000000000000000","position":0,"result":{"result":"rejected","why":"no"},"step":"ban"},"kind":"run","reference":"vp8y","run":"082797d3-0916-81fc-bfbb-ca483ad65c71"},"sequence":27}');
insert into ledger (sequence, run, line) values
    (28, '082797d3-0916-81fc-bfbb-ca483ad65c71', '{"at":"2026-09-21T14:13:20.02Z","fact":{"happened":{"elapsed_ms":9,"event":"finished","outcome":"failed"},"kind":"run","reference":"vp8y","run":"082797d3-0916-81fc-bfbb-ca483ad65c71"},"sequence":28}');
insert into ledger (sequence, run, line) values
    (29, NULL, '{"at":"2026-09-21T14:13:20Z","fact":{"inbound":"slack:T1:C1:8","kind":"received","platform":"slack","source":"chat","speaker":"f2d79f46fc617c6e4f3ad99fdc5d5592fa926c203071829965f20456e62207fe","text":"d64cce26ff6f7afdb2e68b1aebae6566a1195e9ec826cf5dd358d15a49aabfec"},"sequence":29}');
insert into ledger (sequence, run, line) values
    (3, 'bca40af3-d5ee-8f8c-8fe6-424323dff099', '{"at":"2026-09-21T14:13:20.002Z","fact":{"actor":{"person":"bo"},"decision":"allow","groups":["engineering"],"inbound":"slack:T1:C1:2","invocation":{"again":false,"arguments":{},"command":"flush-cache","environment":"prod","project":"shop","reason":null},"kind":"decided","plan":"836ab8463add7cc05be278c25a177318b12c7464f64fa63607f7d394d3afdf55","reference":"5893","rule":{"file":"runbooks/shop.yaml","line":3,"revision":"0123456789ab"},"run":"bca40af3-d5ee-8f8c-8fe6-424323dff099"},"sequence":3}');
insert into ledger (sequence, run, line) values
    (30, '396f23a2-b4a3-8dcc-910a-93a19dd37d39', '{"at":"2026-09-21T14:13:20.008Z","fact":{"actor":{"person":"bo"},"decision":"allow","groups":["engineering"],"inbound":"slack:T1:C1:8","invocation":{"again":false,"arguments":{},"command":"flush-cache","environment":"prod","project":"shop","reason":null},"kind":"decided","plan":"2cd7a8997e74f9abe9c4c2e5118b21467564cb5f9393191572897716b4a794fe","reference":"9btm","rule":{"file":"runbooks/shop.yaml","line":3,"revision":"0123456789ab"},"run":"396f23a2-b4a3-8dcc-910a-93a19dd37d39"},"sequence":30}');
insert into ledger (sequence, run, line) values
    (31, '396f23a2-b4a3-8dcc-910a-93a19dd37d39', '{"at":"2026-09-21T14:13:20.02Z","fact":{"happened":{"attempt":1,"event":"step_started","position":0,"step":"ban"},"kind":"run","reference":"9btm","run":"396f23a2-b4a3-8dcc-910a-93a19dd37d39"},"sequence":31}');
insert into ledger (sequence, run, line) values
    (32, '396f23a2-b4a3-8dcc-910a-93a19dd37d39', '{"at":"2026-09-21T14:13:20.02Z","fact":{"happened":{"attempt":1,"elapsed_ms":5,"event":"step_ended","output_sha256":null,"position":0,"result":{"result":"unknown","why":"the connection broke"},"step":"ban"},"kind":"run","reference":"9btm","run":"396f23a2-b4a3-8dcc-910a-93a19dd37d39"},"sequence":32}');
insert into ledger (sequence, run, line) values
    (33, '396f23a2-b4a3-8dcc-910a-93a19dd37d39', '{"at":"2026-09-21T14:13:20.02Z","fact":{"happened":{"elapsed_ms":9,"event":"finished","outcome":"needs_attention"},"kind":"run","reference":"9btm","run":"396f23a2-b4a3-8dcc-910a-93a19dd37d39"},"sequence":33}');
insert into ledger (sequence, run, line) values
    (34, '396f23a2-b4a3-8dcc-910a-93a19dd37d39', '{"at":"2026-09-21T14:13:20.02Z","fact":{"happened":{"by":"ana","event":"settled","verdict":"again"},"kind":"run","reference":"9btm","run":"396f23a2-b4a3-8dcc-910a-93a19dd37d39"},"sequence":34}');
insert into ledger (sequence, run, line) values
    (35, NULL, '{"at":"2026-09-21T14:13:20.04Z","fact":{"kind":"service","now":"started","version":"0.1.0"},"sequence":35}');
insert into ledger (sequence, run, line) values
    (36, NULL, '{"at":"2026-09-21T14:13:20.04Z","fact":{"commands":1,"kind":"catalog_loaded","projects":1,"revision":"0123456789ab"},"sequence":36}');
insert into ledger (sequence, run, line) values
    (37, NULL, '{"at":"2026-09-21T14:13:20.04Z","fact":{"first":"x:1: y","kind":"catalog_kept","mistakes":1,"revision":"0123456789ab"},"sequence":37}');
insert into ledger (sequence, run, line) values
    (38, NULL, '{"at":"2026-09-21T14:13:20.04Z","fact":{"kind":"set_back","why":"a test"},"sequence":38}');
insert into ledger (sequence, run, line) values
    (39, NULL, '{"at":"2026-09-21T14:13:20.04Z","fact":{"actor":"stranger","inbound":"slack:T1:C1:1","kind":"refused","refusal":"bot"},"sequence":39}');
insert into ledger (sequence, run, line) values
    (4, 'bca40af3-d5ee-8f8c-8fe6-424323dff099', '{"at":"2026-09-21T14:13:20.02Z","fact":{"happened":{"attempt":1,"event":"step_started","position":0,"step":"ban"},"kind":"run","reference":"5893","run":"bca40af3-d5ee-8f8c-8fe6-424323dff099"},"sequence":4}');
insert into ledger (sequence, run, line) values
    (40, NULL, '{"at":"2026-09-21T14:13:20Z","fact":{"inbound":"slack:T1:C1:20","kind":"received","platform":"slack","source":"chat","speaker":"49c6bfae3b2d537ac01131fbb35dcb1cdce8e3bf632d1cfb3b97d71410057729","text":"18625674f8c8686e2572843b10429669c722b3eeb46e718d70f6a04590ec533a"},"sequence":40}');
insert into ledger (sequence, run, line) values
    (41, NULL, '{"at":"2026-09-21T14:13:20Z","fact":{"inbound":"slack:T1:C1:21","kind":"received","platform":"slack","source":"chat","speaker":"f99630fb4f07cde17a28636b774cf718eee771ef628ef267dca63f3fc46e3ff9","text":"60b0a7ae547705b6c921a3e0573df30e06bdd4fb9e28992da06f69a1370f291b"},"sequence":41}');
insert into ledger (sequence, run, line) values
    (42, NULL, '{"at":"2026-09-21T14:13:20Z","fact":{"inbound":"slack:T1:C1:22","kind":"received","platform":"slack","source":"chat","speaker":"9a443c74f82b6937216256ea83313267db5cf9567250c9dc8babaf6c1f29f1f7","text":"c544f769342702585b80e9cff5bda7f75cc2681ccc5effcf5bd0ec4a01abf93a"},"sequence":42}');
insert into ledger (sequence, run, line) values
    (43, NULL, '{"at":"2026-09-21T14:13:20.05Z","fact":{"actor":"stranger","inbound":"slack:T1:C1:21","kind":"answered","question":"help"},"sequence":43}');
insert into ledger (sequence, run, line) values
    (5, NULL, '{"at":"2026-09-21T14:13:20Z","fact":{"inbound":"slack:T1:C1:3","kind":"received","platform":"slack","source":"chat","speaker":"81024ca4ee996eeb24e858de81a738daa05202151ce3fcb6baa9c1920e207186","text":"a794e4e747cfdff403f2ae8a9ac9d685a5c6910580f7d13c175f5d1bc62038a3"},"sequence":5}');
insert into ledger (sequence, run, line) values
    (6, 'fdc4adf6-d215-8031-a734-578f88d4ed8a', '{"at":"2026-09-21T14:13:20.003Z","fact":{"actor":{"person":"bo"},"decision":"allow","groups":["engineering"],"inbound":"slack:T1:C1:3","invocation":{"again":false,"arguments":{},"command":"flush-cache","environment":"prod","project":"shop","reason":null},"kind":"decided","plan":"2cd7a8997e74f9abe9c4c2e5118b21467564cb5f9393191572897716b4a794fe","reference":"aj49","rule":{"file":"runbooks/shop.yaml","line":3,"revision":"0123456789ab"},"run":"fdc4adf6-d215-8031-a734-578f88d4ed8a"},"sequence":6}');
insert into ledger (sequence, run, line) values
    (7, 'fdc4adf6-d215-8031-a734-578f88d4ed8a', '{"at":"2026-09-21T14:13:20.02Z","fact":{"happened":{"attempt":1,"event":"step_started","position":0,"step":"ban"},"kind":"run","reference":"aj49","run":"fdc4adf6-d215-8031-a734-578f88d4ed8a"},"sequence":7}');
insert into ledger (sequence, run, line) values
    (8, 'fdc4adf6-d215-8031-a734-578f88d4ed8a', '{"at":"2026-09-21T14:13:20.02Z","fact":{"happened":{"attempt":1,"elapsed_ms":5,"event":"step_ended","output_sha256":null,"position":0,"result":{"note":"done","result":"succeeded"},"step":"ban"},"kind":"run","reference":"aj49","run":"fdc4adf6-d215-8031-a734-578f88d4ed8a"},"sequence":8}');
insert into ledger (sequence, run, line) values
    (9, 'fdc4adf6-d215-8031-a734-578f88d4ed8a', '{"at":"2026-09-21T14:13:20.02Z","fact":{"happened":{"attempt":1,"event":"step_started","position":1,"step":"verify"},"kind":"run","reference":"aj49","run":"fdc4adf6-d215-8031-a734-578f88d4ed8a"},"sequence":9}');

delete from tree;
insert into tree (id, size, nodes) values
    (1, 44, '["84bc82ddb12dff33874f7f5e9bb5122f317d2524c7b6a4b0abc301e1736a0084","1bdb1f3600ed968bbe9ba8e5b8356cb4e8f3bffe7204751259fa7795bcf26bdd","1e2095bd00fe6cdf58582037f78c903cf89bef1d40b980fdd751fda032aaea47"]');

insert into checkpoints (size, note, at) values
    (12, 'midwatch/9f6e7c4f96fd961c
12
aE7axCyYepXJYNe5A2WyCmCi3tQmz4AusAMnkqq3VAQ=

— midwatch/9f6e7c4f96fd961c BIEeXyvsgHfqB0cL7DuUi5oT9Y/UBZ1iL5GEChZ6xf3gi3OMA/ertAZluqI+KOZ+yNQheGnT6y5fAe4HX8HeJGoWHAs=
', 1790000000020);
insert into checkpoints (size, note, at) values
    (17, 'midwatch/9f6e7c4f96fd961c
17
4EAnR7aIgFm0QSsnSpzxuc7Wz73LqalUQMLILs8X7iA=

— midwatch/9f6e7c4f96fd961c BIEeX4cp1wvcEGWAyKIlFG8KhUM6aCl4YHJQr3xlFb1TBasPTspN4bOWapiN6Xqk2NQo81k50mKQTTQtCr4CmHEOwAY=
', 1790000000020);
insert into checkpoints (size, note, at) values
    (29, 'midwatch/9f6e7c4f96fd961c
29
Yw9fyuX75W4IlCU8dXBQ3NfJCkXQzLdI+55pvksD84o=

— midwatch/9f6e7c4f96fd961c BIEeX4sEZ/kkkcZe7kmal7rEvev5hzOTpuxGppXOPBublO68Myb86NisdMbFi2+uxAdrpK3fb868qdeZ5zGGCQHTHgU=
', 1790000000020);
insert into checkpoints (size, note, at) values
    (34, 'midwatch/9f6e7c4f96fd961c
34
SL4PjznyVMWyA8ABsac0BceEJVsIyRfTDinqTJZi93A=

— midwatch/9f6e7c4f96fd961c BIEeX8z8WiR4BatUYFKqRgzZyrruqKheWneB+FQ/JgCXH7U0MO0sKKa7HP8KT3MTN2qrDf/KyHYzNtFfU2fK0qMTzQ8=
', 1790000000020);

insert into runs (id, reference, project, same_target, lock, holds_lock, phase, outcome, details, phase_json, plan, cancelled_by, doubted_at, created_at, started_at, finished_at, due_at, fence, leased_by, leased_until, home) values
    ('082797d3-0916-81fc-bfbb-ca483ad65c71', 'vp8y', 'shop', 'flush-cache/shop/prod/44136fa355b3678a', 'lock/7', 0, 'finished', 'failed', '{"invocation":{"command":"flush-cache","project":"shop","environment":"prod","arguments":{},"again":false,"reason":null},"requester":{"person":"bo"},"rule":{"file":"runbooks/shop.yaml","line":3,"revision":"0123456789ab"},"place":{"platform":"slack","space":"T1","channel":"C1","thread":null}}', '{"finished":"failed"}', '{"revision":"0123456789ab","risk":"low","undo":null,"check":null,"steps":[{"name":"ban","action":{"run":{"argv":[[{"text":"true"}]],"directory":null,"environment":{},"pass":[]}},"verify":null,"effect":"idempotent","timeout_ms":1000,"attempts":1,"hosts":[]},{"name":"verify","action":{"run":{"argv":[[{"text":"true"}]],"directory":null,"environment":{},"pass":[]}},"verify":null,"effect":"read","timeout_ms":1000,"attempts":1,"hosts":[]}]}', 'bo', NULL, 1790000000000, 1790000000020, 1790000000020, NULL, 1, 'f27cd244-778f-42d9-ba99-188e0d6f5600/worker', 1790000060010, NULL);
insert into runs (id, reference, project, same_target, lock, holds_lock, phase, outcome, details, phase_json, plan, cancelled_by, doubted_at, created_at, started_at, finished_at, due_at, fence, leased_by, leased_until, home) values
    ('0a94a420-75ba-890f-9d27-8cd8388dc0f4', 'f22j', 'shop', 'flush-cache/shop/prod/44136fa355b3678a', 'lock/5', 0, 'awaiting_approval', NULL, '{"invocation":{"command":"flush-cache","project":"shop","environment":"prod","arguments":{},"again":false,"reason":null},"requester":{"person":"bo"},"rule":{"file":"runbooks/shop.yaml","line":3,"revision":"0123456789ab"},"place":{"platform":"slack","space":"T1","channel":"C1","thread":null}}', '{"awaiting_approval":{"terms":{"approvals":2,"of":[{"group":"engineering"}],"within":{"secs":60,"nanos":0}},"until":"2027-01-15T07:59:59.999Z","approvers":["ana"]}}', NULL, NULL, NULL, 1790000000000, NULL, NULL, 1799999999999, 0, NULL, NULL, NULL);
insert into runs (id, reference, project, same_target, lock, holds_lock, phase, outcome, details, phase_json, plan, cancelled_by, doubted_at, created_at, started_at, finished_at, due_at, fence, leased_by, leased_until, home) values
    ('396f23a2-b4a3-8dcc-910a-93a19dd37d39', '9btm', 'shop', 'flush-cache/shop/prod/44136fa355b3678a', 'lock/8', 1, 'running', NULL, '{"invocation":{"command":"flush-cache","project":"shop","environment":"prod","arguments":{},"again":false,"reason":null},"requester":{"person":"bo"},"rule":{"file":"runbooks/shop.yaml","line":3,"revision":"0123456789ab"},"place":{"platform":"slack","space":"T1","channel":"C1","thread":null}}', '"running"', '{"revision":"0123456789ab","risk":"low","undo":null,"check":null,"steps":[{"name":"ban","action":{"run":{"argv":[[{"text":"true"}]],"directory":null,"environment":{},"pass":[]}},"verify":null,"effect":"keyed","timeout_ms":1000,"attempts":1,"hosts":[]},{"name":"verify","action":{"run":{"argv":[[{"text":"true"}]],"directory":null,"environment":{},"pass":[]}},"verify":null,"effect":"read","timeout_ms":1000,"attempts":1,"hosts":[]}]}', NULL, NULL, 1790000000000, 1790000000020, NULL, -9223372036854775808, 1, NULL, NULL, NULL);
insert into runs (id, reference, project, same_target, lock, holds_lock, phase, outcome, details, phase_json, plan, cancelled_by, doubted_at, created_at, started_at, finished_at, due_at, fence, leased_by, leased_until, home) values
    ('5db9228f-5a78-8a82-bb82-522a68bcb563', 'nq1a', 'shop', 'flush-cache/shop/prod/44136fa355b3678a', 'lock/1', 1, 'queued', NULL, '{"invocation":{"command":"flush-cache","project":"shop","environment":"prod","arguments":{},"again":false,"reason":null},"requester":{"person":"bo"},"rule":{"file":"runbooks/shop.yaml","line":3,"revision":"0123456789ab"},"place":{"platform":"slack","space":"T1","channel":"C1","thread":null}}', '{"queued":{"since":"2026-09-21T14:13:20Z"}}', '{"revision":"0123456789ab","risk":"low","undo":null,"check":null,"steps":[{"name":"ban","action":{"run":{"argv":[[{"text":"true"}]],"directory":null,"environment":{},"pass":[]}},"verify":null,"effect":"read","timeout_ms":1000,"attempts":1,"hosts":[]},{"name":"verify","action":{"run":{"argv":[[{"text":"true"}]],"directory":null,"environment":{},"pass":[]}},"verify":null,"effect":"read","timeout_ms":1000,"attempts":1,"hosts":[]}]}', NULL, NULL, 1790000000000, NULL, NULL, -9223372036854775808, 0, NULL, NULL, NULL);
insert into runs (id, reference, project, same_target, lock, holds_lock, phase, outcome, details, phase_json, plan, cancelled_by, doubted_at, created_at, started_at, finished_at, due_at, fence, leased_by, leased_until, home) values
    ('bca40af3-d5ee-8f8c-8fe6-424323dff099', '5893', 'shop', 'flush-cache/shop/prod/44136fa355b3678a', 'lock/2', 1, 'running', NULL, '{"invocation":{"command":"flush-cache","project":"shop","environment":"prod","arguments":{},"again":false,"reason":null},"requester":{"person":"bo"},"rule":{"file":"runbooks/shop.yaml","line":3,"revision":"0123456789ab"},"place":{"platform":"slack","space":"T1","channel":"C1","thread":null}}', '"running"', '{"revision":"0123456789ab","risk":"low","undo":null,"check":null,"steps":[{"name":"ban","action":{"run":{"argv":[[{"text":"true"}]],"directory":null,"environment":{},"pass":[]}},"verify":null,"effect":"idempotent","timeout_ms":1000,"attempts":1,"hosts":[]},{"name":"verify","action":{"run":{"argv":[[{"text":"true"}]],"directory":null,"environment":{},"pass":[]}},"verify":null,"effect":"read","timeout_ms":1000,"attempts":1,"hosts":[]}]}', NULL, NULL, 1790000000000, 1790000000020, NULL, -9223372036854775808, 1, 'f27cd244-778f-42d9-ba99-188e0d6f5600/worker', 1790000060010, 'f27cd244-778f-42d9-ba99-188e0d6f5600');
insert into runs (id, reference, project, same_target, lock, holds_lock, phase, outcome, details, phase_json, plan, cancelled_by, doubted_at, created_at, started_at, finished_at, due_at, fence, leased_by, leased_until, home) values
    ('cc3341be-b648-826d-bcfb-6ba701490c9f', 'bnv2', 'shop', 'flush-cache/shop/prod/44136fa355b3678a', 'lock/4', 1, 'finished', 'needs_attention', '{"invocation":{"command":"flush-cache","project":"shop","environment":"prod","arguments":{},"again":false,"reason":null},"requester":{"person":"bo"},"rule":{"file":"runbooks/shop.yaml","line":3,"revision":"0123456789ab"},"place":{"platform":"slack","space":"T1","channel":"C1","thread":null}}', '{"finished":"needs_attention"}', '{"revision":"0123456789ab","risk":"low","undo":null,"check":null,"steps":[{"name":"ban","action":{"run":{"argv":[[{"text":"true"}]],"directory":null,"environment":{},"pass":[]}},"verify":null,"effect":"checked","timeout_ms":1000,"attempts":1,"hosts":[]},{"name":"verify","action":{"run":{"argv":[[{"text":"true"}]],"directory":null,"environment":{},"pass":[]}},"verify":null,"effect":"read","timeout_ms":1000,"attempts":1,"hosts":[]}]}', NULL, NULL, 1790000000000, 1790000000020, 1790000000020, NULL, 1, 'f27cd244-778f-42d9-ba99-188e0d6f5600/worker', 1790000060010, NULL);
insert into runs (id, reference, project, same_target, lock, holds_lock, phase, outcome, details, phase_json, plan, cancelled_by, doubted_at, created_at, started_at, finished_at, due_at, fence, leased_by, leased_until, home) values
    ('e53c4f79-0a56-8fcd-bbaf-3b43c17fc8f0', 'dtqf', 'shop', 'flush-cache/shop/prod/44136fa355b3678a', 'lock/6', 1, 'running', NULL, '{"invocation":{"command":"flush-cache","project":"shop","environment":"prod","arguments":{},"again":false,"reason":null},"requester":{"person":"bo"},"rule":{"file":"runbooks/shop.yaml","line":3,"revision":"0123456789ab"},"place":{"platform":"slack","space":"T1","channel":"C1","thread":null}}', '"running"', '{"revision":"0123456789ab","risk":"low","undo":null,"check":null,"steps":[{"name":"ban","action":{"run":{"argv":[[{"text":"true"}]],"directory":null,"environment":{},"pass":[]}},"verify":null,"effect":"read","timeout_ms":1000,"attempts":1,"hosts":[]},{"name":"verify","action":{"run":{"argv":[[{"text":"true"}]],"directory":null,"environment":{},"pass":[]}},"verify":null,"effect":"read","timeout_ms":1000,"attempts":1,"hosts":[]}]}', NULL, NULL, 1790000000000, 1790000000020, NULL, -9223372036854775808, 1, NULL, NULL, NULL);
insert into runs (id, reference, project, same_target, lock, holds_lock, phase, outcome, details, phase_json, plan, cancelled_by, doubted_at, created_at, started_at, finished_at, due_at, fence, leased_by, leased_until, home) values
    ('fdc4adf6-d215-8031-a734-578f88d4ed8a', 'aj49', 'shop', 'flush-cache/shop/prod/44136fa355b3678a', 'lock/3', 0, 'finished', 'succeeded', '{"invocation":{"command":"flush-cache","project":"shop","environment":"prod","arguments":{},"again":false,"reason":null},"requester":{"person":"bo"},"rule":{"file":"runbooks/shop.yaml","line":3,"revision":"0123456789ab"},"place":{"platform":"slack","space":"T1","channel":"C1","thread":null}}', '{"finished":"succeeded"}', '{"revision":"0123456789ab","risk":"low","undo":null,"check":null,"steps":[{"name":"ban","action":{"run":{"argv":[[{"text":"true"}]],"directory":null,"environment":{},"pass":[]}},"verify":null,"effect":"keyed","timeout_ms":1000,"attempts":1,"hosts":[]},{"name":"verify","action":{"run":{"argv":[[{"text":"true"}]],"directory":null,"environment":{},"pass":[]}},"verify":null,"effect":"read","timeout_ms":1000,"attempts":1,"hosts":[]}]}', NULL, NULL, 1790000000000, 1790000000020, 1790000000020, NULL, 1, 'f27cd244-778f-42d9-ba99-188e0d6f5600/worker', 1790000060010, NULL);

insert into steps (run, position, name, effect, state, attempt, result, at) values
    ('082797d3-0916-81fc-bfbb-ca483ad65c71', 0, 'ban', 'idempotent', 'ended', 1, '{"result":"rejected","why":"no"}', 1790000000020);
insert into steps (run, position, name, effect, state, attempt, result, at) values
    ('082797d3-0916-81fc-bfbb-ca483ad65c71', 1, 'verify', 'read', 'pending', 0, NULL, NULL);
insert into steps (run, position, name, effect, state, attempt, result, at) values
    ('396f23a2-b4a3-8dcc-910a-93a19dd37d39', 0, 'ban', 'keyed', 'cleared', 1, NULL, 1790000000020);
insert into steps (run, position, name, effect, state, attempt, result, at) values
    ('396f23a2-b4a3-8dcc-910a-93a19dd37d39', 1, 'verify', 'read', 'pending', 0, NULL, NULL);
insert into steps (run, position, name, effect, state, attempt, result, at) values
    ('5db9228f-5a78-8a82-bb82-522a68bcb563', 0, 'ban', 'read', 'pending', 0, NULL, NULL);
insert into steps (run, position, name, effect, state, attempt, result, at) values
    ('5db9228f-5a78-8a82-bb82-522a68bcb563', 1, 'verify', 'read', 'pending', 0, NULL, NULL);
insert into steps (run, position, name, effect, state, attempt, result, at) values
    ('bca40af3-d5ee-8f8c-8fe6-424323dff099', 0, 'ban', 'idempotent', 'started', 1, NULL, 1790000000020);
insert into steps (run, position, name, effect, state, attempt, result, at) values
    ('bca40af3-d5ee-8f8c-8fe6-424323dff099', 1, 'verify', 'read', 'pending', 0, NULL, NULL);
insert into steps (run, position, name, effect, state, attempt, result, at) values
    ('cc3341be-b648-826d-bcfb-6ba701490c9f', 0, 'ban', 'checked', 'ended', 1, '{"result":"unknown","why":"the connection broke"}', 1790000000020);
insert into steps (run, position, name, effect, state, attempt, result, at) values
    ('cc3341be-b648-826d-bcfb-6ba701490c9f', 1, 'verify', 'read', 'pending', 0, NULL, NULL);
insert into steps (run, position, name, effect, state, attempt, result, at) values
    ('e53c4f79-0a56-8fcd-bbaf-3b43c17fc8f0', 0, 'ban', 'read', 'interrupted', 1, NULL, 1790000000020);
insert into steps (run, position, name, effect, state, attempt, result, at) values
    ('e53c4f79-0a56-8fcd-bbaf-3b43c17fc8f0', 1, 'verify', 'read', 'pending', 0, NULL, NULL);
insert into steps (run, position, name, effect, state, attempt, result, at) values
    ('fdc4adf6-d215-8031-a734-578f88d4ed8a', 0, 'ban', 'keyed', 'ended', 1, '{"result":"succeeded","note":"done"}', 1790000000020);
insert into steps (run, position, name, effect, state, attempt, result, at) values
    ('fdc4adf6-d215-8031-a734-578f88d4ed8a', 1, 'verify', 'read', 'ended', 1, '{"result":"succeeded","note":"done"}', 1790000000020);

insert into output (run, position, attempt, part, text) values
    ('bca40af3-d5ee-8f8c-8fe6-424323dff099', 0, 1, 0, 'it''s
fine');

insert into outbox (id, kind, platform, channel, place, run, body, final, state, version, delivered_version, message, in_doubt, attempts, not_before, why) values
    (7331840000004096, 'root', 'slack', '["T1","C1"]', '{"platform":"slack","space":"T1","channel":"C1","thread":null}', '5db9228f-5a78-8a82-bb82-522a68bcb563', '{"to":{"platform":"slack","space":"T1","channel":"C1","thread":null},"kind":{"kind":"root"},"run":"5db9228f-5a78-8a82-bb82-522a68bcb563","message":{"blocks":[{"text":[{"plain":"root"}]}]}}', 0, 'waiting', 1, 1, 'm1', 0, 0, 1790000005000, NULL);
insert into outbox (id, kind, platform, channel, place, run, body, final, state, version, delivered_version, message, in_doubt, attempts, not_before, why) values
    (7331840000004097, 'line', 'slack', '["T1","C1"]', '{"platform":"slack","space":"T1","channel":"C1","thread":null}', '5db9228f-5a78-8a82-bb82-522a68bcb563', '{"to":{"platform":"slack","space":"T1","channel":"C1","thread":null},"kind":{"kind":"line","attachment":null,"last":false},"run":"5db9228f-5a78-8a82-bb82-522a68bcb563","message":{"blocks":[{"text":[{"plain":"first"}]}]}}', 0, 'waiting', 1, 0, NULL, 0, 0, -9223372036854775808, NULL);
insert into outbox (id, kind, platform, channel, place, run, body, final, state, version, delivered_version, message, in_doubt, attempts, not_before, why) values
    (7331840000004098, 'line', 'slack', '["T1","C1"]', '{"platform":"slack","space":"T1","channel":"C1","thread":null}', '5db9228f-5a78-8a82-bb82-522a68bcb563', '{"to":{"platform":"slack","space":"T1","channel":"C1","thread":null},"kind":{"kind":"line","attachment":{"run":"5db9228f-5a78-8a82-bb82-522a68bcb563","position":0,"attempt":1},"last":false},"run":"5db9228f-5a78-8a82-bb82-522a68bcb563","message":{"blocks":[{"text":[{"plain":"with a file"}]}]}}', 0, 'waiting', 1, 0, NULL, 0, 0, -9223372036854775808, NULL);
insert into outbox (id, kind, platform, channel, place, run, body, final, state, version, delivered_version, message, in_doubt, attempts, not_before, why) values
    (7331840000008192, 'root', 'slack', '["T1","C1"]', '{"platform":"slack","space":"T1","channel":"C1","thread":null}', 'bca40af3-d5ee-8f8c-8fe6-424323dff099', '{"to":{"platform":"slack","space":"T1","channel":"C1","thread":null},"kind":{"kind":"root"},"run":"bca40af3-d5ee-8f8c-8fe6-424323dff099","message":{"blocks":[{"text":[{"plain":"root"}]}]}}', 0, 'delivered', 1, 1, 'm2', 0, 0, -9223372036854775808, NULL);
insert into outbox (id, kind, platform, channel, place, run, body, final, state, version, delivered_version, message, in_doubt, attempts, not_before, why) values
    (7331840000008193, 'line', 'slack', '["T1","C1"]', '{"platform":"slack","space":"T1","channel":"C1","thread":null}', 'bca40af3-d5ee-8f8c-8fe6-424323dff099', '{"to":{"platform":"slack","space":"T1","channel":"C1","thread":null},"kind":{"kind":"line","attachment":null,"last":false},"run":"bca40af3-d5ee-8f8c-8fe6-424323dff099","message":{"blocks":[{"text":[{"plain":"first"}]}]}}', 0, 'waiting', 1, 0, NULL, 0, 0, -9223372036854775808, NULL);
insert into outbox (id, kind, platform, channel, place, run, body, final, state, version, delivered_version, message, in_doubt, attempts, not_before, why) values
    (7331840000008194, 'line', 'slack', '["T1","C1"]', '{"platform":"slack","space":"T1","channel":"C1","thread":null}', 'bca40af3-d5ee-8f8c-8fe6-424323dff099', '{"to":{"platform":"slack","space":"T1","channel":"C1","thread":null},"kind":{"kind":"line","attachment":{"run":"bca40af3-d5ee-8f8c-8fe6-424323dff099","position":0,"attempt":1},"last":false},"run":"bca40af3-d5ee-8f8c-8fe6-424323dff099","message":{"blocks":[{"text":[{"plain":"with a file"}]}]}}', 0, 'waiting', 1, 0, NULL, 0, 0, -9223372036854775808, NULL);
insert into outbox (id, kind, platform, channel, place, run, body, final, state, version, delivered_version, message, in_doubt, attempts, not_before, why) values
    (7331840000081920, 'output', 'slack', '["T1","C1"]', '{"platform":"slack","space":"T1","channel":"C1","thread":null}', 'bca40af3-d5ee-8f8c-8fe6-424323dff099', '{"to":{"platform":"slack","space":"T1","channel":"C1","thread":null},"kind":{"kind":"output","of":{"run":"bca40af3-d5ee-8f8c-8fe6-424323dff099","position":0,"attempt":1}},"run":"bca40af3-d5ee-8f8c-8fe6-424323dff099","message":{"blocks":[{"text":[{"plain":"out"}]}]}}', 0, 'waiting', 1, 0, NULL, 0, 0, -9223372036854775808, NULL);
insert into outbox (id, kind, platform, channel, place, run, body, final, state, version, delivered_version, message, in_doubt, attempts, not_before, why) values
    (7331840000081921, 'root', 'slack', '["T1","C1"]', '{"platform":"slack","space":"T1","channel":"C1","thread":null}', 'fdc4adf6-d215-8031-a734-578f88d4ed8a', '{"to":{"platform":"slack","space":"T1","channel":"C1","thread":null},"kind":{"kind":"root"},"run":"fdc4adf6-d215-8031-a734-578f88d4ed8a","message":{"blocks":[{"text":[{"plain":"root"}]}]}}', 0, 'waiting', 1, 0, NULL, 0, 0, -9223372036854775808, NULL);
insert into outbox (id, kind, platform, channel, place, run, body, final, state, version, delivered_version, message, in_doubt, attempts, not_before, why) values
    (7331840000081922, 'line', 'slack', '["T1","C1"]', '{"platform":"slack","space":"T1","channel":"C1","thread":null}', 'fdc4adf6-d215-8031-a734-578f88d4ed8a', '{"to":{"platform":"slack","space":"T1","channel":"C1","thread":null},"kind":{"kind":"line","attachment":null,"last":false},"run":"fdc4adf6-d215-8031-a734-578f88d4ed8a","message":{"blocks":[{"text":[{"plain":"first"}]}]}}', 0, 'waiting', 1, 0, NULL, 0, 0, -9223372036854775808, NULL);
insert into outbox (id, kind, platform, channel, place, run, body, final, state, version, delivered_version, message, in_doubt, attempts, not_before, why) values
    (7331840000081923, 'line', 'slack', '["T1","C1"]', '{"platform":"slack","space":"T1","channel":"C1","thread":null}', 'fdc4adf6-d215-8031-a734-578f88d4ed8a', '{"to":{"platform":"slack","space":"T1","channel":"C1","thread":null},"kind":{"kind":"line","attachment":{"run":"fdc4adf6-d215-8031-a734-578f88d4ed8a","position":0,"attempt":1},"last":false},"run":"fdc4adf6-d215-8031-a734-578f88d4ed8a","message":{"blocks":[{"text":[{"plain":"with a file"}]}]}}', 0, 'waiting', 1, 0, NULL, 0, 0, -9223372036854775808, NULL);
insert into outbox (id, kind, platform, channel, place, run, body, final, state, version, delivered_version, message, in_doubt, attempts, not_before, why) values
    (7331840000081924, 'root', 'slack', '["T1","C1"]', '{"platform":"slack","space":"T1","channel":"C1","thread":null}', 'cc3341be-b648-826d-bcfb-6ba701490c9f', '{"to":{"platform":"slack","space":"T1","channel":"C1","thread":null},"kind":{"kind":"root"},"run":"cc3341be-b648-826d-bcfb-6ba701490c9f","message":{"blocks":[{"text":[{"plain":"root"}]}]}}', 0, 'waiting', 1, 0, NULL, 0, 0, -9223372036854775808, NULL);
insert into outbox (id, kind, platform, channel, place, run, body, final, state, version, delivered_version, message, in_doubt, attempts, not_before, why) values
    (7331840000081925, 'line', 'slack', '["T1","C1"]', '{"platform":"slack","space":"T1","channel":"C1","thread":null}', 'cc3341be-b648-826d-bcfb-6ba701490c9f', '{"to":{"platform":"slack","space":"T1","channel":"C1","thread":null},"kind":{"kind":"line","attachment":null,"last":false},"run":"cc3341be-b648-826d-bcfb-6ba701490c9f","message":{"blocks":[{"text":[{"plain":"first"}]}]}}', 0, 'waiting', 1, 0, NULL, 0, 0, -9223372036854775808, NULL);
insert into outbox (id, kind, platform, channel, place, run, body, final, state, version, delivered_version, message, in_doubt, attempts, not_before, why) values
    (7331840000081926, 'line', 'slack', '["T1","C1"]', '{"platform":"slack","space":"T1","channel":"C1","thread":null}', 'cc3341be-b648-826d-bcfb-6ba701490c9f', '{"to":{"platform":"slack","space":"T1","channel":"C1","thread":null},"kind":{"kind":"line","attachment":{"run":"cc3341be-b648-826d-bcfb-6ba701490c9f","position":0,"attempt":1},"last":false},"run":"cc3341be-b648-826d-bcfb-6ba701490c9f","message":{"blocks":[{"text":[{"plain":"with a file"}]}]}}', 0, 'waiting', 1, 0, NULL, 0, 0, -9223372036854775808, NULL);
insert into outbox (id, kind, platform, channel, place, run, body, final, state, version, delivered_version, message, in_doubt, attempts, not_before, why) values
    (7331840000081927, 'root', 'slack', '["T1","C1"]', '{"platform":"slack","space":"T1","channel":"C1","thread":null}', '0a94a420-75ba-890f-9d27-8cd8388dc0f4', '{"to":{"platform":"slack","space":"T1","channel":"C1","thread":null},"kind":{"kind":"root"},"run":"0a94a420-75ba-890f-9d27-8cd8388dc0f4","message":{"blocks":[{"text":[{"plain":"root"}]}]}}', 0, 'waiting', 1, 0, NULL, 0, 0, -9223372036854775808, NULL);
insert into outbox (id, kind, platform, channel, place, run, body, final, state, version, delivered_version, message, in_doubt, attempts, not_before, why) values
    (7331840000081928, 'line', 'slack', '["T1","C1"]', '{"platform":"slack","space":"T1","channel":"C1","thread":null}', '0a94a420-75ba-890f-9d27-8cd8388dc0f4', '{"to":{"platform":"slack","space":"T1","channel":"C1","thread":null},"kind":{"kind":"line","attachment":null,"last":false},"run":"0a94a420-75ba-890f-9d27-8cd8388dc0f4","message":{"blocks":[{"text":[{"plain":"first"}]}]}}', 0, 'waiting', 1, 0, NULL, 0, 0, -9223372036854775808, NULL);
insert into outbox (id, kind, platform, channel, place, run, body, final, state, version, delivered_version, message, in_doubt, attempts, not_before, why) values
    (7331840000081929, 'line', 'slack', '["T1","C1"]', '{"platform":"slack","space":"T1","channel":"C1","thread":null}', '0a94a420-75ba-890f-9d27-8cd8388dc0f4', '{"to":{"platform":"slack","space":"T1","channel":"C1","thread":null},"kind":{"kind":"line","attachment":{"run":"0a94a420-75ba-890f-9d27-8cd8388dc0f4","position":0,"attempt":1},"last":false},"run":"0a94a420-75ba-890f-9d27-8cd8388dc0f4","message":{"blocks":[{"text":[{"plain":"with a file"}]}]}}', 0, 'waiting', 1, 0, NULL, 0, 0, -9223372036854775808, NULL);
insert into outbox (id, kind, platform, channel, place, run, body, final, state, version, delivered_version, message, in_doubt, attempts, not_before, why) values
    (7331840000081930, 'root', 'slack', '["T1","C1"]', '{"platform":"slack","space":"T1","channel":"C1","thread":null}', 'e53c4f79-0a56-8fcd-bbaf-3b43c17fc8f0', '{"to":{"platform":"slack","space":"T1","channel":"C1","thread":null},"kind":{"kind":"root"},"run":"e53c4f79-0a56-8fcd-bbaf-3b43c17fc8f0","message":{"blocks":[{"text":[{"plain":"root"}]}]}}', 0, 'waiting', 1, 0, NULL, 0, 0, -9223372036854775808, NULL);
insert into outbox (id, kind, platform, channel, place, run, body, final, state, version, delivered_version, message, in_doubt, attempts, not_before, why) values
    (7331840000081931, 'line', 'slack', '["T1","C1"]', '{"platform":"slack","space":"T1","channel":"C1","thread":null}', 'e53c4f79-0a56-8fcd-bbaf-3b43c17fc8f0', '{"to":{"platform":"slack","space":"T1","channel":"C1","thread":null},"kind":{"kind":"line","attachment":null,"last":false},"run":"e53c4f79-0a56-8fcd-bbaf-3b43c17fc8f0","message":{"blocks":[{"text":[{"plain":"first"}]}]}}', 0, 'waiting', 1, 0, NULL, 0, 0, -9223372036854775808, NULL);
insert into outbox (id, kind, platform, channel, place, run, body, final, state, version, delivered_version, message, in_doubt, attempts, not_before, why) values
    (7331840000081932, 'line', 'slack', '["T1","C1"]', '{"platform":"slack","space":"T1","channel":"C1","thread":null}', 'e53c4f79-0a56-8fcd-bbaf-3b43c17fc8f0', '{"to":{"platform":"slack","space":"T1","channel":"C1","thread":null},"kind":{"kind":"line","attachment":{"run":"e53c4f79-0a56-8fcd-bbaf-3b43c17fc8f0","position":0,"attempt":1},"last":false},"run":"e53c4f79-0a56-8fcd-bbaf-3b43c17fc8f0","message":{"blocks":[{"text":[{"plain":"with a file"}]}]}}', 0, 'waiting', 1, 0, NULL, 0, 0, -9223372036854775808, NULL);
insert into outbox (id, kind, platform, channel, place, run, body, final, state, version, delivered_version, message, in_doubt, attempts, not_before, why) values
    (7331840000081933, 'root', 'slack', '["T1","C1"]', '{"platform":"slack","space":"T1","channel":"C1","thread":null}', '082797d3-0916-81fc-bfbb-ca483ad65c71', '{"to":{"platform":"slack","space":"T1","channel":"C1","thread":null},"kind":{"kind":"root"},"run":"082797d3-0916-81fc-bfbb-ca483ad65c71","message":{"blocks":[{"text":[{"plain":"root"}]}]}}', 0, 'waiting', 1, 0, NULL, 0, 0, -9223372036854775808, NULL);
insert into outbox (id, kind, platform, channel, place, run, body, final, state, version, delivered_version, message, in_doubt, attempts, not_before, why) values
    (7331840000081934, 'line', 'slack', '["T1","C1"]', '{"platform":"slack","space":"T1","channel":"C1","thread":null}', '082797d3-0916-81fc-bfbb-ca483ad65c71', '{"to":{"platform":"slack","space":"T1","channel":"C1","thread":null},"kind":{"kind":"line","attachment":null,"last":false},"run":"082797d3-0916-81fc-bfbb-ca483ad65c71","message":{"blocks":[{"text":[{"plain":"first"}]}]}}', 0, 'waiting', 1, 0, NULL, 0, 0, -9223372036854775808, NULL);
insert into outbox (id, kind, platform, channel, place, run, body, final, state, version, delivered_version, message, in_doubt, attempts, not_before, why) values
    (7331840000081935, 'line', 'slack', '["T1","C1"]', '{"platform":"slack","space":"T1","channel":"C1","thread":null}', '082797d3-0916-81fc-bfbb-ca483ad65c71', '{"to":{"platform":"slack","space":"T1","channel":"C1","thread":null},"kind":{"kind":"line","attachment":{"run":"082797d3-0916-81fc-bfbb-ca483ad65c71","position":0,"attempt":1},"last":false},"run":"082797d3-0916-81fc-bfbb-ca483ad65c71","message":{"blocks":[{"text":[{"plain":"with a file"}]}]}}', 0, 'waiting', 1, 0, NULL, 0, 0, -9223372036854775808, NULL);
insert into outbox (id, kind, platform, channel, place, run, body, final, state, version, delivered_version, message, in_doubt, attempts, not_before, why) values
    (7331840000081936, 'root', 'slack', '["T1","C1"]', '{"platform":"slack","space":"T1","channel":"C1","thread":null}', '396f23a2-b4a3-8dcc-910a-93a19dd37d39', '{"to":{"platform":"slack","space":"T1","channel":"C1","thread":null},"kind":{"kind":"root"},"run":"396f23a2-b4a3-8dcc-910a-93a19dd37d39","message":{"blocks":[{"text":[{"plain":"root"}]}]}}', 0, 'waiting', 1, 0, NULL, 0, 0, -9223372036854775808, NULL);
insert into outbox (id, kind, platform, channel, place, run, body, final, state, version, delivered_version, message, in_doubt, attempts, not_before, why) values
    (7331840000081937, 'line', 'slack', '["T1","C1"]', '{"platform":"slack","space":"T1","channel":"C1","thread":null}', '396f23a2-b4a3-8dcc-910a-93a19dd37d39', '{"to":{"platform":"slack","space":"T1","channel":"C1","thread":null},"kind":{"kind":"line","attachment":null,"last":false},"run":"396f23a2-b4a3-8dcc-910a-93a19dd37d39","message":{"blocks":[{"text":[{"plain":"first"}]}]}}', 0, 'waiting', 1, 0, NULL, 0, 0, -9223372036854775808, NULL);
insert into outbox (id, kind, platform, channel, place, run, body, final, state, version, delivered_version, message, in_doubt, attempts, not_before, why) values
    (7331840000081938, 'line', 'slack', '["T1","C1"]', '{"platform":"slack","space":"T1","channel":"C1","thread":null}', '396f23a2-b4a3-8dcc-910a-93a19dd37d39', '{"to":{"platform":"slack","space":"T1","channel":"C1","thread":null},"kind":{"kind":"line","attachment":{"run":"396f23a2-b4a3-8dcc-910a-93a19dd37d39","position":0,"attempt":1},"last":false},"run":"396f23a2-b4a3-8dcc-910a-93a19dd37d39","message":{"blocks":[{"text":[{"plain":"with a file"}]}]}}', 0, 'waiting', 1, 0, NULL, 0, 0, -9223372036854775808, NULL);
insert into outbox (id, kind, platform, channel, place, run, body, final, state, version, delivered_version, message, in_doubt, attempts, not_before, why) values
    (7331840000081939, 'answer', 'slack', '["T1","C1"]', '{"platform":"slack","space":"T1","channel":"C1","thread":null}', NULL, '{"to":{"platform":"slack","space":"T1","channel":"C1","thread":null},"kind":{"kind":"answer"},"run":null,"message":{"blocks":[{"text":[{"plain":"answer"}]}]}}', 0, 'waiting', 1, 0, NULL, 0, 0, -9223372036854775808, NULL);
insert into outbox (id, kind, platform, channel, place, run, body, final, state, version, delivered_version, message, in_doubt, attempts, not_before, why) values
    (7331840000081940, 'whisper', 'slack', '["T1","C1"]', '{"platform":"slack","space":"T1","channel":"C1","thread":null}', NULL, '{"to":{"platform":"slack","space":"T1","channel":"C1","thread":null},"kind":{"kind":"whisper","speaker":"U1"},"run":null,"message":{"blocks":[{"text":[{"plain":"whisper"}]}]}}', 0, 'waiting', 1, 0, NULL, 0, 0, -9223372036854775808, NULL);
insert into outbox (id, kind, platform, channel, place, run, body, final, state, version, delivered_version, message, in_doubt, attempts, not_before, why) values
    (7331840000081941, 'form', 'slack', '["T1","C1"]', '{"platform":"slack","space":"T1","channel":"C1","thread":null}', NULL, '{"to":{"platform":"slack","space":"T1","channel":"C1","thread":null},"kind":{"kind":"form","speaker":"U1","handle":"h","form":{"command":"flush-cache","says":"flush-cache","does":"Empties.","fields":[{"name":"path","help":"","choices":[],"example":"/","optional":true}]}},"run":null,"message":{"blocks":[{"text":[{"plain":"form"}]}]}}', 0, 'waiting', 1, 0, NULL, 0, 0, -9223372036854775808, NULL);

insert into posting_numbers (id, last) values
    (1, 7331840000081941);

insert into probe (id, at) values
    (1, 1790000000060);

insert into duties (name, holder, until, fence) values
    ('deliver/slack', 'f27cd244-778f-42d9-ba99-188e0d6f5600/worker', 9223372036854775807, 1);

insert into ledger_key (id, public) values
    (1, 'midwatch/9f6e7c4f96fd961c+04811e5f+ARc3IRv+nEHJ62H5RENs6MUCaJ8WaWWpC5aC4bENzf9s');

insert into cursors (platform, space, channel, heard) values
    ('slack', 'T1', '', 1790000000000);
insert into cursors (platform, space, channel, heard) values
    ('slack', 'T1', 'C1', 1790000000000);

