-- Users are interned once; a message is addressed as (conversation, seq), packed as conversation << 24 | seq.

CREATE TABLE meta(
  k TEXT PRIMARY KEY,
  v
) WITHOUT ROWID;

INSERT INTO meta(k, v) VALUES ('conversations', 0);

CREATE TABLE users(
  uid INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  head INTEGER NOT NULL DEFAULT 0,       -- last position given out
  floor INTEGER NOT NULL DEFAULT 0       -- positions at or below are no longer kept (but the row at the head always is)
);

-- One row per side of a conversation; what is the same on both sides is written on both.
CREATE TABLE members(
  uid INTEGER NOT NULL,
  peer INTEGER NOT NULL,
  cid INTEGER NOT NULL,
  opened_ms INTEGER NOT NULL DEFAULT 0,  -- when this side began the conversation; 0 where the other side did
  last_cur INTEGER NOT NULL DEFAULT 0,   -- position of the last message in this user's log
  last_seq INTEGER NOT NULL DEFAULT 0,   -- the conversation's counter
  recv_n INTEGER NOT NULL DEFAULT 0,     -- messages received by this side
  read_n INTEGER NOT NULL DEFAULT 0,     -- ... of those, read: unread = recv_n - read_n, never counted
  read_seq INTEGER NOT NULL DEFAULT 0,   -- watermarks of this side
  dlv_seq INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY(uid, peer)
) WITHOUT ROWID;

CREATE INDEX members_recent ON members(uid, last_cur);
CREATE INDEX members_opened ON members(uid, opened_ms) WHERE opened_ms > 0;

CREATE TABLE messages(
  id INTEGER PRIMARY KEY,                -- clustered by conversation: one B-tree for id and history
  sender INTEGER NOT NULL,
  nth INTEGER NOT NULL,                  -- nth message of this sender in this conversation (seq - nth are the other's)
  client_id TEXT,
  digest BLOB,                           -- of recipient, type and text; only where there is a client_id
  type TEXT NOT NULL,
  ts INTEGER NOT NULL,                   -- milliseconds since 1970
  body TEXT
);

CREATE UNIQUE INDEX messages_client_id ON messages(sender, client_id) WHERE client_id IS NOT NULL;

-- The logs: thin rows that point at messages.
CREATE TABLE feed(
  uid INTEGER NOT NULL,
  cur INTEGER NOT NULL,
  kind INTEGER NOT NULL,                 -- 1 message, 2 delivered to the peer, 3 read by the peer, 4 read by the owner
  peer INTEGER NOT NULL,
  mid INTEGER NOT NULL,                  -- the message, or for receipts conversation << 24 | upto
  ts INTEGER NOT NULL,
  PRIMARY KEY(uid, cur)
) WITHOUT ROWID;
