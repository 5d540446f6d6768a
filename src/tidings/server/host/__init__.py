"""The application in which Tidings is embedded: its functions, and the end of its process."""
