"""The members of the site."""
