"""Messages: the transport, what a message must be, the consumer that refuses others, and from which queue to
take next.

What is overridden here of Celery and kombu is named by a contract test. Forbidden here: what a task does.
"""
