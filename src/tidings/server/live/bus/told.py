"""The kinds of what nodes tell each other and that is in no log.

Rules
1. Each may be lost, doubled and late. A late one of PERISHABLE kind is not told any more, and the others undo nothing
   that has begun since they were told.
2. A kind that is not known is of a later version, and passed over.
"""

# Between nodes, about themselves (neighbours.py). The user is "", but of HELLO, where it may be one node.
HELLO, BYE = "hello", "bye"
ROLL, ROLL_END = "roll", "roll_end"  # between them stands everybody who is here
HERE, GONE = "here", "gone"  # to: who has a stream or poll on this node, or had one until now

TYPING = "typing"  # to: who is told; about: who types
PRESENCE = "presence"  # to: who asked; about: 1 or 0 for online, and of whom
PROFILE = "profile"  # to: who is told; about: a ProfileChange as JSON
WATCH = "watch"  # to: who asked, now on this node; about: of whom
TAB = "tab"  # to: whose stream has opened; about: its tab
BLOCK = "block"  # to, about: between whom
LOOK = "look"  # to: whose log may have got what nobody was told of
REVOKE = "revoke"  # to: who; about: until when the sign-ins were revoked, seconds since 1970

PERISHABLE = {TYPING, PRESENCE}
