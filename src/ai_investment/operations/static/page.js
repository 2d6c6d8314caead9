// The page at /: ask, watch the job, read the cited answer. What the API sends only ever becomes text nodes.
const byId = (id) => document.getElementById(id);
const question = byId("question");
const panel = byId("panel");
let store = {}; // for this tab: the API key, if the server wants one, and the conversation's id
try { store = sessionStorage; } catch { /* blocked */ }
let opened = 0; // how often the panel was opened
const STAGES = { queued: "Waiting for a free worker…", running: "Starting…",
  searching: "Looking through the library…", writing: "Putting the answer together…" };
const OUTCOMES = { abstained: "I don’t know this one", refused: "I can’t help with that",
  escalated: "Please talk to a person", failed: "Something went wrong", cancelled: "Stopped" };
const JSON_TYPE = { "Content-Type": "application/json" };
const STOPPED = { title: "You can ask it again, or ask something else." };
const KINDS = [["blockquote", /^>\s?/], ["ul", /^[-*]\s+/], ["ol", /^\d+\.\s+/], ["table", /^(?=.* \| )/]];

// --- Building the document ---
const el = (tag, properties, ...children) => {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children.filter(Boolean));
  return node;
};
const button = (className, text, onclick, ariaLabel = null) =>
  el("button", { type: "button", className, onclick, ariaLabel }, text);
const items = (nodes, className = "") =>
  nodes.length && el("ul", { className }, ...nodes.map((node) => el("li", {}, node)));
const section = (title, list) => (list ? [el("h3", {}, title), list] : []);
const dotted = (parts) => parts.filter(Boolean).flatMap((part) => [" · ", part]).slice(1);
const small = (...parts) => el("p", { className: "small" }, ...dotted(parts));

/** A link to an http or https address; for any other, or none, nothing. */
function link(address, text) {
  if (!/^https?:\/\//i.test(address || "")) return null;
  const node = el("a", { href: address, target: "_blank", rel: "noopener noreferrer" });
  node.append(text || node.hostname, " ↗", el("span", { className: "hidden" }, " (opens in a new tab)"));
  return node;
}

/** The small part of Markdown that answers use; for library texts also their tables and headings. */
function render(text, citations = [], headings = []) {
  const blocks = [];
  for (const line of text.split("\n")) {
    const [kind, prefix] = KINDS.find(([, start]) => start.test(line)) || [line.trim() && "p", /^/];
    if (kind !== blocks.at(-1)?.kind) blocks.push({ kind, lines: [] });
    blocks.at(-1).lines.push(line.replace(prefix, ""));
  }
  return blocks.filter((block) => block.kind).map(({ kind, lines }) => {
    const each = (tag) => lines.map((line) => el(tag, {}, ...inline(line, citations)));
    const row = (line, at) => el("tr", {}, ...line.split(" | ").map((cell) => el(at || !cell ? "td" : "th", {}, cell)));
    if (kind === "ul" || kind === "ol") return el(kind, {}, ...each("li"));
    if (kind === "table" && lines.length > 1) return el(kind, {}, ...lines.map(row));
    const words = lines.join("\n");
    if (kind === "blockquote") return el(kind, {}, ...render(words, citations));
    return el(headings.includes(words) ? "h3" : "p", {}, ...inline(words, citations));
  });
}

/** **Bold** and the markers of known citations; everything else stays as it is written. */
function inline(text, citations) {
  return text.split(/(\*\*.+?\*\*|\[\d+\])/s).map((part) => {
    if (/^\*\*.+\*\*$/s.test(part)) return el("strong", {}, ...inline(part.slice(2, -2), citations));
    const found = citations.find((citation) => `[${citation.n}]` === part);
    return found ? marker(found) : part;
  });
}

const marker = (it) => button("marker", String(it.n), () => openPassage(it), `Source ${it.n}: ${it.title}`);

// --- Talking to the API ---
async function call(path, options = {}) {
  const headers = { ...options.headers, ...(store.apiKey && { "X-API-Key": store.apiKey }) };
  const response = await fetch(`/api/v1${path}`, { cache: "no-store", ...options, headers })
    .catch(() => { throw new Error("The server cannot be reached. Check that it is running, then try again."); });
  if (response.ok) return response;
  const cause = new Error(`The server answered with status ${response.status}.`);
  Object.assign(cause, await response.json().catch(() => null), { status: response.status });
  cause.needsKey = cause.status === 401 || (cause.status === 403 && Boolean(store.apiKey));
  if (cause.needsKey) {
    byId("key-hint").textContent = store.apiKey ? cause.detail : "This server needs a key. Ask the person who runs it.";
    byId("key-form").hidden = false;
    panel.close();
    byId("key").focus();
  }
  throw cause;
}
const getJson = async (path, options) => (await call(path, options)).json();

/** What a problem of the API, or any other error, says. */
const problemNodes = ({ message, title, detail, errors = [], request_id: request }) => [
  el("p", {}, detail || title || message),
  items(errors.map((fault) => `${fault.pointer} ${fault.detail}`)), request && small(`Request ${request}`),
];

/** The finished job: from its event stream, or by polling when the stream ends early. */
async function follow(id, on) {
  const streamed = await stream(id, on).catch(() => null);
  if (streamed) return streamed;
  for (let failures = 0; ;) {
    try {
      const job = await getJson(`/jobs/${id}?wait=20`);
      if (["succeeded", "failed", "cancelled"].includes(job.state)) return job;
      on.progress(job.progress || { stage: job.state });
      failures = 0;
    } catch (cause) {
      if ((cause.status < 500 && cause.status !== 429) || ++failures > 5) throw cause;
      await new Promise((resume) => setTimeout(resume, 1000 * 2 ** failures));
    }
  }
}

/** Server-sent events read with fetch, which unlike EventSource can send a key. Null: the stream ended early. */
async function stream(id, on) {
  const response = await call(`/jobs/${id}/events`);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let buffer = ""; ;) {
    const silence = setTimeout(() => reader.cancel(), 45000); // the server says something every 15 s
    const { value, done } = await reader.read().finally(() => clearTimeout(silence));
    if (done) return null;
    const events = (buffer + value).split(/\r\n\r\n|\n\n/);
    buffer = events.pop();
    for (const event of events) {
      const field = (name) => event.match(RegExp(`^${name}: ?(.*)$`, "m"))?.[1];
      const name = field("event");
      if (name === "done") return JSON.parse(field("data"));
      if (name === "shutdown") return null;
      on[name]?.(JSON.parse(field("data")));
    }
  }
}

