"""Everything that leans on uvicorn: the sockets of ``tidings serve``, from the listener to the last goodbye."""
