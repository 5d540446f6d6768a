"""What a message and an open stream cost, here and at others (`make bench`)."""
