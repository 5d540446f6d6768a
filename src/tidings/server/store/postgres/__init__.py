"""The store on a PostgreSQL database, which several nodes have at once."""
