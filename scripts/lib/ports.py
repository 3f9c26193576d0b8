"""Ports for programs that do not choose one themselves."""

import random
import socket

# The system gives these ports to nobody by itself (ip_local_port_range), so a free one stays free until its use.
LEAST, MOST = 12_000, 19_999
chosen = set()


def free_port():
    """A free port of this machine, each time another."""
    while True:
        port = random.randint(LEAST, MOST)
        if port in chosen:
            continue
        with socket.socket() as probe:
            # As servers do; else a port whose last connections have just ended counts as in use.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        chosen.add(port)
        return port
