-- Analyses: a server is asked which texts, such as number plates, stand in a picture.

-- One question about one picture; a row is made with that of the picture.
create table analyses (
    image_id          integer primary key references images (id),
    -- 'pending', 'done' (answered), 'dead' (put aside until somebody asks for it)
    state             text    not null check (state in ('pending', 'done', 'dead')),
    attempts          integer not null default 0,
    -- answers that say nothing of this picture
    refusals          integer not null default 0,
    -- not tried before, UTC milliseconds; 0 is at once
    not_before        integer not null default 0,
    tried_at          integer,
    done_at           integer,
    last_error        text,
    last_error_code   text,
    last_error_params text,
    -- what the server said, cut to some kilobytes
    answer            text
) strict;

-- Those that wait for no instant first, the newest picture of them first.
create index analyses_waiting on analyses (not_before, image_id desc) where state = 'pending';
create index analyses_dead on analyses (image_id) where state = 'dead';

-- One text in one picture, as it was read and as a person says it is.
create table readings (
    id         integer primary key,
    image_id   integer not null references images (id),
    -- the picture's, so that an index can give the order of a list
    taken_at   integer not null,
    -- as it was read
    text       text    not null,
    -- how sure the server was, from 0 to 1; null if it did not say
    score      real,
    -- where it stands, pixels from the upper left corner; null if it did not say
    xmin       integer,
    ymin       integer,
    xmax       integer,
    ymax       integer,
    -- the normal form by which it is found: of what a person said, else of what was read; '' is no text at all
    known      text    not null,
    -- what a person said it is; null until somebody did
    corrected  text,
    checked_at integer,
    checked_by text,
    -- 1 if the score was too low to go without a person
    unsure     integer not null check (unsure in (0, 1)),
    -- the text of the watch list that it is taken for
    watched    text
) strict;

create index readings_of_image on readings (image_id);
create index readings_by_text on readings (known, taken_at, image_id);
create index readings_unsure on readings (image_id) where unsure = 1 and checked_at is null;

-- What texts that are nearly the same have in common; see the program.
create table reading_keys (
    key  text not null,
    text text not null,
    primary key (key, text)
) strict, without rowid;

create index reading_keys_by_text on reading_keys (text);

-- Questions that were asked on each day in UTC ('2026-11-20'), for the limits of cost.
create table analysis_spending (
    day       text    primary key,
    questions integer not null
) strict, without rowid;

-- A picture's instant is corrected when the clock was wrong.
create trigger readings_follow_image after update of taken_at on images when new.taken_at <> old.taken_at
begin
    update readings set taken_at = new.taken_at where image_id = new.id;
end;

-- What was read in a picture goes with it.
create trigger readings_go_with_image after update of state on images
when new.state in ('deleting', 'deleted') and old.state not in ('deleting', 'deleted')
begin
    delete from readings where image_id = new.id;
    delete from analyses where image_id = new.id;
end;

create trigger reading_keys_go after delete on readings
begin
    delete from reading_keys
    where text = old.known and not exists (select 1 from readings where known = old.known);
end;

create trigger reading_keys_change after update of known on readings when new.known <> old.known
begin
    delete from reading_keys
    where text = old.known and not exists (select 1 from readings where known = old.known);
end;
