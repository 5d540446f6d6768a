"""A database that grows: filled through the store, measured by itself, behind HTTP, and while it is looked after."""
