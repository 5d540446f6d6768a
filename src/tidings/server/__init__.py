"""The server, in the order of the data path: send → store → hub → stream → frame."""
