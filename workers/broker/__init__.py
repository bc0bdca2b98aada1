"""Messages from the broker: the transport, the rules for a message, the consumer that refuses other messages,
and the order of the queues.

A contract test names each member of Celery and kombu that is overridden here. Forbidden here: what a task
does."""
