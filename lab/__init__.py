"""The apparatus that proves and measures Tidings: it stands outside of the product, and the tests stand on it."""
