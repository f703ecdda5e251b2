// @ts-check
// The chat page: asks, streams the answer in, and takes votes, comments and corrections.

/**
 * @typedef {{role: "user" | "assistant", content: string}} Message
 * @typedef {{messages: Message[], conversationId: string | null, running: AbortController | null}} Chat
 *   `messages` holds only turns that have an answer: a failed one is asked again or left out.
 * @typedef {{id?: string, model?: string, error?: {message?: string},
 *   choices?: {delta?: {content?: string | null}, finish_reason?: string | null}[]}} Chunk
 * @typedef {{thumb?: "up" | "down" | null, comment?: string | null, correction?: string | null}} Feedback
 * @typedef {"done" | "stopped" | "failed"} Ending
 */

const log = byId("log");
const messages = byId("messages");
const prompt = /** @type {HTMLTextAreaElement} */ (byId("prompt"));
const send = /** @type {HTMLButtonElement} */ (byId("send"));
const stop = /** @type {HTMLButtonElement} */ (byId("stop"));

/** @type {Chat} */
let chat = emptyChat();
let serverReady = true; // as it said last; believed until it says otherwise

/** @returns {Chat} */
function emptyChat() {
  return { messages: [], conversationId: null, running: null };
}

/** @param {string} id @returns {HTMLElement} */
function byId(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}

/** @param {Element} root @param {string} testid @returns {any} */
function part(root, testid) {
  return root.querySelector(`[data-testid="${testid}"]`);
}

/** A copy of a template, put at the end of the conversation. @param {string} template @returns {HTMLElement} */
function addFrom(template) {
  const source = /** @type {HTMLTemplateElement} */ (byId(template)).content.firstElementChild;
  const element = /** @type {HTMLElement} */ (source?.cloneNode(true));
  messages.append(element);
  return element;
}

// ---- what is typed, kept in this browser ----

/** @param {"draft" | "unsent"} key @param {string} text */
function keep(key, text) {
  try {
    if (text) localStorage.setItem(`ratchet.${key}`, text);
    else localStorage.removeItem(`ratchet.${key}`);
  } catch { /* storage is full or switched off: the page works without */ }
}

/** @param {"draft" | "unsent"} key */
function kept(key) {
  try {
    return localStorage.getItem(`ratchet.${key}`) ?? "";
  } catch {
    return "";
  }
}

/** Puts back the draft, and before it the message that never got its answer. */
function restoreDraft() {
  setPrompt([kept("unsent"), kept("draft") || prompt.value].filter(Boolean).join("\n\n"));
  keep("unsent", "");
}

/** @param {string} text */
function setPrompt(text) {
  prompt.value = text;
  promptChanged();
}

function promptChanged() {
  keep("draft", prompt.value);
  allowSending();
  followed(() => fitHeight(prompt));
}

function allowSending() {
  send.disabled = !serverReady || !prompt.value.trim();
}

/** @param {HTMLTextAreaElement} area */
function fitHeight(area) {
  area.style.height = "auto";
  area.style.height = `${area.scrollHeight + area.offsetHeight - area.clientHeight}px`;
}

/** Focus, but not where it would push up a phone's keyboard. */
function focusPrompt() {
  if (matchMedia("(pointer: fine)").matches) prompt.focus();
}

// ---- the server ----

/** @param {string} path @param {object} body @param {AbortSignal} [signal] @returns {Promise<Response>} */
async function post(path, body, signal) {
  const headers = { "content-type": "application/json" };
  const response = await fetch(path, { method: "POST", headers, body: JSON.stringify(body), credentials: "same-origin", signal });
  if (response.ok) return response;
  const told = await response.json().catch(() => null);
  throw new ServerError(told?.error?.message || `The server answered with status ${response.status}.`);
}

/** Something the server said, to be shown as it is. */
class ServerError extends Error {}

/** @param {unknown} error */
function explain(error) {
  if (error instanceof ServerError) return error.message;
  if (!navigator.onLine) return "You seem to be offline.";
  if (error instanceof TypeError) return "The server could not be reached, or the connection broke.";
  return String(error);
}

/** The `data:` payloads of a server-sent event stream. @param {Response} response */
async function* events(response) {
  const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      const lines = (rest + (done ? "\n" : decoder.decode(value, { stream: true }))).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) if (line.startsWith("data:")) yield line.slice(5).trim();
      if (done) return;
    }
  } finally {
    reader.cancel().catch(() => {}); // nothing is left to cancel after an end or an abort
  }
}

/** @param {Response} response @returns {AsyncGenerator<Chunk>} */
async function* chunks(response) {
  let finished = false;
  for await (const data of events(response)) {
    if (data === "[DONE]") return;
    const chunk = /** @type {Chunk} */ (JSON.parse(data));
    if (chunk.error) throw new ServerError(chunk.error.message || "The model could not finish this answer.");
    finished ||= Boolean(chunk.choices?.[0]?.finish_reason);
    yield chunk;
  }
  if (!finished) throw new ServerError("The connection broke before the answer was complete.");
}

