-- Who does not want to hear from whom. Apart from members: one may block somebody with whom there is no conversation.
CREATE TABLE blocks(
  id INTEGER PRIMARY KEY,                -- order in which they were made
  uid INTEGER NOT NULL,                  -- who blocks
  peer INTEGER NOT NULL,                 -- who is blocked
  ts INTEGER NOT NULL                    -- milliseconds since 1970
);

CREATE UNIQUE INDEX blocks_pair ON blocks(uid, peer);
CREATE INDEX blocks_recent ON blocks(uid, id);

-- Reports that no hook of the host took. Names and texts as they were: evidence does not change with what it is about.
CREATE TABLE reports(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  reporter TEXT NOT NULL,
  reported TEXT NOT NULL,
  reason TEXT NOT NULL,
  seq INTEGER,                           -- the message that it is about; NULL: the person
  messages TEXT NOT NULL,                -- JSON list of Messages of PROTOCOL.md, as the reporter saw them
  ts INTEGER NOT NULL
);
