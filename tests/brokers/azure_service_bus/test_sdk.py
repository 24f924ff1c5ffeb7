"""The SDK's private names that the adapter rests on: what to look at when it is upgraded."""

from importlib.metadata import version

from azure.servicebus import ServiceBusReceiver, ServiceBusSender
from azure.servicebus._base_handler import BaseHandler
from azure.servicebus._pyamqp._connection import Connection
from azure.servicebus._pyamqp._transport import SSLTransport
from azure.servicebus._pyamqp.client import ReceiveClient, SendClient
from azure.servicebus._pyamqp.link import Link
from azure.servicebus._pyamqp.receiver import ReceiverLink
from azure.servicebus._pyamqp.sender import SenderLink
from azure.servicebus._pyamqp.session import Session


def test_this_version_was_tried() -> None:
    """Run all tests of this folder before another version is let in."""
    assert version("azure-servicebus").startswith("7.15.")


def test_the_names_are_there() -> None:
    for owner, names in {
        BaseHandler: ["_open_with_retry", "_mgmt_request_response_with_retry"],
        ServiceBusReceiver: ["_renew_locks"],
        ServiceBusSender: ["create_message_batch"],
        SendClient: ["do_work", "auth_complete"],
        ReceiveClient: ["do_work", "_message_received"],
        Link: ["get_state", "flow"],
        SenderLink: ["send_transfer"],
        ReceiverLink: ["_outgoing_disposition", "_outgoing_detach", "detach"],
        Session: ["create_receiver_link"],
        Connection: ["listen"],
        SSLTransport: ["read"],
    }.items():
        for name in names:
            assert callable(getattr(owner, name)), (owner, name)
