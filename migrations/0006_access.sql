-- Sessions that end with their password, and devices that are known.

-- SHA-256 of the password's hash that the session was begun with; one of another password is none, however it came to be
-- stored. Sessions of before have none.
alter table sessions add column password blob check (length(password) = 32);

-- Browsers from which someone gave the right password: whoever guesses elsewhere does not slow them. They open nothing.
create table devices (
    -- SHA-256 of the cookie
    id_hash blob primary key check (length(id_hash) = 32),
    -- as in sessions
    password blob not null check (length(password) = 32),
    -- counts up with each log-in of any device; the smallest goes when there are too many
    used integer not null
) strict, without rowid;