/** What `/health/ready` waits for, in words for people. @type {Record<string, string>} */
const WAITS = {
  "engine: engine process": "starting the model…",
  "engine: engine elsewhere": "waiting for the model’s server…",
  "engine: weights": "loading the model…",
  "engine: adapters": "loading what the model has learnt…",
  "engine: first answer": "trying a first answer…",
  "the end": "the server is ending…",
};

// Until the server says that it is ready: shows what it waits for, and keeps what is typed from being sent.
let watching = false;
async function watchReady() {
  if (watching) return;
  watching = true;
  while (!(await lookWhetherReady())) await new Promise((resolve) => setTimeout(resolve, 1000));
  watching = false;
}

async function lookWhetherReady() {
  const response = await fetch("/health/ready", { cache: "no-store", signal: AbortSignal.timeout(8000) }).catch(() => null);
  serverReady = Boolean(response?.ok);
  allowSending();
  const pill = byId("status");
  pill.hidden = serverReady;
  if (serverReady) return true;
  const told = await response?.json().catch(() => null);
  const words = !response ? "can’t reach the server…" : WAITS[told?.waiting_for] ?? "waiting for the model…";
  if (pill.textContent !== words) pill.textContent = words; // else screen readers would say it again and again
  return false;
}

// ---- asking ----

function submit() {
  const text = prompt.value.trim();
  if (!text || chat.running || !serverReady) return;
  for (const button of messages.querySelectorAll('[data-testid="retry"]')) button.remove();
  const question = addFrom("question-template");
  part(question, "question").textContent = text;
  setPrompt("");
  void ask(text, question);
  focusPrompt();
}

/** Asks and shows the answer as it comes. @param {string} text @param {HTMLElement} question */
async function ask(text, question) {
  const mine = chat;
  const running = setRunning(new AbortController());
  delete question.dataset.state;
  keep("unsent", text);
  const turn = addFrom("answer-template");
  log.scrollTop = log.scrollHeight;
  /** @type {Ending} */
  let ending = "done";
  let note = "";
  try {
    note = await streamInto(part(turn, "answer"), mine, text, running.signal);
  } catch (error) {
    ending = running.signal.aborted ? "stopped" : "failed";
    note = ending === "stopped" ? "stopped" : explain(error);
  }
  if (mine !== chat) return; // a new chat was begun meanwhile
  setRunning(null);
  settle(turn, question, text, ending, note);
}

/**
 * @param {HTMLElement} answer @param {Chat} mine @param {string} text @param {AbortSignal} signal
 * @returns {Promise<string>} what to note about the ending, most often nothing
 */
async function streamInto(answer, mine, text, signal) {
  const metadata = mine.conversationId ? { conversation_id: mine.conversationId } : undefined;
  const asked = [...mine.messages, { role: "user", content: text }];
  const response = await post("/v1/chat/completions", { model: "ratchet", messages: asked, stream: true, metadata }, signal);
  mine.conversationId = response.headers.get("x-conversation-id") ?? mine.conversationId;
  let note = "";
  for await (const chunk of chunks(response)) {
    if (chunk.id) answer.dataset.completionId = chunk.id;
    if (chunk.model) answer.dataset.model = chunk.model;
    const choice = chunk.choices?.[0];
    if (choice?.delta?.content) followed(() => answer.append(choice.delta?.content ?? ""));
    if (choice?.finish_reason === "length") note = "cut off at the length limit";
  }
  return note || (answer.textContent ? "" : "the model said nothing.");
}

/** @param {HTMLElement} turn @param {HTMLElement} question @param {string} text @param {Ending} ending @param {string} note */
function settle(turn, question, text, ending, note) {
  const answer = part(turn, "answer");
  const said = answer.textContent;
  const counts = ending !== "failed" && said !== "";
  if (ending !== "failed") keep("unsent", "");
  if (counts) chat.messages.push({ role: "user", content: text }, { role: "assistant", content: said });
  else question.dataset.state = "unanswered";
  followed(() => {
    answer.textContent = said; // the pieces joined into one text
    answer.dataset.state = ending;
    answer.setAttribute("aria-busy", "false");
    part(turn, "version").textContent = answer.dataset.model ?? "";
    if (counts) part(turn, "ending").textContent = note;
    else offerRetry(turn, question, text, ending === "stopped" ? "Stopped before the answer began." : note);
    if (ending === "done" && answer.dataset.completionId) takeFeedback(turn, answer.dataset.completionId, said);
  });
  if (ending === "failed") void watchReady();
}

/** @param {HTMLElement} turn @param {HTMLElement} question @param {string} text @param {string} why */
function offerRetry(turn, question, text, why) {
  const error = part(turn, "error");
  error.parentElement.hidden = false;
  error.textContent = why.charAt(0).toUpperCase() + why.slice(1);
  part(turn, "retry").onclick = () => {
    if (chat.running) return;
    turn.remove();
    void ask(text, question);
    focusPrompt();
  };
}

