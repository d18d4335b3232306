/** The REST calls of the page: JSON in, problem details (RFC 9457) out as `ApiError`. */

/**
 * What the server, or the way to it, refused; `title` and `detail` are text to show. `status` 0: no answer at all.
 * `errors`: all that is wrong with what was sent.
 */
export class ApiError extends Error {
  constructor({ status, title, detail, errors = [] }) {
    super(detail ? `${title}: ${detail}` : title);
    this.name = "ApiError";
    this.status = status;
    this.title = title;
    this.detail = detail;
    this.errors = errors;
  }
}

/**
 * The object at `path`, which begins with `/api`.
 *
 * @param {string} path
 * @param {{signal?: AbortSignal, headers?: object}} [options]
 * @returns {Promise<object>}
 * @throws {ApiError} for an answer that is not 2xx, or none. An abort by `signal` throws its own `AbortError`
 *   (`isAbort` tells).
 */
export async function getJSON(path, { signal, headers } = {}) {
  const response = await answer(path, { signal, accept: "application/json", init: { headers } });
  try {
    return await response.json();
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new ApiError({ status: response.status, title: "The response is not JSON", detail: path });
  }
}

/** The text at `path`; errors as those of `getJSON`. */
export async function getText(path, { signal } = {}) {
  return (await answer(path, { signal, accept: "text/plain, application/problem+json" })).text();
}

/**
 * Change something; errors as those of `getJSON`.
 *
 * @param {string} path
 * @param {{method: string, body: object|null, token: string, signal?: AbortSignal, headers?: object}} options
 *   `token`: that lets one train
 * @returns {Promise<object|null>} null where the answer has no content
 */
export async function changeJSON(path, { method, body, token, signal, headers: more = {} }) {
  const headers = { Authorization: `Bearer ${token}`, ...(body && { "Content-Type": "application/json" }), ...more };
  const init = { method, headers, body: body && JSON.stringify(body) };
  const response = await answer(path, { signal, accept: "application/json", init });
  return response.status === 204 ? null : response.json();
}

async function answer(path, { signal, accept, init = {} }) {
  let response;
  try {
    response = await fetch(path, { signal, credentials: "same-origin", ...init, headers: { Accept: accept, ...init.headers } });
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new ApiError({ status: 0, title: "No response from the server", detail: "Is `fedtwin serve` running?" });
  }
  if (!response.ok) throw await problem(response);
  return response;
}

/** Whether `error` only says that the caller gave up. */
export function isAbort(error) {
  return error instanceof DOMException && error.name === "AbortError";
}

/** `path` with the query `params`; null, undefined and empty values are left out. */
export function withQuery(path, params) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(params)) {
    // An array is written with commas.
    if (value !== null && value !== undefined && String(value) !== "") query.set(key, String(value));
  }
  const text = query.toString().replaceAll("%2C", ",");
  return text ? `${path}?${text}` : path;
}

async function problem(response) {
  let body = {};
  try {
    body = await response.json();
  } catch {
    // A proxy in between may answer with something that is not a problem: the status alone has to do.
  }
  const title = typeof body.title === "string" ? body.title : `HTTP status ${response.status}`;
  return new ApiError({
    status: response.status,
    title,
    detail: typeof body.detail === "string" ? body.detail : response.statusText,
    errors: Array.isArray(body.errors) ? body.errors.map(String) : [],
  });
}
