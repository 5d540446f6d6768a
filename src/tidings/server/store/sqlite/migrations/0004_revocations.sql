-- Tokens of this user that were issued until then are refused. By name and not by row: it holds for whoever comes under
-- this name, also before they have a row and after they were erased.
CREATE TABLE revocations(
  name TEXT PRIMARY KEY,
  until REAL NOT NULL                    -- seconds since 1970
) WITHOUT ROWID;

CREATE INDEX revocations_recent ON revocations(until);
