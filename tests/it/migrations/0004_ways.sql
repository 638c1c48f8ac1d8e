-- Indexes alone: rows are as before.
select 1;