// --- Asking and answering ---
const say = (text) => { byId("status").textContent = text; };
const setBusy = (busy) => { byId("send").ariaDisabled = String(busy); };

/** A question with room for its answer. */
function addExchange(text) {
  const title = el("h2", { tabIndex: -1 }, text);
  const body = el("div", { className: "answer", ariaLive: "polite" });
  const node = el("article", { className: "exchange" }, title, body);
  byId("log").append(node);
  byId("welcome").hidden = true;
  byId("new").hidden = false;
  return { text, title, body, node };
}

/** Watch the job that `start` gives and show its answer in the exchange. */
async function watch(exchange, start) {
  const { body } = exchange;
  setBusy(true);
  const words = el("span", {}, "Sending…");
  const bar = el("progress", { ariaLabel: "Progress" });
  const text = el("div", { className: "text" });
  let [streamed, attempt] = ["", 0];
  const on = {
    progress({ stage, done, total }) {
      words.textContent = STAGES[stage] || `${stage[0].toUpperCase()}${stage.slice(1).replaceAll("_", " ")}…`;
      say(words.textContent);
      if (total) bar.value = Math.min(1, done / total);
      else bar.removeAttribute("value");
    },
    delta(piece) {
      if (piece.attempt < attempt) return;
      streamed = (piece.attempt > attempt ? "" : streamed) + piece.text; // a new attempt starts over
      attempt = piece.attempt;
      text.replaceChildren(...render(streamed));
    },
  };
  body.ariaBusy = "true"; // read out once, when it is whole
  body.replaceChildren(el("div", { className: "working" }, words, bar), text);
  try {
    const job = await start();
    const cancel = () => call(`/jobs/${job.id}/cancel`, { method: "POST" }).catch((cause) => say(cause.message));
    words.after(button("", "Stop", cancel));
    on.progress(job.progress || { stage: job.state });
    show(exchange, await follow(job.id, on));
  } catch (cause) {
    if (cause.status === 404) delete store.conversation; // deleted elsewhere: the next question starts a new one
    if (cause.needsKey) exchange.node.remove();
    else show(exchange, { state: "failed", error: cause });
    question.value ||= cause.needsKey ? exchange.text : "";
  }
  body.ariaBusy = "false";
  setBusy(false);
}

/** An ended job, or a stored answer in the same form. */
function show({ text, title, body }, { state, result, error }) {
  const outcome = result ? result.outcome : state;
  const label = OUTCOMES[outcome];
  if (body.contains(document.activeElement)) title.focus(); // what had the focus goes away
  body.className = `answer ${outcome}`;
  body.replaceChildren(...[
    label && el("p", { className: "label" }, label),
    ...(result ? answerNodes(result) : [...problemNodes(error || STOPPED), button("", "Ask again", () => ask(text))]),
  ].filter(Boolean));
  say(label || "The answer is ready.");
}

