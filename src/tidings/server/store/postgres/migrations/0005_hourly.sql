-- What somebody may do so often an hour, on all nodes together, and of which no other row tells: a block of a stranger may
-- be taken back, and a report may go to the application. By name, since a reporter need not be among the users.
CREATE TABLE TIDINGS.hourly(
  what text COLLATE "C" NOT NULL,
  who text COLLATE "C" NOT NULL,
  ts bigint NOT NULL
);
CREATE INDEX hourly_of ON TIDINGS.hourly(what, who, ts);
CREATE INDEX hourly_old ON TIDINGS.hourly(ts);

-- Do it once more, if it was done fewer than `most` times within the hour: 0, or after how many milliseconds it may be
-- done. Others of the same wait for each other; rows that nothing hangs on any more go, a few at a time.
CREATE FUNCTION TIDINGS.hourly_1(did text, name text, most int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  hour_ms CONSTANT bigint := 3600000;
  now_ms bigint; earliest bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('TIDINGS.hourly ' || did || ' ' || name, 0));
  now_ms := TIDINGS.now_ms_1();
  DELETE FROM TIDINGS.hourly WHERE ctid IN (
    SELECT h.ctid FROM TIDINGS.hourly h WHERE h.ts <= now_ms - hour_ms LIMIT 100 FOR UPDATE SKIP LOCKED);
  SELECT h.ts INTO earliest FROM TIDINGS.hourly h
  WHERE h.what = did COLLATE "C" AND h.who = name COLLATE "C" AND h.ts > now_ms - hour_ms
  ORDER BY h.ts DESC OFFSET most - 1 LIMIT 1;
  IF FOUND THEN RETURN earliest + hour_ms - now_ms; END IF;
  INSERT INTO TIDINGS.hourly(what, who, ts) VALUES (did, name, now_ms);
  RETURN 0;
END $$;

CREATE FUNCTION TIDINGS.erase_hourly_1(name text) RETURNS void LANGUAGE sql AS $$
  DELETE FROM TIDINGS.hourly WHERE who = name COLLATE "C"
$$;

UPDATE TIDINGS.meta SET version = 5;
