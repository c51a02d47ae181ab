-- What each device has brought and what was delivered of it, counted like all else: the subject is the device's name, what
-- is 'pushed' or 'pushed:delivered' (of a picture for two targets, two). A picture that is deleted was brought all the same.

insert into tallies
select device, 'pushed', count(*) from images where device is not null group by device;

insert into tallies
select device, 'pushed:delivered', count(*)
from images join uploads on uploads.image_id = images.id
where device is not null and uploads.state = 'delivered'
group by device;

create trigger tally_push_insert after insert on images when new.device is not null
begin
    insert into tallies values (new.device, 'pushed', 1)
    on conflict do update set value = value + 1;
end;

create trigger tally_push_delivered after update of state on uploads
when new.state <> old.state and new.state = 'delivered'
begin
    insert into tallies select device, 'pushed:delivered', 1 from images where id = new.image_id and device is not null
    on conflict do update set value = value + 1;
end;

create trigger tally_push_owed_again after update of state on uploads
when new.state <> old.state and old.state = 'delivered'
begin
    update tallies set value = value - 1
    where what = 'pushed:delivered' and subject = (select device from images where id = new.image_id);
end;

-- Those of a database that is built anew.
create trigger tally_push_delivered_before after insert on uploads when new.state = 'delivered'
begin
    insert into tallies select device, 'pushed:delivered', 1 from images where id = new.image_id and device is not null
    on conflict do update set value = value + 1;
end;
