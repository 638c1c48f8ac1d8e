-- Ways to what is looked for again and again: a look must not cost more because ten thousand wait, or were done long ago.
create index runs_open on runs (created_at desc, id) where phase <> 'finished' or outcome = 'needs_attention';
create index runs_of_project on runs (project, created_at desc, id);
create index runs_finished on runs (finished_at) where finished_at is not null;

-- The run that has been due longest; what is due at once has been since it was asked for.
create index runs_longest_due on runs ((case when due_at < created_at then created_at else due_at end), created_at, id)
    where due_at is not null;

-- Of each channel the next of each kind of call, in the order in which they are made. As `store/due.rs` says them.
create index outbox_next on outbox (
    platform,
    channel,
    (case when message is not null and delivered_version = version then 'read back'
          when message is not null and kind = 'root' then 'edit'
          when message is not null then 'file'
          when in_doubt = 1 and kind not in ('whisper', 'form') then 'look'
          else 'post' end),
    (case when message is not null and delivered_version = version then 4
          when kind = 'form' then 0
          when kind in ('answer', 'whisper') or (kind = 'root' and message is null) then 1
          when final = 1 then 2 else 3 end),
    (case when message is not null and delivered_version = version then not_before else 0 end),
    id
) where state = 'waiting';
