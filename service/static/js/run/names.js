/** Display names of clients; they are untrusted and may be long. */

/** The name of a client, or what stands for it; null is the server. */
export function nameOf(model, client) {
  if (client === null) return "server";
  return model.clients.get(client)?.name ?? `client ${client}`;
}

/** A name that fits beside an axis. */
export function shortName(name) {
  return name.length > 18 ? `${name.slice(0, 11)}…${name.slice(-6)}` : name;
}
