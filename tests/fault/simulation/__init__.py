"""Seeded runs of the real server and client under virtual time. docs/simulation.md says what is simulated."""