/** @template {AbortController | null} T @param {T} running @returns {T} */
function setRunning(running) {
  const stopHadFocus = document.activeElement === stop;
  chat.running = running;
  send.hidden = Boolean(running);
  stop.hidden = !running;
  if (stopHadFocus) focusPrompt();
  return running;
}

/** Changes the conversation, and stays at its end if the reader was there. @param {() => void} change */
function followed(change) {
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  change();
  if (atEnd) log.scrollTop = log.scrollHeight;
}

function newChat() {
  if (chat.running) keep("unsent", "");
  chat.running?.abort();
  chat = emptyChat();
  setRunning(null);
  while (messages.lastElementChild?.id !== "welcome") messages.lastElementChild?.remove();
  restoreDraft();
  focusPrompt();
}

// ---- feedback ----

/** Wires the votes and the two boxes under a finished answer. @param {HTMLElement} turn @param {string} completionId @param {string} said */
function takeFeedback(turn, completionId, said) {
  const status = part(turn, "feedback-status");
  let queue = Promise.resolve(); // one at a time, so that the last click is the last to arrive

  /** @param {Feedback} feedback @returns {Promise<boolean>} whether it was saved */
  function save(feedback) {
    const sent = queue.then(() => post("/v1/feedback", { id: uuid(), completion_id: completionId, ...feedback }));
    const shown = sent.then(() => tell("saved", "Saved"), (error) => tell("failed", `Not saved: ${explain(error)}`));
    queue = shown.then(() => {});
    return shown;
  }

  /** @param {"saved" | "failed"} state @param {string} text */
  function tell(state, text) {
    followed(() => {
      status.dataset.state = state;
      status.textContent = text;
    });
    return state === "saved";
  }

  wireThumbs(part(turn, "thumb-up"), part(turn, "thumb-down"), save);
  wireBox(turn, "comment", "", (text) => save({ comment: text || null }), tell);
  wireBox(turn, "correct", said, (text) => save({ correction: text || null }), tell);
  part(turn, "thumb-up").parentElement.hidden = false;
}

/** @param {HTMLElement} up @param {HTMLElement} down @param {(feedback: Feedback) => Promise<boolean>} save */
function wireThumbs(up, down, save) {
  /** @type {Feedback["thumb"]} */
  let shown = null;
  /** @type {Feedback["thumb"]} */
  let stored = null;
  let clicks = 0;

  /** @param {Feedback["thumb"]} thumb */
  function show(thumb) {
    shown = thumb;
    up.setAttribute("aria-pressed", String(thumb === "up"));
    down.setAttribute("aria-pressed", String(thumb === "down"));
  }

  /** @param {"up" | "down"} clicked */
  async function vote(clicked) {
    const click = ++clicks;
    const thumb = shown === clicked ? null : clicked;
    show(thumb);
    if (await save({ thumb })) stored = thumb;
    else if (click === clicks) show(stored);
  }

  up.onclick = () => vote("up");
  down.onclick = () => vote("down");
}

/**
 * @param {HTMLElement} turn @param {"comment" | "correct"} name @param {string} original what the box starts with
 * @param {(text: string) => Promise<boolean>} save @param {(state: "saved" | "failed", text: string) => unknown} tell
 */
function wireBox(turn, name, original, save, tell) {
  const [opener, area, button] = ["open", "text", "save"].map((end) => part(turn, `${name}-${end}`));
  const box = area.closest(".box");
  let stored = ""; // a text that is empty or still the original says nothing
  let saving = false;
  area.value = original;

  /** @param {boolean} open */
  function toggle(open) {
    if (!open && box.contains(document.activeElement)) opener.focus();
    box.hidden = !open;
    opener.setAttribute("aria-expanded", String(open));
    if (!open) return;
    fitHeight(area);
    area.focus();
    box.scrollIntoView({ block: "nearest" });
  }

  button.onclick = async () => {
    if (saving) return;
    const typed = area.value.trim();
    const text = typed === original.trim() ? "" : typed;
    if (text === stored) return tell("failed", "Nothing was changed.");
    saving = true;
    const ok = await save(text);
    saving = false;
    if (!ok) return;
    stored = text;
    if (area.value.trim() === typed) toggle(false);
  };
  opener.onclick = () => toggle(box.hidden);
  box.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) button.click();
    if (event.key !== "Escape" || event.isComposing) return;
    event.stopPropagation(); // closes the box; the text in it stays
    toggle(false);
  });
}

/** `crypto.randomUUID` exists on https and localhost only; this service may be reached by plain http. */
function uuid() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

// ---- start ----

prompt.addEventListener("input", promptChanged);
prompt.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  submit();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !event.isComposing) chat.running?.abort();
});
send.onclick = submit;
stop.onclick = () => chat.running?.abort();
byId("new-chat").onclick = newChat;
restoreDraft();
focusPrompt();
void watchReady();
