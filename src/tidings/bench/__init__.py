"""``tidings bench``: load for a server that speaks HTTP, and a count of what arrives."""
