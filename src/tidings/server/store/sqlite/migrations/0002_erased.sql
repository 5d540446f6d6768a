-- When this user was erased: the name is then one that we made up, and nobody may write to it. NULL: not erased.
ALTER TABLE users ADD COLUMN erased_ms INTEGER;
