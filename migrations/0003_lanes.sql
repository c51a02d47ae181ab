-- Lanes: who goes next is found by walking one index, and a claim writes nothing.

-- A lease was a write before and after each delivery. What is being sent is known to the one process that sends.
drop index uploads_due;
alter table uploads drop column leased_until;

-- the camera and the instant of the picture, the same as in images, so that an index can give the order of a lane
alter table uploads add column camera text not null default '';
alter table uploads add column taken_at integer not null default 0;

-- how often the target refused this picture itself; what is the target's fault does not count
alter table uploads add column refusals integer not null default 0;

-- when it was last tried; null before the first attempt
alter table uploads add column tried_at integer;

update uploads
set (camera, taken_at) = (select images.camera, images.taken_at from images where images.id = uploads.image_id);

create index uploads_waiting on uploads (target, camera, taken_at, image_id, not_before) where state = 'pending';

-- Few rows: what waits for an instant of its own.
create index uploads_resting on uploads (target, not_before) where state = 'pending' and not_before > 0;

-- Few rows, in the order in which they are listed.
create index uploads_dead on uploads (image_id, target) where state = 'dead';

-- A picture's instant is corrected when the clock was wrong; its uploads follow.
create trigger uploads_follow_image after update of taken_at on images when new.taken_at <> old.taken_at
begin
    update uploads set taken_at = new.taken_at where image_id = new.id;
end;
