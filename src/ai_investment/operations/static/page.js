// The page at /: ask, watch the job, read the cited answer. Text from the API only ever becomes text nodes.

const byId = (id) => document.getElementById(id);
const question = byId("question");
const panel = byId("panel");

const store = {
  get: (name) => { try { return sessionStorage.getItem(name); } catch { return null; } },
  set: (name, value) => {
    try { value ? sessionStorage.setItem(name, value) : sessionStorage.removeItem(name); } catch { /* blocked */ }
  },
};
let key = store.get("key");
let conversation = store.get("conversation");
let running = null; // the AbortController of the question being answered

const STAGES = {
  queued: "Waiting for a free worker…", running: "Starting…",
  searching: "Looking through the library…", writing: "Putting the answer together…",
};
const OUTCOMES = {
  abstained: "I don’t know this one", refused: "I can’t help with that", escalated: "Please talk to a person",
  failed: "Something went wrong", cancelled: "Stopped",
};
const ENDED = ["succeeded", "failed", "cancelled"];

// --- Building the document ---

function el(tag, properties, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children.filter((child) => child || child === 0));
  return node;
}
const button = (className, text, onclick) => el("button", { type: "button", className, onclick }, text);

/** A link to an http or https address; for any other, or none, nothing. */
function link(address, text) {
  let url;
  try { url = new URL(address); } catch { return null; }
  if (url.protocol !== "https:" && url.protocol !== "http:") return null;
  const note = el("span", { className: "hidden" }, " (opens in a new tab)");
  return el("a", { href: url.href, target: "_blank", rel: "noopener noreferrer" }, text || url.hostname, " ↗", note);
}

const KINDS = [["blockquote", /^>\s?/], ["ul", /^[-*]\s+/], ["ol", /^\d+\.\s+/]];

/** The small part of Markdown that answers use, and the tables and headings of library texts. */
function render(text, citations = [], headings = new Set()) {
  const blocks = [];
  for (const line of text.split("\n")) {
    const [kind, prefix] = KINDS.find(([, start]) => start.test(line)) || [line.includes(" | ") ? "table" : "p", /^/];
    const last = blocks.at(-1);
    if (!line.trim()) blocks.push({ kind: "gap" });
    else if (last?.kind === kind) last.lines.push(line.replace(prefix, ""));
    else blocks.push({ kind, lines: [line.replace(prefix, "")] });
  }
  return blocks.filter((block) => block.lines).map(({ kind, lines }) => {
    const words = lines.join("\n");
    if (kind === "blockquote") return el(kind, {}, el("p", {}, ...inline(words, citations)));
    if (kind === "ul" || kind === "ol") {
      return el(kind, {}, ...lines.map((line) => el("li", {}, ...inline(line, citations))));
    }
    if (kind === "table" && lines.length > 1) {
      return el(kind, {}, ...lines.map((line) =>
        el("tr", {}, ...line.split(" | ").map((cell) => el("td", {}, ...inline(cell, citations))))));
    }
    return el(headings.has(words) ? "h3" : "p", {}, ...inline(words, citations));
  });
}

/** **Bold** and the markers of known citations; everything else stays as it is written. */
function inline(text, citations) {
  return text.split(/(\*\*.+?\*\*|\[\d+\])/s).map((part) => {
    if (/^\*\*.+\*\*$/s.test(part)) return el("strong", {}, ...inline(part.slice(2, -2), citations));
    const found = /^\[\d+\]$/.test(part) && citations.find((citation) => `[${citation.n}]` === part);
    return found ? marker(found) : part;
  });
}

function marker(citation) {
  const node = button("marker", String(citation.n), () => openPassage(citation));
  node.setAttribute("aria-label", `Source ${citation.n}: ${citation.title}`);
  return node;
}

// --- Talking to the API ---

class Problem extends Error {
  constructor({ status = 0, title, detail, errors = [], request_id = "" }) {
    super(detail || title || `The server answered with status ${status}.`);
    Object.assign(this, { status, errors, requestId: request_id });
  }
}

