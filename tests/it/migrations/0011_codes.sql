insert into codes (person, step, used_for, wrong, wrong_at)
values ('ana', 59666666, 'slack:T1:8f2c', 0, 0), ('bo', 0, '', 3, 1790000000000);
