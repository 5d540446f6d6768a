"""The caller, the address and the rate of a request, and the record of a refusal."""