async function call(path, options = {}) {
  const headers = { ...options.headers, ...(key && { "X-API-Key": key }) };
  let response;
  try {
    response = await fetch(`/api/v1${path}`, { cache: "no-store", ...options, headers });
  } catch (cause) {
    if (cause.name === "AbortError") throw cause;
    throw new Problem({ detail: "The server cannot be reached. Check that it is running, then try again." });
  }
  if (response.ok) return response;
  const problem = new Problem({ ...(await response.json().catch(() => ({}))), status: response.status });
  if (response.status === 401 || (response.status === 403 && key)) askForKey(problem);
  throw problem;
}
const getJson = async (path, options) => (await call(path, options)).json();

function askForKey(problem) {
  byId("key-hint").textContent = key ? problem.message : "This server wants to know who is asking.";
  problem.needsKey = true;
  byId("key-form").hidden = false;
  panel.close();
  byId("key").focus();
}

function problemNodes(problem) {
  const faults = (problem.errors || []).map((fault) => el("li", {}, `${fault.pointer} ${fault.detail}`.trim()));
  return [
    el("p", {}, problem.message),
    faults.length && el("ul", {}, ...faults),
    problem.requestId && el("p", { className: "small" }, `Request ${problem.requestId}`),
  ].filter(Boolean);
}

/** The finished job: from its event stream, or by polling when the stream ends early. */
async function follow(job, on, signal) {
  try {
    const done = await stream(job.id, on, signal);
    if (done) return done;
  } catch (cause) {
    if (signal.aborted || cause.needsKey || cause.status === 404) throw cause;
  }
  for (let failures = 0; ;) {
    try {
      const now = await getJson(`/jobs/${job.id}?wait=20`, { signal });
      if (ENDED.includes(now.state)) return now;
      on.progress(now.progress || { stage: now.state });
      failures = 0;
    } catch (cause) {
      const passing = cause.status === 0 || cause.status === 429 || cause.status >= 500;
      if (signal.aborted || !passing || ++failures > 5) throw cause;
      await new Promise((resume) => setTimeout(resume, 1000 * 2 ** failures));
    }
  }
}

/** Server-sent events read with fetch, which unlike EventSource can send the key. Null: it ended early. */
async function stream(id, on, signal) {
  const response = await call(`/jobs/${id}/events`, { signal, headers: { Accept: "text/event-stream" } });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let buffer = ""; ;) {
    const silence = setTimeout(() => reader.cancel().catch(() => {}), 45000); // heartbeats come every 15 s
    const { value, done } = await reader.read().finally(() => clearTimeout(silence));
    if (done) return null;
    const events = (buffer + value).split(/\r\n\r\n|\n\n|\r\r/);
    buffer = events.pop();
    for (const event of events) {
      const field = (name) => event.split(/\r\n|\n|\r/).filter((line) => line.startsWith(`${name}:`))
        .map((line) => line.slice(name.length + 1).replace(/^ /, "")).join("\n");
      const name = field("event");
      if (name === "done") return JSON.parse(field("data"));
      if (name === "shutdown") return null;
      on[name]?.(JSON.parse(field("data")));
    }
  }
}

// --- Asking and answering ---

/** One question with its answer below; returns what fills it in. */
function addExchange(text) {
  const title = el("h2", { tabIndex: -1 }, text);
  const body = el("div", { className: "answer" });
  body.setAttribute("aria-live", "polite");
  const node = el("article", { className: "exchange" }, title, body);
  byId("log").append(node);
  byId("welcome").hidden = true;
  byId("new").hidden = false;
  return { text, title, body, node };
}

const say = (text) => { byId("status").textContent = text; };

function setRunning(controller) {
  running = controller;
  byId("send").setAttribute("aria-disabled", String(Boolean(controller)));
}

