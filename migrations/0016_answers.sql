-- What targets say.

-- what the target said last, with its status, as one clean line without secrets: also of a delivery; null in rows of before
alter table uploads add column answer text;
