"""Captured content: what was asked and answered, kept only where a project wants that. Off by default.

policy*      what a project keeps, and for how long
detectors*   where a text holds an e-mail address, a card number, a credential, …
redact*      texts and JSON without them
reassembly*  an event stream as the one answer it was
shorten*     text and JSON that were cut, without half secrets
parts*       request and answer as they are kept
vault        encryption
captured     the table
registry     who may see and delete it: audited
tape         what a request holds in memory, bounded
capturer     the queue and the thread that writes

`*` is pure. Content is best effort: it never delays a request and never makes one fail, and it never touches
the journal or the log.
"""
