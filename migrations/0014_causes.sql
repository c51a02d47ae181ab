-- Lists by cause and by device: what asked for a picture is a part of its run, and the pictures of a device have an index of
-- their own, in which everything stands that a list asks for.
drop index images_by_run;
create index images_by_run on images (camera, kind, cause, deliveries, taken_at desc, id desc) where state = 'present';
create index images_by_device on images (device, taken_at desc, id desc, camera, kind, cause, deliveries)
where state = 'present' and device is not null;
