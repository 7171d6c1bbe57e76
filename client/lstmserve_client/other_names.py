"""What openai, transformers, vLLM and requests call it, and what it is here."""

from collections.abc import Mapping

# the first argument of methods: a prompt, several of them, or turns
TEXTS = frozenset(
    {
        *("content", "contents", "conversation", "history", "input", "inputs", "message"),
        *("messages", "prompt", "prompts", "query", "question", "questions", "text", "texts"),
        *("turns", "user_message"),
    }
)
# the first argument of clients
ADDRESSES = frozenset(
    {
        *("address", "addresses", "api_base", "base_url", "channel", "endpoint", "host"),
        *("hostname", "hosts", "port", "server", "servers", "target", "targets", "uri", "url"),
    }
)
OPTIONS: Mapping[str, str] = {
    "access_token": "token",
    "api_key": "token",
    "auth": "token",
    "deadline": "timeout",
    "default_headers": "metadata",
    "engine": "model",
    "extra_headers": "metadata",
    "headers": "metadata",
    "max_completion_tokens": "max_tokens",
    "max_length": "max_tokens",
    "max_new_tokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    "min_length": "min_tokens",
    "min_new_tokens": "min_tokens",
    "model_name": "model",
    "n": "num_replies",
    "num_return_sequences": "num_replies",
    "random_seed": "seed",
    "repeat_penalty": "repetition_penalty",
    "request_timeout": "timeout",
    "session_id": "affinity",
    "stop_sequences": "stop",
    "stop_strings": "stop",
    "stop_words": "stop",
    "top_logprobs": "logprobs",
    "use_cache": "cache_mode",
    "user": "caller",
}
_SCHEMA = "use constraint=JsonSchema(...)"
_TLS = "tls=Tls(...) of Client(...) encrypts, and without it calls go in clear"
_NO_INSTRUCTIONS = (
    "models here were trained without instructions and follow none; put what the reply depends "
    "on into the prompt, or leave it out"
)
_NO_TOOLS = "models here call no tools; leave it out"
_NO_BEAMS = "there is no beam search; best_of of reply() takes the likeliest of several replies"
ADVICE: Mapping[str, str] = {
    "choices": "use constraint=Choices([...])",
    "do_sample": "temperature=0 takes the likeliest token, and any above 0 samples",
    "function_call": _NO_TOOLS,
    "functions": _NO_TOOLS,
    "grammar": "use constraint=Grammar(...)",
    "guided_choice": "use constraint=Choices([...])",
    "guided_grammar": "use constraint=Grammar(...)",
    "guided_json": _SCHEMA,
    "guided_regex": "use constraint=Regex(...)",
    "insecure": _TLS,
    "instructions": _NO_INSTRUCTIONS,
    "json_schema": _SCHEMA,
    "length_penalty": _NO_BEAMS,
    "max_retries": "use retry=RetryPolicy(max_attempts=...) of Client(...)",
    "num_beams": _NO_BEAMS,
    "pattern": "use constraint=Regex(...)",
    "proxies": "gRPC goes by the variables grpc_proxy, https_proxy and no_proxy",
    "proxy": "gRPC goes by the variables grpc_proxy, https_proxy and no_proxy",
    "regex": "use constraint=Regex(...)",
    "response_format": _SCHEMA,
    "schema": _SCHEMA,
    "secure": _TLS,
    "ssl": _TLS,
    "stream": "generate() always streams, and reply() never does; leave it out",
    "system": _NO_INSTRUCTIONS,
    "system_prompt": _NO_INSTRUCTIONS,
    "tool_choice": _NO_TOOLS,
    "tools": _NO_TOOLS,
    "use_ssl": _TLS,
    "use_tls": _TLS,
    "verify": _TLS,
}
