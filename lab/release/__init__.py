"""``make release``: the packages of a version, tried as their users will, and notes for them. It publishes nothing.

``packages`` builds and lists them, ``python`` and ``npm`` try them, ``notes`` writes what a release says of itself.
Everything is in ``build/release`` afterwards.
"""
