// The log-in page, and the set-up page while there is no password: the server says which in data-mode.

const form = document.getElementById(document.body.dataset.mode === "setup" ? "setup" : "login");
const note = form.querySelector("[role=alert]");
const button = form.querySelector("button");

function say(text) {
  note.textContent = text;
  note.hidden = !text;
}

/** Counts down on the button while the server asks for patience. */
function pause(seconds) {
  const label = button.textContent;
  button.disabled = true;
  let left = Math.max(1, seconds);
  const tick = () => {
    if (left <= 0) {
      clearInterval(timer);
      button.textContent = label;
      button.disabled = false;
      say("");
      return;
    }
    button.textContent = `Wait ${left} s`;
    left -= 1;
  };
  const timer = setInterval(tick, 1000);
  tick();
}

async function send(path, body) {
  button.disabled = true;
  say("");
  try {
    const response = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      // Guesses of others may keep the server busy.
      signal: AbortSignal.timeout(30_000),
    });
    if (response.ok) {
      location.replace("/");
      return;
    }
    const answer = await response.json().catch(() => null);
    const message = answer?.error?.message ?? `The server answered ${response.status}.`;
    say(`${message[0].toUpperCase()}${message.slice(1)}.`);
    if (answer?.error?.code === "already_set_up") location.replace("/");
    if (response.status === 429) {
      pause(Number(response.headers.get("Retry-After")));
      return;
    }
  } catch {
    say("The server cannot be reached. Check that it runs and that you are on its network.");
  }
  button.disabled = false;
  form.querySelector("input:not([hidden])").select();
}

form.hidden = false;
form.querySelector("input:not([hidden])").focus();
document.title = `${form.querySelector("h1").textContent} · camera-capture`;

form.querySelector(".reveal").addEventListener("change", (event) => {
  for (const input of form.querySelectorAll("[name=password], [name=again]")) {
    input.type = event.target.checked ? "text" : "password";
  }
});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const fields = form.elements;
  if (form.id === "login") {
    send("/api/login", { password: fields.password.value });
  } else if (fields.password.value !== fields.again.value) {
    say("The two passwords differ.");
    fields.again.select();
  } else {
    send("/api/setup", { code: fields.code.value, password: fields.password.value });
  }
});
