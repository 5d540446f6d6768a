"""``tidings demo``: a real server that one can break while one watches it.

One process (``run``) holds a proxy, the control channel and the count; it starts the server as a process of its own
(``child``, watched by ``supervisor``) and lets the page talk to it through the proxy only. A fault is real, on the way
or by killing the server, and heals by itself (``limits``). ``serve`` has none of this.

::

    page ─▶ proxy (faults) ─▶ child: the server, with its database
      └───▶ control ─▶ fault · supervisor · count ◀─ truth: that database
"""
