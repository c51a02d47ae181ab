-- Tokens that may do less than everything and end, and sessions that can be told apart.

-- What a program may do: 'read', 'operate' (reading, too) or 'full' (everything that is not for persons only). Tokens
-- made before there were scopes may do what they always could.
alter table tokens add column scope text not null default 'full' check (scope in ('read', 'operate', 'full'));

-- null: never
alter table tokens add column expires_at integer;

-- when it was last shown, to the hour; null: not since this was written down
alter table tokens add column last_used_at integer;

-- how its secret begins, so that a person recognises it; null for those made before
alter table tokens add column hint text;

-- where the password was given, and by which browser, in that browser's words (cleaned); null: not known
alter table sessions add column from_address text;
alter table sessions add column browser text;
