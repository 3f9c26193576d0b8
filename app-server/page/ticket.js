// The first module that runs: it takes the ticket out of the address before any other code can read or store it.

/**
 * Reads and removes `#ticket=…`.
 * @returns {string | undefined}
 */
function take() {
  const given = new URLSearchParams(location.hash.slice(1)).get("ticket");
  if (given === null) return undefined;
  history.replaceState(null, "", location.pathname + location.search);
  return given;
}

/** The ticket that the address had. It is good once. */
export const ticket = take();
