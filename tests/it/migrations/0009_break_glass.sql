update runs set glass_by = 'ana', reviewed_by = 'bo' where reference = (select min(reference) from runs);
