/** Reads something again and again while it is looked at: jobs have no stream of their own. */

import { isAbort } from "../api.js";

const BUSY_MS = 1500;
const IDLE_MS = 10_000;

/**
 * @param {() => Promise<boolean>} read its answer: whether more may come soon
 * @param {(error: Error) => void} onError tried again all the same
 * @returns {{now: () => Promise<void>, stop: () => void}} `now`: reads at once
 */
export function poll(read, onError) {
  let timer = null;
  let stopped = false;
  let turn = 0;

  async function now() {
    clearTimeout(timer);
    const own = (turn += 1);
    let busy = false;
    try {
      busy = await read();
    } catch (error) {
      if (isAbort(error)) return;
      onError(error);
    }
    if (!stopped && own === turn) timer = setTimeout(later, busy ? BUSY_MS : IDLE_MS);
  }

  function later() {
    if (document.hidden) timer = setTimeout(later, BUSY_MS);
    else now();
  }

  now();
  return {
    now,
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
