const [form, list, status] = ["form", "ul", "#status"].map((s) => document.querySelector(s));
const topic = new URLSearchParams(location.search).get("topic") || "sports";
const source = new EventSource(`/feed/${encodeURIComponent(topic)}`);

source.onmessage = ({ data }) => {
  const frame = JSON.parse(data);
  if (frame.event === "message") show(frame.data.text, frame.data.at);
  // What was missed cannot be had: the page says so, and goes on.
  if (frame.event === "lost" || frame.recovered === false) show("Some news are missing here.", Date.now() / 1000);
};
source.onopen = () => { status.textContent = `Listening to ${topic}. Open ?topic=weather for another.`; };
source.onerror = () => {
  status.textContent = source.readyState === EventSource.CLOSED ? "The feed has ended; load the page again." : "Connecting…";
};

function show(text, at) {
  const item = document.createElement("li");
  const time = document.createElement("small");
  time.textContent = new Date(at * 1000).toLocaleTimeString();
  item.append(text, time);
  list.prepend(item);
}

// What a back end would do.
form.addEventListener("submit", async (e) => {
  e.preventDefault();
  const input = form.querySelector("input");
  await fetch(`/feed/${encodeURIComponent(topic)}`, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ text: input.value }),
  });
  input.value = "";
});
