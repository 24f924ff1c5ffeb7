"""A stand-in for Azure Service Bus, as large as the adapter's own calls need.

Written from Microsoft's documentation: the AMQP protocol guide
(https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-protocol-guide), the
request-response operations (…/service-bus-amqp-request-response) and the administration API
(https://learn.microsoft.com/rest/api/servicebus/). What it proves is that the adapter speaks
these; only Azure itself proves that they are right.
"""
