-- Times are UTC milliseconds since 1970. Every table is strict, so a column holds what it says.

-- The ledger: one row for every edge that passed the debounce and every command that asked for a picture.
create table triggers (
    id integer primary key autoincrement,
    camera text not null,
    cause text not null check (cause in ('gpio', 'manual', 'recovered')),
    -- the instant asked for, by the wall clock as it stood then
    edge_at integer not null,
    -- which boot it was and how long that had lasted, so that edge_at can be corrected once the clock is right
    boot_id text not null,
    boot_ms integer not null,
    clock text not null check (clock in ('synced', 'unsynced', 'corrected')),
    -- null while a capture is under way; a crash leaves it null and the next start closes it
    outcome text check (outcome in ('captured', 'coalesced', 'failed')),
    -- for people; why there is no picture
    reason text,
    -- from the edge until the first picture was durable
    latency_ms integer
) strict;

create index triggers_by_time on triggers (edge_at desc, id desc);
create index triggers_by_camera on triggers (camera, edge_at desc, id desc);
create index triggers_open on triggers (id) where outcome is null;

-- Every picture ever stored. A deleted one keeps its row, so that its name is never given again.
create table images (
    id integer primary key autoincrement,
    -- the identity the outside knows: idempotency key of uploads, ImageUniqueID inside the picture
    uid blob not null unique check (length(uid) = 16),
    trigger_id integer references triggers (id),
    camera text not null,
    file_name text not null unique,
    -- relative to the image directory
    path text not null unique,
    cause text not null check (cause in ('gpio', 'manual', 'recovered')),
    -- the instant the picture shows
    taken_at integer not null,
    -- that instant minus the edge; null where it is not known
    frame_offset_ms integer,
    width integer not null,
    height integer not null,
    bytes integer not null check (bytes > 0),
    sha256 blob not null check (length(sha256) = 32),
    protected integer not null default 0 check (protected in (0, 1)),
    -- 'deleting' is the intent, committed before the file goes; otherwise the next start would adopt the file again
    state text not null default 'present' check (state in ('present', 'deleting', 'deleted', 'missing')),
    deleted_at integer,
    delete_reason text
) strict;

create index images_by_time on images (taken_at desc, id desc) where state = 'present';
create index images_by_camera on images (camera, taken_at desc, id desc) where state = 'present';
create index images_by_trigger on images (trigger_id);
create index images_deleting on images (id) where state = 'deleting';

-- The queue: what is owed to whom. A lease is a pending row with leased_until in the future; a crash needs no cleaning.
create table uploads (
    image_id integer not null references images (id),
    target text not null,
    state text not null check (state in ('pending', 'delivered', 'dead', 'skipped', 'lost')),
    attempts integer not null default 0,
    not_before integer not null default 0,
    leased_until integer not null default 0,
    last_error text,
    delivered_at integer,
    primary key (image_id, target)
) strict, without rowid;

create index uploads_due on uploads (target, image_id, not_before, leased_until) where state = 'pending';
create index uploads_put_aside on uploads (state, image_id) where state in ('pending', 'dead', 'lost');

-- What an operator changed at run time, such as the password's hash.
create table settings (
    key text primary key,
    value text not null
) strict, without rowid;

-- Who is logged in. Only the SHA-256 of the cookie is kept.
create table sessions (
    id_hash blob primary key check (length(id_hash) = 32),
    csrf text not null,
    created_at integer not null,
    last_seen_at integer not null,
    expires_at integer not null
) strict, without rowid;

-- Programs that may use the API. Only the SHA-256 of the token is kept.
create table tokens (
    id integer primary key,
    name text not null,
    hash blob not null unique check (length(hash) = 32),
    created_at integer not null
) strict;

-- Running counts, kept by the triggers below, because counting a million rows takes a second.
create table tallies (
    -- camera key, or target for uploads
    subject text not null,
    -- 'captured', 'coalesced', 'failed', 'images', 'bytes', or 'upload:' and its state
    what text not null,
    value integer not null,
    primary key (subject, what)
) strict, without rowid;

create trigger tally_outcome_insert after insert on triggers when new.outcome is not null
begin
    insert into tallies values (new.camera, new.outcome, 1)
    on conflict do update set value = value + 1;
end;

create trigger tally_outcome_update after update of outcome on triggers when new.outcome is not old.outcome
begin
    update tallies set value = value - 1 where subject = old.camera and what = old.outcome;
    insert into tallies values (new.camera, new.outcome, 1)
    on conflict do update set value = value + 1;
end;

create trigger tally_image_insert after insert on images when new.state = 'present'
begin
    insert into tallies values (new.camera, 'images', 1), (new.camera, 'bytes', new.bytes)
    on conflict do update set value = value + excluded.value;
end;

create trigger tally_image_gone after update of state on images when old.state = 'present' and new.state <> 'present'
begin
    update tallies set value = value - 1 where subject = old.camera and what = 'images';
    update tallies set value = value - old.bytes where subject = old.camera and what = 'bytes';
end;

create trigger tally_image_back after update of state on images when old.state <> 'present' and new.state = 'present'
begin
    update tallies set value = value + 1 where subject = new.camera and what = 'images';
    update tallies set value = value + new.bytes where subject = new.camera and what = 'bytes';
end;

create trigger tally_upload_insert after insert on uploads
begin
    insert into tallies values (new.target, 'upload:' || new.state, 1)
    on conflict do update set value = value + 1;
end;

create trigger tally_upload_update after update of state on uploads when new.state <> old.state
begin
    update tallies set value = value - 1 where subject = old.target and what = 'upload:' || old.state;
    insert into tallies values (new.target, 'upload:' || new.state, 1)
    on conflict do update set value = value + 1;
end;
