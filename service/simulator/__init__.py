"""The simulated upstream: OpenAI-shaped answers with no key and no network, and the demo's history.

    app         the ASGI application        server, __main__   on a thread, as a process
    contract    is the request valid?       rules              the vocabulary of that contract
    request     what it asks                answering, answers what it gets; tokens, schema_values, sentences
    faults      magic model names           replies            answer + fault = bytes and pauses
    controls    trouble for everybody       player, pace       plays a reply over ASGI
    history     thirty days of calls        calls, workloads   one call; who calls

Owns: everything a provider would do. Does not own: prices, records, keys; it knows nothing of the relay.
"""
