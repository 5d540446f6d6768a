"""The open part of the server: the logs that somebody reads, their streams, and who is here. No route and no SQL."""
