"""How messaging servers that stream over Server-Sent Events stand broken networks and killed processes.

A black box: whatever can be started, published to and streamed from is driven by a small adapter (``systems/``), read
by the client that its documentation gives, and put through the same faults at the same rates behind the same proxy.
It compares the acknowledged messages with those that the readers showed.

    make scoreboard            all systems, all faults, three rounds: some twenty minutes
    make scoreboard QUICK=1    one short round, under two minutes

``tally`` judges and knows nothing of sockets; ``faults`` says what is done; ``scene`` does it to one system; ``board``
runs the scenes and ``table`` prints what came out.
"""
