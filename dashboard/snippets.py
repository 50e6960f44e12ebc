"""The first request, ready to be pasted, for the clients that people use. Pure."""

import msgspec

MODEL = "gpt-4o-mini"
KEY = "YOUR_VIRTUAL_KEY"


class Snippet(msgspec.Struct, frozen=True):
    """One way to ask, with the language for its colours."""

    client: str
    language: str
    code: str


def snippets(base_url: str) -> list[Snippet]:
    """The same request with every client; *base_url* ends with the API's version."""
    return [
        Snippet(
            client,
            language,
            code.strip().replace("<base_url>", base_url).replace("<model>", MODEL).replace("<key>", KEY),
        )
        for client, language, code in _TEMPLATES
    ]


_TEMPLATES = (
    (
        "curl",
        "bash",
        """
curl <base_url>/chat/completions \\
  -H "Authorization: Bearer <key>" \\
  -H "Content-Type: application/json" \\
  -d '{"model": "<model>", "messages": [{"role": "user", "content": "Say hello"}]}'
""",
    ),
    (
        "Python",
        "python",
        """
# pip install openai
from openai import OpenAI

client = OpenAI(base_url="<base_url>", api_key="<key>")
answer = client.chat.completions.create(
    model="<model>", messages=[{"role": "user", "content": "Say hello"}]
)
print(answer.choices[0].message.content)
""",
    ),
    (
        "Node",
        "javascript",
        """
// npm install openai
import OpenAI from "openai";

const client = new OpenAI({ baseURL: "<base_url>", apiKey: "<key>" });
const answer = await client.chat.completions.create({
  model: "<model>",
  messages: [{ role: "user", content: "Say hello" }],
});
console.log(answer.choices[0].message.content);
""",
    ),
    (
        "LangChain",
        "python",
        """
# pip install langchain-openai
from langchain_openai import ChatOpenAI

model = ChatOpenAI(model="<model>", base_url="<base_url>", api_key="<key>")
print(model.invoke("Say hello").content)
""",
    ),
    (
        "Any OpenAI client",
        "bash",
        """
export OPENAI_BASE_URL=<base_url>
export OPENAI_API_KEY=<key>
""",
    ),
)
