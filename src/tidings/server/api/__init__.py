"""The routes of the wire: one file each, and what all of them have in common."""
