"""A function on AWS's own runtime client for Python."""

import os


class Wrong(Exception):
    """What the function throws when its event says so."""


def handler(event, context):
    """Answers with the event and what the context says; throws when the event says so."""
    if "fail" in event:
        raise Wrong(event["fail"])
    print("hello from Python")
    return {
        "event": event,
        "request_id": context.aws_request_id,
        "arn": context.invoked_function_arn,
        "version": context.function_version,
        "memory": context.memory_limit_in_mb,
        "left_ms": context.get_remaining_time_in_millis(),
        "colour": os.environ.get("COLOUR"),
    }
