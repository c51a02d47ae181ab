-- Public links: addresses by which anyone who has them may see one picture.

create table links (
    -- never given again: who revokes a link by a number that was shown long ago must not meet another one
    id integer primary key autoincrement,
    -- SHA-256 of the 16 random bytes in the address; the address itself is kept nowhere
    hash blob not null unique check (length(hash) = 32),
    -- the picture or clip it shows, or
    image_id integer references images (id),
    -- the trigger whose picture it shows
    trigger_id integer references triggers (id),
    -- the target that made it for its message; null when a person or a program did
    target text,
    created_at integer not null,
    -- null: never
    expires_at integer,
    -- how often the picture was given out; a few of the last minute may be missing after a crash
    opens integer not null default 0,
    last_opened_at integer,
    check ((image_id is null) <> (trigger_id is null))
) strict;

create index links_by_image on links (image_id) where image_id is not null;
create index links_by_trigger on links (trigger_id) where trigger_id is not null;
create index links_by_end on links (expires_at) where expires_at is not null;

-- A link goes with its picture, in the transaction that decides the deletion; that of a trigger with the last of its
-- pictures.
create trigger links_go_with_picture after update of state on images
when new.state in ('deleting', 'deleted') and old.state not in ('deleting', 'deleted')
begin
    delete from links where image_id = new.id;
    delete from links
    where trigger_id = new.trigger_id
      and not exists (
          select 1 from images where trigger_id = new.trigger_id and state in ('present', 'missing') and kind <> 'clip'
      );
end;
