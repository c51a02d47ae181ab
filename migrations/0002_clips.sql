-- More than one file of a trigger: the picture of the instant, the best one around it, a clip.

-- what the file is to its trigger; a clip is an MP4, the others are JPEGs
alter table images add column kind text not null default 'instant' check (kind in ('instant', 'best', 'clip'));

-- for people; why it is not the plain file that was asked for, such as a clip that had to be shortened
alter table images add column note text;

-- how long a clip is; null for a picture
alter table images add column duration_ms integer check (duration_ms >= 0);

-- for people; what was wished beside the picture and could not be had, and why. The outcome speaks of pictures alone.
alter table triggers add column remark text;
