"""The overview of an empty store: what to paste, and a wait for the first request that ends by itself."""

import streamlit as st

from dashboard import data
from dashboard.context import current
from dashboard.views import away
from service.errors import StoreUnavailableError

EVERY_S = 2
MODEL = "gpt-4o-mini"
KEY = "YOUR_VIRTUAL_KEY"


def show() -> None:
    """The page, until there is a record."""
    st.header("Send the first request", anchor=False)
    st.write(
        "Point a client at the relay: set its base URL and a virtual key. `tollkeeper up` printed a key when it first "
        "started; `tollkeeper keys create --name my-app` makes another one."
    )
    _wait()
    samples = snippets(current().relay_url)
    for tab, (language, code) in zip(st.tabs(list(samples)), samples.values(), strict=True):
        tab.code(code, language=language)


@st.fragment(run_every=EVERY_S)
def _wait() -> None:
    try:
        books = data.recorded()
    except StoreUnavailableError:
        away.note()
        return
    if books is not None:
        st.rerun()
    st.info("Waiting for the first request. It appears here within seconds.", icon="spinner")


def snippets(base_url: str) -> dict[str, tuple[str, str]]:
    """The same request for each kind of client: its language and its code."""
    question = '[{"role": "user", "content": "Say hello"}]'
    return {
        "curl": (
            "bash",
            f"curl {base_url}/chat/completions \\\n"
            f'  -H "Authorization: Bearer {KEY}" \\\n'
            f"""  -d '{{"model": "{MODEL}", "messages": {question}}}'""",
        ),
        "Python": (
            "python",
            "# pip install openai\n"
            "from openai import OpenAI\n\n"
            f'client = OpenAI(base_url="{base_url}", api_key="{KEY}")\n'
            f'answer = client.chat.completions.create(model="{MODEL}", messages={question})\n'
            "print(answer.choices[0].message.content)",
        ),
        "Node": (
            "javascript",
            "// npm install openai\n"
            'import OpenAI from "openai";\n\n'
            f'const client = new OpenAI({{ baseURL: "{base_url}", apiKey: "{KEY}" }});\n'
            'const messages = [{ role: "user", content: "Say hello" }];\n'
            f'const answer = await client.chat.completions.create({{ model: "{MODEL}", messages }});\n'
            "console.log(answer.choices[0].message.content);",
        ),
        "LangChain": (
            "python",
            "# pip install langchain-openai\n"
            "from langchain_openai import ChatOpenAI\n\n"
            f'model = ChatOpenAI(model="{MODEL}", base_url="{base_url}", api_key="{KEY}")\n'
            'print(model.invoke("Say hello").content)',
        ),
        "Environment": (
            "bash",
            f"export OPENAI_BASE_URL={base_url}\nexport OPENAI_API_KEY={KEY}",
        ),
    }
