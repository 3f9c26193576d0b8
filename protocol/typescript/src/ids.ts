/** An id that nothing else has. Pages without TLS have no `crypto.randomUUID`. */
export const newId = () => crypto.getRandomValues(new Uint32Array(4)).join("-");
