-- All of Tidings is in one schema, whose name takes the place of TIDINGS. here. A migration only adds: the nodes of this
-- version and of the next one work on it together. A function is never replaced by another of its name, which a node of
-- the former version would call; the new one has the next number.

-- COLLATE "C": an index in a collation of the system breaks when its library changes.

CREATE TABLE TIDINGS.meta(                     -- one row
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  epoch text COLLATE "C" NOT NULL,
  version int NOT NULL,                        -- the last migration
  readable_by int NOT NULL,                    -- the lowest version that may work on it
  erasures bigint NOT NULL DEFAULT 0           -- rises with each step of one, so that nodes forget what they hold
);
INSERT INTO TIDINGS.meta(epoch, version, readable_by) VALUES (substr(md5(gen_random_uuid()::text), 1, 8), 1, 1);

CREATE SEQUENCE TIDINGS.conversations;

-- Who serves this database, and how many steps of erasures each has nothing in memory of.
CREATE TABLE TIDINGS.nodes(
  node text COLLATE "C" PRIMARY KEY,
  seen_ms bigint NOT NULL,
  forgotten bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

CREATE TABLE TIDINGS.users(
  uid bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text COLLATE "C" NOT NULL UNIQUE,
  head bigint NOT NULL DEFAULT 0,              -- last position given out; the lock of this row is the lock of the log
  floor bigint NOT NULL DEFAULT 0,             -- positions at or below are no longer kept (but the row at the head is)
  erased_ms bigint                             -- when this user was erased: the name is then one that we made up
) WITH (fillfactor = 50);                      -- an update stays on its page: head is in no index

-- One row for each side of a conversation; what is the same on both sides is written on both.
CREATE TABLE TIDINGS.members(
  uid bigint NOT NULL,
  chat bigint NOT NULL,                        -- the other side's uid
  cid bigint NOT NULL,
  tag bigint NOT NULL,                         -- stands for the conversation in the ids of its messages; drawn
  opened_ms bigint NOT NULL DEFAULT 0,         -- when this side began the conversation; 0 where the other side did
  last_cur bigint NOT NULL DEFAULT 0,          -- position of the last message in this user's log
  last_seq int NOT NULL DEFAULT 0,             -- the conversation's counter
  recv_n int NOT NULL DEFAULT 0,               -- messages received by this side
  read_n int NOT NULL DEFAULT 0,               -- ... of those, read: unread = recv_n - read_n, never counted
  read_seq int NOT NULL DEFAULT 0,             -- watermarks of this side
  dlv_seq int NOT NULL DEFAULT 0,
  told_read int NOT NULL DEFAULT 0,            -- how far the other side was told of them
  told_dlv int NOT NULL DEFAULT 0,
  PRIMARY KEY (uid, chat)
) WITH (fillfactor = 70);                      -- no index on last_cur: each message would write to it
CREATE INDEX members_opened ON TIDINGS.members(uid, opened_ms) WHERE opened_ms > 0;

CREATE TABLE TIDINGS.messages(
  id bigint PRIMARY KEY,                       -- conversation << 24 | seq
  sender bigint NOT NULL,
  ts bigint NOT NULL,                          -- milliseconds since 1970, by this database's clock
  nth int NOT NULL,                            -- nth message of this sender in this conversation
  client_id text COLLATE "C",
  digest bytea,                                -- of recipient, type and text; only where there is a client_id
  type text COLLATE "C" NOT NULL,
  body text NOT NULL
);
CREATE UNIQUE INDEX messages_client_id ON TIDINGS.messages(sender, client_id) WHERE client_id IS NOT NULL;

-- The logs: thin rows that point at messages.
CREATE TABLE TIDINGS.feed(
  uid bigint NOT NULL,
  cur bigint NOT NULL,
  chat bigint NOT NULL,
  mid bigint NOT NULL,                         -- the message, or for receipts conversation << 24 | upto
  ts bigint NOT NULL,
  kind smallint NOT NULL,                      -- 1 message, 2 delivered to the other, 3 read by it, 4 read by the owner
  PRIMARY KEY (uid, cur)
);

CREATE TABLE TIDINGS.blocks(
  uid bigint NOT NULL,                         -- who blocks
  peer bigint NOT NULL,                        -- who is blocked
  ts bigint NOT NULL,
  nth bigint NOT NULL,                         -- order in which this user made them: 1, 2, 3 ...
  PRIMARY KEY (uid, peer)
);
CREATE INDEX blocks_recent ON TIDINGS.blocks(uid, nth);

CREATE TABLE TIDINGS.reports(
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  reporter text COLLATE "C" NOT NULL,
  reported text COLLATE "C" NOT NULL,
  reason text NOT NULL,
  seq int,                                     -- the message that it is about; NULL: the person
  messages text NOT NULL,                      -- JSON list of Messages of PROTOCOL.md, as the reporter saw them
  ts bigint NOT NULL
);

-- By name and not by row: it holds for whoever comes under this name, also before there is a row and after an erasure.
CREATE TABLE TIDINGS.revocations(
  name text COLLATE "C" PRIMARY KEY,
  until double precision NOT NULL              -- seconds since 1970
);
CREATE INDEX revocations_recent ON TIDINGS.revocations(until);

CREATE FUNCTION TIDINGS.now_ms_1() RETURNS bigint LANGUAGE sql VOLATILE AS $$
  SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint
$$;

-- Each lock of a batch, in one order for all nodes: names that nobody has yet by advisory lock, then rows by uid. A name
-- that is made meanwhile is seen by the second statement.
CREATE FUNCTION TIDINGS.lock_users_1(names text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(missing.key) FROM (
    SELECT DISTINCT hashtextextended('TIDINGS.' || x, 0) AS key FROM unnest(names) x
    WHERE NOT EXISTS (SELECT 1 FROM TIDINGS.users u WHERE u.name = x COLLATE "C") ORDER BY 1) missing;
  PERFORM 1 FROM TIDINGS.users u WHERE u.name = ANY (names) ORDER BY u.uid FOR NO KEY UPDATE;
END $$;

-- A batch of a node's writes, one after the other, in one transaction and one round trip. What each decides is what
-- rules.py decides.
--
-- Of an operation: ops 1 append, 2 advance, 3 block, 4 unblock; who (a) and the other (b); flags of an append: 1 passes
-- blocks, 2 is refused by the host, 4 may begin a conversation; of an advance: 1 tells strangers.
--
-- Of an answer: n is the operation's number. word is 'event' for a receipt that went into a log (kind, upto in seq, and
-- its position in the log of a or of b), and else the outcome: 'ok', 'stored' (before, under this client_id), 'unknown'
-- (seq) or a refusal. After 'openings' at_a is when the earliest of those conversations was begun.
--
-- Every statement finds its rows by a key, whatever the values: to plan anew for each batch took a fifth of its time.
CREATE FUNCTION TIDINGS.write_1(
  lock_wait_ms int, ops int[], a text[], b text[], client_ids text[], digests bytea[], types text[], bodies text[],
  openings int[], flags int[], delivered int[], reads int[])
RETURNS TABLE(
  n int, word text, kind int, at_a bigint, at_b bigint, ts bigint, seq int, tag bigint,
  own_read int, own_dlv int, their_read int, their_dlv int, stored_digest bytea, stored_type text, stored_body text)
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
  seq_bits CONSTANT int := 24;
  seq_max CONSTANT int := 16777215;
  hour_ms CONSTANT bigint := 3600000;
  now_ms bigint;
  g record;
  ua bigint; ub bigint; ha bigint; hb bigint;
  conversation bigint; chat_tag bigint; last int; sent int;
  tells boolean; marks_read int; marks_dlv int; received int; opened bigint[];
BEGIN
  PERFORM set_config('lock_timeout', lock_wait_ms::text, true);
  PERFORM TIDINGS.lock_users_1((SELECT array_agg(DISTINCT y COLLATE "C") FROM unnest(a || b) y));
  now_ms := TIDINGS.now_ms_1();                -- behind the locks: times rise with positions
  FOR i IN 1 .. coalesce(array_length(ops, 1), 0) LOOP
    n := i; word := 'ok'; kind := NULL; at_a := NULL; at_b := NULL; ts := now_ms; seq := NULL; tag := NULL;
    own_read := 0; own_dlv := 0; their_read := 0; their_dlv := 0;
    stored_digest := NULL; stored_type := NULL; stored_body := NULL;
    SELECT s.uid AS a, s.head AS a_head, r.uid AS b, r.head AS b_head, r.erased_ms, own.cid, own.tag, own.last_seq,
           own.read_seq, own.dlv_seq, own.told_read, own.told_dlv, other.recv_n, other.told_read AS o_read,
           other.told_dlv AS o_dlv, m.id AS stored, m.ts AS m_ts, m.digest, m.type AS m_type, m.body AS m_body,
           EXISTS (SELECT 1 FROM TIDINGS.blocks k WHERE k.uid = s.uid AND k.peer = r.uid) AS blocks,
           EXISTS (SELECT 1 FROM TIDINGS.blocks k WHERE k.uid = r.uid AND k.peer = s.uid) AS is_blocked
    INTO g
    FROM (SELECT 1) one
    LEFT JOIN TIDINGS.users s ON s.name = a[i]
    LEFT JOIN TIDINGS.users r ON r.name = b[i]
    LEFT JOIN TIDINGS.members own ON own.uid = s.uid AND own.chat = r.uid
    LEFT JOIN TIDINGS.members other ON other.uid = r.uid AND other.chat = s.uid
    LEFT JOIN TIDINGS.messages m ON m.sender = s.uid AND m.client_id = client_ids[i];
    ua := g.a; ub := g.b; ha := coalesce(g.a_head, 0); hb := coalesce(g.b_head, 0);
    conversation := g.cid; chat_tag := g.tag; last := coalesce(g.last_seq, 0); sent := coalesce(g.recv_n, 0);
    marks_read := coalesce(g.read_seq, 0); marks_dlv := coalesce(g.dlv_seq, 0);
    their_read := coalesce(g.o_read, 0); their_dlv := coalesce(g.o_dlv, 0);

    IF ops[i] = 1 THEN
      IF g.stored IS NOT NULL THEN             -- by its conversation: the name of its recipient may be another's now
        word := 'stored'; ts := g.m_ts; seq := (g.stored & seq_max)::int;
        stored_digest := g.digest; stored_type := g.m_type; stored_body := g.m_body;
        SELECT mine.tag, theirs.told_read, theirs.told_dlv INTO tag, their_read, their_dlv
        FROM TIDINGS.members mine JOIN TIDINGS.members theirs ON theirs.uid = mine.chat AND theirs.chat = mine.uid
        WHERE mine.uid = ua AND mine.cid = g.stored >> seq_bits;
      ELSIF g.erased_ms IS NOT NULL THEN
        word := 'has_left';
      ELSIF conversation IS NULL AND ua IS NOT NULL AND openings[i] IS NOT NULL THEN
        SELECT array_agg(y.opened_ms ORDER BY y.opened_ms DESC) INTO opened FROM (
          SELECT m.opened_ms FROM TIDINGS.members m
          WHERE m.uid = ua AND m.opened_ms > 0 AND m.opened_ms > now_ms - hour_ms
          ORDER BY m.opened_ms DESC LIMIT openings[i]) y;
        IF array_length(opened, 1) >= openings[i] THEN
          word := 'openings'; at_a := opened[openings[i]];
        END IF;
      END IF;
      IF word = 'ok' AND conversation IS NULL AND flags[i] & 4 = 0 THEN
        word := 'may_not_begin';
      ELSIF word = 'ok' AND flags[i] & 1 = 0 AND g.blocks THEN
        word := 'blocks';
      ELSIF word = 'ok' AND flags[i] & 1 = 0 AND (g.is_blocked OR flags[i] & 2 > 0) THEN
        word := 'is_blocked';
      ELSIF word = 'ok' AND last >= seq_max THEN
        word := 'is_full';
      END IF;
      IF word <> 'ok' THEN
        RETURN NEXT; CONTINUE;
      END IF;

      -- Checks are done; from here on everything writes.
      tells := conversation IS NOT NULL AND sent = 0 AND NOT g.blocks;
      IF conversation IS NULL THEN
        IF ua IS NULL THEN INSERT INTO TIDINGS.users(name) VALUES (a[i]) RETURNING uid INTO ua; END IF;
        IF ub IS NULL THEN INSERT INTO TIDINGS.users(name) VALUES (b[i]) RETURNING uid INTO ub; END IF;
        conversation := nextval('TIDINGS.conversations');
        chat_tag := ('x' || right(translate(gen_random_uuid()::text, '-', ''), 16))::bit(64)::bigint
                    & 9223372036854775807;
        INSERT INTO TIDINGS.members(uid, chat, cid, tag, opened_ms)
        VALUES (ua, ub, conversation, chat_tag, now_ms), (ub, ua, conversation, chat_tag, 0);
      END IF;

    ELSIF ops[i] = 2 THEN
      own_read := marks_read; own_dlv := marks_dlv;
      IF greatest(delivered[i], reads[i]) > last THEN
        word := 'unknown'; seq := last;
      END IF;
      IF word <> 'ok' OR conversation IS NULL OR g.blocks THEN
        RETURN NEXT; CONTINUE;
      END IF;
      marks_read := greatest(own_read, reads[i]);
      marks_dlv := greatest(own_dlv, delivered[i], marks_read);
      IF marks_read > own_read THEN
        SELECT CASE WHEN m.sender = ua THEN marks_read - m.nth ELSE m.nth END INTO received
        FROM TIDINGS.messages m WHERE m.id = conversation << seq_bits | marks_read;
        ha := ha + 1;
        INSERT INTO TIDINGS.feed(uid, cur, kind, chat, mid, ts)
        VALUES (ua, ha, 4, ub, conversation << seq_bits | marks_read, now_ms);
        UPDATE TIDINGS.members m SET read_seq = marks_read, dlv_seq = marks_dlv, read_n = received
        WHERE m.uid = ua AND m.chat = ub;
        word := 'event'; kind := 4; at_a := ha; seq := marks_read; RETURN NEXT;
      ELSIF marks_dlv > own_dlv THEN
        UPDATE TIDINGS.members m SET dlv_seq = marks_dlv WHERE m.uid = ua AND m.chat = ub;
      END IF;
      own_read := marks_read; own_dlv := marks_dlv;
      tells := sent > 0 OR flags[i] & 1 > 0;

    ELSIF ops[i] = 3 THEN
      IF ua IS NULL THEN INSERT INTO TIDINGS.users(name) VALUES (a[i]) RETURNING uid INTO ua; END IF;
      IF ub IS NULL THEN INSERT INTO TIDINGS.users(name) VALUES (b[i]) RETURNING uid INTO ub; END IF;
      INSERT INTO TIDINGS.blocks(uid, peer, ts, nth)
      VALUES (ua, ub, now_ms, (SELECT coalesce(max(k.nth), 0) + 1 FROM TIDINGS.blocks k WHERE k.uid = ua))
      ON CONFLICT (uid, peer) DO NOTHING;
      RETURN NEXT; CONTINUE;

    ELSE
      DELETE FROM TIDINGS.blocks k WHERE k.uid = ua AND k.peer = ub;
      RETURN NEXT; CONTINUE;
    END IF;

    -- The other side is told how far this one has read and received, where it was not told so far.
    IF tells AND (marks_read > g.told_read OR marks_dlv > g.told_dlv) THEN
      word := 'event'; at_a := NULL;
      IF marks_read > g.told_read THEN
        hb := hb + 1; kind := 3; at_b := hb; seq := marks_read; RETURN NEXT;
        INSERT INTO TIDINGS.feed(uid, cur, kind, chat, mid, ts)
        VALUES (ub, hb, kind, ua, conversation << seq_bits | seq, now_ms);
      END IF;
      IF marks_dlv > greatest(g.told_dlv, CASE WHEN marks_read > g.told_read THEN marks_read END) THEN
        hb := hb + 1; kind := 2; at_b := hb; seq := marks_dlv; RETURN NEXT;
        INSERT INTO TIDINGS.feed(uid, cur, kind, chat, mid, ts)
        VALUES (ub, hb, kind, ua, conversation << seq_bits | seq, now_ms);
      END IF;
      UPDATE TIDINGS.members m SET told_read = marks_read, told_dlv = marks_dlv WHERE m.uid = ua AND m.chat = ub;
    END IF;

    IF ops[i] = 1 THEN
      ha := ha + 1; hb := hb + 1; last := last + 1;
      UPDATE TIDINGS.members m
      SET last_cur = CASE m.uid WHEN ub THEN hb ELSE ha END, last_seq = last, recv_n = m.recv_n + (m.uid = ub)::int
      WHERE m.uid = ub AND m.chat = ua OR m.uid = ua AND m.chat = ub;
      INSERT INTO TIDINGS.messages(id, sender, nth, ts, client_id, digest, type, body)
      VALUES (conversation << seq_bits | last, ua, sent + 1, now_ms, client_ids[i], digests[i], types[i], bodies[i]);
      INSERT INTO TIDINGS.feed(uid, cur, kind, chat, mid, ts)
      VALUES (ub, hb, 1, ua, conversation << seq_bits | last, now_ms),
             (ua, ha, 1, ub, conversation << seq_bits | last, now_ms);
      at_a := ha; at_b := hb; seq := last; tag := chat_tag;
    END IF;
    UPDATE TIDINGS.users u SET head = CASE u.uid WHEN ua THEN ha ELSE hb END
    WHERE u.uid IN (ua, ub) AND u.head < CASE u.uid WHEN ua THEN ha ELSE hb END;
    word := 'ok'; kind := NULL; RETURN NEXT;
  END LOOP;
END $$;

-- A node says that it is there, which only a database that takes writes lets it do.
CREATE FUNCTION TIDINGS.check_1(me text) RETURNS TABLE(epoch text, erasures bigint) LANGUAGE sql AS $$
  INSERT INTO TIDINGS.nodes AS o(node, seen_ms) VALUES (me, TIDINGS.now_ms_1())
  ON CONFLICT (node) DO UPDATE SET seen_ms = excluded.seen_ms;
  SELECT m.epoch, m.erasures FROM TIDINGS.meta m
$$;

-- Another history begins, once, however many nodes say so; what nodes hold in memory is of the former one.
CREATE FUNCTION TIDINGS.begin_epoch_1(former text, next text) RETURNS text LANGUAGE sql AS $$
  UPDATE TIDINGS.meta SET epoch = next, erasures = erasures + 1 WHERE epoch = former;
  SELECT epoch FROM TIDINGS.meta
$$;

CREATE FUNCTION TIDINGS.revoke_1(who text, upto double precision, most int) RETURNS void LANGUAGE sql AS $$
  INSERT INTO TIDINGS.revocations AS r(name, until) VALUES (who, upto)
  ON CONFLICT (name) DO UPDATE SET until = greatest(r.until, excluded.until);
  DELETE FROM TIDINGS.revocations WHERE name IN (
    SELECT name FROM TIDINGS.revocations ORDER BY until DESC OFFSET most)
$$;

-- The last position of a log that is old, found by halving.
CREATE FUNCTION TIDINGS.last_old_1(whose bigint, floor bigint, head bigint, cutoff_ms bigint) RETURNS bigint
LANGUAGE plpgsql STABLE AS $$
DECLARE old bigint := floor; young bigint := head; middle bigint := floor + 1; at_ms bigint;
BEGIN
  IF young - old < 2 THEN RETURN old; END IF;
  LOOP
    SELECT f.ts INTO at_ms FROM TIDINGS.feed f WHERE f.uid = whose AND f.cur = middle;
    IF at_ms < cutoff_ms THEN old := middle; ELSE young := middle; END IF;
    IF young - old < 2 THEN RETURN old; END IF;
    middle := (old + young) / 2;
  END LOOP;
END $$;

-- What may go of the next logs.
CREATE FUNCTION TIDINGS.find_cuts_1(after_uid bigint, older_than_ms bigint, events_max bigint, at_once int)
RETURNS TABLE(uid bigint, head bigint, floor bigint, wanted bigint) LANGUAGE sql STABLE AS $$
  SELECT u.uid, u.head, u.floor, least(u.head - 1, greatest(u.floor, u.head - events_max, TIDINGS.last_old_1(
    u.uid, u.floor, u.head, (extract(epoch FROM now()) * 1000)::bigint - older_than_ms)))
  FROM TIDINGS.users u WHERE u.uid > after_uid ORDER BY u.uid LIMIT at_once
$$;

-- The floor of a log rises by one slice, and what is below goes; how many events (0: done). A log that somebody holds is
-- left for the next time.
CREATE FUNCTION TIDINGS.cut_1(whose bigint, wanted bigint, slice int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE now_floor bigint; next_floor bigint; gone bigint;
BEGIN
  SELECT u.floor, greatest(u.floor, least(u.floor + slice, wanted, u.head - 1)) INTO now_floor, next_floor
  FROM TIDINGS.users u WHERE u.uid = whose FOR NO KEY UPDATE SKIP LOCKED;
  IF NOT FOUND OR next_floor = now_floor THEN RETURN 0; END IF;
  UPDATE TIDINGS.users SET floor = next_floor WHERE uid = whose;
  DELETE FROM TIDINGS.feed WHERE uid = whose AND cur <= next_floor;
  GET DIAGNOSTICS gone = ROW_COUNT;
  RETURN gone;
END $$;

-- A slice of an erasure: messages after the id `reached`, then the log, and in the last one, which holds the lock of the
-- log and sees that nothing came in between, the name. `hidden` is under which a revocation goes on without the name.
CREATE FUNCTION TIDINGS.erase_1(
  who text, hidden text, made_up text, revocations_max int, slice int, INOUT reached bigint,
  OUT was_known boolean, OUT messages bigint, OUT events bigint, OUT is_done boolean)
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
  seq_bits CONSTANT int := 24;
  seq_max CONSTANT int := 16777215;
  u bigint; revoked double precision; looked bigint[];
BEGIN
  was_known := false; messages := 0; events := 0; is_done := true;
  SELECT uid INTO u FROM TIDINGS.users WHERE name = who COLLATE "C" FOR NO KEY UPDATE;
  DELETE FROM TIDINGS.revocations WHERE name = who COLLATE "C" RETURNING until INTO revoked;
  IF revoked IS NOT NULL THEN PERFORM TIDINGS.revoke_1(hidden, revoked, revocations_max); END IF;
  was_known := u IS NOT NULL OR revoked IS NOT NULL;
  IF NOT was_known THEN RETURN; END IF;
  UPDATE TIDINGS.meta SET erasures = erasures + 1;
  IF u IS NULL THEN RETURN; END IF;
  is_done := false;

  SELECT array_agg(m.id) INTO looked FROM (
    SELECT x.id
    FROM (SELECT cid FROM TIDINGS.members WHERE uid = u AND cid >= reached >> seq_bits ORDER BY cid) c
    CROSS JOIN LATERAL (
      SELECT y.id FROM TIDINGS.messages y
      WHERE y.id > greatest(reached, c.cid << seq_bits) AND y.id <= c.cid << seq_bits | seq_max
      ORDER BY y.id LIMIT slice) x
    ORDER BY c.cid, x.id LIMIT slice) m;
  UPDATE TIDINGS.messages m SET body = '', type = 'deleted', client_id = NULL, digest = NULL
  WHERE m.id = ANY (looked) AND m.sender = u AND m.type <> 'deleted';
  GET DIAGNOSTICS messages = ROW_COUNT;
  reached := coalesce(looked[array_upper(looked, 1)], reached);
  IF array_length(looked, 1) = slice THEN RETURN; END IF;

  events := TIDINGS.cut_1(u, (SELECT head - 1 FROM TIDINGS.users WHERE uid = u), slice);
  IF events > 0 THEN RETURN; END IF;

  IF EXISTS (
    SELECT 1 FROM TIDINGS.members b CROSS JOIN LATERAL (
      SELECT 1 FROM TIDINGS.messages m WHERE m.id > b.cid << seq_bits AND m.id <= b.cid << seq_bits | seq_max
      AND m.sender = u AND m.type <> 'deleted' LIMIT 1) written
    WHERE b.uid = u) THEN
    reached := 0; RETURN;                      -- written in a conversation that was through: once more
  END IF;
  DELETE FROM TIDINGS.feed WHERE uid = u;
  GET DIAGNOSTICS events = ROW_COUNT;
  UPDATE TIDINGS.users SET name = made_up, floor = head, erased_ms = TIDINGS.now_ms_1() WHERE uid = u;
  DELETE FROM TIDINGS.blocks WHERE uid = u;
  UPDATE TIDINGS.members SET opened_ms = 0 WHERE uid = u AND opened_ms > 0;
  is_done := true;
END $$;
