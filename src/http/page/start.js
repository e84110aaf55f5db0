// The last file: everything begins.

dark.addEventListener("change", () => {
  net.key = cards.names = null;
  view.shown = null;
});
// Without the secret there is nothing to see.
$("ask").addEventListener("cancel", event => event.preventDefault());
trials.build();
until(() => true, 3.6e6).then(() => trials.show());
listen();
requestAnimationFrame(frame);
