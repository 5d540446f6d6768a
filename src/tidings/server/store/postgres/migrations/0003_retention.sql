-- Retention is whichever node's: a run goes through all logs in slices, and each slice is one node's. So there is none whose
-- end would end it, and no work that each does again.
CREATE TABLE TIDINGS.retention(                -- one row, whose lock is held for as long as a slice is handed out
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  retained_ms bigint NOT NULL DEFAULT 0,       -- when the last run began
  after_uid bigint,                            -- where the next slice begins; NULL: the run is over
  kept bigint NOT NULL DEFAULT 0               -- events in the logs that the run has been through
);
INSERT INTO TIDINGS.retention DEFAULT VALUES;

-- The next slice, of so many logs: those after from_uid; none where that is NULL. kept_here are the events that the caller
-- left in its slice before. NULL begins a run if there was none within the time, and joins one that is not over.
CREATE FUNCTION TIDINGS.retain_1(
  kept_here bigint, not_within_ms bigint, at_once int, OUT from_uid bigint, OUT kept_in_all bigint)
LANGUAGE plpgsql AS $$
DECLARE run TIDINGS.retention; found_uids bigint[];
BEGIN
  SELECT * INTO run FROM TIDINGS.retention FOR UPDATE;
  IF kept_here IS NULL AND (
    not_within_ms = 0 OR (run.after_uid IS NULL AND run.retained_ms + not_within_ms <= TIDINGS.now_ms_1())) THEN
    run.retained_ms := TIDINGS.now_ms_1(); run.after_uid := 0; run.kept := 0;
  END IF;
  from_uid := run.after_uid;
  IF from_uid IS NOT NULL THEN
    SELECT array_agg(u.uid) INTO found_uids FROM (
      SELECT uid FROM TIDINGS.users WHERE uid > from_uid ORDER BY uid LIMIT at_once) u;
    run.after_uid := CASE WHEN array_length(found_uids, 1) = at_once THEN found_uids[at_once] END;
  END IF;
  kept_in_all := run.kept + coalesce(kept_here, 0);
  UPDATE TIDINGS.retention SET retained_ms = run.retained_ms, after_uid = run.after_uid, kept = kept_in_all;
END $$;
UPDATE TIDINGS.meta SET version = 3;
