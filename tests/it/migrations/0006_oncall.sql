insert into covers (number, rotation, level, person, begins, ends, at)
values (1, 'shop', 'oncall', 'cy', 1790000000000, 1790086400000, 1789990000000),
       (2, 'shop', 'oncall', 'ana', 1790600000000, 1790686400000, 1789990000000);
