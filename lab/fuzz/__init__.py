"""Made-up bytes and requests to everything that reads them (`make fuzz`)."""
