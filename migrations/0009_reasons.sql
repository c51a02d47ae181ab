-- Why there is no picture, for programs, too.

-- which of the known reasons it is, such as 'no_frame'; null where there is none, and in rows of before
alter table triggers add column reason_code text;

-- what the code is about, as a JSON object; 'reason' is the sentence that was made of both
alter table triggers add column reason_params text;
