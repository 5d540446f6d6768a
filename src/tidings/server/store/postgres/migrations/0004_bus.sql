-- The key with which nodes seal what they tell each other on a bus that others may reach, too. Drawn once; a table of its
-- own, since a column of one that everybody reads would wait for a backup, and everybody for it.
CREATE TABLE TIDINGS.bus(
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  key text COLLATE "C" NOT NULL
);
INSERT INTO TIDINGS.bus(key) VALUES (gen_random_uuid()::text || gen_random_uuid()::text);

UPDATE TIDINGS.meta SET version = 4;
