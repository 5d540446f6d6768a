-- Name and picture by the user's last token, where no host tells them. By user id and not by row: somebody who only reads
-- has no row, and is known by name to those who write to them all the same.
CREATE TABLE profiles(
  user TEXT PRIMARY KEY,
  name TEXT,
  picture TEXT                           -- an address over https
) WITHOUT ROWID;
