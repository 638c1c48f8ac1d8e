-- Ways to what is looked for again and again: a look must not cost more because ten thousand wait, or were done long ago.

-- The run that has been due longest; what is due at once has been since it was asked for.
create index runs_longest_due on runs ((case when due_at < created_at then created_at else due_at end), created_at, id)
    where due_at is not null;
create index runs_open on runs (created_at desc, id) where phase <> 'finished' or outcome = 'needs_attention';
create index runs_of_project on runs (project, created_at desc, id);
create index runs_finished on runs (finished_at) where finished_at is not null;

-- Of each channel the next posts, edits, looks and answers, in the order in which they are delivered.
create index outbox_next on outbox (
    platform,
    channel,
    (case when kind in ('answer', 'whisper') then 3 when message is null then 0 when delivered_version = version then 2
          else 1 end),
    (case when kind = 'form' then 0 when kind in ('answer', 'whisper') or (kind = 'root' and message is null) then 1
          when final = 1 then 2 else 3 end),
    id
) where state = 'waiting';
