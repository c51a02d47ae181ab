-- Pictures that come by themselves: a device pushes its picture, and nobody asked for it.

-- the device that sent it; null for every other trigger. 'camera' is the one it stands for, or else its own name.
alter table triggers add column device text;
alter table images add column device text;

-- what the device calls the picture, cleaned; for people, it names no file
alter table images add column own_name text;

-- what the picture itself says when it was taken, by the device's clock
alter table images add column device_time text;

-- the identity that the first box of a chain gave it
alter table images add column first_uid blob check (length(first_uid) = 16);

-- SHA-256 of what was sent; the file has the facts of this program in front, so its own is another
alter table images add column pushed_sha256 blob check (length(pushed_sha256) = 32);

-- Few rows: whether a device has sent this before.
create index images_pushed on images (device, pushed_sha256) where device is not null;
create index images_pushed_first on images (device, first_uid) where device is not null and first_uid is not null;

-- Which causes there are is known to the program, and a new one needs no new tables. To lift a check changes no row, so
-- SQLite lets it be done in the schema itself (https://www.sqlite.org/lang_altertable.html, section 7): a copy of both
-- tables would take minutes for years of pictures, and their room once more.
pragma writable_schema = on;
update sqlite_schema
set sql = replace(sql, ' check (cause in (''gpio'', ''manual'', ''recovered''))', '')
where type = 'table' and name in ('triggers', 'images');
pragma writable_schema = reset;
