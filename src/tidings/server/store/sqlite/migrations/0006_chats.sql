-- A conversation as one side of it names it: the other's uid. A group's negative number can stand there later.
ALTER TABLE members RENAME COLUMN peer TO chat;
ALTER TABLE feed RENAME COLUMN peer TO chat;

-- The audience of a conversation: everybody who has a side of it (audience.py).
CREATE INDEX members_audience ON members(cid);

-- A conversation from before tags were drawn: its own number stands in the ids that clients hold.
UPDATE members SET tag = cid WHERE tag IS NULL;

-- A conversation as its owner sees it. Nothing else reads how far those on the other side have come.
CREATE VIEW sides AS
SELECT mine.uid, mine.chat, others.name, mine.cid, mine.tag, mine.last_cur, mine.last_seq, mine.recv_n, mine.read_n,
       mine.read_seq, mine.dlv_seq, theirs.told_read, theirs.told_dlv
FROM members AS mine
JOIN users AS others ON others.uid = mine.chat
JOIN members AS theirs ON theirs.uid = mine.chat AND theirs.chat = mine.uid;