/** Fill an exchange with the answer to come: `start` gives the job. */
async function watch(exchange, start) {
  const controller = new AbortController();
  setRunning(controller);
  const words = el("span", {}, "Sending…");
  const bar = el("progress", { max: 1 });
  bar.setAttribute("aria-label", "Progress");
  const text = el("div", { className: "text" });
  const stop = button("", "Stop", () => call(`/jobs/${id}/cancel`, { method: "POST" }).catch((cause) => say(cause.message)));
  stop.hidden = true;
  let [id, streamed, attempt] = ["", "", 0];
  const on = {
    progress({ stage, done, total }) {
      words.textContent = STAGES[stage] || `${stage[0].toUpperCase()}${stage.slice(1).replaceAll("_", " ")}…`;
      say(words.textContent);
      if (total) bar.value = Math.min(1, done / total);
      else bar.removeAttribute("value");
    },
    delta(piece) {
      if (piece.attempt < attempt) return;
      streamed = (piece.attempt > attempt ? "" : streamed) + piece.text;
      attempt = piece.attempt;
      text.replaceChildren(...render(streamed));
    },
  };
  exchange.body.ariaBusy = "true";
  exchange.body.replaceChildren(el("div", { className: "working" }, words, stop, bar), text);
  try {
    const job = await start(controller.signal);
    id = job.id;
    stop.hidden = false;
    on.progress(job.progress || { stage: job.state || "queued" });
    showJob(exchange, await follow(job, on, controller.signal));
  } catch (cause) {
    if (controller.signal.aborted) return;
    if (cause.needsKey) {
      exchange.node.remove();
      question.value ||= exchange.text;
    } else showEnd(exchange, "failed", problemNodes(cause));
  }
  exchange.body.ariaBusy = "false";
  if (running === controller) setRunning(null);
}

function showJob(exchange, job) {
  if (job.state === "cancelled") return showEnd(exchange, "cancelled", [el("p", {}, "This question was stopped.")]);
  if (job.state === "failed") {
    return showEnd(exchange, "failed", problemNodes(new Problem(job.error || { title: "The answer could not be made." })));
  }
  return showAnswer(exchange, job.result);
}

function showEnd(exchange, outcome, nodes) {
  const again = button("", "Ask again", () => ask(exchange.text));
  exchange.body.className = `answer ${outcome}`;
  exchange.body.replaceChildren(el("p", { className: "label" }, OUTCOMES[outcome]), ...nodes, el("p", {}, again));
  say(OUTCOMES[outcome]);
}

function showAnswer({ body }, answer) {
  const label = OUTCOMES[answer.outcome];
  const { provider, name } = answer.model || {};
  const author = provider === "extractive" ? "Word-for-word quotations; no AI wrote this." : `Written with the AI model ${name}; check it against the sources.`;
  body.className = `answer ${answer.outcome}`;
  body.replaceChildren(...[
    label && el("p", { className: "label" }, label),
    el("div", { className: "text" }, ...render(answer.text, answer.citations)),
    ...section("Where this comes from", "sources", answer.citations.map(source)),
    ...section("Read more", "next", answer.suggestions.map(suggestion)),
    el("p", { className: "small" }, answer.disclaimer, answer.outcome === "answered" && name && ` ${author}`),
  ].filter(Boolean));
  say(label || "The answer is ready.");
}

const section = (title, className, items) =>
  items.length ? [el("h3", {}, title), el("ul", { className }, ...items)] : [];

function source(citation) {
  const where = el("span", { className: "small" }, citation.source, citation.url && " · ", link(citation.url));
  return el("li", {}, marker(citation), button("link", citation.title, () => openPassage(citation)), where,
    el("q", {}, citation.quote));
}

function suggestion({ kind, title, ref }) {
  if (kind === "content") return el("li", {}, button("link", title, () => openDocument(ref, title)));
  return el("li", {}, kind === "question" ? button("link", title, () => ask(ref || title)) : title);
}

async function ask(text) {
  if (running || !text.trim()) return;
  const exchange = addExchange(text.trim());
  question.value = "";
  byId("key-form").hidden = true;
  const typing = document.activeElement === question && matchMedia("(pointer: fine)").matches;
  if (!typing) exchange.title.focus({ preventScroll: true });
  exchange.node.scrollIntoView({ block: "start" });
  await watch(exchange, async (signal) => {
    const body = { message: exchange.text, ...(conversation && { conversation_id: conversation }) };
    const headers = { "Content-Type": "application/json" };
    const sent = await getJson("/chat/messages", { method: "POST", headers, body: JSON.stringify(body), signal })
      .catch((cause) => { if (cause.status === 404) remember(null); throw cause; });
    remember(sent.conversation_id);
    return sent.job;
  });
}

function remember(id) {
  conversation = id;
  store.set("conversation", id);
}

