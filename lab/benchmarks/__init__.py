"""The cost of a message and of an open stream, here and at others (`make bench`)."""
