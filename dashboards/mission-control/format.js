// Numbers as people read them: few digits, and always a unit.

/** A number with about three digits: 0.04, 3.2, 41, 1,204. */
export function number(value) {
  const size = Math.abs(value);
  const digits = size === 0 ? 0 : size < 0.1 ? 2 : size < 10 ? 1 : 0;
  const text = value.toLocaleString("en-US", { maximumFractionDigits: digits });
  return text === "-0" ? "0" : text;
}

/** Large numbers short: 1.2 M. */
export function count(value) {
  if (value < 1e5) return number(Math.round(value));
  const [by, letter] = value < 1e6 ? [1e3, "k"] : value < 1e9 ? [1e6, "M"] : [1e9, "G"];
  return `${number(value / by)} ${letter}`;
}

/** Requests a second. */
export const rate = (value) => (value === null || value === undefined ? "–" : `${number(value)}/s`);

/** One of something, or more of them. */
export const plural = (n, one, many = `${one}s`) => `${number(n)} ${n === 1 ? one : many}`;

/** Milliseconds as ms, s or min. */
export function duration(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 1000) return `${ms < 10 ? number(ms) : Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 100) return `${seconds < 10 ? number(seconds) : Math.round(seconds)} s`;
  return span(seconds);
}

/** Seconds in words of two units at most: 41 s, 12 min, 3 h 5 min, 2 days 4 h. */
export function span(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 100) return `${s} s`;
  const minutes = Math.round(s / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return `${Math.floor(hours / 24)} days${hours % 24 ? ` ${hours % 24} h` : ""}`;
}

/** Minutes to trouble, as the radar tells them. */
export function minutes(value) {
  if (value === null || value === undefined) return "–";
  if (value <= 0) return "now";
  if (value < 1.5) return `${Math.max(1, Math.round(value * 60))} s`;
  return value < 10 ? `${number(value)} min` : span(value * 60);
}

/** A share as percent, with enough digits to tell a small one from none. */
export function percent(share) {
  const value = share * 100;
  if (value === 0) return "0 %";
  if (value < 0.01) return "< 0.01 %";
  return `${value.toLocaleString("en-US", { maximumSignificantDigits: value < 10 ? 2 : 3 })} %`;
}

/** Dollars: cents where they matter, more digits where there is less. */
export function dollars(value) {
  const size = Math.abs(value);
  const digits = size === 0 || 1 <= size ? 2 : 0.01 <= size ? 3 : 4;
  const text = size.toLocaleString("en-US", { minimumFractionDigits: Math.min(2, digits), maximumFractionDigits: 1000 <= size ? 0 : digits });
  return `${value < 0 ? "−" : ""}$${text}`;
}

/** A moment as the wall clock shows it, to the second. */
export function clock(at) {
  return new Date(at).toLocaleTimeString("en-GB");
}

/** Long text cut, so that one hostile name does not push everything else away; the whole is in the title. */
export function short(value, most = 120) {
  const characters = [...String(value)];
  return characters.length <= most ? String(value) : `${characters.slice(0, most - 1).join("")}…`;
}
