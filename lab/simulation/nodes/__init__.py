"""Several nodes on one database and one bus, in virtual time. docs/proof/simulation.md says what is simulated."""
