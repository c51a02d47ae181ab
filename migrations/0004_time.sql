-- Times of a clock that had not been set.

-- what the clock showed at the edge; null unless edge_at has been corrected. The name of the file and the facts inside
-- it keep to this time, so a file that lost its row finds its trigger by it.
alter table triggers add column stamped_at integer;

-- few rows: those whose time was, or is, in doubt
create index triggers_in_doubt on triggers (boot_id, id) where clock <> 'synced';

-- What is rare among a million rows is found without reading them.
create index images_clips on images (taken_at desc, id desc) where state = 'present' and kind = 'clip';
create index triggers_without_picture on triggers (outcome, edge_at desc, id desc) where outcome <> 'captured';
