//! HTTP request to Lambda event to HTTP response, both directions. Pure.
