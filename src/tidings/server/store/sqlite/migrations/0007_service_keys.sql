-- Credentials of the host's other programs. Their secrets are kept nowhere.
CREATE TABLE service_keys(
  name TEXT PRIMARY KEY,
  digest BLOB NOT NULL UNIQUE,           -- SHA-256 of the secret
  user TEXT,                             -- whom it stands for, by name: perhaps nobody yet has a row; NULL: anybody
  may_send_system INTEGER NOT NULL,
  created_ms INTEGER NOT NULL,
  used_day INTEGER                       -- the last on which it was used, in days since 1970
) WITHOUT ROWID;
