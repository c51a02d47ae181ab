-- What the last failed attempt met, for programs, too.

-- which of the known faults it was, such as 'nothing_listens'; null where there is none, and in rows of before
alter table uploads add column last_error_code text;

-- what the code is about, as a JSON object; 'last_error' is the sentence that was made of both
alter table uploads add column last_error_params text;
