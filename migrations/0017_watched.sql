-- A text of the watch list that was read is news until somebody has seen it.

-- When somebody said that they have seen it; null until then. What a person has confirmed or corrected is seen, too.
alter table readings add column seen_at integer;

-- Of what was read before, nobody is told now.
update readings set seen_at = taken_at where watched is not null;

create index readings_watched on readings (id)
where watched is not null and seen_at is null and checked_at is null;
