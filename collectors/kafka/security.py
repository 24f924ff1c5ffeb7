"""How to sign in, in the words of librdkafka's settings."""

from typing import Any

from collectors.kafka.config import KafkaConfig

__all__ = ["security"]


def security(config: KafkaConfig) -> dict[str, Any]:
    """Settings of the listener's protocol, of TLS and of SASL; secrets are in them."""
    sasl = config.authentication not in ("none", "client certificate")
    protocol = ("SASL_" if sasl else "") + ("SSL" if config.tls else "PLAINTEXT")
    chosen: dict[str, Any] = {"security.protocol": protocol}
    if config.tls and config.ca_file:
        chosen["ssl.ca.location"] = config.ca_file
    if config.tls and config.client_certificate_file:
        chosen["ssl.certificate.location"] = config.client_certificate_file
        chosen["ssl.key.location"] = config.client_key_file or config.client_certificate_file
        if config.client_key_password is not None:
            chosen["ssl.key.password"] = config.client_key_password.get_secret_value()
    if config.needs_password():
        assert config.password is not None
        chosen["sasl.mechanism"] = config.authentication.upper()
        chosen["sasl.username"] = config.user
        chosen["sasl.password"] = config.password.get_secret_value()
    if config.authentication == "oauthbearer":
        chosen.update(_oauth(config))
    return chosen


def _oauth(config: KafkaConfig) -> dict[str, Any]:
    assert config.client_secret is not None
    chosen = {
        "sasl.mechanism": "OAUTHBEARER",
        "sasl.oauthbearer.method": "oidc",
        "sasl.oauthbearer.token.endpoint.url": config.token_endpoint,
        "sasl.oauthbearer.client.id": config.client_id,
        "sasl.oauthbearer.client.secret": config.client_secret.get_secret_value(),
    }
    if config.scope:
        chosen["sasl.oauthbearer.scope"] = config.scope
    if config.ca_file:
        chosen["https.ca.location"] = config.ca_file
    return chosen
