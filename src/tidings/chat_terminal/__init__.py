"""``tidings chat WITH``: one conversation in a terminal, by Textual (the extra ``chat``).

``thread`` is what the conversation looks like, without a terminal; ``app`` shows it and talks to the server.
"""
