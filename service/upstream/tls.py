"""How a provider proves who it is: the platform's certificates, host names checked, TLS 1.2 or newer.

SSL_CERT_FILE and SSL_CERT_DIR (OpenSSL's own variables) name other certificates, for a company's own authority.
"""

import ssl

import certifi


def client_context() -> ssl.SSLContext:
    """A verifying context that speaks HTTP/1.1 only."""
    context = ssl.create_default_context()
    if not context.cert_store_stats()["x509_ca"]:  # this Python does not know where the platform keeps them
        context.load_verify_locations(certifi.where())
    context.set_alpn_protocols(["http/1.1"])
    return context
