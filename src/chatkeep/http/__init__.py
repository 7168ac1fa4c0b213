"""Bytes in, bytes out: routes, streams, pages and probes. No decisions are taken here."""