/** After a reload: the conversation so far, and an answer that is still on its way. */
async function restore() {
  try {
    for (const message of (await getJson(`/chat/conversations/${conversation}`)).messages) {
      const exchange = addExchange(message.text);
      if (message.answer) showAnswer(exchange, message.answer);
      else await watch(exchange, () => getJson(`/jobs/${message.job_id}`));
    }
    byId("log").lastElementChild?.scrollIntoView({ block: "start" });
  } catch (cause) {
    if (cause.status === 404) remember(null);
    else say(cause.message);
  }
}

// --- Reading a source ---

let opened = 0;

/** Show what `load` gives in the panel, unless something else was opened meanwhile. */
async function open(title, load) {
  const turn = ++opened;
  const body = byId("panel-body");
  byId("panel-title").textContent = title;
  body.replaceChildren(el("p", {}, "Loading…"));
  if (!panel.open) panel.showModal();
  panel.scrollTop = 0;
  byId("panel-title").focus();
  const nodes = await load().catch(problemNodes);
  if (turn !== opened) return;
  body.replaceChildren(...nodes.filter(Boolean));
  body.querySelector("mark")?.scrollIntoView({ block: "center" });
}

const about = (...parts) => el("p", { className: "small" }, ...parts.filter(Boolean).flatMap((part, at) => (at ? [" · ", part] : [part])));

const openPassage = (citation) => open(citation.title, async () => {
  const passage = await getJson(`/content/passages/${encodeURIComponent(citation.passage_id)}`);
  const points = Array.from(passage.text); // start and end count code points, not UTF-16 units
  const part = (from, to) => points.slice(from, to).join("");
  const cut = passage.start > Array.from(passage.before).length;
  return [
    about(passage.source, passage.heading, link(passage.url)),
    !passage.current && el("p", { className: "notice" }, "This text has changed since; these are the words that were quoted."),
    el("div", { className: "context" }, cut ? "…" : "", passage.before,
      el("strong", {}, part(0, citation.start), el("mark", {}, part(citation.start, citation.end)), part(citation.end)),
      passage.after, Array.from(passage.after).length >= 400 ? "…" : ""),
    el("p", {}, button("", "Read the whole text", () => openDocument(passage.document_id, passage.title))),
  ];
});

const openDocument = (id, title) => open(title, async () => {
  const doc = await getJson(`/content/${encodeURIComponent(id)}`);
  const headings = new Set(doc.headings.map((heading) => heading.text));
  const further = doc.sources.map((item) => el("li", {}, link(item.url, item.title) || item.title));
  const related = doc.related.map((item) => el("li", {}, button("link", item.title, () => openDocument(item.id, item.title))));
  return [
    about(doc.source, doc.author, doc.level && `for ${doc.level}s`, doc.reviewed_on && `checked on ${doc.reviewed_on}`, link(doc.url)),
    ...(doc.text ? render(doc.text, [], headings) : [el("p", {}, doc.error || "This text is still being prepared.")]),
    ...section("Based on", "", further),
    ...section("Related", "next", related),
  ];
});

// --- Controls ---

byId("ask").addEventListener("submit", (event) => { event.preventDefault(); ask(question.value); });
question.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  ask(question.value);
});
byId("examples").addEventListener("click", (event) => {
  const example = event.target.closest("button");
  if (example) ask(example.textContent);
});
byId("new").addEventListener("click", () => {
  running?.abort();
  setRunning(null);
  remember(null);
  byId("log").replaceChildren();
  byId("welcome").hidden = false;
  byId("new").hidden = true;
  say("New conversation.");
  question.focus();
});
byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const entered = byId("key").value.trim();
  if (!/^[\x21-\x7e]+$/.test(entered)) { // a header can carry nothing else
    byId("key-hint").textContent = "A key has only plain letters, digits and signs, and no spaces.";
    return;
  }
  store.set("key", (key = entered));
  byId("key").value = "";
  byId("key-form").hidden = true;
  question.focus();
  if (question.value.trim()) ask(question.value);
  else if (conversation && !byId("log").firstChild) restore();
});
byId("panel-close").addEventListener("click", () => panel.close());
panel.addEventListener("click", (event) => { if (event.target === panel) panel.close(); });

if (conversation) restore();
