"""Scenes of faults in real processes, disks and networks, and what they report (`make fault`)."""
