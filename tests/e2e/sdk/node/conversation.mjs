// A conversation of the `openai` SDK for Node with any OpenAI-compatible base URL.
//
//     OPENAI_BASE_URL=http://127.0.0.1:4000/v1 OPENAI_API_KEY=tk_… node conversation.mjs
//
// Prints what the SDK understood as one JSON object, in the shape `conversation.py` returns.
import OpenAI, { APIError } from "openai";
import { readFileSync } from "node:fs";

const baseURL = process.env.OPENAI_BASE_URL;
const apiKey = process.env.OPENAI_API_KEY;
const model = process.env.OPENAI_MODEL ?? "gpt-4o-mini";
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0, timeout: 60_000 });

const messages = [{ role: "user", content: "Explain ledgers in 30 words." }];
const asksWeather = [{ role: "user", content: "The weather in Lisbon?" }];
const weather = {
  type: "function",
  function: {
    name: "get_weather",
    description: "The weather in a city",
    parameters: {
      type: "object",
      properties: { city: { type: "string" }, days: { type: "integer", minimum: 1 } },
      required: ["city", "days"],
      additionalProperties: false,
    },
  },
};
const invoiceSchema = {
  type: "object",
  properties: { number: { type: "string" }, total_cents: { type: "integer" }, paid: { type: "boolean" } },
  required: ["number", "total_cents", "paid"],
  additionalProperties: false,
};

async function listModels() {
  const listed = [];
  for await (const each of client.models.list()) listed.push(each.id);
  return { listed: listed.includes(model), retrieved: (await client.models.retrieve(model)).id };
}

async function complete(from = client, name = model) {
  const { data, response } = await from.chat.completions
    .create({ model: name, messages, seed: 7 })
    .withResponse();
  const [choice] = data.choices;
  return {
    id: data.id,
    object: data.object,
    model: data.model,
    role: choice.message.role,
    text: choice.message.content,
    finish_reason: choice.finish_reason,
    usage: data.usage ?? null,
    request_id: response.headers.get("x-request-id"),
  };
}

async function stream(includeUsage) {
  const options = includeUsage ? { stream_options: { include_usage: true } } : {};
  const opened = await client.chat.completions.create({ model, messages, seed: 7, stream: true, ...options });
  const ids = new Set();
  const facts = { text: "", roles: [], finish_reasons: [], usages: [] };
  for await (const chunk of opened) {
    ids.add(chunk.id);
    if (chunk.usage) facts.usages.push(chunk.usage);
    for (const choice of chunk.choices) {
      facts.text += choice.delta.content ?? "";
      if (choice.delta.role) facts.roles.push(choice.delta.role);
      if (choice.finish_reason) facts.finish_reasons.push(choice.finish_reason);
    }
  }
  return { ids: ids.size, ...facts };
}

function called(choice) {
  const [call] = choice.message.tool_calls;
  return {
    content: choice.message.content,
    name: call.function.name,
    arguments: Object.keys(JSON.parse(call.function.arguments)).sort(),
    finish_reason: choice.finish_reason,
  };
}

async function callTool() {
  const asked = await client.chat.completions.create({ model, messages: asksWeather, tools: [weather] });
  const [choice] = asked.choices;
  const followed = [
    ...asksWeather,
    choice.message,
    { role: "tool", tool_call_id: choice.message.tool_calls[0].id, content: '{"celsius": 21}' },
  ];
  const answered = await client.chat.completions.create({ model, messages: followed, tools: [weather] });
  return { ...called(choice), answered: Boolean(answered.choices[0].message.content) };
}

async function streamTool() {
  const events = client.chat.completions.stream({
    model,
    messages: asksWeather,
    tools: [weather],
    tool_choice: "required",
  });
  return called((await events.finalChatCompletion()).choices[0]);
}

async function twoChoices() {
  const completion = await client.chat.completions.create({ model, messages, n: 2 });
  const streamed = ["", ""];
  for await (const chunk of await client.chat.completions.create({ model, messages, n: 2, stream: true })) {
    for (const choice of chunk.choices) streamed[choice.index] += choice.delta.content ?? "";
  }
  return {
    indexes: completion.choices.map((choice) => choice.index),
    texts: new Set(completion.choices.map((choice) => choice.message.content)).size,
    streamed: streamed.map(Boolean),
  };
}

async function jsonAnswers() {
  const plain = await client.chat.completions.create({
    model,
    messages,
    response_format: { type: "json_object" },
  });
  const parsed = await client.chat.completions.parse({
    model,
    messages,
    response_format: { type: "json_schema", json_schema: { name: "invoice", schema: invoiceSchema } },
  });
  const object = JSON.parse(plain.choices[0].message.content);
  return {
    is_object: object !== null && typeof object === "object" && !Array.isArray(object),
    parsed: Object.keys(JSON.parse(parsed.choices[0].message.content)).sort(),
  };
}

async function lengthLimit() {
  const completion = await client.chat.completions.create({ model, messages, max_completion_tokens: 5 });
  return {
    finish_reason: completion.choices[0].finish_reason,
    tokens: completion.usage?.completion_tokens ?? null,
  };
}

async function hangUp() {
  const long = [{ role: "user", content: "Write 5000 words." }];
  let received = 0;
  for await (const _chunk of await client.chat.completions.create({ model, messages: long, stream: true })) {
    received += 1;
    if (received === 3) break;
  }
  return { received, usable: Boolean((await complete()).text) };
}

async function refusal(attempt) {
  try {
    await attempt();
  } catch (error) {
    if (!(error instanceof APIError)) throw error;
    return {
      class: error.constructor.name,
      status: error.status,
      type: error.type ?? null,
      param: error.param ?? null,
      code: error.code ?? null,
    };
  }
  return null;
}

async function errors() {
  const stranger = new OpenAI({ baseURL, apiKey: "invalid", maxRetries: 0 });
  return {
    wrong_key: await refusal(() => complete(stranger)),
    bad_request: await refusal(() => client.chat.completions.create({ model, messages, temperature: 3 })),
    unknown_model: await refusal(() => complete(client, "no-such-model")),
    streamed_bad_request: await refusal(() =>
      client.chat.completions.create({ model, messages, n: 0, stream: true }),
    ),
  };
}

async function sideBySide() {
  const one = async (index) => {
    let text = "";
    const opened = await client.chat.completions.create({ model, messages, stream: true, seed: index });
    for await (const chunk of opened) {
      text += chunk.choices[0]?.delta.content ?? "";
      if (index === 0 && text) break;
    }
    return text;
  };
  const texts = await Promise.all(Array.from({ length: 8 }, (_, index) => one(index)));
  return { answered: texts.filter(Boolean).length };
}

const installed = new URL("./node_modules/openai/package.json", import.meta.url);
const facts = {
  sdk: `openai-node ${JSON.parse(readFileSync(installed, "utf8")).version}`,
  models: await listModels(),
  complete: await complete(),
  stream: await stream(true),
  stream_without_usage: await stream(false),
  tool: await callTool(),
  streamed_tool: await streamTool(),
  two_choices: await twoChoices(),
  json: await jsonAnswers(),
  length: await lengthLimit(),
  hang_up: await hangUp(),
  errors: await errors(),
  side_by_side: await sideBySide(),
};
console.log(JSON.stringify(facts, null, 2));
