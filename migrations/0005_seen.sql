-- Failed triggers that nobody has seen yet are said until a person has.

-- when a person said that the failure was seen; null: not yet. Only failed triggers have it.
alter table triggers add column seen_at integer;

-- Those of before this version are not news.
update triggers set seen_at = edge_at where outcome = 'failed';

create index triggers_unseen on triggers (outcome, id desc) where outcome = 'failed' and seen_at is null;
