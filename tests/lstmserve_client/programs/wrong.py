"""What mypy keeps a user from: every line that ends with a code has an error of that code."""

from lstmserve_client import AsyncClient, Client, RetryPolicy, SamplingParams, Turn


def ask(client: Client) -> None:
    client.reply("hi", tempreature=0.5)  # call-arg
    client.reply("hi", sampling={"seed": 1})  # arg-type
    client.reply("hi", temperature="hot")  # arg-type
    client.reply("hi", cache_mode="never")  # arg-type
    client.reply(Turn("user", "hi"))  # arg-type
    client.reply([Turn("wizard", "hi")])  # arg-type
    client.reply("hi", timeout_seconds="5")  # arg-type
    str(client.generate("hi").txt)  # attr-defined
    for event in client.generate("hi"):
        str(event.token_ids)  # union-attr
    Client(retry=3)  # arg-type
    Client("a:1", None)  # call-arg
    SamplingParams(0.5)  # call-arg
    RetryPolicy(max_attempts=None)  # arg-type


async def ask_on_a_loop(client: AsyncClient) -> None:
    for event in client.generate("hi"):  # attr-defined
        str(event)
    client.reply("hi")  # unused-coroutine
    str(client.reply("hi").text)  # attr-defined
