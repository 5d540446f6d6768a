"""Seeded runs of the real server and client under virtual time. docs/proof/simulation.md says what is simulated."""
