// Before the code of docs/browsers.md in a page of the tests: requests over its websocket, and why the code ended.
addEventListener("error", (event) => { window.failure = event.message; });
addEventListener("unhandledrejection", (event) => { window.failure = String(event.reason?.message ?? event.reason); });

function use(socket) {
  window.notes = [];
  window.waiting = {};
  window.opened = new Promise((done) => {
    socket.addEventListener("open", () => done(true));
    socket.addEventListener("close", () => done(false));
  });
  window.ended = new Promise((done) => socket.addEventListener("close", ({ code, reason }) => done({ code, reason })));
  socket.addEventListener("message", ({ data }) => {
    const message = JSON.parse(data);
    if (message.method) notes.push(message);
    else waiting[message.id](message.result ?? { error: message.error });
  });
  window.ask = (method, params) => new Promise((done) => {
    const id = Object.keys(waiting).length + 1;
    waiting[id] = done;
    socket.send(JSON.stringify({ id, method, params }));
  });
}

// Whether a websocket opens; for pages without the code of the document.
const connects = (url, protocols) => new Promise((done) => {
  const socket = new WebSocket(url, protocols);
  socket.addEventListener("open", () => done(true));
  socket.addEventListener("close", () => done(false));
});

// The status of a request, or the reason why the page sees none.
const status = (url, options) => fetch(url, options).then((answer) => answer.status, (error) => error.name);