function answerNodes({ outcome, text, citations, suggestions, disclaimer, model }) {
  const author = model.provider === "extractive" ? "Word-for-word quotations; no AI wrote this."
    : `Written with the AI model ${model.name}; check it against its sources.`;
  const sources = citations.map((citation) => el("div", {}, marker(citation),
    button("link", citation.title, () => openPassage(citation)),
    small(citation.source, link(citation.url)), el("q", {}, citation.quote)));
  const next = suggestions.map(({ kind, title, ref }) => kind === "calculator" ? title
    : button("link", title, () => (kind === "content" ? openDocument(ref, title) : ask(title))));
  return [
    el("div", { className: "text" }, ...render(text, citations)),
    ...section("Where this comes from", items(sources, "sources")), ...section("Read more", items(next, "next")),
    el("p", { className: "small" }, disclaimer, outcome === "answered" && ` ${author}`),
  ];
}

async function ask(text) {
  if (byId("send").ariaDisabled === "true" || !text.trim()) return;
  const exchange = addExchange(text.trim());
  if (document.activeElement !== question || matchMedia("(pointer: coarse)").matches) exchange.title.focus();
  question.value = "";
  byId("key-form").hidden = true;
  exchange.node.scrollIntoView();
  await watch(exchange, async () => {
    const body = JSON.stringify({ message: exchange.text, conversation_id: store.conversation || null });
    const sent = await getJson("/chat/messages", { method: "POST", headers: JSON_TYPE, body });
    store.conversation = sent.conversation_id;
    return sent.job;
  });
}

/** After a reload: the conversation so far, and an answer that is still on its way. */
async function restore() {
  const stored = await getJson(`/chat/conversations/${store.conversation}`)
    .catch((cause) => { if (cause.status === 404) delete store.conversation; });
  for (const message of stored?.messages || []) {
    const exchange = addExchange(message.text);
    if (message.answer) show(exchange, { state: "succeeded", result: message.answer });
    else await watch(exchange, () => getJson(`/jobs/${message.job_id}`));
  }
  byId("log").lastElementChild?.scrollIntoView();
}

// --- Reading a source ---
/** Show in the panel what `load` gives, unless something else was opened meanwhile. */
async function open(title, load) {
  const turn = ++opened;
  const body = byId("panel-body");
  byId("panel-title").textContent = title;
  body.replaceChildren(el("p", {}, "Loading…"));
  if (!panel.open) panel.showModal();
  byId("panel-title").focus();
  const nodes = await load().catch(problemNodes);
  if (turn !== opened) return;
  body.replaceChildren(...nodes.filter(Boolean));
  panel.scrollTop = 0;
  body.querySelector("mark")?.scrollIntoView({ block: "center" });
}

const openPassage = ({ passage_id: id, title, start, end }) => open(title, async () => {
  const passage = await getJson(`/content/passages/${id}`);
  const points = Array.from(passage.text); // start and end count code points, not UTF-16 units
  const part = (from, to) => points.slice(from, to).join("");
  return [
    small(passage.source, passage.heading, link(passage.url)),
    !passage.current && el("p", { className: "notice" }, "This text has changed since it was quoted. The words then:"),
    el("div", { className: "context" }, passage.start > Array.from(passage.before).length && "…", passage.before,
      el("strong", {}, part(0, start), el("mark", {}, part(start, end)), part(end)),
      passage.after, Array.from(passage.after).length >= 400 && "…"),
    el("p", {}, button("", "Read the whole text", () => openDocument(passage.document_id, passage.title))),
  ];
});

const openDocument = (id, title) => open(title, async () => {
  const doc = await getJson(`/content/${id}`);
  const other = doc.related.map((item) => button("link", item.title, () => openDocument(item.id, item.title)));
  return [
    small(doc.source, doc.author, doc.reviewed_on && `checked on ${doc.reviewed_on}`, link(doc.url)),
    ...render(doc.text || doc.error || "This text is still being prepared.", [], doc.headings.map((item) => item.text)),
    ...section("Based on", items(doc.sources.map((item) => link(item.url, item.title) || item.title))),
    ...section("Related", items(other, "next")),
  ];
});

// --- Controls ---
const send = (event) => { event.preventDefault(); ask(question.value); };
byId("ask").addEventListener("submit", send);
question.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) send(event);
});
byId("examples").addEventListener("click", ({ target }) => { if (target.matches("button")) ask(target.textContent); });
byId("new").addEventListener("click", () => { delete store.conversation; location.assign("/"); });
byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  store.apiKey = byId("key").value.replace(/[^\x21-\x7e]/g, ""); // a header can carry nothing else
  byId("key-form").hidden = true;
  byId("key-form").reset();
  if (question.value.trim()) ask(question.value);
  else if (store.conversation && !byId("log").firstChild) restore();
  question.focus();
});
panel.addEventListener("click", ({ target }) => { if ([panel, byId("panel-close")].includes(target)) panel.close(); });

if (store.conversation) restore();
