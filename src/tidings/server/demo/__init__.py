"""``tidings demo``: a real server that one can break while one watches it.

One process (``run``) holds a proxy, the control channel and the count; it starts each node as a process of its own
(``child``, watched by ``supervisor``) and lets the page talk to the nodes through the proxy only. A fault is real, on
the way or by killing a node, and heals by itself (``limits``). ``serve`` has none of this. Several nodes share a
PostgreSQL server, which is one more process of the demo (``database``) unless another one is named.

::

    page ─▶ proxy (faults) ─▶ child, child, ...: the nodes ─▶ their database
      └───▶ control ─▶ fault · supervisor · count ◀─ truth: that database
"""
