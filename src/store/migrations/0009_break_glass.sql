-- Who broke the glass for a run, and who has looked at it since.
alter table runs add column glass_by text;
alter table runs add column reviewed_by text;
create index runs_by_glass on runs (glass_by, created_at) where glass_by is not null;
create index runs_unreviewed on runs (created_at desc) where glass_by is not null and reviewed_by is null;
