-- Ways to runs that are looked for again and again: a look must not cost more because ten thousand were done long ago.
create index runs_open on runs (created_at desc, id) where phase <> 'finished' or outcome = 'needs_attention';
create index runs_of_project on runs (project, created_at desc, id);
create index runs_finished on runs (finished_at) where finished_at is not null;
