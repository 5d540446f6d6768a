-- Messages that transactions of the application enqueue. A row is there when its transaction has committed, and a node
-- moves it into the logs.
CREATE TABLE TIDINGS.outbox(
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,  -- the order in which they are moved
  queued_ms bigint NOT NULL,
  sender text COLLATE "C" NOT NULL,
  recipient text COLLATE "C" NOT NULL,
  type text COLLATE "C" NOT NULL,
  body text NOT NULL,
  client_id text COLLATE "C" NOT NULL
);

-- Those that could not be moved, for whoever operates: the last ones, and for some weeks.
CREATE TABLE TIDINGS.refused(
  id bigint PRIMARY KEY,                       -- in the outbox
  refused_ms bigint NOT NULL,
  why text COLLATE "C" NOT NULL,               -- a word of rules.py, or the code of a problem
  queued_ms bigint NOT NULL,
  sender text COLLATE "C" NOT NULL,
  recipient text COLLATE "C" NOT NULL,
  type text COLLATE "C" NOT NULL,
  body text NOT NULL,
  client_id text COLLATE "C" NOT NULL
);

-- The transaction that calls this has a message sent when it commits, and else none; the message's client_id. It is for
-- applications, in whichever language: name and arguments stay. Its rights are its owner's, so that a caller needs none
-- on a table; nobody else may call it unless it is granted.
--
-- What no node could take is refused here; a node's own settings (a shorter text, the types) count when it is moved.
-- `database` is the epoch that the caller believes to be here.
CREATE FUNCTION TIDINGS.enqueue(
  sender text, recipient text, body text, type text DEFAULT 'text', client_id text DEFAULT NULL,
  database text DEFAULT NULL)
RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  wrong text; name text;
BEGIN
  IF database IS NOT NULL AND NOT EXISTS (SELECT 1 FROM TIDINGS.meta m WHERE m.epoch = database COLLATE "C") THEN
    RAISE EXCEPTION 'tidings: this is another database than the nodes have, or it went back' USING ERRCODE = 'TD001';
  END IF;
  FOREACH name IN ARRAY ARRAY[sender, recipient] LOOP
    IF name IS NULL OR name = '' THEN wrong := 'sender and recipient are user ids';
    ELSIF length(name) > 128 THEN wrong := 'a user id has at most 128 characters';
    ELSIF name IN ('.', '..', 'me') THEN wrong := 'a user id is not ''.'', ''..'' or ''me''';
    ELSIF name ~ E'[/\\\\]' THEN wrong := 'a user id contains no slash and no backslash';
    ELSIF name ~ E'[\\u0001-\\u001f\\u007f-\\u009f]' THEN wrong := 'a user id contains no control characters';
    ELSIF getdatabaseencoding() = 'UTF8' THEN
      IF name IS NOT NFC NORMALIZED THEN wrong := 'a user id is in Unicode normal form C (NFC)'; END IF;
    END IF;
  END LOOP;
  client_id := coalesce(client_id, gen_random_uuid()::text);
  IF wrong IS NOT NULL THEN NULL;
  ELSIF sender = recipient THEN wrong := 'a message goes to somebody else';
  ELSIF body IS NULL OR body !~ E'\\S' THEN wrong := 'the text is empty';
  ELSIF octet_length(convert_to(body, 'UTF8')) > 16384 THEN wrong := 'a text has at most 16384 bytes';
  ELSIF body ~ E'[\\u0001-\\u0008\\u000b\\u000c\\u000e-\\u001f]' THEN
    wrong := 'the text contains control characters other than TAB, LF and CR';
  ELSIF type IS NULL OR type !~ '^[A-Za-z_][A-Za-z0-9_]{0,31}$' OR type = 'deleted' THEN
    wrong := 'the type is text, system or one that is configured';
  ELSIF client_id !~ '^[ -~]{1,64}$' THEN wrong := 'a client_id has 1 to 64 printable ASCII characters';
  END IF;
  IF wrong IS NOT NULL THEN
    RAISE EXCEPTION 'tidings: %', wrong USING ERRCODE = 'invalid_parameter_value';
  END IF;
  INSERT INTO TIDINGS.outbox(queued_ms, sender, recipient, type, body, client_id)
  VALUES (TIDINGS.now_ms_1(), sender, recipient, type, body, client_id);
  -- Heard when the transaction has committed. Commits that notify wait for each other, a flush to the disk each: where
  -- several transactions are about to send, one of them does, and a node that was woken looks again for a while.
  IF pg_try_advisory_xact_lock(hashtextextended('TIDINGS.enqueue', 0)) THEN
    PERFORM pg_notify('TIDINGS.outbox', '');
  END IF;
  RETURN client_id;
