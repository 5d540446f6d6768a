"""A browser that a program drives, and an application around the list of messages for it."""
