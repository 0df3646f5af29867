// The stream of snapshots, and what becomes of it: a gateway that goes is asked for again, ever more slowly, and who looks is
// told since when. Fetched and not an EventSource, which could send no token.

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10_000;
// A snapshot comes each second: ten without one are a line that hangs.
const SILENCE_MS = 10_000;
const TOKEN = "pacer-token";

export function headers(more = {}) {
  const token = sessionStorage.getItem(TOKEN);
  return token ? { ...more, authorization: `Bearer ${token}` } : more;
}

export const keepToken = (token) => sessionStorage.setItem(TOKEN, token);

/** Asks for JSON; throws what can be shown. */
export async function ask(path, options = {}) {
  const answer = await fetch(path, { ...options, headers: headers(options.headers), signal: AbortSignal.timeout(SILENCE_MS) });
  const body = await answer.json().catch(() => null);
  if (!answer.ok) throw new Error(body?.detail ?? `the gateway answered ${answer.status}`);
  return body;
}

/**
 * Follows the gateway for ever. `on.snapshot(value)`, `on.gone(why, since)` and `on.token()` are told; the last one returns a
 * promise of when to go on.
 */
export async function follow(on) {
  let wait = FIRST_WAIT_MS;
  let since = null;
  for (;;) {
    let why = "it does not answer";
    try {
      const answer = await withinSilence(fetch("/live", { headers: headers(), cache: "no-store" }));
      if (answer.status === 401 || answer.status === 403) {
        await on.token(answer.status);
        continue;
      }
      if (answer.ok) {
        await read(answer.body, (snapshot) => {
          [wait, since] = [FIRST_WAIT_MS, null];
          on.snapshot(snapshot);
        });
        why = "the connection ended";
      } else {
        const problem = await answer.json().catch(() => null);
        why = problem?.detail ?? `it answered ${answer.status}`;
      }
    } catch (error) {
      if (error.name === "SilenceError") why = "it says nothing (a browser opens six connections to one address: are more tabs open?)";
    }
    since ??= Date.now();
    on.gone(why, since, wait);
    await new Promise((resume) => setTimeout(resume, wait));
    wait = Math.min(wait * 1.7, LONGEST_WAIT_MS);
  }
}

async function read(body, heard) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await withinSilence(reader.read());
      if (done) return;
      const events = (rest + value).split("\n\n");
      rest = events.pop();
      // Of several that waited only the last says how it is now.
      const last = events.findLast((event) => event.startsWith("data: "));
      if (last) heard(JSON.parse(last.slice("data: ".length)));
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function withinSilence(promise) {
  let timer;
  const silence = new Promise((_, reject) => {
    timer = setTimeout(() => reject(Object.assign(new Error(), { name: "SilenceError" })), SILENCE_MS);
  });
  return Promise.race([promise, silence]).finally(() => clearTimeout(timer));
}