END $$;

-- Rows of the outbox go into the logs, by write_1, or among those that were refused: all in one transaction, which is
-- the exactly-once of it. `moved` are the rows of the operations, `refused` others, each with why. It answers the rows
-- of write_1, and a last one with the word 'moved'; nothing where another node is about it, or has been.
--
-- One node at a time, since two would change the order of one sender's messages. It holds the lock for this call alone.
CREATE FUNCTION TIDINGS.move_1(
  moved bigint[], refused bigint[], whys text[],
  lock_wait_ms int, ops int[], a text[], b text[], client_ids text[], digests bytea[], types text[], bodies text[],
  openings int[], flags int[], delivered int[], reads int[])
RETURNS TABLE(
  n int, word text, kind int, at_a bigint, at_b bigint, ts bigint, seq int, tag bigint,
  own_read int, own_dlv int, their_read int, their_dlv int, stored_digest bytea, stored_type text, stored_body text)
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
  all_ids CONSTANT bigint[] := moved || refused;
  gone int;
BEGIN
  IF NOT pg_try_advisory_xact_lock(hashtextextended('TIDINGS.outbox', 0)) THEN RETURN; END IF;
  IF (SELECT count(*) FROM TIDINGS.outbox o WHERE o.id = ANY (all_ids)) < cardinality(all_ids) THEN RETURN; END IF;
  PERFORM set_config('lock_timeout', lock_wait_ms::text, true);
  PERFORM TIDINGS.refuse_1(refused, whys);
  FOR n, word, kind, at_a, at_b, ts, seq, tag, own_read, own_dlv, their_read, their_dlv, stored_digest, stored_type,
      stored_body IN
    SELECT * FROM TIDINGS.write_1(
      lock_wait_ms, ops, a, b, client_ids, digests, types, bodies, openings, flags, delivered, reads)
  LOOP
    IF word = 'stored' AND stored_digest IS DISTINCT FROM digests[n] THEN
      PERFORM TIDINGS.refuse_1(moved[n:n], ARRAY['client_id_reused']);
    ELSIF word NOT IN ('ok', 'event', 'stored') THEN
      PERFORM TIDINGS.refuse_1(moved[n:n], ARRAY[word]);
    END IF;
    RETURN NEXT;
  END LOOP;
  DELETE FROM TIDINGS.outbox o WHERE o.id = ANY (all_ids);
  GET DIAGNOSTICS gone = ROW_COUNT;
  IF gone < cardinality(all_ids) THEN             -- an erasure, meanwhile
    RAISE EXCEPTION 'a row of the outbox went' USING ERRCODE = 'serialization_failure';
  END IF;
  n := 0; word := 'moved'; RETURN NEXT;
END $$;

CREATE FUNCTION TIDINGS.refuse_1(ids bigint[], whys text[]) RETURNS void LANGUAGE sql AS $$
  INSERT INTO TIDINGS.refused(id, refused_ms, why, queued_ms, sender, recipient, type, body, client_id)
  SELECT o.id, TIDINGS.now_ms_1(), w.why, o.queued_ms, o.sender, o.recipient, o.type, left(o.body, 16384), o.client_id
  FROM unnest(ids, whys) w(id, why) JOIN TIDINGS.outbox o ON o.id = w.id
$$;

-- The latest `most` of those that were refused stay, and of them what is younger.
CREATE FUNCTION TIDINGS.forget_refused_1(older_than_ms bigint, most int) RETURNS void LANGUAGE sql AS $$
  DELETE FROM TIDINGS.refused WHERE refused_ms < TIDINGS.now_ms_1() - older_than_ms
  OR id <= (SELECT id FROM TIDINGS.refused ORDER BY id DESC OFFSET most LIMIT 1)
$$;

-- Nothing of a person waits, or is kept.
CREATE FUNCTION TIDINGS.erase_outbox_1(who text) RETURNS bigint LANGUAGE sql AS $$
  WITH waiting AS (
    DELETE FROM TIDINGS.outbox WHERE sender = who COLLATE "C" OR recipient = who COLLATE "C" RETURNING 1),
  kept AS (
    DELETE FROM TIDINGS.refused WHERE sender = who COLLATE "C" OR recipient = who COLLATE "C" RETURNING 1)
  SELECT (SELECT count(*) FROM waiting) + (SELECT count(*) FROM kept)
$$;

REVOKE ALL ON FUNCTION TIDINGS.enqueue FROM PUBLIC;

UPDATE TIDINGS.meta SET version = 2;
