"""Servers behind TLS."""

import ssl


def secured(server, certificates, newest=ssl.TLSVersion.MAXIMUM_SUPPORTED):
    """``server`` itself, which from now on takes TLS alone, up to ``newest``, with what ``certificates`` has."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = newest
    context.load_cert_chain(certificates / "server.pem")
    accept = server.get_request

    def get_request():
        connection, address = accept()
        return context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address

    server.get_request = get_request
    server.url = server.url.replace("http://", "https://")
    return server
