-- A replica finds the runs whose steps it has, also while the others have put off their next look at them.
create index runs_of_home on runs (home) where home is not null;
