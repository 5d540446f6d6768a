-- Credentials of the host's other programs. Their secrets are kept nowhere.
CREATE TABLE TIDINGS.service_keys(
  name text COLLATE "C" PRIMARY KEY,
  digest bytea NOT NULL UNIQUE,                -- SHA-256 of the secret
  stands_for text COLLATE "C",                 -- a user, by name: perhaps nobody yet has a row; NULL: anybody
  may_send_system boolean NOT NULL,
  created_ms bigint NOT NULL,
  used_day int                                 -- the last on which it was used, in days since 1970
);

UPDATE TIDINGS.meta SET version = 6;
