"""Tidings: real-time direct messaging over Server-Sent Events."""
