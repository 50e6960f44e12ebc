"""What an answer says about itself: tokens, finish, errors. Pure: bytes in, facts out.

`sse` splits event streams, `answer` reads one JSON answer or event (`native` those that are no completions),
`normalise` turns a usage object of any `dialects` into `tokens`, `meter` joins them for a whole answer, `text` and
`estimate` stand in where no usage was reported.
"""
