-- Every page of every list is read off an index from where it begins, whatever is asked for and however far back. The
-- columns that a filter may fix come first, then the time: each combination of their values is a run in the order of the
-- list, and a page is the newest rows of a few runs.

-- in which states its uploads are: the sum of 1 pending, 2 delivered, 4 dead, 8 skipped, 16 lost; kept by the triggers
-- below. Without a check, which would have every row read here. Most pictures of an old database are delivered, so most rows stay as they are.
alter table images add column deliveries integer not null default 2;

-- What was deleted is in no list and does not come back.
update images
set deliveries = coalesce(
    (select max(state = 'pending') + 2 * max(state = 'delivered') + 4 * max(state = 'dead')
            + 8 * max(state = 'skipped') + 16 * max(state = 'lost')
     from uploads where image_id = images.id), 0)
where state in ('present', 'missing')
  and deliveries <> coalesce(
    (select max(state = 'pending') + 2 * max(state = 'delivered') + 4 * max(state = 'dead')
            + 8 * max(state = 'skipped') + 16 * max(state = 'lost')
     from uploads where image_id = images.id), 0);

create trigger deliveries_follow_insert after insert on uploads
begin
    update images set deliveries = now.states
    from (select max(state = 'pending') + 2 * max(state = 'delivered') + 4 * max(state = 'dead')
                 + 8 * max(state = 'skipped') + 16 * max(state = 'lost') as states
          from uploads where image_id = new.image_id) as now
    where id = new.image_id and deliveries <> now.states;
end;

create trigger deliveries_follow_update after update of state on uploads when new.state <> old.state
begin
    update images set deliveries = now.states
    from (select max(state = 'pending') + 2 * max(state = 'delivered') + 4 * max(state = 'dead')
                 + 8 * max(state = 'skipped') + 16 * max(state = 'lost') as states
          from uploads where image_id = new.image_id) as now
    where id = new.image_id and deliveries <> now.states;
end;

drop index images_by_camera;
drop index images_clips;
create index images_by_run on images (camera, kind, deliveries, taken_at desc, id desc) where state = 'present';

-- Few rows: what waits and what was put aside have indices of their own.
drop index uploads_put_aside;
create index uploads_lost on uploads (state, image_id) where state = 'lost';

-- Those of one target are next to each other.
drop index uploads_dead;
create index uploads_dead on uploads (target, image_id) where state = 'dead';

-- Open triggers, too: their outcome is null.
drop index triggers_open;
drop index triggers_by_time;
drop index triggers_by_camera;
drop index triggers_without_picture;
create index triggers_by_run on triggers (outcome, camera, edge_at desc, id desc);
