-- What a user sees counts for nobody else. So the number that stands for a conversation in the ids of its messages is
-- drawn, and blocks are counted for each user. NULL: a conversation from before; its own number stands there, as in the
-- ids that clients hold.
ALTER TABLE members ADD COLUMN tag INTEGER;

-- How far the peer was told that this side has received and read: nothing, before this side has written to it.
ALTER TABLE members ADD COLUMN told_dlv INTEGER NOT NULL DEFAULT 0;
ALTER TABLE members ADD COLUMN told_read INTEGER NOT NULL DEFAULT 0;
UPDATE members SET told_dlv = dlv_seq, told_read = read_seq;

ALTER TABLE blocks ADD COLUMN nth INTEGER NOT NULL DEFAULT 0;  -- order in which this user made them: 1, 2, 3 ...
UPDATE blocks SET nth = (SELECT count(*) FROM blocks AS others WHERE others.uid = blocks.uid AND others.id <= blocks.id);
DROP INDEX blocks_recent;
CREATE INDEX blocks_recent ON blocks(uid, nth);
